"""Average noise out of a map along the surface it lies on, not across its edges."""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numba import njit

from forge_batch.ops.denoise_params import NEAR, RADIUS, TRUST, TURN
from forge_batch.ops.rays import in_threads


class Smoother:
    """Average each texel of a map with those of a square round it that lie near on the surface, face its way and are as open.

    A joint bilateral filter (Petschnigg et al., 2004): weights fall with the distance of the points, the angle between their
    normals, and how much more than noise would two texels differ. The map comes in bands of rows, from the top, and leaves in
    bands that end RADIUS rows earlier, the last one at the end: of the whole no more than that is kept.

    Args:
        size: Texels on an edge.
        spacing: Metres between neighbouring texels.
        rays: How many rays each value was made of.
    """

    def __init__(self, size: int, spacing: float, rays: int) -> None:
        self._size, self._near, self._rays = size, np.float32(spacing * NEAR), np.float32(rays)
        self._done = self._first = 0
        self._rows = _Rows(*_room(0))

    def add(
        self,
        rows: tuple[int, int],
        texel: Int32[np.ndarray, " x"],
        values: Float32[np.ndarray, " x"],
        guide: Float32[np.ndarray, "x 6"],
    ) -> tuple[int, Float32[np.ndarray, " t"]]:
        """Take the next rows, and give those that are ready: the first one, and all their texels, 0 where there is no value.

        Args:
            rows: First row and one past the last.
            texel: Those that have a value, row * size + column.
            values: Of each, 0..1.
            guide: Position (metres) and unit normal of each.
        """
        size, (start, end) = self._size, rows
        fresh = _Rows(*_room((end - start) * size))
        at = texel - start * size
        fresh.values[at], fresh.known[at], fresh.guide[at] = values, True, guide
        kept = max(self._first, self._done - RADIUS)
        left = _Rows(*(part[(kept - self._first) * size :] for part in self._rows))
        self._rows, self._first = _Rows(*(np.concatenate(pair) for pair in zip(left, fresh, strict=True))), kept
        ready = end if end == size else max(self._done, end - RADIUS)
        first, count = self._done - kept, ready - self._done
        result = np.zeros(count * size, np.float32)

        def run(part: slice) -> None:
            lines = (first + part.start, first + part.stop)
            _filter(*self._rows, size, lines, self._near, self._rays, result[part.start * size : part.stop * size])

        in_threads(run, count, max(1, (1 << 16) // size))
        begin, self._done = self._done, ready
        return begin, result


class _Rows(NamedTuple):
    """Be rows of texels: value, whether there is one, position and normal."""

    values: Float32[np.ndarray, " t"]
    known: Bool[np.ndarray, " t"]
    guide: Float32[np.ndarray, "t 6"]


def _room(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(count, np.float32), np.zeros(count, bool), np.zeros((count, 6), np.float32)


@njit(cache=True, nogil=True)
@no_type_check
def _filter(values: Any, known: Any, guide: Any, size: Any, lines: Any, near: Any, rays: Any, result: Any) -> Any:
    """Write the filtered rows `lines[0]` to `lines[1]` of those given."""
    height = len(values) // size
    for row in range(lines[0], lines[1]):
        for column in range(size):
            i = row * size + column
            if not known[i]:
                continue
            own = values[i]
            noise = np.float32(TRUST) * np.sqrt(max(own * (np.float32(1) - own), np.float32(0.5) / rays) / rays)
            total, value = np.float32(0), np.float32(0)
            for r in range(max(row - RADIUS, 0), min(row + RADIUS + 1, height)):
                for c in range(max(column - RADIUS, 0), min(column + RADIUS + 1, size)):
                    j = r * size + c
                    if not known[j]:
                        continue
                    away, cosine = np.float32(0), np.float32(0)
                    for k in range(3):
                        away += (guide[i, k] - guide[j, k]) ** 2
                        cosine += guide[i, 3 + k] * guide[j, 3 + k]
                    if cosine <= 0:
                        continue
                    differ = (values[j] - own) / noise
                    weight = np.exp(np.float32(-0.5) * (away / (near * near) + differ * differ)) * cosine ** np.float32(TURN)
                    total += weight
                    value += weight * values[j]
            result[i - lines[0] * size] = value / total
