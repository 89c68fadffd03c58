"""Carry an object's colours outwards over its background."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

_OPAQUE = 250


def bleed_colors(cutout: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """Give the picture without alpha: every pixel that is not fully the object gets the colour of the nearest one that is.

    The outermost opaque pixel is distrusted too: background shines through it in most masks. An object thinner than that
    keeps its most opaque pixels.
    """
    solid = (cutout[..., 3] >= _OPAQUE).astype(np.uint8)
    sure = cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=1)
    # thin parts vanish under erosion: keep a solid pixel that has no sure one near
    near = cv2.dilate(sure, np.ones((5, 5), np.uint8))
    sure = np.where((solid > 0) & (near == 0), 1, sure).astype(np.uint8)
    if not sure.any():
        sure = (cutout[..., 3] >= max(1, int(cutout[..., 3].max()))).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(1 - sure, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    color = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    chosen = sure > 0
    color[labels[chosen]] = cutout[..., :3][chosen]
    return np.asarray(color[labels])
