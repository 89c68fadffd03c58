"""Write forge_import.json: how Unreal is to import a package, as data for the plugin in unreal/ForgeImport."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from forge_batch.packages.asset import Asset
from forge_batch.packages.names import Names, pascal
from forge_batch.packages.skinned import level_rigs

VERSION = 2
SEVERAL = 3
"""Version of a recipe with several materials: what reads no more than VERSION refuses it instead of leaving some out."""

SETTINGS = {
    "base_color": {"compression": "TC_DEFAULT", "srgb": True},
    "normal": {"compression": "TC_NORMALMAP", "srgb": False},
    "orm": {"compression": "TC_MASKS", "srgb": False},
}
"""What each texture must be in Unreal, which guesses right for none but the base colour."""


def ue5_recipe(asset: Asset, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Describe the import of an asset; `files` are all others of the package, by name.

    `content_sha256` is over the names and contents of them all, so that a package is imported once, and again when
    anything in it has changed.
    """
    names = asset.names
    width, height, depth = (round(float(side) * 100, 2) for side in np.ptp(asset.lods[0].vertices, axis=0))
    looks = [_look(one, asset.folder, files, asset.masked) for one in asset.atlas_names]
    several = len(looks) > 1
    return {
        "forge_import": SEVERAL if several else VERSION,
        "asset": asset.name,
        "destination": f"/Game/Forge/{pascal(asset.name)}",
        "manifest_sha256": _sha256(files["manifest.yaml"]),
        "content_sha256": _sha256("".join(f"{name} {_sha256(files[name])}\n" for name in sorted(files)).encode()),
        "mesh": {
            "file": f"{asset.folder}/{names.mesh}.fbx",
            "name": names.mesh,
            "size_cm": [depth, width, height],
            "triangles": [len(mesh.faces) for mesh in asset.lods],
            "screen_sizes": [round(size, 6) for size in asset.screen_sizes[: len(asset.lods)]],
            "hulls": len(asset.hulls),
            "nanite": asset.nanite,
            "lightmap_resolution": asset.lightmap_resolution,
            "sockets": sorted(asset.sockets),
            **({} if several else {"material_slot": looks[0]["material_slot"]}),
        },
        **({"two_sided": True} if asset.two_sided else {}),
        "skeletal_mesh": _skeletal(asset) if asset.rig else None,
        **({"materials": looks} if several else _alone(looks[0])),
    }


def _alone(look: dict[str, Any]) -> dict[str, Any]:
    """Describe the one material of an asset; its slot stands with the mesh."""
    material = {key: value for key, value in look.items() if key not in {"material_slot", "textures"}}
    return {"material": material, "textures": look["textures"]}


def _look(names: Names, folder: str, files: Mapping[str, bytes], masked: bool) -> dict[str, Any]:
    """Describe one material: its slot, its instance and its textures."""
    textures = {kind: names.texture(kind) for kind in SETTINGS}
    return {
        "material_slot": names.material,
        "instance": names.material_instance,
        **({"masked": True} if masked else {}),
        "textures": {
            kind: {"file": file, "name": name, **SETTINGS[kind]}
            for kind, name in textures.items()
            if (file := f"{folder}/{name}.png") in files
        },
    }


def _skeletal(asset: Asset) -> dict[str, Any]:
    """Describe the skinned mesh of a character."""
    name = asset.names.skeletal_mesh
    bones = list(level_rigs(asset)[0].names)
    return {"file": f"{asset.folder}/{name}.fbx", "name": name, "bones": bones, "influences": asset.influences}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
