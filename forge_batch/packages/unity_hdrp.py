"""Build the package for Unity's High Definition Render Pipeline.

Unity is metres, left-handed, +Y up, front +Z, and reads a right-handed FBX by negating X: house space can be written as it is,
with the file's unit declared as the metre, so that models arrive with scale 1 and an unturned root. Levels named `_LOD0`,
`_LOD1` become an LOD group; those of a character are skinned. Unity knows no names for collision: hulls come in a file of their
own, for convex mesh colliders.

The mask map holds metallic, occlusion, detail and smoothness (1 - roughness). Detail is 255: a detail map that is added later
shows everywhere. Normal maps are OpenGL.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forge_batch.ops.fbx import METRES_Y_UP, FbxScene, encode_fbx, encode_hulls
from forge_batch.ops.fbx_skin import encode_skinned_fbx
from forge_batch.ops.image_file import encode_png
from forge_batch.packages.asset import Asset, in_folder, switch_distances
from forge_batch.packages.skinned import skinned_scene


def unity_hdrp_files(asset: Asset) -> dict[str, bytes]:
    """Give the files that Unity imports, by name."""
    files: dict[str, bytes] = {}
    materials: dict[str, dict[str, str]] = {}
    for surface in asset.surfaces:
        names = surface.names
        wired = materials[names.material] = {}
        if surface.base_color is not None:
            wired["DiffuseColor"] = f"{names.texture('base_color')}.png"
            files[wired["DiffuseColor"]] = encode_png(surface.base_color)
        if surface.normal is not None:
            wired["NormalMap"] = f"{names.texture('normal')}.png"
            files[wired["NormalMap"]] = encode_png(surface.shown_normal)
        if surface.orm is not None:
            files[f"{names.texture('mask')}.png"] = encode_png(mask_map(surface.orm))
    if asset.rig:
        scene = skinned_scene(asset, np.eye(3, dtype=np.float32), 1.0, materials)
        files[f"{asset.model}.fbx"] = encode_skinned_fbx(
            replace(scene, sockets=asset.sockets, frame=METRES_Y_UP, grouped=False)
        )
    else:
        files[f"{asset.model}.fbx"] = encode_fbx(
            FbxScene(
                asset.model,
                asset.levels,
                switch_distances(asset),
                [],
                materials,
                asset.sockets,
                METRES_Y_UP,
                grouped=False,
            )
        )
    if asset.hulls:
        files[f"{asset.model}_Colliders.fbx"] = encode_hulls(f"{asset.model}_Collider", asset.hulls, METRES_Y_UP)
    return in_folder(asset.folder, files)


def mask_map(orm: np.ndarray) -> np.ndarray:
    """Give metallic, occlusion, detail (255) and smoothness of an ORM map (h, w, 3) as (h, w, 4)."""
    occlusion, roughness, metallic = np.moveaxis(orm, 2, 0)
    return np.dstack([metallic, occlusion, np.full_like(metallic, 255), 255 - roughness])
