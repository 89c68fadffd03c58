"""Say at which size on screen a coarser mesh may stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from forge_batch.ops.mesh import Mesh

LINES = 1080
"""Rows of the screen that a pixel is measured on."""

STEP = 0.75
"""Most that a screen size may be of the one before it, however small the deviation: each LOD gets a range of its own."""


def sphere_diameter(mesh: Mesh) -> float:
    """Give the diameter of the sphere about the box's centre that holds all vertices, as Unreal bounds a mesh."""
    points = mesh.vertices.astype(np.float64)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return 2.0 * float(np.linalg.norm(points - centre, axis=1).max())


def screen_sizes(deviations: Sequence[float], diameter: float) -> list[float]:
    """Give the screen size (projected sphere diameter over screen height, 1 fills it) at which each LOD takes over.

    LOD n takes over where its deviation covers at most one of `LINES` rows: `deviation / diameter * size * LINES <= 1`.
    The first is always 1; sizes fall by at least a quarter each and are rounded down to four digits.
    """
    sizes = [1.0]
    for deviation in deviations[1:]:
        exact = diameter / (max(deviation, 1e-12) * LINES)
        capped = min(exact, STEP * sizes[-1])
        digits = max(4, 4 - math.floor(math.log10(capped)))
        sizes.append(math.floor(capped * 10**digits) / 10**digits)
    return sizes
