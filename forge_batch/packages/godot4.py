"""Build the package for Godot 4: one GLB with everything in it.

Godot is metres, right-handed, +Y up, and glTF's front (+Z) is its models' front: house space is written as it is. It reads
occlusion, roughness and metallic from one ORM texture, makes its own LODs on import, and turns nodes whose names end with
`-convcolonly` into static bodies with a convex shape. Normal maps are OpenGL.
"""

from __future__ import annotations

from forge_batch.ops.glb import encode_glb
from forge_batch.packages.asset import Asset, glb_textures


def godot4_files(asset: Asset) -> dict[str, bytes]:
    """Give the file that Godot imports, by name."""
    names = asset.names
    textures = glb_textures(asset)
    glb = encode_glb(
        names.mesh,
        asset.lods[0],
        textures,
        names.material,
        {kind: names.texture(kind) for kind in textures},
        {f"{names.mesh}_{index:02d}-convcolonly": hull for index, hull in enumerate(asset.hulls)},
        {f"SOCKET_{name}": place for name, place in asset.sockets.items()},
    )
    return {f"{names.mesh}.glb": glb}
