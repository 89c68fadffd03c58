"""Tell inside from outside."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numba import njit


def winding_numbers(
    vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], points: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " n"]:
    """Give the generalised winding number of points: 1 inside a closed outward surface, 0 outside, in between near holes.

    Sums signed solid angles (Van Oosterom and Strackee 1983; Jacobson et al. 2013) over every face: n * f operations.
    """
    return np.asarray(_winding(vertices.astype(np.float64), faces, points))


@njit(cache=True)
@no_type_check
def _winding(vertices, faces, points):
    result = np.zeros(len(points))
    for i in range(len(points)):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        total = 0.0
        for f in range(len(faces)):
            u, v, w = faces[f, 0], faces[f, 1], faces[f, 2]
            ax, ay, az = vertices[u, 0] - px, vertices[u, 1] - py, vertices[u, 2] - pz
            bx, by, bz = vertices[v, 0] - px, vertices[v, 1] - py, vertices[v, 2] - pz
            cx, cy, cz = vertices[w, 0] - px, vertices[w, 1] - py, vertices[w, 2] - pz
            la = np.sqrt(ax * ax + ay * ay + az * az)
            lb = np.sqrt(bx * bx + by * by + bz * bz)
            lc = np.sqrt(cx * cx + cy * cy + cz * cz)
            above = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            below = (
                la * lb * lc
                + (ax * bx + ay * by + az * bz) * lc
                + (bx * cx + by * cy + bz * cz) * la
                + (cx * ax + cy * ay + cz * az) * lb
            )
            total += 2.0 * np.arctan2(above, below)
        result[i] = total / (4.0 * np.pi)
    return result
