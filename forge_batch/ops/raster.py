"""Find which face covers each texel of an atlas."""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from numba import njit

from forge_batch.ops.nearest import on_triangle
from forge_batch.ops.texel_grid import SUBTEXELS, snap


class Coverage(NamedTuple):
    """Be the surface under each texel of a square atlas, row 0 on top.

    Attributes:
        face: Lowest-numbered face that covers the texel, -1 for none.
        barycentric: Weights of that face's three corners; 0 where there is none.
        centre: True where the texel's centre itself is covered, False for border texels and empty ones.
        overlap: How many texel centres lie strictly inside more than one face.
    """

    face: Int32[np.ndarray, "s s"]
    barycentric: Float32[np.ndarray, "s s 3"]
    centre: Bool[np.ndarray, "s s"]
    overlap: int


def rasterize(uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], size: int, conservative: bool = False) -> Coverage:
    """Cover texels with faces.

    A texel belongs to a face if its centre lies inside or on the rim, whichever way the face is wound; of several the
    lowest-numbered has it, so no texel between two faces is lost and none depends on rounding: corners are snapped to 1/65536
    texel and tested in integers. Faces without UV area cover nothing. UVs outside 0..1 are cut off.

    Args:
        uv: Origin top left; texel (row, column) has its centre at ((column + 0.5) / size, (row + 0.5) / size).
        faces: Corners as indices into uv.
        size: Texels on an edge, 1 to 8192.
        conservative: Also take texels whose centre no face covers but whose circumscribed circle (0.71 texel) reaches a face;
            they get the nearest point of the nearest face. So a bilinear read just inside a chart's rim meets only texels
            with a surface of their own, and charts thinner than a texel do not vanish.
    """
    corners, snapped = snap(uv, faces, size)
    face = np.full((size, size), -1, np.int32)
    inside = np.zeros((size, size), np.uint8)
    _fill(snapped, face, inside)
    centre = face >= 0
    flat = np.concatenate([corners, np.zeros((*corners.shape[:2], 1))], axis=2)
    flat[:, 1:] -= flat[:, :1]
    if conservative:
        _grow(flat, snapped, centre, face)
    barycentric = np.zeros((size, size, 3), np.float32)
    _weigh(flat, face, barycentric)
    return Coverage(face, barycentric, centre, int(np.count_nonzero(inside > 1)))


@njit(cache=True)
@no_type_check
def _area(corners: Any, f: Any) -> Any:
    """Give twice the signed area in squared subtexels."""
    x1, y1 = corners[f, 1, 0] - corners[f, 0, 0], corners[f, 1, 1] - corners[f, 0, 1]
    x2, y2 = corners[f, 2, 0] - corners[f, 0, 0], corners[f, 2, 1] - corners[f, 0, 1]
    return x1 * y2 - y1 * x2


@njit(cache=True)
@no_type_check
def _bounds(corners: Any, f: Any, axis: Any, margin: Any, size: Any) -> Any:
    """Give the first texel whose centre can be covered along an axis, and one past the last."""
    low = min(corners[f, 0, axis], corners[f, 1, axis], corners[f, 2, axis])
    high = max(corners[f, 0, axis], corners[f, 1, axis], corners[f, 2, axis])
    half = SUBTEXELS // 2
    first = (low - half) // SUBTEXELS - margin
    last = (high - half) // SUBTEXELS + 1 + margin
    return max(first, 0), min(last + 1, size)


@njit(cache=True)
@no_type_check
def _fill(corners: Any, face: Any, inside: Any) -> Any:
    """Give texel centres to the lowest face that covers them, and count the faces that strictly contain each (up to 255)."""
    size = len(face)
    for f in range(len(corners)):
        area = _area(corners, f)
        if area == 0:
            continue
        turn = 1 if area > 0 else -1
        left, right = _bounds(corners, f, 0, 0, size)
        top, bottom = _bounds(corners, f, 1, 0, size)
        for row in range(top, bottom):
            y = row * SUBTEXELS + SUBTEXELS // 2
            for column in range(left, right):
                x = column * SUBTEXELS + SUBTEXELS // 2
                least = np.int64(1)
                for k in range(3):
                    ax, ay = corners[f, k, 0], corners[f, k, 1]
                    bx, by = corners[f, (k + 1) % 3, 0], corners[f, (k + 1) % 3, 1]
                    least = min(least, turn * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)))
                if least < 0:
                    continue
                if face[row, column] < 0:
                    face[row, column] = f
                if least > 0 and inside[row, column] < 255:
                    inside[row, column] += 1


@njit(cache=True)
@no_type_check
def _grow(flat: Any, corners: Any, centre: Any, face: Any) -> Any:
    """Give texels without a covered centre to the nearest face within half a texel's diagonal, the lowest of equals."""
    size = len(face)
    best = np.full((size, size), 0.5, np.float32)
    for f in range(len(corners)):
        if _area(corners, f) == 0:
            continue
        left, right = _bounds(corners, f, 0, 1, size)
        top, bottom = _bounds(corners, f, 1, 1, size)
        for row in range(top, bottom):
            for column in range(left, right):
                if centre[row, column]:
                    continue
                away = np.float32(on_triangle((column + 0.5, row + 0.5, 0.0), flat, f)[0])
                if away < best[row, column]:
                    best[row, column] = away
                    face[row, column] = f


@njit(cache=True)
@no_type_check
def _weigh(flat: Any, face: Any, barycentric: Any) -> Any:
    """Give each covered texel the weights of its face's point nearest to its centre."""
    for row in range(len(face)):
        for column in range(len(face)):
            if face[row, column] >= 0:
                _, y, z = on_triangle((column + 0.5, row + 0.5, 0.0), flat, face[row, column])
                barycentric[row, column, 0] = 1.0 - y - z
                barycentric[row, column, 1] = y
                barycentric[row, column, 2] = z
