"""Spread rays over a hemisphere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32


def hammersley(count: int) -> Float32[np.ndarray, "n 2"]:
    """Give n evenly spread points of the unit square: (i + 0.5) / n and the bits of i mirrored at the point."""
    index = np.arange(count, dtype=np.uint64)
    mirrored = np.zeros(count)
    for bit in range(32):
        mirrored += ((index >> np.uint64(bit)) & np.uint64(1)) * 0.5 ** (bit + 1)
    return np.stack([(index + 0.5) / count, mirrored], axis=1).astype(np.float32)


def in_cells(points: Float32[np.ndarray, "n 2"]) -> tuple[Float32[np.ndarray, "n 2"], tuple[int, int]]:
    """Sort hammersley(n) into the cells of a grid of a times b, of which each holds exactly one point; give also a and b.

    As a (0, m, 2)-net it has one point in each cell if n is a power of two; else b is 1, and the cells are slices. Neighbours
    that shift the same pattern differently can then send their rays cell by cell, so that rays sent together go the same way.
    """
    count = len(points)
    high = 1 << (count.bit_length() // 2) if count & (count - 1) == 0 else count
    low = count // high
    cell = np.floor(points[:, 0] * high) * low + np.floor(points[:, 1] * low)
    return points[np.argsort(cell, kind="stable")], (high, low)
