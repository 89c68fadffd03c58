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
    _, labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    index = np.zeros(int(labels.max()) + 1, np.int32)
    places = np.flatnonzero(known.ravel())
    index[labels.ravel()[places]] = places
    return np.asarray(index[labels], dtype=np.int32)


def spread(image: Shaped[np.ndarray, "h w *c"], nearest: Int32[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w *c"]:
    """Copy to each texel the value of its nearest_known."""
    flat = image.reshape(-1, *image.shape[2:])
    return np.asarray(flat[nearest])
