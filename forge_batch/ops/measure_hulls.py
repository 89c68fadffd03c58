"""Measure how convex hulls stand for a mesh that physics will not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import manifold3d
import numpy as np
from jaxtyping import Bool, Float64

from forge_batch.ops.deviation import distances, sample_surface
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import signed_volume

REACH = 0.02  # of the mesh's diagonal: how near a hull counts as covering


class HullFit(NamedTuple):
    """Be what hulls are like.

    Attributes:
        hulls: How many.
        vertices: Of the largest one.
        triangles: Of all together.
        dent: Deepest vertex below a face plane that a convex hull would not have, as a share of the hull's diagonal.
        volume: Of their union over the mesh's; 0 if the mesh encloses none.
        coverage: Share of the mesh's surface that lies inside a hull or within 2 % of the diagonal of one.
    """

    hulls: int
    vertices: int
    triangles: int
    dent: float
    volume: float
    coverage: float


def measure_hulls(hulls: Sequence[Mesh], mesh: Mesh, samples: int = 4000) -> HullFit:
    """Measure hulls against the mesh they stand for; the mesh's volume means something only if it is closed."""
    bare = find_uncovered(hulls, mesh, sample_surface(mesh, samples))
    volume = abs(signed_volume(mesh))
    return HullFit(
        len(hulls),
        max((len(np.unique(hull.faces)) for hull in hulls), default=0),
        sum(len(hull.faces) for hull in hulls),
        max((_dent(hull) for hull in hulls), default=0.0),
        _union_volume(hulls) / volume if volume > 1e-9 * mesh.diagonal**3 else 0.0,
        float((~bare).mean()),
    )


def find_uncovered(hulls: Sequence[Mesh], mesh: Mesh, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Mark points that lie in no hull and farther than 2 % of the mesh's diagonal from all."""
    covered = np.zeros(len(points), bool)
    for hull in hulls:
        normals, offsets = _planes(hull)
        outside = (points @ normals.T - offsets).max(axis=1)
        # the distance to the nearest plane never exceeds the true distance, so only candidates are asked precisely
        near = np.flatnonzero(~covered & (outside <= REACH * mesh.diagonal))
        inside = outside[near] <= 0
        covered[near[inside]] = True
        rest = near[~inside]
        if len(rest):
            covered[rest] = distances(points[rest], hull) <= REACH * mesh.diagonal
    return ~covered


def _planes(hull: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Give outward unit normals (f, 3) and offsets (f,) of a hull's faces; faces without area are left out."""
    corners = hull.vertices.astype(np.float64)[hull.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    real = length > 1e-12 * hull.diagonal**2
    normals = normals[real] / length[real][:, None]
    return normals, np.einsum("fc,fc->f", normals, corners[real, 0])


def _dent(hull: Mesh) -> float:
    normals, offsets = _planes(hull)
    above = hull.vertices.astype(np.float64) @ normals.T - offsets
    return float(max(above.max(initial=0.0), 0.0) / max(hull.diagonal, 1e-12))


def _union_volume(hulls: Sequence[Mesh]) -> float:
    """Give the volume of the union; hulls that overlap count once."""
    points = [manifold3d.Manifold.hull_points(hull.vertices.astype(np.float64)) for hull in hulls]
    return float(manifold3d.Manifold.batch_boolean(points, manifold3d.OpType.Add).volume()) if points else 0.0
