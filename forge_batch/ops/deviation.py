"""Measure how far one surface lies from another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pymeshlab
from jaxtyping import Float32, Float64, Int64

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import face_areas


class Deviation(NamedTuple):
    """Be the distance between two surfaces in metres, the worse of both ways."""

    mean: float
    p99: float
    p999: float
    largest: float


def sample_surface(mesh: Mesh, count: int) -> Float64[np.ndarray, "n 3"]:
    """Spread `count` points evenly over the surface: see `sample_points`."""
    return sample_points(mesh, count)[0]


def sample_points(mesh: Mesh, count: int) -> tuple[Float64[np.ndarray, "n 3"], Int64[np.ndarray, " n"]]:
    """Spread points evenly over the surface: equal steps of area along the faces, low-discrepancy inside each; and name faces.

    Deterministic: the plastic-number sequence (Roberts 2018) instead of random numbers.
    """
    edges = np.cumsum(face_areas(mesh))
    face = np.searchsorted(edges, (np.arange(count) + 0.5) * edges[-1] / count)
    u, v = np.modf(np.outer(np.arange(1, count + 1), (0.7548776662466927, 0.5698402909980532)))[0].T
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    face = np.minimum(face, len(mesh.faces) - 1)
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[mesh.faces[face]], 1, 0)
    return np.asarray(a + u[:, None] * (b - a) + v[:, None] * (c - a)), face


def distances(points: Float64[np.ndarray, "n 3"], mesh: Mesh) -> Float32[np.ndarray, " n"]:
    """Give the exact distance from each point to the nearest point of the surface (PyMeshLab's uniform grid)."""
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
    meshes.add_mesh(pymeshlab.Mesh(points))
    meshes.compute_scalar_by_distance_from_another_mesh_per_vertex(measuremesh=1, refmesh=0, signeddist=False)
    return np.asarray(np.abs(meshes.mesh(1).vertex_scalar_array()), dtype=np.float32)


def measure_deviation(one: Mesh, two: Mesh, count: int = 40_000) -> Deviation:
    """Measure both ways, at `count` points spread over each surface and at its vertices."""
    there = distances(_probe(one, count), two)
    back = distances(_probe(two, count), one)
    return Deviation(
        max(float(there.mean()), float(back.mean())),
        max(float(np.quantile(there, 0.99)), float(np.quantile(back, 0.99))),
        max(float(np.quantile(there, 0.999)), float(np.quantile(back, 0.999))),
        max(float(there.max()), float(back.max())),
    )


def _probe(mesh: Mesh, count: int) -> Float64[np.ndarray, "n 3"]:
    return np.concatenate([sample_surface(mesh, count), mesh.vertices.astype(np.float64)])
