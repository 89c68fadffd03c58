"""Average noise out of a map along the surface it lies on, not across its edges."""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

from forge_batch.ops.denoise_params import NEAR, RADIUS, TRUST, TURN


def denoised(
    openness: Float32[np.ndarray, " t"],
    known: Bool[np.ndarray, " t"],
    guide: Float32[np.ndarray, "t 6"],
    size: int,
    spacing: float,
    rays: int,
) -> Float32[np.ndarray, " t"]:
    """Average each known texel with those of a square round it that lie near on the surface, face its way and are as open.

    A joint bilateral filter (Petschnigg et al., 2004): weights fall with the distance of the points, the angle between their
    normals, and how much more than noise would two texels differ.

    Args:
        openness: 0..1, of size * size texels.
        known: Which of them have a value; the others stay as they are.
        guide: Position (metres) and unit normal of each.
        size: Texels on an edge.
        spacing: Metres between neighbouring texels.
        rays: How many rays each value was made of.
    """
    result: np.ndarray = _filter(openness, known, guide, size, np.float32(spacing * NEAR), np.float32(rays))
    return result


@njit(cache=True, nogil=True)
@no_type_check
def _filter(openness: Any, known: Any, guide: Any, size: Any, near: Any, rays: Any) -> Any:
    result = openness.copy()
    for row in range(size):
        for column in range(size):
            i = row * size + column
            if not known[i]:
                continue
            own = openness[i]
            noise = np.float32(TRUST) * np.sqrt(max(own * (np.float32(1) - own), np.float32(0.5) / rays) / rays)
            total, value = np.float32(0), np.float32(0)
            for r in range(max(row - RADIUS, 0), min(row + RADIUS + 1, size)):
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
                    differ = (openness[j] - own) / noise
                    weight = np.exp(np.float32(-0.5) * (away / (near * near) + differ * differ)) * cosine ** np.float32(TURN)
                    total += weight
                    value += weight * openness[j]
            result[i] = value / total
    return result
