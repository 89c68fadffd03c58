"""Coarsen a mesh with UVs by moving vertices onto neighbours, so that it keeps using the same texture.

Why our own: PyMeshLab's collapse with texture coordinates needs an OBJ, MTL and image on disk and gives a vertex per wedge, and
a collapse of the split vertices alone cracks at seams or freezes them. Here positions collapse, and every wedge (vertex) of a
position goes along to the wedge it shares an edge with: seams stay closed. Where charts meet, the wedge of a chart that does
not have that edge keeps its place in the texture and moves in space alone, so that corners of charts collapse too, and small
charts vanish. What remains are vertices of the original, with their UVs, normals and tangents.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import find_edges
from forge_batch.ops.weld import weld_exact

UV_WEIGHT = 0.5
"""What a metre of slide along the texture counts, against a metre off the surface."""

SEAM_WEIGHT = 1.0
"""Weight of the planes that hold chart borders in place: with 4 the inside of charts is used up first, and errs half as much
again; with a quarter the largest error doubles."""

FLAT = 0.25
"""Least cosine between a face's normal before and after."""

MOST_WEDGES = 8
"""Wedges of a position beyond which it never moves."""


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
        done, merged = _pass(
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


@njit(cache=True)
@no_type_check
def _cost(quadric, point, uv):
    x = np.empty(6)
    x[:3] = point
    x[3:5] = UV_WEIGHT * uv
    x[5] = 1.0
    total = 0.0
    for i in range(6):
        for j in range(6):
            total += x[i] * quadric[i, j] * x[j]
    return total


@njit(cache=True)
@no_type_check
def _find(values, count, value):
    for i in range(count):
        if values[i] == value:
            return i
    return -1


@njit(cache=True)
@no_type_check
def _at(face, place, position):
    """Give the wedge of a face at a position, or -1."""
    for k in range(3):
        if place[face[k]] == position:
            return face[k]
    return -1


@njit(cache=True)
@no_type_check
def _targets(gone, keep, faces, place, start, order, wedge, target):
    """List the wedges at `gone` and the wedge at `keep` each goes to, -1 if none; -1 if there is more than one for some."""
    n = 0
    for i in range(start[gone], start[gone + 1]):
        face = faces[order[i]]
        w, x = _at(face, place, gone), _at(face, place, keep)
        where = _find(wedge, n, w)
        if where < 0:
            if n == len(wedge):
                return -1
            wedge[n], target[n] = w, -1
            where = n
            n += 1
        if x >= 0:
            if target[where] >= 0 and target[where] != x:
                return -1
            target[where] = x
    return n


@njit(cache=True)
@no_type_check
def _worsens(p, q, s, t, smallest):
    """Tell whether a face that goes from p, s (space, texture) to q, t turns over or becomes too small or thin."""
    a = np.cross(p[1] - p[0], p[2] - p[0])
    b = np.cross(q[1] - q[0], q[2] - q[0])
    la, lb = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    if lb < 2 * smallest or (a * b).sum() < FLAT * la * lb:
        return True
    longest = max(((q[1] - q[0]) ** 2).sum(), ((q[2] - q[1]) ** 2).sum(), ((q[0] - q[2]) ** 2).sum())
    if lb < 0.01 * longest and lb < 0.5 * la:
        return True
    u0 = (s[1, 0] - s[0, 0]) * (s[2, 1] - s[0, 1]) - (s[1, 1] - s[0, 1]) * (s[2, 0] - s[0, 0])
    u1 = (t[1, 0] - t[0, 0]) * (t[2, 1] - t[0, 1]) - (t[1, 1] - t[0, 1]) * (t[2, 0] - t[0, 0])
    return u0 * u1 <= 0 or abs(u1) < 0.1 * lb


@njit(cache=True)
@no_type_check
def _keeps_shape(gone, keep, there, faces, place, points, uv, start, order, wedge, target, n, smallest):
    """Tell whether no face round `gone` that stays turns over, in space or in the texture, or becomes too small."""
    for i in range(start[gone], start[gone + 1]):
        old = faces[order[i]]
        if _at(old, place, keep) >= 0:
            continue
        p, s = points[old], uv[old]
        q, t = p.copy(), s.copy()
        for k in range(3):
            if place[old[k]] == gone:
                q[k] = there
                to = target[_find(wedge, n, old[k])]
                if to >= 0:
                    t[k] = uv[to]
        if _worsens(p, q, s, t, smallest):
            return False
    return True


@njit(cache=True)
@no_type_check
def _shared(a, b, faces, place, start, order, mark, stamp):
    """Count the positions next to both `a` and `b`."""
    for i in range(start[a], start[a + 1]):
        for k in range(3):
            mark[place[faces[order[i], k]]] = stamp
    count = 0
    for i in range(start[b], start[b + 1]):
        for k in range(3):
            v = place[faces[order[i], k]]
            if mark[v] == stamp:
                mark[v] = -stamp
                if v not in (a, b):
                    count += 1
    return count


@njit(cache=True)
@no_type_check
def _segment_distance(point, a, b):
    d, e = b - a, point - a
    length = (d * d).sum()
    along = min(max((d * e).sum() / length, 0.0), 1.0) if length > 0 else 0.0
    off = e - along * d
    return np.sqrt((off * off).sum())


@njit(cache=True)
@no_type_check
def _border_shift(gone, keep, faces, place, uv, ends_of, wedge, target, n, moved):
    """Give how far charts at `gone` will have grown beyond their borders in the texture when it goes to `keep` along a seam."""
    worst = 0.0
    for other in ends_of[gone]:
        if other < 0 or other == keep:
            continue
        for i in range(len(faces)):
            w, z = _at(faces[i], place, gone), _at(faces[i], place, other)
            t = target[_find(wedge, n, w)]
            if z < 0 or t < 0:
                continue
            third = faces[i, 0] + faces[i, 1] + faces[i, 2] - w - z
            if _turn(uv[w], uv[z], uv[third]) * _turn(uv[t], uv[z], uv[w]) > 0:  # a corner that goes makes a chart smaller
                worst = max(worst, moved[w] + _segment_distance(uv[w], uv[t], uv[z]))
    return worst


@njit(cache=True)
@no_type_check
def _turn(a, b, c):
    """Give twice the signed area of a triangle."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@njit(cache=True)
@no_type_check
def _costs(faces, place, points, uv, quadrics, ends, seam, locked, start, order, ends_of):
    """Give the cost of every half-edge collapse, infinite where there is none."""
    wedge, target = np.empty(MOST_WEDGES, np.int64), np.empty(MOST_WEDGES, np.int64)
    cost = np.full(2 * len(ends), np.inf)
    for c in range(2 * len(ends)):
        gone, keep = ends[c // 2, c % 2], ends[c // 2, 1 - c % 2]
        if locked[gone] or (ends_of[gone, 0] >= 0 and not seam[c // 2]):
            continue
        n = _targets(gone, keep, faces, place, start, order, wedge, target)
        if n > 0:
            cost[c], there = 0.0, points[target[:n].max()]
            for m in range(n):
                cost[c] += _cost(quadrics[wedge[m]], there, uv[target[m] if target[m] >= 0 else wedge[m]])
    return cost


@njit(cache=True)
@no_type_check
def _seam_ends(count, ends, seam):
    """List the positions that seams lead to from every position; -1 where there are no more."""
    ends_of = np.full((count, MOST_WEDGES), -1)
    filled = np.zeros(count, np.int64)
    for e in range(len(ends)):
        if seam[e]:
            for k in range(2):
                p = ends[e, k]
                if filled[p] < MOST_WEDGES:
                    ends_of[p, filled[p]] = ends[e, 1 - k]
                filled[p] += 1
    return ends_of


@njit(cache=True)
@no_type_check
def _pass(faces, place, points, uv, quadrics, weights, ends, seam, locked, start, order, moved, slack, smallest, error, most):
    """Do up to `most` collapses that do not touch one another, cheapest first; give how many and where each wedge went."""
    count = len(start) - 1
    merged = np.arange(len(place))
    ends_of = _seam_ends(count, ends, seam)
    cost = _costs(faces, place, points, uv, quadrics, ends, seam, locked, start, order, ends_of)
    wedge, target = np.empty(MOST_WEDGES, np.int64), np.empty(MOST_WEDGES, np.int64)
    touched = np.zeros(count, np.bool_)
    mark = np.zeros(count, np.int64)
    done = 0
    for rank, c in enumerate(np.argsort(cost)):
        if done >= most or not np.isfinite(cost[c]):
            break
        gone, keep = ends[c // 2, c % 2], ends[c // 2, 1 - c % 2]
        if touched[gone] or touched[keep]:
            continue
        n = _targets(gone, keep, faces, place, start, order, wedge, target)
        there = points[target[:n].max()].copy()
        ring = faces[order[start[gone] : start[gone + 1]]]
        shift = _border_shift(gone, keep, ring, place, uv, ends_of, wedge, target, n, moved)
        if (
            shift > slack
            or cost[c] > error * error * weights[wedge[:n]].sum()
            or not _keeps_shape(gone, keep, there, faces, place, points, uv, start, order, wedge, target, n, smallest)
            or _shared(gone, keep, faces, place, start, order, mark, rank + 1) != 2
        ):
            continue
        for m in range(n):
            if target[m] < 0:
                points[wedge[m]] = there
                place[wedge[m]] = keep
                continue
            merged[wedge[m]] = target[m]
            moved[target[m]] = max(moved[target[m]], shift)
            quadrics[target[m]] += quadrics[wedge[m]]
            weights[target[m]] += weights[wedge[m]]
        for p in (gone, keep):
            for i in range(start[p], start[p + 1]):
                for k in range(3):
                    touched[place[faces[order[i], k]]] = True
        done += 1
    return done, merged
