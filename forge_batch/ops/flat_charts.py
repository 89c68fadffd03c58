"""Lay faces flat together, and tell whether they lie well. Points of the page are complex numbers."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Complex128, Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from forge_batch.ops.box_charts import covers_twice

STRETCH_MEAN, STRETCH_P95 = 1.03, 1.3
"""Most L2 stretch of a joined chart, mean and 95th percentile by area."""

SQUASHED = 0.05
"""Least share of its area that a face must keep."""

CELLS = 150
"""Cells along an edge of a square as large as a chart, of the grid on which it must not lie over itself."""

RELAXATIONS = 4


def relax(
    own: Complex128[np.ndarray, "f 3"],
    cotangent: Float64[np.ndarray, "f 3"],
    corners: Int64[np.ndarray, "f 3"],
    start: Complex128[np.ndarray, " n"],
) -> Complex128[np.ndarray, " n"]:
    """Move a flat layout towards one whose faces keep their shape: as rigid as possible, RELAXATIONS rounds.

    Args:
        own: Each face laid flat by itself.
        cotangent: Of the angle at each corner, above 0: the weight of the side across.
        corners: Faces, every vertex in use.
        start: Where the vertices lie.
    """
    count = len(start)
    i, j = corners[:, [1, 2, 0]], corners[:, [2, 0, 1]]
    flat_i, flat_j, weight = i.ravel(), j.ravel(), cotangent.ravel()
    rows, columns = np.concatenate([flat_i, flat_j, flat_i, flat_j]), np.concatenate([flat_i, flat_j, flat_j, flat_i])
    values = np.concatenate([weight, weight, -weight, -weight])
    # a pinch of weight holds one vertex, for sides alone do not say where the whole lies
    rows, columns, values = np.append(rows, 0), np.append(columns, 0), np.append(values, 1e-8 * weight.max())
    matrix = coo_matrix((values, (rows, columns)), shape=(count, count)).tocsc()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    sides = own[:, [1, 2, 0]] - own[:, [2, 0, 1]]
    at = start
    for _ in range(RELAXATIONS):
        turn = (cotangent * (at[i] - at[j]) * sides.conj()).sum(axis=1)
        turn /= np.maximum(abs(turn), 1e-30)
        pull = (cotangent * turn[:, None] * sides).ravel()
        parts = [np.bincount(flat_i, value, count) - np.bincount(flat_j, value, count) for value in (pull.real, pull.imag)]
        solved = factors.solve(np.stack(parts, axis=1))
        at = solved[:, 0] + 1j * solved[:, 1]
    return np.asarray(at)


def lies_well(own: np.ndarray, area: np.ndarray, at: np.ndarray) -> bool:
    """Tell whether a chart neither folds nor stretches nor lies over itself."""
    (a, b), (c, d) = ((shape[:, 1] - shape[:, 0], shape[:, 2] - shape[:, 0]) for shape in (own, at))
    flat = 0.5 * cross(c, d)
    if (flat <= SQUASHED * area).any():
        return False
    # squared L2 stretch (Sander et al. 2001) by the sides' lengths, of the map from the page to the surface
    trace = (abs(a) ** 2 * abs(d) ** 2 + abs(b) ** 2 * abs(c) ** 2 - 2 * (a * b.conj()).real * (c * d.conj()).real) / (
        4 * flat**2
    )
    stretch = np.sqrt(0.5 * trace * flat.sum() / area.sum())
    share = area / area.sum()
    order = np.argsort(stretch, kind="stable")
    p95 = stretch[order][min(int(np.searchsorted(np.cumsum(share[order]), 0.95)), len(order) - 1)]
    if float(stretch @ share) > STRETCH_MEAN or p95 > STRETCH_P95:
        return False
    return not covers_twice(np.stack([at.real, at.imag], axis=2), float(np.sqrt(flat.sum())) / CELLS)


def own_shapes(space: np.ndarray) -> tuple[Complex128[np.ndarray, "f 3"], Float64[np.ndarray, "f 3"]]:
    """Lay every face flat by itself; give its corners and the cotangents of its angles, within sensible bounds."""
    along, side = space[:, 1] - space[:, 0], space[:, 2] - space[:, 0]
    length = np.linalg.norm(along, axis=1)
    x = np.einsum("ij,ij->i", along, side) / np.maximum(length, 1e-30)
    twice = np.linalg.norm(np.cross(along, side), axis=1)
    own = np.stack([np.zeros(len(x), complex), length + 0j, x + 1j * twice / np.maximum(length, 1e-30)], axis=1)
    ahead, behind = np.roll(space, -1, axis=1) - space, np.roll(space, 1, axis=1) - space
    cotangent = np.einsum("fkc,fkc->fk", ahead, behind) / np.maximum(twice, 1e-30)[:, None]
    return own, np.clip(cotangent, 0.02, 50.0)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give twice the signed area between vectors."""
    return np.asarray(a.real * b.imag - a.imag * b.real)


def smallest_rectangle(at: np.ndarray) -> tuple[float, float]:
    """Give the sides of the smallest rectangle round points, the longer one first."""
    local = at - at.mean()
    scale = max(float(abs(local).max()), 1e-30)
    corners = np.stack([local.real, local.imag], axis=1) / scale
    width, height = cv2.minAreaRect(corners.astype(np.float32))[1]
    return max(width, height) * scale, min(width, height) * scale
