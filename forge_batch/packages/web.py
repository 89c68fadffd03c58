"""Build the package for web pages: one small GLB, its mesh packed by Draco and its textures as WebP.

House space is glTF's own: metres, +Y up, front +Z, OpenGL normals. Textures shrink and their quality falls step by step until
the file is below 2 MiB.
"""

from __future__ import annotations

from forge_batch.ops.dither import rounded_normals
from forge_batch.ops.draco import compress
from forge_batch.ops.glb import encode_web_glb
from forge_batch.ops.image_file import encode_webp, shrunk
from forge_batch.packages.asset import Asset, in_folder
from forge_batch.packages.skinned import level_rigs

LIMIT = 2 << 20
STEPS = ((2048, 90), (2048, 80), (1024, 90), (1024, 80), (512, 80), (256, 70))
"""Largest edge in pixels and WebP quality, the best first."""


def web_files(asset: Asset) -> dict[str, bytes]:
    """Give the file that a page loads, by name: the best of STEPS below LIMIT, else the last."""
    names = asset.names
    normal = None if asset.normal is None else rounded_normals(asset.normal)
    images = {"base_color": asset.base_color, "normal": normal, "orm": asset.orm}
    maps = {kind: image for kind, image in images.items() if image is not None}
    rig = next(iter(level_rigs(asset)), None)
    points = {f"SOCKET_{name}": place for name, place in asset.sockets.items()}
    packed = compress(asset.lods[0], rig)
    data = b""
    for edge, quality in STEPS:
        textures = {kind: encode_webp(shrunk(image, edge), quality) for kind, image in maps.items()}
        called = {kind: names.texture(kind) for kind in textures}
        data = encode_web_glb(asset.model, packed, textures, names.material, called, points, rig, asset.masked)
        if len(data) <= LIMIT:
            break
    return in_folder(asset.folder, {f"{asset.model}.glb": data})
