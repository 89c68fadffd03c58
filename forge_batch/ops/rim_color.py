"""Find what is left of a background in a cut-out's rim.

Half-transparent pixels are not looked at: whatever they hold, removing the background gives them the colour of the nearest
solid pixel. A halo shows where the solid rim itself has the background's colour, and then it is bled further outwards.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

SOLID = 250  # alpha from which a pixel keeps its own colour
_DEPTHS = (0, 3, 6)  # pixels inside the outline


def rim_color_gap(image: UInt8[np.ndarray, "h w 4"], alpha: UInt8[np.ndarray, "h w"]) -> tuple[int, int, int] | None:
    """Give how far the solid rim's mean colour lies from that three pixels further in.

    Where the colour goes on changing from three to six pixels in, that much is a shade of the object and is taken off.

    Args:
        image: sRGB, cropped to the subject.
        alpha: Its straight alpha.

    Returns:
        Red, green and blue in levels, -255 to 255; None where the rings are too short to say.
    """
    solid = cv2.compare(alpha, SOLID - 1, cv2.CMP_GT)
    kernel = np.ones((3, 3), np.uint8)
    colors = []
    for depth in range(_DEPTHS[-1] + 1):
        inner = cv2.erode(solid, kernel, borderValue=255)
        if depth in _DEPTHS:
            ring = cv2.subtract(solid, inner)
            if cv2.countNonZero(ring[::2]) < 50:
                return None
            # every second row is enough for a mean
            colors.append(np.array(cv2.mean(image[::2], mask=ring[::2])[:3]))
        solid = inner
    rim, near, deep = colors
    gap, shade = rim - near, near - deep
    left = np.sign(gap) * np.maximum(0, np.abs(gap) - np.abs(shade))
    red, green, blue = (round(float(level)) for level in left)
    return red, green, blue
