"""Find which face covers each texel of an atlas."""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from numba import njit

from forge_batch.ops.nearest import on_triangle
from forge_batch.ops.texel_grid import RIM_PULL, SUBTEXELS, snap


class Coverage(NamedTuple):
    """Be the surface under each sample of a square atlas, or of some of its rows, row 0 on top.

    Attributes:
        face: Lowest-numbered face that covers the sample, -1 for none.
        barycentric: Weights of that face's three corners; 0 where there is none.
        centre: True where the sample itself is covered, False for those of the rim and for empty ones.
        overlap: How many samples lie strictly inside more than one face.
    """

    face: Int32[np.ndarray, "r s"]
    barycentric: Float32[np.ndarray, "r s 3"]
    centre: Bool[np.ndarray, "r s"]
    overlap: int


def rasterize(
    uv: Float[np.ndarray, "v 2"],
    faces: Int[np.ndarray, "f 3"],
    size: int,
    conservative: bool = False,
    samples: int = 1,
    rows: tuple[int, int] | None = None,
) -> Coverage:
    """Cover samples of an atlas with faces: the centres of its texels, or of the squares that each texel is divided into.

    A sample belongs to a face if it lies inside or on the rim, whichever way the face is wound; of several the
    lowest-numbered has it, so no sample between two faces is lost and none depends on rounding: corners are snapped to 1/65536
    texel and tested in integers. Faces without UV area cover nothing. UVs outside 0..1 are cut off.

    Args:
        uv: Origin top left; texel (row, column) has its centre at ((column + 0.5) / size, (row + 0.5) / size).
        faces: Corners as indices into uv.
        size: Texels on an edge, 1 to 8192.
        conservative: Also take samples that no face covers but whose square's circumscribed circle (0.71 of its edge) reaches
            a face; they get the nearest point of the nearest face, a thousandth of the way to its middle, so that a ray
            from there meets its own side of a hard edge. So a bilinear read just inside a chart's rim meets only
            texels with a surface of their own, and charts thinner than a texel do not vanish.
        samples: Squares along an edge of a texel, a power of two up to 16.
        rows: First row of texels and one past the last; all of them if None.
    """
    corners, snapped = snap(uv, faces, size)
    first, end = rows or (0, size)
    shape, top = ((end - first) * samples, size * samples), first * samples
    step = SUBTEXELS // samples
    face = np.full(shape, -1, np.int32)
    inside = np.zeros(shape, np.uint8)
    _fill(snapped, step, top, face, inside)
    centre = face >= 0
    overlap = int(np.count_nonzero(inside > 1))
    del inside
    flat = np.concatenate([corners * samples, np.zeros((*corners.shape[:2], 1))], axis=2)
    flat[:, 1:] -= flat[:, :1]
    if conservative:
        _grow(flat, snapped, step, top, centre, face)
    barycentric = np.zeros((*shape, 3), np.float32)
    _weigh(flat, top, centre, face, barycentric)
    return Coverage(face, barycentric, centre, overlap)


@njit(cache=True)
@no_type_check
def _area(corners: Any, f: Any) -> Any:
    """Give twice the signed area in squared subtexels."""
    x1, y1 = corners[f, 1, 0] - corners[f, 0, 0], corners[f, 1, 1] - corners[f, 0, 1]
    x2, y2 = corners[f, 2, 0] - corners[f, 0, 0], corners[f, 2, 1] - corners[f, 0, 1]
    return x1 * y2 - y1 * x2


@njit(cache=True)
@no_type_check
def _bounds(corners: Any, f: Any, axis: Any, margin: Any, step: Any, start: Any, count: Any) -> Any:
    """Give the first of the samples start .. start + count that can be covered along an axis, and one past the last."""
    low = min(corners[f, 0, axis], corners[f, 1, axis], corners[f, 2, axis])
    high = max(corners[f, 0, axis], corners[f, 1, axis], corners[f, 2, axis])
    half = step // 2
    first = (low - half) // step - margin - start
    last = (high - half) // step + 1 + margin - start
    return max(first, 0), min(last + 1, count)


@njit(cache=True)
@no_type_check
def _fill(corners: Any, step: Any, start: Any, face: Any, inside: Any) -> Any:
    """Give samples to the lowest face that covers them, and count the faces that strictly contain each (up to 255)."""
    height, width = face.shape
    for f in range(len(corners)):
        area = _area(corners, f)
        if area == 0:
            continue
        turn = 1 if area > 0 else -1
        left, right = _bounds(corners, f, 0, 0, step, 0, width)
        top, bottom = _bounds(corners, f, 1, 0, step, start, height)
        for row in range(top, bottom):
            y = (start + row) * step + step // 2
            for column in range(left, right):
                x = column * step + step // 2
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
def _grow(flat: Any, corners: Any, step: Any, start: Any, centre: Any, face: Any) -> Any:
    """Give samples that nobody covers to the nearest face within half their square's diagonal, the lowest of equals."""
    height, width = face.shape
    best = np.full(face.shape, 0.5, np.float32)
    for f in range(len(corners)):
        if _area(corners, f) == 0:
            continue
        left, right = _bounds(corners, f, 0, 1, step, 0, width)
        top, bottom = _bounds(corners, f, 1, 1, step, start, height)
        for row in range(top, bottom):
            for column in range(left, right):
                if centre[row, column]:
                    continue
                away = np.float32(on_triangle((column + 0.5, start + row + 0.5, 0.0), flat, f)[0])
                if away < best[row, column]:
                    best[row, column] = away
                    face[row, column] = f


@njit(cache=True)
@no_type_check
def _weigh(flat: Any, start: Any, centre: Any, face: Any, barycentric: Any) -> Any:
    """Give each covered sample the weights of its face's point nearest to it."""
    height, width = face.shape
    for row in range(height):
        for column in range(width):
            if face[row, column] >= 0:
                _, y, z = on_triangle((column + 0.5, start + row + 0.5, 0.0), flat, face[row, column])
                if not centre[row, column]:
                    y, z = y + RIM_PULL * (1.0 / 3.0 - y), z + RIM_PULL * (1.0 / 3.0 - z)
                barycentric[row, column, 0] = 1.0 - y - z
                barycentric[row, column, 1] = y
                barycentric[row, column, 2] = z
