"""Close holes."""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float64, Int64
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import find_edges

LARGEST = 1200
"""Vertices of a loop that gets the patch of least area; larger ones get a fan (the search is cubic: 1200 take a second)."""


class Closed(NamedTuple):
    """Be a mesh with holes closed, and how many were closed and left."""

    mesh: Mesh
    closed: int
    left: int


def boundary_loops(mesh: Mesh) -> list[Int64[np.ndarray, " n"]]:
    """Walk the boundary against its faces: the vertices of each loop, in the order a patch runs along it.

    A vertex where several loops meet is passed by whichever edge comes first; `split_nonmanifold` removes such vertices.
    """
    edges = find_edges(mesh.faces)
    half = np.flatnonzero((edges.uses == 1)[edges.of_corner.ravel()])
    start = mesh.faces.ravel()[half]
    stop = mesh.faces[half // 3, (half % 3 + 1) % 3]
    after: dict[int, list[int]] = {}
    for a, b in sorted(zip(start.tolist(), stop.tolist(), strict=True), reverse=True):
        after.setdefault(b, []).append(a)
    loops = []
    for root in sorted(after):
        while after[root]:
            loop, vertex = [root], after[root].pop()
            while vertex != root and after.get(vertex):
                loop.append(vertex)
                vertex = after[vertex].pop()
            if vertex == root and len(loop) > 2:
                loops.append(np.array(loop, dtype=np.int64))
    return loops


def rim_length(mesh: Mesh, loop: Int64[np.ndarray, " n"]) -> float:
    """Give the length of a loop, metres."""
    rim = mesh.vertices[loop].astype(np.float64)
    return float(np.linalg.norm(np.roll(rim, -1, axis=0) - rim, axis=1).sum())


def close_holes(mesh: Mesh, perimeter: float) -> Closed:
    """Close holes whose rim is not longer than `perimeter`.

    Each gets the triangulation of least area that uses no edge the mesh already has (Barequet and Sharir 1995), so that
    the surface stays manifold; where there is none, or the rim has more than `LARGEST` vertices, a fan about its middle.
    """
    loops = boundary_loops(mesh)
    points = mesh.vertices.astype(np.float64)
    known = {(int(a), int(b)) for a, b in find_edges(mesh.faces).ends} if loops else set()
    faces, closed = [mesh.faces], 0
    extra: list[np.ndarray] = []
    for loop in loops:
        rim = points[loop]
        if rim_length(mesh, loop) > perimeter:
            continue
        closed += 1
        patch = _least_area(loop, rim, known) if len(loop) <= LARGEST else None
        if patch is None:
            tip = len(points) + len(extra)
            extra.append(rim.mean(axis=0))
            patch = np.stack([loop, np.roll(loop, -1), np.full(len(loop), tip)], axis=1)
        known.update((int(min(a, b)), int(max(a, b))) for f in patch for a, b in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0])))
        faces.append(patch.astype(np.int32))
    vertices = np.concatenate([mesh.vertices, np.array(extra, dtype=np.float32).reshape(-1, 3)])
    return Closed(Mesh(vertices, np.concatenate(faces)), closed, len(loops) - closed)


def _least_area(
    loop: Int64[np.ndarray, " n"], rim: Float64[np.ndarray, "n 3"], known: set[tuple[int, int]]
) -> np.ndarray | None:
    """Triangulate one loop, or None if every triangulation needs an edge that exists already."""
    n = len(loop)
    barred = np.zeros((n, n), bool)
    around = {int(v): i for i, v in enumerate(loop)}
    if len(known) < n * n:
        pairs = ((around[a], around[b]) for a, b in known if a in around and b in around)
    else:
        pairs = ((i, j) for i in range(n) for j in range(n) if (min(loop[i], loop[j]), max(loop[i], loop[j])) in known)
    for i, j in pairs:
        barred[i, j] = barred[j, i] = True
    cost, split = _search(rim, barred)
    if not np.isfinite(cost[0, n - 1]):
        return None
    patch, stack = [], [(0, n - 1)]
    while stack:
        i, j = stack.pop()
        if j - i < 2:
            continue
        k = int(split[i, j])
        patch.append((loop[i], loop[k], loop[j]))
        stack += [(i, k), (k, j)]
    return np.array(patch, dtype=np.int64)


@njit(cache=True)
@no_type_check
def _search(rim, barred):
    n = len(rim)
    cost = np.zeros((n, n))
    split = np.zeros((n, n), np.int32)
    for gap in range(2, n):
        for i in range(n - gap):
            j = i + gap
            best, where = np.inf, -1
            if not barred[i, j] or gap == n - 1:
                for k in range(i + 1, j):
                    ax, ay, az = rim[k, 0] - rim[i, 0], rim[k, 1] - rim[i, 1], rim[k, 2] - rim[i, 2]
                    bx, by, bz = rim[j, 0] - rim[i, 0], rim[j, 1] - rim[i, 1], rim[j, 2] - rim[i, 2]
                    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                    area = cost[i, k] + cost[k, j] + 0.5 * np.sqrt(x * x + y * y + z * z)
                    if area < best:
                        best, where = area, k
            cost[i, j], split[i, j] = best, where
    return cost, split
