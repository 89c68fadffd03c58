"""Build the skinned mesh of a character for Unreal: SK_<Asset>.fbx, and what is to be said of its skeleton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from forge_batch.ops.fbx_skin import SkinnedScene, encode_skinned_fbx
from forge_batch.ops.rig import Rig, carried_over, limited, with_root
from forge_batch.packages.asset import CENTIMETRES, Asset, switch_distances, turned
from forge_batch.packages.mannequin import Named, mannequin_names


def skinned_fbx(asset: Asset, axes: np.ndarray, textures: Mapping[str, str]) -> bytes:
    """Give the FBX of a character in Unreal's frame.

    Args:
        asset: With a rig for the vertices of `rigged`, its mesh before levels of detail were made.
        axes: Rotation from house space into the file's frame.
        textures: File name by FBX material property.
    """
    rig, _ = _named(asset)
    rig = limited(rig, asset.influences)
    rig = replace(rig, joints=(rig.joints @ axes.T * np.float32(CENTIMETRES)).astype(np.float32))
    assert asset.rigged is not None
    scene = SkinnedScene(
        asset.names.skeletal_mesh,
        [turned(mesh, axes, CENTIMETRES) for mesh in asset.lods],
        [carried_over(rig, asset.rigged, mesh) for mesh in asset.lods],
        [CENTIMETRES * distance for distance in switch_distances(asset)],
        asset.names.material,
        textures,
    )
    return encode_skinned_fbx(scene)


def skeleton_facts(asset: Asset) -> dict[str, Any] | None:
    """Say of a skeleton how many bones it has and which of the Mannequin's they are; None where there is no rig."""
    if asset.rig is None:
        return None
    rig, named = _named(asset)
    facts = asset.rig_facts
    sure = facts.get("confidence", {})
    own = with_root(asset.rig).names
    return {
        "made_by": " ".join(str(facts[key]) for key in ("backend", "revision") if key in facts),
        "confidence": {name: sure[old] for name, old in zip(rig.names, own, strict=True) if old in sure},
        "bones": len(rig.names),
        "influences": asset.influences,
        "matched": named.matched,
        "unmatched": named.unmatched,
        "note": "Bones have the Mannequin's names, not its axes: retarget animation with the IK Retargeter."
        if named.matched
        else "Bones keep their own names.",
    }


def named_rig(asset: Asset) -> Rig:
    """Give the rig of a character for its LOD0, with a root and the names of the Mannequin, whatever its bones are called."""
    assert asset.rig is not None
    assert asset.rigged is not None
    rig = with_root(carried_over(asset.rig, asset.rigged, asset.lods[0]))
    return replace(rig, names=tuple(mannequin_names(rig.names).names))


def _named(asset: Asset) -> tuple[Rig, Named]:
    """Give the rig with a root and the names that were asked for."""
    assert asset.rig is not None
    rig = with_root(asset.rig)
    if asset.bone_names == "keep":
        return rig, Named(list(rig.names), {}, list(rig.names))
    named = mannequin_names(rig.names)
    return replace(rig, names=tuple(named.names)), named
