"""Make low-poly meshes and sources whose bakes are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals, vertex_normals
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.tangents import split_by_tangent

UPRIGHT = ((0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0))
"""UVs of a square seen from +Z: bottom left, bottom right, top right, top left."""


def low_square(uv: tuple[tuple[float, float], ...] = UPRIGHT) -> Mesh:
    """Make the square -1..1 in the XY plane, facing +Z, of two triangles."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    return unwrapped(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.array(uv, np.float32))


def unwrapped(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> Mesh:
    """Give a mesh its smooth normals and tangents."""
    return split_by_tangent(Mesh(vertices, faces, uv=uv, normals=split_vertex_normals(vertices, faces)))


def sheet(height: Callable[[np.ndarray, np.ndarray], np.ndarray], cells: int = 100, half: float = 1.1) -> Mesh:
    """Make a height field over the square, facing +Z, with smooth normals; a little larger than the low square."""
    x, y = np.meshgrid(np.linspace(-half, half, cells + 1), np.linspace(-half, half, cells + 1), indexing="ij")
    vertices = np.stack([x, y, np.broadcast_to(height(x, y), x.shape)], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(len(vertices)).reshape(cells + 1, cells + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))]).astype(np.int32)
    return Mesh(vertices, faces, normals=vertex_normals(vertices, faces))


def flat_sheet() -> Mesh:
    """Make the plane z = 0."""
    return sheet(lambda x, _: np.zeros_like(x), cells=4)


def colored(
    mesh: Mesh, color: tuple[float, float, float] | np.ndarray = (0.5, 0.25, 1.0), seen: np.ndarray | float = 1.0
) -> SourceMesh:
    """Make a source of one material: metallic 0.2, roughness 0.6, linear colour and `seen` per vertex or overall."""
    count = len(mesh.vertices)
    return SourceMesh(
        mesh,
        np.broadcast_to(np.asarray(color, np.float32), (count, 3)).copy(),
        np.full(count, 0.2, np.float32),
        np.full(count, 0.6, np.float32),
        np.broadcast_to(np.asarray(seen, np.float32), (count,)).copy(),
    )


def joined(*meshes: Mesh) -> Mesh:
    """Put meshes into one, keeping the attributes that the first one has."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=False)]
    whole = {
        name: np.concatenate([getattr(mesh, name) for mesh in meshes])
        for name in ("uv", "normals", "tangents")
        if getattr(meshes[0], name) is not None
    }
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces), **whole)


def tube(
    centre: Callable[[np.ndarray], np.ndarray], radius: float, rings: int, sides: int, relief: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sweep a circle along a closed curve: vertices, faces, and place (along, around) of each vertex, 0..1, cut at 0 and 1.

    Args:
        centre: Gives (n, 3) points of the curve for n numbers 0..1.
        radius: Of the circle.
        rings: Steps along the curve.
        sides: Steps round it.
        relief: Depth of waves, eight along and four round.
    """
    along = np.linspace(0, 1, rings + 1)
    ahead = centre((along + 1e-4) % 1) - centre((along - 1e-4) % 1)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.cross(ahead, np.array([0, 0, 1.0]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(across, ahead)
    around = np.linspace(0, 1, sides + 1)
    angle = 2 * np.pi * (around % 1)
    wave = radius + relief * np.sin(16 * np.pi * (along % 1))[:, None] * np.sin(8 * np.pi * (around % 1))
    ring = np.cos(angle)[None, :, None] * across[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    vertices = centre(along % 1)[:, None] + wave[..., None] * ring
    index = np.arange(vertices[..., 0].size).reshape(rings + 1, sides + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    place = np.stack(np.meshgrid(along, around, indexing="ij"), -1)
    return vertices.reshape(-1, 3).astype(np.float32), faces.astype(np.int32), place.reshape(-1, 2)


def ring(radius: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """Give the circle that a torus is swept along."""
    return lambda t: radius * np.stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t), 0 * t], 1)


def knot(t: np.ndarray) -> np.ndarray:
    """Give the trefoil, a torus knot whose strands pass 1.0 apart."""
    a = 2 * np.pi * t
    r = 2 + np.cos(3 * a)
    return np.stack([r * np.cos(2 * a), r * np.sin(2 * a), np.sin(3 * a)], 1)
