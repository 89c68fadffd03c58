"""Build the package for Godot 4: one GLB with everything in it.

Godot is metres, right-handed, +Y up, and glTF's front (+Z) is its models' front: house space is written as it is. It reads
occlusion, roughness and metallic from one ORM texture, makes its own LODs on import, and turns nodes whose names end with
`-convcolonly` into static bodies with a convex shape. Normal maps are OpenGL. A character gets its skeleton and no bodies: they
would stand still in the midst of it.
"""

from __future__ import annotations

from forge_batch.ops.glb import encode_glb
from forge_batch.packages.asset import Asset, glb_look, glb_textures, in_folder
from forge_batch.packages.skinned import level_rigs


def godot4_files(asset: Asset) -> dict[str, bytes]:
    """Give the file that Godot imports, by name."""
    solids = {} if asset.rig else {f"{asset.model}_{index:02d}-convcolonly": hull for index, hull in enumerate(asset.hulls)}
    glb = encode_glb(
        asset.model,
        asset.levels[0],
        [glb_look(asset, surface.names, glb_textures(surface)) for surface in asset.surfaces],
        solids,
        {f"SOCKET_{name}": place for name, place in asset.sockets.items()},
        rig=next(iter(level_rigs(asset)), None),
    )
    return in_folder(asset.folder, {f"{asset.model}.glb": glb})
