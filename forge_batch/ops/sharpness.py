"""Measure how sharp a picture's sharpest edges are, whatever it shows: a smooth toy has few edges, but they are thin."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

FINE, COARSE = 3, 5  # edges of the two box filters, in pixels of the picture and of the halved picture
LARGEST = 1024  # pixels: a larger subject is measured scaled down to this, for more is not needed for a texture

_INSET = 5  # pixels of the halved picture from the outline at which the coarse filter no longer sees past it
_FEWEST = 50  # edge pixels of the halved picture from which there is something to judge
_FAINTEST = 5.0  # levels over two pixels that make an edge in the coarse picture
_SMALLEST = 300  # pixels: a smaller cut-out lies nearly all beside the outline, where the filters see unequal things
_QUANTILE = 95  # percent: the sharpest edges speak, so that a blurred background or a soft shade does not


class Sharpness(NamedTuple):
    """Be what was measured.

    Attributes:
        steepness: Of the sharpest edges inside the subject, steepness in a slightly smoothed picture over that in a much
            smoothed one: about 3 where they are sharp, 1.8 where they are blurred by 2 pixels. None if there are too few edges.
        outline: Half-transparent pixels for each pixel of the outline: 1 to 1.4 in a clean cut-out. None without alpha.
    """

    steepness: float | None
    outline: float | None


def measure_sharpness(image: UInt8[np.ndarray, "h w c"], alpha: UInt8[np.ndarray, "h w"] | None = None) -> Sharpness:
    """Measure a picture that has been cropped to its subject.

    Args:
        image: sRGB; a fourth channel is not looked at.
        alpha: Where the subject is; None looks at all of the picture.
    """
    longest = max(image.shape[:2])
    if longest > LARGEST * 1.4:
        size = tuple(max(1, round(edge * LARGEST / longest)) for edge in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        alpha = None if alpha is None else np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    gray = cv2.cvtColor(image, cv2.COLOR_RGBA2GRAY if image.shape[2] == 4 else cv2.COLOR_RGB2GRAY)
    return Sharpness(_steepness(gray, alpha), None if alpha is None else _outline(alpha))


def edge_width(steepness: float) -> float:
    """Give the width in pixels, from a tenth to nine tenths of its height, of a straight edge that has this steepness.

    A blur of variance v passes the coarse filter with variance v + 10 and the fine one with v + 1.2; blurred pictures of known
    v agree within half a pixel for 1.4 to 4 pixels of blur.
    """
    square = max(1.0001, steepness**2)
    return float(2.56 * np.sqrt(max(0.0, (10 - 1.2 * square) / (square - 1))))


def _steepness(gray: UInt8[np.ndarray, "h w"], alpha: UInt8[np.ndarray, "h w"] | None) -> float | None:
    if min(gray.shape) < 4 * COARSE or (alpha is not None and max(gray.shape) < _SMALLEST):
        return None
    # the coarse filter leaves nothing that half the pixels could not show
    half = _halved(gray)
    smooth = cv2.boxFilter(half, cv2.CV_32F, (COARSE, COARSE))
    across, down = cv2.subtract(smooth[1:-1, 2:], smooth[1:-1, :-2]), cv2.subtract(smooth[2:, 1:-1], smooth[:-2, 1:-1])
    coarse = cv2.magnitude(across, down) * 0.5
    area = coarse.size
    if alpha is not None:
        solid = cv2.compare(_halved(alpha), 249, cv2.CMP_GT)
        inside = cv2.erode(solid, np.ones((2 * _INSET + 1,) * 2, np.uint8), borderValue=0)[1:-1, 1:-1] > 0
        coarse *= inside
        area = int(inside.sum())
    strong = np.flatnonzero(coarse > _FAINTEST)
    if len(strong) < _FEWEST:
        return None
    # strong edges alone: the noise of a sensor or of compression is sharp in a blurred picture too
    count = max(_FEWEST, area // 25)
    values = coarse.ravel()[strong]
    if len(strong) > count:
        best = np.argpartition(values, -count)[-count:]
        strong, values = strong[best], values[best]
    rows, columns = np.divmod(strong, coarse.shape[1])
    return round(float(np.percentile(_fine(gray, rows + 1, columns + 1) / values, _QUANTILE)), 2)


def _halved(plane: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "_ _"]:
    height, width = (edge // 2 for edge in plane.shape)
    return np.asarray(cv2.resize(plane[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))


def _fine(gray: UInt8[np.ndarray, "h w"], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Give the greatest steepness, levels over two pixels, in the four pixels of each given pixel of the halved picture."""
    across, down = cv2.spatialGradient(cv2.blur(gray, (FINE, FINE)))
    found = np.zeros(len(rows), np.float32)
    for below in (0, 1):
        for right in (0, 1):
            place = 2 * rows + below, 2 * columns + right
            found = np.maximum(found, np.hypot(across[place].astype(np.float32), down[place].astype(np.float32)))
    return found / 4


def _outline(alpha: UInt8[np.ndarray, "h w"]) -> float | None:
    """Give the half-transparent pixels for each pixel of the outline."""
    half = (alpha >= 128).astype(np.uint8)
    length = cv2.countNonZero(half) - cv2.countNonZero(cv2.erode(half, np.ones((3, 3), np.uint8), borderValue=1))
    soft = cv2.countNonZero(cv2.inRange(alpha, 13, 242))
    return round(soft / length, 2) if length >= 32 else None
