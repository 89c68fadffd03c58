"""Make meshes whose properties are known by hand."""

from __future__ import annotations

import numpy as np
from skimage.measure import marching_cubes

from forge_batch.ops.mesh import Mesh


def box(size: tuple[float, float, float] = (1.0, 1.0, 1.0), centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    """Make a closed box of 12 faces, wound outwards; its volume is the product of its sides."""
    corner = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return Mesh((corner * size + centre).astype(np.float32), np.array(faces, dtype=np.int32))


def join(*meshes: Mesh) -> Mesh:
    """Put meshes into one, vertices unshared."""
    start = np.cumsum([0] + [len(m.vertices) for m in meshes])
    faces = [m.faces + np.int32(s) for m, s in zip(meshes, start, strict=False)]
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces).astype(np.int32))


def blob(cells: int = 60) -> Mesh:
    """Make a lumpy closed surface with a handle by marching cubes: about 2.8 * cells ** 2 faces, mirrored in no plane."""
    axis = np.linspace(-1.1, 1.1, cells)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    body = np.sqrt(x**2 + y**2 + z**2) - 0.6 - 0.12 * np.sin(5 * x + 1) * np.cos(4 * y) * np.sin(6 * z)
    ring = np.hypot(np.hypot(x, z) - 0.75, y) - 0.12
    points, faces, _, _ = marching_cubes(np.minimum(body, ring).astype(np.float32), 0.0, spacing=(axis[1] - axis[0],) * 3)
    return Mesh((points - 1.1).astype(np.float32), np.ascontiguousarray(faces[:, ::-1], dtype=np.int32))
