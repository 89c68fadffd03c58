"""Bind the levels of a character to its skeleton, and say what is to be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from forge_batch.ops.fbx_skin import SkinnedScene
from forge_batch.ops.rig import Rig, carried_over, limited, with_root
from forge_batch.packages.asset import Asset, switch_distances, turned
from forge_batch.packages.mannequin import Named, mannequin_names


def skinned_scene(asset: Asset, axes: np.ndarray, scale: float, materials: Mapping[str, Mapping[str, str]]) -> SkinnedScene:
    """Give the levels of a character in another frame, for an FBX.

    Args:
        asset: With a rig for the vertices of `rigged`, its mesh before levels of detail were made.
        axes: Rotation from house space into the file's frame.
        scale: Of the file's units in a metre.
        materials: By name, file name by FBX material property.
    """
    return SkinnedScene(
        asset.names.skeletal_mesh,
        [turned(mesh, axes, scale) for mesh in asset.levels],
        [replace(rig, joints=(rig.joints @ axes.T * np.float32(scale)).astype(np.float32)) for rig in level_rigs(asset)],
        [scale * distance for distance in switch_distances(asset)],
        materials,
    )


def level_rigs(asset: Asset) -> list[Rig]:
    """Give the rig of each level, with a root, names and number of influences as asked for; none where there is no rig."""
    if asset.rig is None:
        return []
    assert asset.rigged is not None
    rig = limited(_named(asset)[0], asset.influences)
    return [carried_over(rig, asset.rigged, mesh) for mesh in asset.lods]


def skeleton_facts(asset: Asset, most: int) -> dict[str, Any] | None:
    """Say of a skeleton how many bones it has and which of the Mannequin's they are; None where there is no rig.

    `most` is how many joints of a vertex the file can hold.
    """
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
        "influences": min(asset.influences, most),
        "matched": named.matched,
        "unmatched": named.unmatched,
        "note": "Bones have the names of Unreal's Mannequin, not its axes: retarget animation, in Unreal by its IK Retargeter."
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
