"""Bring maps from 16 bits a channel to 8 without bands."""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
from jaxtyping import UInt8, UInt16
from numba import njit

FLAT = 32768
"""What a normal map says where there is no slope."""


def dithered_normals(normal: UInt16[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round a normal map up or down by a pattern, so that the mean over a few texels is that of 16 bits.

    A gentle slope of 16 bits, rounded, becomes terraces that glossy surfaces show as bands. The threshold is the texel's place
    in the R2 sequence (Roberts, 2018), another for each channel: no seed, the same bytes on every run. Where there is no slope
    nothing is dithered: flat stays (128, 128, 255). A PNG grows by two fifths.
    """
    result: np.ndarray = _dither(normal)
    return result


def rounded_normals(normal: UInt16[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round a normal map to the nearest: for coders with loss, which would spend bytes on a pattern and not keep it."""
    return ((normal.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


@njit(cache=True, nogil=True)
@no_type_check
def _dither(normal: Any) -> Any:
    height, width, channels = normal.shape
    result = np.empty(normal.shape, np.uint8)
    for row in range(height):
        for column in range(width):
            place = column * 0.7548776662466927 + row * 0.5698402909980532
            for k in range(channels):
                value = np.int64(normal[row, column, k])
                if abs(value - FLAT) <= 2:
                    result[row, column, k] = 128
                else:
                    result[row, column, k] = np.uint8(value / 257.0 + (place + k / 3.0) % 1.0)
    return result
