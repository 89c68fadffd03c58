"""Build the package for Unreal Engine 5.

House space is glTF's: metres, right-handed, +Y up, front +Z. Unreal is centimetres, left-handed, +Z up, front +X.
The FBX is written in the right-handed Z-up frame that Unreal converts scenes into, (x, y, z) = (z, x, y) of the house in
centimetres, whose Y Unreal then negates. Unreal reads glTF as (X, Z, Y) x 100, so the GLB is turned by 90 degrees about +Y,
(x, y, z) = (z, y, -x) of the house. Both land on (z, -x, y) of the house: front on +X. Both maps are rotations (and a scale),
so windings and tangent signs stay as they are.

FBX goes with the DirectX normal map (green down), the GLB with the OpenGL one, as glTF demands: two files, two conventions, and
two names, so that importing both into one folder overwrites neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forge_batch.ops.fbx import FbxScene, encode_fbx
from forge_batch.ops.glb import BASE_COLOR, NORMAL, ORM, encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.screen_sizes import sphere_diameter
from forge_batch.packages.names import pascal

FBX_AXES = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
GLB_AXES = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)
CENTIMETRES = 100.0
ORM_PROPERTY = "forge_batch|orm"  # Unreal wires no such map from an FBX; other readers keep the reference


@dataclass(frozen=True, eq=False)
class Asset:
    """Be a finished asset, in house space.

    Attributes:
        lods: With uv, normals and tangents, the finest first.
        screen_sizes: Of each level, 1.0 fills the screen; as many as lods.
        base_color: (h, w, 3) uint8 sRGB, or None.
        normal: (h, w, 3) uint16 tangent space, OpenGL, or None.
        orm: (h, w, 3) uint8, or None.
    """

    name: str
    lods: Sequence[Mesh]
    screen_sizes: Sequence[float]
    hulls: Sequence[Mesh]
    base_color: np.ndarray | None
    normal: np.ndarray | None
    orm: np.ndarray | None


def package_files(asset: Asset) -> dict[str, bytes]:
    """Give the files that Unreal imports, by name."""
    title = pascal(asset.name)
    names = {"BC": f"T_{title}_BC.png", "N": f"T_{title}_N.png", "ORM": f"T_{title}_ORM.png"}
    color = encode_png(asset.base_color) if asset.base_color is not None else None
    orm = encode_png(asset.orm) if asset.orm is not None else None
    normal = eight_bit(asset.normal) if asset.normal is not None else None
    files = {
        names["BC"]: color,
        names["N"]: encode_png(directx(normal)) if normal is not None else None,
        names["ORM"]: orm,
    }
    textures = {kind: png for kind, png in ((BASE_COLOR, color), (ORM, orm)) if png is not None}
    if normal is not None:
        textures[NORMAL] = encode_png(normal)
    kinds = {"DiffuseColor": names["BC"], "NormalMap": names["N"], ORM_PROPERTY: names["ORM"]}
    scene = FbxScene(
        f"SM_{title}",
        [turned(mesh, FBX_AXES, CENTIMETRES) for mesh in asset.lods],
        switch_distances(asset),
        [turned(mesh, FBX_AXES, CENTIMETRES) for mesh in asset.hulls],
        f"M_{title}",
        {kind: name for kind, name in kinds.items() if files[name] is not None},
    )
    images = {BASE_COLOR: f"T_{title}_BC", NORMAL: f"T_{title}_N_GL", ORM: f"T_{title}_ORM"}
    glb = encode_glb(f"SM_{title}", turned(asset.lods[0], GLB_AXES, 1.0), textures, f"M_{title}", images)
    models = {f"SM_{title}.fbx": encode_fbx(scene), f"SM_{title}.glb": glb}
    return {**models, **{name: png for name, png in files.items() if png is not None}}


def turned(mesh: Mesh, axes: np.ndarray, scale: float) -> Mesh:
    """Carry a mesh into another right-handed frame: `axes` is a rotation, positions are scaled too."""
    normals = None if mesh.normals is None else mesh.normals @ axes.T
    tangents = None if mesh.tangents is None else np.hstack([mesh.tangents[:, :3] @ axes.T, mesh.tangents[:, 3:]])
    vertices = (mesh.vertices.astype(np.float64) @ axes.T.astype(np.float64) * scale).astype(np.float32)
    return replace(mesh, vertices=vertices, normals=normals, tangents=tangents)


def switch_distances(asset: Asset) -> list[float]:
    """Give the camera distances in centimetres at which LOD1, LOD2, ... take over.

    Unreal's screen size of a sphere of radius r at distance d, at 90 degrees of horizontal view in 16:9, is 16/9 r / d
    (ComputeBoundsScreenSize).
    """
    radius = sphere_diameter(asset.lods[0]) / 2 * CENTIMETRES
    return [16 / 9 * radius / size for size in asset.screen_sizes[1 : len(asset.lods)]]


def eight_bit(image: np.ndarray) -> np.ndarray:
    """Round 16 bits a channel to 8."""
    return ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def directx(normal: np.ndarray) -> np.ndarray:
    """Turn an 8-bit OpenGL normal map into a DirectX one: green points down the picture."""
    flipped = normal.copy()
    flipped[..., 1] = 255 - flipped[..., 1]
    return flipped
