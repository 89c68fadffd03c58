"""Build the package for Blender: a GLB that its importer wires by itself, and every map as an image of its own.

Blender's importer turns glTF's +Y up and front +Z into its own +Z up and front -Y. Normal maps are OpenGL; all images but the
base colour are Non-Color. Coarser levels and hulls come in an FBX beside the GLB: in one file with it they would stand in the
midst of LOD0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forge_batch.ops.fbx import METRES_Y_UP, FbxScene, encode_fbx
from forge_batch.ops.fbx_skin import encode_skinned_fbx
from forge_batch.ops.glb import encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.packages.asset import Asset, glb_look, glb_textures, in_folder, switch_distances
from forge_batch.packages.skinned import level_rigs, skinned_scene


def blender_files(asset: Asset) -> dict[str, bytes]:
    """Give the files that Blender imports, by name."""
    files: dict[str, bytes] = {}
    looks = []
    for surface in asset.surfaces:
        names, textures = surface.names, glb_textures(surface)
        looks.append(glb_look(asset, names, textures))
        files |= {f"{names.texture(kind)}.png": png for kind, png in textures.items() if kind != "orm"}
        if surface.normal is not None:
            files[f"{names.texture('normal')}.png"] = encode_png(surface.shown_normal)
        if surface.orm is not None:
            for kind, channel in zip(("occlusion", "roughness", "metallic"), np.moveaxis(surface.orm, 2, 0), strict=True):
                files[f"{names.texture(kind)}.png"] = encode_png(np.ascontiguousarray(channel))
    files[f"{asset.model}.glb"] = encode_glb(
        asset.model,
        asset.levels[0],
        looks,
        points={f"SOCKET_{name}": place for name, place in asset.sockets.items()},
        rig=next(iter(level_rigs(asset)), None),
    )
    if len(asset.lods) > 1 or asset.hulls:
        files[f"{asset.model}_LODs.fbx"] = _levels(asset)
    return in_folder(asset.folder, files)


def _levels(asset: Asset) -> bytes:
    """Give the FBX with all levels in a group, and with the hulls unless the levels are to be bent."""
    there = {"DiffuseColor": ("base_color", asset.base_color), "NormalMap": ("normal", asset.normal)}
    wired = {key: kind for key, (kind, image) in there.items() if image is not None}
    materials = {
        names.material: {key: f"{names.texture(kind)}.png" for key, kind in wired.items()} for names in asset.atlas_names
    }
    if asset.rig:
        skinned = skinned_scene(asset, np.eye(3, dtype=np.float32), 1.0, materials)
        return encode_skinned_fbx(replace(skinned, sockets=asset.sockets, frame=METRES_Y_UP))
    distances = switch_distances(asset)
    scene = FbxScene(asset.model, asset.levels, distances, asset.hulls, materials, asset.sockets, METRES_Y_UP)
    return encode_fbx(scene)
