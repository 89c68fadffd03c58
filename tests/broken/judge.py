"""Judge whether a mesh is ready for a package, by trimesh and plain counting: nothing of the repair under test."""

from __future__ import annotations

import numpy as np
import trimesh

from forge_batch.ops.mesh import Mesh

P99 = 0.005
"""How far the result may lie from the sound surface, 99th percentile both ways, in diagonals."""

FLOATER = 0.001
HIDDEN = 0.05
"""Share of area nobody sees beyond what the sound shape has: more is an inner shell."""


def faults(result: Mesh, sound: Mesh, spared: bool, budget: int | None) -> list[str]:
    """Name everything that keeps a mesh from being packed; empty if nothing does."""
    if not len(result.faces):
        return ["empty"]
    mesh = trimesh.Trimesh(result.vertices, result.faces, process=False)
    mesh.merge_vertices(digits_vertex=None)
    found = []
    if budget is not None and len(mesh.faces) > budget:
        found.append("budget")
    if not mesh.is_watertight:
        found.append("watertight")
    if (np.unique(mesh.edges_sorted, axis=0, return_counts=True)[1] > 2).any():
        found.append("manifold")
    if not mesh.is_winding_consistent:
        found.append("winding")
    elif not mesh.volume > 0:
        found.append("inverted")
    pieces = mesh.split(only_watertight=False)
    areas = np.array([piece.area for piece in pieces])
    if (areas < FLOATER * areas.sum()).any():
        found.append("floaters")
    if hidden_share(result) > hidden_share(sound) + HIDDEN or _inside(pieces):
        found.append("inner shell")
    if spared and (far := deviation_p99(result, sound)) > P99:
        found.append(f"p99 {100 * far:.2f} %")
    return found


def _inside(pieces: list[trimesh.Trimesh]) -> bool:
    """Tell whether a part lies in another one."""
    for one in pieces:
        for other in pieces:
            closed = one is not other and other.is_watertight and other.volume > one.volume
            if closed and (one.bounds[0] >= other.bounds[0]).all() and (one.bounds[1] <= other.bounds[1]).all():
                points = one.vertices[:: max(1, len(one.vertices) // 20)]
                if other.contains(points).all():
                    return True
    return False


def hidden_share(mesh: Mesh, views: int = 96, samples: int = 4000) -> float:
    """Give the share of area that is seen from none of many directions, on its front."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, face = trimesh.sample.sample_surface(solid, samples, seed=0)
    normals = np.asarray(solid.face_normals)[face]
    k = np.arange(views) + 0.5
    z, angle = 1 - 2 * k / views, np.pi * (1 + 5**0.5) * k
    directions = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    seen = np.zeros(len(points), bool)
    for direction in directions:
        left = np.flatnonzero(~seen & (normals @ direction > 0.02))
        start = points[left] + 1e-5 * mesh.diagonal * normals[left]
        blocked = solid.ray.intersects_any(start, np.broadcast_to(direction, start.shape))
        seen[left[~blocked]] = True
    return float(1 - seen.mean())


def deviation_p99(one: Mesh, two: Mesh, samples: int = 6000) -> float:
    """Give the 99th percentile of the distance between two surfaces, the worse of both ways, in diagonals of the second."""
    worst = 0.0
    for source, target in ((one, two), (two, one)):
        points = trimesh.sample.sample_surface(trimesh.Trimesh(source.vertices, source.faces, process=False), samples, seed=0)[
            0
        ]
        distance = _distances(points, target)
        worst = max(worst, float(np.quantile(distance, 0.99)))
    return worst / two.diagonal


def _distances(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    import pymeshlab

    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
    meshes.add_mesh(pymeshlab.Mesh(points))
    meshes.compute_scalar_by_distance_from_another_mesh_per_vertex(measuremesh=1, refmesh=0, signeddist=False)
    return np.abs(meshes.mesh(1).vertex_scalar_array())
