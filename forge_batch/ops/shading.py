"""Read from its shading whether a part is flat or round.

Light that does not come from the camera itself makes a round part darker on one side and brighter on the other; a flat face is
as bright at its left end as at its right one, whatever its texture does in between.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy import ndimage

from forge_batch.ops.silhouette import COARSE, Silhouette
from forge_batch.ops.visual_hull import Grid, spread

_SAMPLES = 16  # along a run
_REACH = 0.15  # rows up and down whose profiles are pooled, as a share of the run's width
_RIM = 4  # coarse pixels over which a trend is continued outwards, over what the outline's blur hides
_NARROW = 8  # coarse pixels: narrower runs are not judged


def brightness_trend(silhouette: Silhouette, color: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "k l"]:
    """Give for every pixel the trend of log brightness across the run it lies in, per half width; NaN where there is none.

    The trend is the median of the slopes between all pairs of samples that lie apart (Theil 1950, Sen 1968), of a profile that
    is the median over neighbouring rows: a frame, a nail or a painted eye does not move it. A flat face stays within 0.05, a
    barrel under a lamp at 45 degrees shows 0.1 to 0.2.

    Args:
        silhouette: The view.
        color: Its picture, sRGB, any size of the same aspect.

    Returns:
        At a quarter of the silhouette's size.
    """
    rows, columns = silhouette.bulge.shape
    small = cv2.resize(color, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    mask = cv2.resize(silhouette.distance, (columns, rows), interpolation=cv2.INTER_AREA) > 0.5 * COARSE
    level = np.log(small @ np.array([0.3, 0.59, 0.11], np.float32) + 4.0)
    labels, count = ndimage.label(mask, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    trend = np.full(mask.shape, np.nan, np.float32)
    runs = [(part[0].start, part[1].start, part[1].stop) for part in ndimage.find_objects(labels, count)]
    runs = [run for run in runs if run[2] - run[1] >= _NARROW]
    if not runs:
        return trend
    place = np.linspace(-0.94, 0.94, _SAMPLES)
    profiles = np.stack([np.interp(b + (place + 1) / 2 * (e - 1 - b), np.arange(b, e), level[y, b:e]) for y, b, e in runs])
    y, begin, end = np.array(runs).T
    middle, width = (begin + end) / 2, end - begin
    for index in range(len(runs)):
        first, last = np.searchsorted(y, [y[index] - _REACH * width[index] - 1, y[index] + _REACH * width[index] + 1])
        alike = (np.abs(middle[first:last] - middle[index]) < 0.25 * width[index]) & (
            np.abs(width[first:last] - width[index]) < 0.3 * width[index]
        )
        trend[y[index], begin[index] : end[index]] = _theil_sen(place, np.median(profiles[first:last][alike], axis=0))
    missing = np.isnan(trend)
    away, nearest = ndimage.distance_transform_edt(missing, return_indices=True)
    return np.where(away <= _RIM, trend[tuple(nearest)], np.nan).astype(np.float32)


def unevenness(
    grid: Grid,
    hull: Float32[np.ndarray, "x y z"],
    silhouettes: Sequence[Silhouette],
    trends: Sequence[Float32[np.ndarray, "_ _"]],
) -> tuple[Float32[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]]:
    """Give at every cell the root mean square of the trends of all views, and whether any view has one there."""
    total = np.zeros(hull.shape, np.float32)
    count = np.zeros(hull.shape, np.float32)
    for silhouette, trend in zip(silhouettes, trends, strict=True):
        known = ~np.isnan(trend)
        squares = np.where(known, trend, 0.0).astype(np.float32) ** 2
        total += spread(grid, hull, squares, silhouette.camera)
        count += spread(grid, hull, known.astype(np.float32), silhouette.camera)
    return np.sqrt(total / np.maximum(count, np.float32(0.25))), count > 0.25


def _theil_sen(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    i, j = np.triu_indices(len(x), 3)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))
