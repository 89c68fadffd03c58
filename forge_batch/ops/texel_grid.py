"""Lay faces on the grid on which both rasters test them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

SUBTEXELS = 65536
"""Steps of the fixed-point grid in a texel; sides of 8192 texels still multiply inside 64 bits, so every test is exact."""

RIM_PULL = 1e-3
"""How far samples of the rim are pulled from the edge of their face towards its middle."""


def snap(
    uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], size: int
) -> tuple[Float64[np.ndarray, "f 3 2"], Int64[np.ndarray, "f 3 2"]]:
    """Give the corners of each face in texels, and on the grid of 1/65536 texel, on which tests are exact.

    Raises:
        ValueError: The size is not 1 to 8192.
    """
    if not 1 <= size <= 8192:
        raise ValueError(f"an atlas has 1 to 8192 texels on an edge, not {size}")
    corners = uv.astype(np.float64)[faces] * size
    return corners, np.rint(np.clip(corners, -size, 2.0 * size) * SUBTEXELS).astype(np.int64)
