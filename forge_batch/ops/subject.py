"""Find roughly where the subject of a picture is, in a copy small enough to cost nothing.

Where a picture has no alpha and no plain background, nothing is known, and None says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

SMALL = 256  # pixels: longest edge of the copy
COVERED = 128  # alpha from which a pixel belongs to the subject

_PLAIN = 0.8  # share of the picture's edge that must have one colour
_EVEN = 3.0  # CIE 1976 difference within which that is one colour: a blurred wall is within 5, and is no plain background
_NEAR = 8.0  # the same, from which a pixel inside is not background
_LEAST, _MOST = 0.01, 0.9  # share of the picture that a keyed subject may cover


@dataclass(frozen=True, eq=False)
class Subject:
    """Be what is known of a subject.

    Attributes:
        kind: How it is known: from the picture's alpha, or from a plain background.
        mask: (k, l), where it is in the small copy.
        small: (k, l, 4) the small copy.
        background: Lab of a plain background.
        contrast: Median difference from that background, CIE 1976; a pale object may fall to pieces when it is keyed out.
    """

    kind: Literal["alpha", "plain"]
    mask: Bool[np.ndarray, "k l"]
    small: UInt8[np.ndarray, "k l 4"]
    background: tuple[float, float, float] | None = None
    contrast: float = 100.0


def find_subject(image: UInt8[np.ndarray, "h w c"]) -> Subject | None:
    """Find the subject of a picture with 3 or 4 channels; None if it cannot be told from its background, or there is none."""
    small = _shrunk(image)
    if small.shape[2] == 4:
        mask = small[..., 3] >= COVERED
        # the same half percent of clear pixels as makes the background removal believe an alpha
        if float(mask.mean()) <= 0.995:
            return Subject("alpha", mask, small) if mask.any() else None
    return _before_plain_background(small)


def _shrunk(image: np.ndarray) -> np.ndarray:
    """Scale down to SMALL, by halves as far as that goes: OpenCV halves five times as fast as it scales by anything else."""
    while max(image.shape[:2]) >= 2 * SMALL:
        height, width = (max(1, edge // 2) for edge in image.shape[:2])
        image = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    longest = max(image.shape[:2])
    if longest <= SMALL:
        return image
    size = tuple(max(1, round(edge * SMALL / longest)) for edge in image.shape[1::-1])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _before_plain_background(small: np.ndarray) -> Subject | None:
    """Key out the colour of the picture's edge where nearly all of it has one."""
    lab = cv2.cvtColor(small[..., :3].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    edge = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    color = np.median(edge, axis=0)
    if float((np.linalg.norm(edge - color, axis=1) <= _EVEN).mean()) < _PLAIN:
        return None
    distance = np.linalg.norm(lab - color, axis=2)
    near = (distance <= _NEAR).astype(np.uint8)
    _, labels = cv2.connectedComponents(near, connectivity=4)
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    mask = ~np.isin(labels, rim[rim > 0])
    if not _LEAST <= float(mask.mean()) <= _MOST:
        return None
    opaque = small if small.shape[2] == 4 else np.dstack([small, np.full(small.shape[:2], 255, np.uint8)])
    lightness, a, b = (float(level) for level in color)
    return Subject("plain", mask, opaque, (lightness, a, b), float(np.median(distance[mask])))


def count_subjects(mask: Bool[np.ndarray, "k l"], share: float) -> tuple[int, float]:
    """Count the separate parts that have at least `share` of the largest one's area.

    Parts less than three pixels apart count as one: a thin link between them may have been lost in the small copy.

    Returns:
        How many, and the second largest one's area over the largest one's.
    """
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(joined, connectivity=8)
    areas = np.sort(np.bincount(labels[mask]))[::-1].astype(float)
    areas = areas[areas > 0]
    if len(areas) < 2:
        return len(areas), 0.0
    return int((areas >= share * areas[0]).sum()), round(float(areas[1] / areas[0]), 3)
