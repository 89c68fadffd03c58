"""Build the package for Unreal Engine 5.

House space is glTF's: metres, right-handed, +Y up, front +Z. Unreal is centimetres, left-handed, +Z up, front +X.
The FBX is written in the right-handed Z-up frame that Unreal converts scenes into, (x, y, z) = (z, x, y) of the house in
centimetres, whose Y Unreal then negates. Unreal reads glTF as (X, Z, Y) x 100, so the GLB is turned by 90 degrees about +Y,
(x, y, z) = (z, y, -x) of the house. Both land on (z, -x, y) of the house: front on +X. Both maps are rotations (and a scale),
so windings and tangent signs stay as they are.

FBX goes with the DirectX normal map (green down), the GLB with the OpenGL one, as glTF demands: two files, two conventions, two
names of the map, and two folders, each of which can be dragged into the content browser without overwriting the other.
"""

from __future__ import annotations

import numpy as np

from forge_batch.ops.fbx import FbxScene, encode_fbx
from forge_batch.ops.fbx_skin import encode_skinned_fbx
from forge_batch.ops.glb import BASE_COLOR, NORMAL, ORM, Look, encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.packages.asset import CENTIMETRES, Asset, carried, directx, glb_textures, in_folder, switch_distances, turned
from forge_batch.packages.skinned import skinned_scene

FBX_AXES = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
GLB_AXES = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)
ORM_PROPERTY = "forge_batch|orm"  # Unreal wires no such map from an FBX; other readers keep the reference
PROPERTIES = {BASE_COLOR: "DiffuseColor", NORMAL: "NormalMap", ORM: ORM_PROPERTY}


def ue5_files(asset: Asset) -> dict[str, bytes]:
    """Give the files that Unreal imports, by name."""
    names = asset.names
    files: dict[str, bytes] = {}
    wired: dict[str, dict[str, str]] = {}
    looks = []
    for surface in asset.surfaces:
        inside, called = glb_textures(surface), surface.names
        beside = {kind: f"{called.texture(kind)}.png" for kind in inside}
        files |= {beside[kind]: png for kind, png in inside.items()}
        if surface.normal is not None:
            files[beside[NORMAL]] = encode_png(directx(surface.shown_normal))
        wired[called.material] = {PROPERTIES[kind]: file for kind, file in beside.items()}
        images = {kind: called.texture(kind) + ("_GL" if kind == NORMAL else "") for kind in inside}
        looks.append(Look(called.material, inside, images, asset.masked, asset.two_sided))
    scene = FbxScene(
        names.mesh,
        [turned(mesh, FBX_AXES, CENTIMETRES) for mesh in asset.levels],
        [CENTIMETRES * distance for distance in switch_distances(asset)],
        [turned(mesh, FBX_AXES, CENTIMETRES) for mesh in asset.hulls],
        wired,
        carried(asset.sockets, FBX_AXES, CENTIMETRES),
    )
    files[f"{names.mesh}.fbx"] = encode_fbx(scene)
    if asset.rig is not None:
        skinned = skinned_scene(asset, FBX_AXES, CENTIMETRES, wired)
        files[f"{names.skeletal_mesh}.fbx"] = encode_skinned_fbx(skinned)
    glb = encode_glb(
        names.mesh,
        turned(asset.levels[0], GLB_AXES, 1.0),
        looks,
        points={f"SOCKET_{name}": place for name, place in carried(asset.sockets, GLB_AXES, 1.0).items()},
    )
    return in_folder(asset.folder, files) | in_folder(f"{asset.folder}_glTF", {f"{names.mesh}.glb": glb})
