"""Chart any mesh without fail: by the side of a box each face looks at."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import edge_pairs, find_edges, link

CELLS = 2000
"""Cells along the diagonal of the grid on which pieces are kept from lying over themselves."""

ROUNDS = 8

SIDES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)


def box_charts(mesh: Mesh) -> tuple[Int32[np.ndarray, " n"], Int32[np.ndarray, "f 3"], Float64[np.ndarray, "n 2"]]:
    """Cut where faces look at different sides of a box and project each piece along its side.

    Projected pieces neither fold nor squash (each face lies within 55 degrees of its side), but one piece may lie over
    itself where the surface runs under itself: faces that land on a covered cell of a fine grid get pieces of their own.

    Returns:
        The vertex each new vertex comes from, the faces, and uv in metres, counter-clockwise.
    """
    points = mesh.vertices.astype(np.float64)
    corners = points[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    side = np.argmax(normal @ SIDES.T, axis=1)
    edges = find_edges(mesh.faces)
    first, second = edge_pairs(edges, edges.uses == 2)
    same = side[first // 3] == side[second // 3]
    labels = link(len(mesh.faces), first[same] // 3, second[same] // 3)
    first, second = first[same] // 3, second[same] // 3
    flat = _project(corners.reshape(-1, 3), side.repeat(3)).reshape(-1, 3, 2)
    labels = lay_apart(flat, labels, first, second, mesh.diagonal / CELLS)
    key = np.stack([labels.repeat(3), mesh.faces.ravel()], axis=1)
    unique, index = np.unique(key, axis=0, return_inverse=True)
    piece_side = np.zeros(int(labels.max()) + 1, np.int64)
    piece_side[labels] = side
    origin = unique[:, 1].astype(np.int32)
    uv = _project(points[origin], piece_side[unique[:, 0]])
    return origin, index.reshape(-1, 3).astype(np.int32), uv


def lay_apart(
    uv: Float64[np.ndarray, "f 3 2"],
    labels: Int32[np.ndarray, " f"],
    first: Int64[np.ndarray, " n"],
    second: Int64[np.ndarray, " n"],
    cell: float,
) -> Int32[np.ndarray, " f"]:
    """Relabel faces so that no piece covers the middle of a cell of the grid twice, as far as ROUNDS cuts achieve it.

    Args:
        uv: Corners of the faces, counter-clockwise.
        labels: The piece of each face.
        first: A face of each pair of neighbours.
        second: The other face of the pair.
        cell: Edge of a cell, in the unit of uv.
    """
    for _ in range(ROUNDS):
        hidden = _covered(uv, labels, cell)
        if not hidden.any():
            break
        labels = cut_out(labels, hidden, first, second)
    return labels


def cut_out(
    labels: Int32[np.ndarray, " f"],
    chosen: Bool[np.ndarray, " f"],
    first: Int64[np.ndarray, " n"],
    second: Int64[np.ndarray, " n"],
    *,
    alone: bool = False,
) -> Int32[np.ndarray, " f"]:
    """Give chosen faces pieces of their own, neighbours together or each `alone`; what is left of a piece may fall apart."""
    joined = (labels[first] == labels[second]) & (chosen[first] == chosen[second])
    if alone:
        joined &= ~chosen[first]
    return link(len(labels), first[joined], second[joined])


def _project(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Drop the coordinate along the side; counter-clockwise seen from there."""
    axis, sign = side // 2, np.where(side % 2 == 0, 1.0, -1.0)
    u = np.take_along_axis(points, ((axis + 1) % 3)[:, None], axis=1)[:, 0] * sign
    v = np.take_along_axis(points, ((axis + 2) % 3)[:, None], axis=1)[:, 0]
    return np.stack([u, v], axis=1)


def covers_twice(uv: Float64[np.ndarray, "f 3 2"], cell: float) -> bool:
    """Tell whether two faces, counter-clockwise, cover the middle of one cell of a grid, whose edge is in the unit of uv."""
    return bool(_covered(uv, np.zeros(len(uv), np.int32), cell).any())


def _covered(uv: np.ndarray, labels: np.ndarray, cell: float) -> np.ndarray:
    """Tell which faces (f, 3, 2) cover a cell that an earlier face of their piece covers already."""
    count = int(labels.max()) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, labels, uv.min(axis=1))
    np.maximum.at(high, labels, uv.max(axis=1))
    size = np.ceil((high - low) / cell).astype(np.int64) + 1
    start = np.concatenate([[0], np.cumsum(size[:, 0] * size[:, 1])])
    taken = np.zeros(start[-1], np.bool_)
    return np.asarray(_fill((uv - low[labels][:, None]) / cell, labels, size, start, taken))


@njit(cache=True)
@no_type_check
def _fill(uv, labels, size, start, taken):
    hidden = np.zeros(len(uv), np.bool_)
    for f in range(len(uv)):
        a, b, c = uv[f]
        width, first = size[labels[f], 0], start[labels[f]]
        for y in range(int(min(a[1], b[1], c[1])), int(max(a[1], b[1], c[1])) + 1):
            for x in range(int(min(a[0], b[0], c[0])), int(max(a[0], b[0], c[0])) + 1):
                px, py = x + 0.5, y + 0.5
                ab = (b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])
                bc = (c[0] - b[0]) * (py - b[1]) - (c[1] - b[1]) * (px - b[0])
                ca = (a[0] - c[0]) * (py - c[1]) - (a[1] - c[1]) * (px - c[0])
                if min(ab, bc, ca) > 1e-9:
                    at = first + y * width + x
                    hidden[f] |= taken[at]
                    taken[at] = True
    return hidden
