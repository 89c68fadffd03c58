"""Build the package for Blender: a GLB that its importer wires by itself, and every map as an image of its own.

Blender's importer turns glTF's +Y up and front +Z into its own +Z up and front -Y, and makes a collection of each scene in the
file, of which only the first is switched on: LOD0 there, the coarser levels and the hulls in collections of their own. Normal
maps are OpenGL; all images but the base colour are Non-Color.
"""

from __future__ import annotations

import numpy as np

from forge_batch.ops.glb import encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.packages.asset import Asset, glb_textures, in_folder
from forge_batch.packages.skinned import level_rigs


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
        {f"UCX_{asset.model}_{index:02d}": hull for index, hull in enumerate(asset.hulls)},
        {f"SOCKET_{name}": place for name, place in asset.sockets.items()},
        {f"{asset.model}_LOD{level}": mesh for level, mesh in enumerate(asset.lods) if level},
        level_rigs(asset),
        apart=True,
    )
    return in_folder(asset.folder, files)
