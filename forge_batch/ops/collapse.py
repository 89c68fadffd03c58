"""Coarsen a mesh with UVs by moving vertices onto neighbours, so that it keeps using the same texture.

Why our own: PyMeshLab's collapse with texture coordinates needs an OBJ, MTL and image on disk and gives a vertex per wedge, and
a collapse of the split vertices alone cracks at seams or freezes them. Here positions collapse, and every wedge (vertex) of a
position goes along to the wedge it shares an edge with: seams stay closed. Where charts meet, the wedge of a chart that does
not have that edge keeps its place in the texture and moves in space alone, so that corners of charts collapse too, and small
charts vanish. What remains are vertices of the original, with their UVs, normals and tangents.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

from forge_batch.ops.collapse_loops import MOST_WEDGES, UV_WEIGHT, run_pass
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import find_edges
from forge_batch.ops.weld import weld_exact

SEAM_WEIGHT = 1.0
"""Weight of the planes that hold chart borders in place: with 4 the inside of charts is used up first, and errs half as much
again; with a quarter the largest error doubles."""


def collapse(mesh: Mesh, triangles: int, slack: float, error: float, held: Bool[np.ndarray, " v"] | None = None) -> Mesh:
    """Remove faces until `triangles` are left, or no collapse is allowed any more.

    Half-edge collapse in order of a quadric error over (position, uv) in five dimensions (Garland and Heckbert 1998), with
    quadrics that hold chart borders; chart borders collapse along themselves. Refused are collapses that change the topology of
    the surface (link condition), turn or flatten a face in space or in the texture, or make a chart grow by more than `slack`.

    Args:
        mesh: With uv, normals and tangents; closed once welded. Boundaries, and positions where a seam ends, never move.
        triangles: Faces wanted.
        slack: How far a chart may grow beyond its border in the texture, in UV units.
        error: Largest root mean square distance a collapse may bring, in diagonals: rather more triangles than a ruin.
        held: Vertices at which no chart may grow.
    """
    assert mesh.uv is not None
    wedges = _Wedges(mesh)
    faces = mesh.faces.astype(np.int64)
    moved = np.zeros(len(mesh.vertices)) if held is None else np.where(held, np.inf, 0.0)
    for _ in range(200):
        excess = len(faces) - triangles
        if excess <= 0:
            break
        edges = find_edges(wedges.place[faces].astype(np.int32))
        seam, locked = _seams(faces, wedges.place, edges)
        # A pass takes the cheap third of what is left to do: later passes see fresh costs.
        most = max(1, min((excess + 1) // 2, max(32, excess // 6)))
        start, order = _around(wedges.place[faces], wedges.count)
        done, merged = run_pass(
            faces, wedges.place, wedges.points, wedges.uv, wedges.quadrics, wedges.weights, edges.ends, seam, locked, start,
            order, moved, slack / wedges.uv_unit, wedges.smallest, error * mesh.diagonal, most,
        )  # fmt: skip
        if done == 0:
            break
        faces = merged[faces]
        place = wedges.place[faces]
        keep = (place[:, 0] != place[:, 1]) & (place[:, 1] != place[:, 2]) & (place[:, 2] != place[:, 0])
        faces = faces[keep]
    return _pick(mesh, wedges.points, faces)


class _Wedges:
    """Hold what a pass asks of the vertices: where they stand, their points in five dimensions, their quadrics."""

    def __init__(self, mesh: Mesh) -> None:
        assert mesh.uv is not None
        first, place = weld_exact(mesh.vertices)
        self.place = place.astype(np.int64)
        self.count = len(first)
        self.points = mesh.vertices.astype(np.float64)
        corners = self.points[mesh.faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = 0.5 * np.linalg.norm(normal, axis=1)
        uv = mesh.uv.astype(np.float64)
        a, b = uv[mesh.faces[:, 1]] - uv[mesh.faces[:, 0]], uv[mesh.faces[:, 2]] - uv[mesh.faces[:, 0]]
        flat = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        # Metres per UV unit, so that both parts of a five-dimensional point are lengths.
        self.uv_unit = float(np.sqrt(flat.sum() / area.sum()))
        self.uv = uv / self.uv_unit
        self.smallest = 1e-9 * mesh.diagonal**2
        self.quadrics = _face_quadrics(np.hstack([self.points, UV_WEIGHT * self.uv]), mesh.faces, area)
        self.weights = np.bincount(mesh.faces.ravel(), weights=np.repeat(area / 3.0, 3), minlength=len(uv))
        self._hold_seams(mesh, normal / np.maximum(2 * area, 1e-30)[:, None])

    def _hold_seams(self, mesh: Mesh, normal: np.ndarray) -> None:
        """Add, for every half-edge on a seam, the plane through it that stands on its face."""
        edges = find_edges(mesh.faces)
        half = np.flatnonzero((edges.uses == 1)[edges.of_corner.ravel()])
        start, stop = mesh.faces.ravel()[half], mesh.faces[half // 3, (half % 3 + 1) % 3]
        along = self.points[stop] - self.points[start]
        across = np.cross(along, normal[half // 3])
        across /= np.maximum(np.linalg.norm(across, axis=1), 1e-30)[:, None]
        offset = -np.einsum("ij,ij->i", across, self.points[start])
        plane = np.hstack([across, np.zeros((len(half), 2)), offset[:, None]])
        weight = SEAM_WEIGHT * np.einsum("ij,ij->i", along, along)
        quadric = weight[:, None, None] * plane[:, :, None] * plane[:, None, :]
        np.add.at(self.quadrics, start, quadric)
        np.add.at(self.quadrics, stop, quadric)


def _face_quadrics(points: Float64[np.ndarray, "v 5"], faces: np.ndarray, area: np.ndarray) -> Float64[np.ndarray, "v 6 6"]:
    """Sum at every vertex, weighted by area, the squared distance to the plane of its faces in five dimensions."""
    p, q, r = (points[faces[:, k]] for k in range(3))
    e1 = q - p
    e1 = e1 / np.maximum(np.linalg.norm(e1, axis=1), 1e-30)[:, None]
    e2 = r - p
    e2 = e2 - np.einsum("ij,ij->i", e1, e2)[:, None] * e1
    e2 = e2 / np.maximum(np.linalg.norm(e2, axis=1), 1e-30)[:, None]
    a = np.eye(5) - e1[:, :, None] * e1[:, None, :] - e2[:, :, None] * e2[:, None, :]
    b = -np.einsum("nij,nj->ni", a, p)
    full = np.empty((len(faces), 6, 6))
    full[:, :5, :5], full[:, :5, 5], full[:, 5, :5] = a, b, b
    full[:, 5, 5] = -np.einsum("ni,ni->n", b, p)
    full *= area[:, None, None] / 3.0
    quadrics = np.zeros((len(points), 6, 6))
    for k in range(3):
        np.add.at(quadrics, faces[:, k], full)
    return quadrics


def _seams(faces: Int64[np.ndarray, "f 3"], place: np.ndarray, edges) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Tell which edges between positions are seams (two pairs of wedges), and which positions may not move."""
    after = np.roll(faces, -1, axis=1)
    flip = place[faces] > place[after]
    low, high = np.where(flip, after, faces).ravel(), np.where(flip, faces, after).ravel()
    edge = edges.of_corner.ravel()
    first = np.full(len(edges.uses), -1)
    first[edge[::-1]] = np.arange(len(edge))[::-1]
    differs = (low != low[first[edge]]) | (high != high[first[edge]])
    seam = np.zeros(len(edges.uses), bool)
    seam[edge[differs]] = True
    degree = np.bincount(edges.ends[seam].ravel(), minlength=int(place.max()) + 1)
    locked = (degree == 1) | (degree > MOST_WEDGES)
    locked[edges.ends[edges.uses != 2].ravel()] = True
    return seam, locked


def _around(faces: Int64[np.ndarray, "f 3"], count: int) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """List the faces round every position: those of position p are `order[start[p]:start[p + 1]]`."""
    flat = faces.ravel()
    order = np.argsort(flat, kind="stable")
    return np.searchsorted(flat[order], np.arange(count + 1)), order // 3


def _pick(mesh: Mesh, points: Float64[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"]) -> Mesh:
    """Keep the vertices that faces still use, with all they carry, where they stand now."""
    used, index = np.unique(faces, return_inverse=True)
    carried = (None if a is None else a[used] for a in (mesh.uv, mesh.normals, mesh.tangents))
    return Mesh(points[used].astype(np.float32), index.reshape(-1, 3).astype(np.int32), *carried)
