"""Draw a finished asset from all sides: a turntable, and the pictures it was made from above the same views of the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import GAP, INK, PANEL, PAPER, Maps, beside, on_paper, render

ELEVATION = 15.0  # degrees
LIGHT = -35.0  # degrees from where the viewer stands, to his left
AZIMUTHS = {"front": 0.0, "right": 90.0, "back": 180.0, "left": 270.0}
"""Where the viewer of each input picture stands, degrees from +Z towards +X."""


def turntable(mesh: Mesh, maps: Maps, frames: int, size: int) -> Iterator[UInt8[np.ndarray, "size size 3"]]:
    """Draw a full turn in equal steps, the front first; the thing turns to its left, the light stays with the viewer.

    Args:
        mesh: In house space.
        maps: Its textures.
        frames: How many pictures a turn has.
        size: Edge of a picture, pixels.
    """
    for frame in range(frames):
        azimuth = 360.0 * frame / frames
        yield on_paper(render(mesh, maps, azimuth, ELEVATION, size, azimuth + LIGHT))


def before_after(mesh: Mesh, maps: Maps, pictures: Mapping[str, UInt8[np.ndarray, "h w 4"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Lay the input pictures over the result as seen from the same sides; a side without a picture shows the bare mesh instead.

    Args:
        mesh: In house space.
        maps: Its textures.
        pictures: By view, sRGB with straight alpha.
    """
    sheet = np.empty((2 * PANEL + 3 * GAP, len(AZIMUTHS) * (PANEL + GAP) + GAP, 3), np.uint8)
    sheet[:] = PAPER // 2
    labels = []
    for column, (view, azimuth) in enumerate(AZIMUTHS.items()):
        after = render(mesh, maps, azimuth, 0.0, PANEL, azimuth + LIGHT)
        if view in pictures:
            before, label = beside(pictures[view], after[..., 3]), f"input, {view}"
        else:
            before = on_paper(render(mesh, Maps(None, None, None), azimuth, 0.0, PANEL, azimuth + LIGHT))
            label = f"mesh without maps, {view}"
        for row, (panel, text) in enumerate(((before, label), (on_paper(after), f"result, {view}"))):
            x, y = GAP + column * (PANEL + GAP), GAP + row * (PANEL + GAP)
            sheet[y : y + PANEL, x : x + PANEL] = panel
            labels.append((x + 8, y + 6, text))
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    for x, y, text in labels:
        pen.text((x, y), text, fill=INK, font=ImageFont.load_default(14), stroke_width=2, stroke_fill=(20, 20, 22))
    return np.asarray(picture)
