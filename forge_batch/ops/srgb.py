"""Decode and encode sRGB, IEC 61966-2-1."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Decode sRGB (uint8, or float in 0..1) to linear float32, IEC 61966-2-1."""
    if values.dtype == np.uint8:
        return np.asarray(_SRGB_TABLE[values], np.float32)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Encode linear values in 0..1 to sRGB float32 in 0..1, IEC 61966-2-1."""
    values = np.clip(values, 0.0, 1.0)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055).astype(np.float32)


_SRGB_TABLE = srgb_to_linear(np.arange(256) / 255.0)
