"""Find places on and in a mesh, and make small solids, for damage to use."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.nearest import FaceTree


def area_normals(mesh: Mesh) -> np.ndarray:
    """Give the outward unit normal at every vertex."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(mesh.vertices), 3))
    for k in range(3):
        np.add.at(normals, mesh.faces[:, k], cross)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30))


def lining(mesh: Mesh, wall: float) -> np.ndarray:
    """Give the vertices moved inwards by a wall, or by a third of the thickness where that is less: they stay inside."""
    normals = area_normals(mesh)
    start = mesh.vertices - 1e-4 * mesh.diagonal * normals
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    hits, rays, _ = solid.ray.intersects_location(start, -normals, multiple_hits=False)
    thickness = np.zeros(len(start))
    thickness[rays] = np.linalg.norm(hits - start[rays], axis=1)
    return np.asarray(mesh.vertices - np.minimum(wall, thickness / 3)[:, None] * normals, dtype=np.float32)


def patches(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    """Divide the faces among `count` random points of the surface by nearness."""
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    return np.asarray(cKDTree(middle[rng.choice(len(middle), count, replace=False)]).query(middle)[1])


def inscribed_ball(mesh: Mesh, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Find a place well inside: its centre and how far the surface is from it."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    tried = rng.uniform(low, high, (4000, 3))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    inside = tried[solid.contains(tried)]
    distance = FaceTree(mesh.vertices, mesh.faces).nearest(inside)[2]
    best = int(np.argmax(distance))
    return inside[best], float(distance[best])


def solid_bits(places: np.ndarray, sizes: np.ndarray, divisions: int, inwards: bool = False) -> Mesh:
    """Put a ball of triangles at each place; 0 divisions give an icosahedron."""
    ball = trimesh.creation.icosphere(subdivisions=divisions)
    points = places[:, None] + sizes[:, None, None] * np.asarray(ball.vertices)
    faces = np.asarray(ball.faces)[:, ::-1] if inwards else np.asarray(ball.faces)
    start = len(ball.vertices) * np.arange(len(places))
    return Mesh(points.reshape(-1, 3).astype(np.float32), (faces + start[:, None, None]).reshape(-1, 3).astype(np.int32))


def add(mesh: Mesh, vertices: np.ndarray, faces: np.ndarray, own: bool) -> Mesh:
    """Add faces on a copy of the vertices, or on the mesh's own."""
    if not own:
        return Mesh(mesh.vertices, np.concatenate([mesh.faces, faces]).astype(np.int32))
    return Mesh(
        np.concatenate([mesh.vertices, vertices]), np.concatenate([mesh.faces, faces + len(mesh.vertices)]).astype(np.int32)
    )
