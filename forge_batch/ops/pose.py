"""Work out the transform that gives a thing its size, pivot and heading."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64


def similarity(
    vertices: Float32[np.ndarray, "v 3"], height: float, pivot: Literal["bottom_center", "center", "none"], yaw_degrees: float
) -> Float64[np.ndarray, "4 4"]:
    """Turn by yaw about +Y, scale, then move the pivot to the origin.

    Yaw is counter-clockwise seen from above: the front goes from +Z towards +X.

    The box is that of the turned vertices. With `none` the old origin stays where it is.
    """
    c, s = np.cos(np.radians(yaw_degrees)), np.sin(np.radians(yaw_degrees))
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    turned = vertices.astype(np.float64) @ matrix[:3, :3].T
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = height / (high[1] - low[1])
    origin = np.zeros(3)
    if pivot != "none":
        origin = (low + high) / 2
    if pivot == "bottom_center":
        origin[1] = low[1]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = -scale * origin
    return matrix
