"""Build the package for web pages: one small GLB, its mesh packed by Draco and its textures as WebP.

House space is glTF's own: metres, +Y up, front +Z, OpenGL normals. Textures shrink and their quality falls step by step until
the file is below 2 MiB.
"""

from __future__ import annotations

import numpy as np

from forge_batch.ops.dither import rounded_normals
from forge_batch.ops.draco import compress
from forge_batch.ops.glb import BASE_COLOR, NORMAL, ORM, encode_web_glb
from forge_batch.ops.image_file import encode_webp, shrunk
from forge_batch.ops.rig import bound_to
from forge_batch.ops.sheet import by_atlas
from forge_batch.packages.asset import Asset, Surface, glb_look, in_folder
from forge_batch.packages.skinned import level_rigs

LIMIT = 2 << 20
STEPS = ((2048, 90), (2048, 80), (1024, 90), (1024, 80), (512, 80), (256, 70))
"""Largest edge in pixels and WebP quality, the best first."""


def web_files(asset: Asset) -> dict[str, bytes]:
    """Give the file that a page loads, by name: the best of STEPS below LIMIT, else the last."""
    maps = {surface.names: _maps(surface) for surface in asset.surfaces}
    rig, mesh = next(iter(level_rigs(asset)), None), asset.levels[0]
    points = {f"SOCKET_{name}": place for name, place in asset.sockets.items()}
    whole = mesh if asset.atlases > 1 else None
    packed = {number: compress(part, rig and bound_to(rig, kept), whole) for number, part, kept in by_atlas(mesh)}
    data = b""
    for edge, quality in STEPS:
        looks = [
            glb_look(asset, names, {kind: encode_webp(shrunk(image, edge), quality) for kind, image in images.items()})
            for names, images in maps.items()
        ]
        data = encode_web_glb(asset.model, packed, looks, points, rig)
        if len(data) <= LIMIT:
            break
    return in_folder(asset.folder, {f"{asset.model}.glb": data})


def _maps(surface: Surface) -> dict[str, np.ndarray]:
    """Give the pictures of an atlas by kind."""
    normal = None if surface.normal is None else rounded_normals(surface.normal)
    images = {BASE_COLOR: surface.base_color, NORMAL: normal, ORM: surface.orm}
    return {kind: image for kind, image in images.items() if image is not None}
