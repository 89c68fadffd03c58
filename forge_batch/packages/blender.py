"""Build the package for Blender: a GLB that its importer wires by itself, and every map as an image of its own.

Blender's importer turns glTF's +Y up and front +Z into its own +Z up and front -Y. Normal maps are OpenGL; all images but the
base colour are Non-Color.
"""

from __future__ import annotations

import numpy as np

from forge_batch.ops.glb import encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.packages.asset import Asset, glb_textures


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
    files[f"{names.mesh}.glb"] = encode_glb(
        names.mesh,
        asset.lods[0],
        textures,
        names.material,
        {kind: names.texture(kind) for kind in textures},
        points={f"SOCKET_{name}": place for name, place in asset.sockets.items()},
    )
    return files
