"""Hand cut-outs to models that take pictures, or say why that would go wrong."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from forge_batch.errors import StageError

LEAST_PIXELS = 16
"""Edge below which the opaque part of a view shows nothing that a model could use."""


def cutout_picture(name: str, cutout: UInt8[np.ndarray, "h w 4"]) -> Image.Image:
    """Give a cut-out as an RGBA picture.

    Models take an opaque picture for one without alpha (and remove its background themselves, or take the whole frame for the
    thing), and fail inside numpy on an empty one.

    Raises:
        StageError: It is not cut out, is empty, or shows too little.
    """
    alpha = cutout[..., 3]
    if (alpha == 255).all():
        raise StageError(
            f"the {name} view is not cut out: no pixel of it is transparent",
            "switch remove_background on, or leave a margin round the thing",
        )
    rows, columns = np.nonzero(alpha > 0.8 * 255)
    if not len(rows) or max(np.ptp(rows), np.ptp(columns)) < LEAST_PIXELS:
        raise StageError(
            f"the {name} view shows nothing: its opaque part is under {LEAST_PIXELS} pixels", "check its background removal"
        )
    return Image.fromarray(np.ascontiguousarray(cutout))
