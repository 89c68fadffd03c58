"""Fill the texels of a map that have no value of their own, so that filtering and mip levels never see the background."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Int32, Shaped


def nearest_known(known: Bool[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Find for each texel the nearest one with a value, as an index into the flattened map; itself if it has one.

    The whole background is filled, not a rim of it: LODs that share the atlas reach up to 17 texels outside the charts of LOD0.
    OpenCV's two-pass distance labels (Borgefors 1986) take 0.85 s at 4096 x 4096; in 8 % of texels another one is nearest by
    a fraction of a texel, which the exact transform (scipy, 2.1 s) would find. Repeated box dilation: 8 s for 16 texels.

    Raises:
        ValueError: No texel has a value.
    """
    if not known.any():
        raise ValueError("no texel has a value to spread")
    unknown = (~known).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    index = np.zeros(int(labels.max()) + 1, np.int32)
    places = np.flatnonzero(known.ravel()).astype(np.int32)
    index[labels.ravel()[places]] = places
    del places, unknown
    return np.asarray(np.take(index, labels, out=labels, mode="clip"))  # in place: at 8192 each array is 268 MB


def fill(flat: Shaped[np.ndarray, "t ..."], nearest: Int32[np.ndarray, "h w"]) -> None:
    """Copy to each texel of a flattened map, in place, the value of its nearest_known."""
    rows = nearest.reshape(-1)
    step = 1 << 22
    for start in range(0, len(rows), step):  # what has a value is its own nearest and is never changed
        flat[start : start + step] = flat[rows[start : start + step]]


def spread(image: Shaped[np.ndarray, "h w *c"], nearest: Int32[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w *c"]:
    """Copy to each texel the value of its nearest_known."""
    flat = image.reshape(-1, *image.shape[2:])
    return np.asarray(flat[nearest])
