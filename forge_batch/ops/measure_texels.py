"""Measure what textures hold beyond their charts, and whether their channels say anything."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt, UInt8

from forge_batch.ops.measure_maps import Points
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.raster import rasterize
from forge_batch.ops.render import read_linear

OTHER = 16  # of 255: texels of the gutter that differ more from their chart show as a line on a seam
UNBAKED = 0.25  # of the rim texels: 0 to 8 % stray in maps as they are baked, 98 to 100 % where a map ends at its charts
FLAT = 1.5  # of 255: a channel that spreads less says nothing


def stray_gutter(mesh: Mesh, image: UInt[np.ndarray, "h w c"], reach: int) -> float:
    """Give the share of texels within `reach` texels of a chart whose value no texel of a chart near it comes close to, 0..1.

    Coarser mip levels mix them into the chart's rim, where black or another chart's colour shows as a line.
    """
    gutter, stray = _gutter(mesh, image, reach)
    return float(stray.sum() / max(gutter.sum(), 1))


def find_strays(mesh: Mesh, image: UInt[np.ndarray, "h w c"], reach: int) -> Bool[np.ndarray, "h w"]:
    """Mark the texels that `stray_gutter` counts."""
    return _gutter(mesh, image, reach)[1]


def _gutter(mesh: Mesh, image: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the texels near a chart, and those of them that are strays.

    A rim texel, whose centre lies beside its chart, has a surface of its own and is baked. So it counts as its chart's, unless
    so many rim texels stray themselves that nothing was baked there.
    """
    assert mesh.uv is not None
    size = image.shape[0]
    inside, touched = (rasterize(mesh.uv, mesh.faces, size, conservative=rim).face >= 0 for rim in (False, True))
    near = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rim = touched & ~inside & near
    strays = _apart(image, inside, rim, reach)
    chart = touched if strays.sum() <= UNBAKED * rim.sum() else inside
    gutter = (cv2.distanceTransform((~chart).astype(np.uint8), cv2.DIST_L2, 5) <= reach) & ~chart
    return gutter, _apart(image, chart, gutter, reach)


def _apart(image: np.ndarray, chart: np.ndarray, asked: np.ndarray, reach: int) -> np.ndarray:
    """Mark those of the asked texels whose value no texel of a chart near them comes close to."""
    most = np.iinfo(image.dtype).max
    window = np.ones((2 * reach + 5, 2 * reach + 5), np.uint8)
    high = cv2.dilate(np.where(chart[..., None], image, 0).astype(image.dtype), window)
    low = cv2.erode(np.where(chart[..., None], image, most).astype(image.dtype), window)
    apart = round(OTHER * most / 255)
    found = image[asked].astype(np.int64)
    beyond = (found > high[asked].astype(np.int64) + apart) | (found < low[asked].astype(np.int64) - apart)
    stray = np.zeros(asked.shape, np.bool_)
    stray[asked] = beyond.any(axis=1)
    return stray


def spread_of(image: UInt[np.ndarray, "h w c"], points: Points) -> Float32[np.ndarray, " c"]:
    """Give how far each channel spreads over the surface: 1st to 99th percentile, of 255."""
    values = read_linear(image, points.uv) * 255.0
    return np.asarray(np.ptp(np.quantile(values, (0.01, 0.99), axis=0), axis=0), np.float32)


def half_metal(orm: UInt8[np.ndarray, "h w 3"], points: Points) -> float:
    """Give the share of the surface that is neither metal nor not (metallic 0.2 to 0.8), which no material is, 0..1."""
    metallic = read_linear(orm, points.uv)[:, 2]
    return float(np.average((metallic > 0.2) & (metallic < 0.8), weights=points.area))
