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
from forge_batch.packages.asset import Asset, glb_textures, in_folder, switch_distances
from forge_batch.packages.skinned import level_rigs, skinned_scene


def blender_files(asset: Asset) -> dict[str, bytes]:
    """Give the files that Blender imports, by name."""
    names = asset.names
    textures = glb_textures(asset)
    files = {f"{names.texture(kind)}.png": png for kind, png in textures.items() if kind != "orm"}
    if asset.normal is not None:
        files[f"{names.texture('normal')}.png"] = encode_png(asset.shown_normal)
    if asset.orm is not None:
        for kind, channel in zip(("occlusion", "roughness", "metallic"), np.moveaxis(asset.orm, 2, 0), strict=True):
            files[f"{names.texture(kind)}.png"] = encode_png(np.ascontiguousarray(channel))
    files[f"{asset.model}.glb"] = encode_glb(
        asset.model,
        asset.lods[0],
        textures,
        names.material,
        {kind: names.texture(kind) for kind in textures},
        points={f"SOCKET_{name}": place for name, place in asset.sockets.items()},
        rig=next(iter(level_rigs(asset)), None),
        masked=asset.masked,
    )
    if len(asset.lods) > 1 or asset.hulls:
        files[f"{asset.model}_LODs.fbx"] = _levels(asset)
    return in_folder(asset.folder, files)


def _levels(asset: Asset) -> bytes:
    """Give the FBX with all levels in a group, and with the hulls unless the levels are to be bent."""
    wired = {"DiffuseColor": f"{asset.names.texture('base_color')}.png", "NormalMap": f"{asset.names.texture('normal')}.png"}
    there = {"DiffuseColor": asset.base_color, "NormalMap": asset.normal}
    textures = {key: file for key, file in wired.items() if there[key] is not None}
    if asset.rig:
        skinned = skinned_scene(asset, np.eye(3, dtype=np.float32), 1.0, textures)
        return encode_skinned_fbx(replace(skinned, sockets=asset.sockets, frame=METRES_Y_UP))
    distances, material = switch_distances(asset), asset.names.material
    scene = FbxScene(asset.model, asset.lods, distances, asset.hulls, material, textures, asset.sockets, METRES_Y_UP)
    return encode_fbx(scene)
