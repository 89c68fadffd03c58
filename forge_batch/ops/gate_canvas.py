"""Draw values and marks on a mesh, on its atlas and on outlines, for the pictures of what a gate found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from forge_batch.ops.image_file import encode_png
from forge_batch.ops.measure_atlas import draw_charts
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import INK, PAPER, Maps, on_paper, render
from forge_batch.ops.zbuffer import frame_view, project, see

SIDES = ((35.0, 20.0), (215.0, 20.0))
"""Azimuth and elevation, degrees, of the two views that a mesh is shown in."""

PANEL, CAPTION = 400, 40  # pixels
LARGEST = 200_000
"""Bytes that a picture may have; one that has more is drawn smaller."""

FEW = 60
"""Marks up to which each gets a ring, since one may be a pixel or two long."""

MARK = np.array([255, 60, 40], np.uint8)
BLUE = np.array([70, 130, 255], np.uint8)
GREY = np.array([150, 152, 156], np.uint8)
BARE = Maps(None, None, None)
Picture = UInt8[np.ndarray, "h w 3"]


class Drawn(NamedTuple):
    """Be a picture and what it shows, in a line."""

    picture: Picture
    says: str


def heat(mesh: Mesh, values: Float[np.ndarray, " f"], low: float, high: float) -> Picture:
    """Colour faces from blue (`low` and less) to red (`high` and more); grey where a value is not finite."""
    return _coloured(mesh, tinted(values[:, None], low, high, GREY)[:, 0])


def tinted(values: Float[np.ndarray, "h w"], low: float, high: float, ground: UInt8[np.ndarray, " 3"]) -> Picture:
    """Colour values from blue to red likewise; the colour of the ground where one is not finite."""
    known = np.isfinite(values)
    scaled = np.clip(np.where(known, (values - low) / (high - low), 0.0), 0.0, 1.0)
    table = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(known[..., None], table, ground).astype(np.uint8)


def marked(mesh: Mesh, faces: Bool[np.ndarray, " f"], *, through: bool = False) -> Picture:
    """Colour the marked faces red; `through` shows them as if the others were glass, and larger where they are tiny."""
    picture = _coloured(mesh, np.where(faces[:, None], MARK, GREY).astype(np.uint8))
    if not through or not faces.any():
        return picture
    for column, side in enumerate(SIDES):
        points = _project(mesh, side)
        hidden = see(points, mesh.faces[faces], PANEL, cull=False).face >= 0
        hidden = cv2.dilate(hidden.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        panel = picture[:, column * PANEL : (column + 1) * PANEL]
        panel[hidden] = (panel[hidden] * 0.35 + MARK * 0.65).astype(np.uint8)
    return picture


def with_lines(
    mesh: Mesh, ends: Float64[np.ndarray, "n 2 3"], colors: UInt8[np.ndarray, "n 3"], *, rings: bool = True
) -> Picture:
    """Draw segments over the mesh, those behind it too; with `rings` one round each where they are few."""
    picture = _coloured(mesh, np.tile(GREY, (len(mesh.faces), 1)))
    for column, side in enumerate(SIDES):
        panel = np.ascontiguousarray(picture[:, column * PANEL : (column + 1) * PANEL])
        view = frame_view(_bounds(mesh), *side)
        at = project(ends.reshape(-1, 3), view, PANEL)[:, :2].reshape(-1, 2, 2)
        for (start, end), color in zip(np.rint(at * 16).astype(int), colors, strict=True):
            line = tuple(map(int, start)), tuple(map(int, end))
            cv2.line(panel, *line, color.tolist(), 2, cv2.LINE_AA, 4)
            if rings and len(ends) <= FEW:
                cv2.circle(panel, tuple(map(int, (start + end) // 2)), 10 * 16, color.tolist(), 1, cv2.LINE_AA, 4)
        picture[:, column * PANEL : (column + 1) * PANEL] = panel
    return picture


def page(mesh: Mesh, atlases: int, marks: Bool[np.ndarray, "s s"], faces: Bool[np.ndarray, " f"] | None = None) -> Picture:
    """Draw the charts of the atlas in greys, marked texels, or the charts' marked faces, red.

    Args:
        mesh: With uv.
        atlases: How many there are on it; lines part several.
        marks: Texels of a page of any size; each is shown, however small.
        faces: Faces to mark beside them.
    """
    size = 2 * PANEL
    owner = draw_charts(mesh, size)
    shade = 90 + (owner.astype(np.int64) * 53) % 90
    picture = np.where((owner >= 0)[..., None], shade[..., None], PAPER // 2).astype(np.uint8).repeat(1, axis=2)
    assert mesh.uv is not None
    if faces is not None and faces.any():
        flat = np.column_stack([mesh.uv.astype(np.float64) * size, np.zeros(len(mesh.uv))])
        hit = see(flat, mesh.faces, size, cull=False).face
        picture[(hit >= 0) & faces[hit]] = MARK
    rows, columns = np.nonzero(marks)
    spots = np.zeros((size, size), np.uint8)
    spots[rows * size // len(marks), columns * size // len(marks)] = 1
    if len(rows) < 2000:
        spots = cv2.dilate(spots, np.ones((5, 5), np.uint8)).astype(np.uint8)
    picture[spots > 0] = MARK
    if atlases > 1:
        picture[size // 2], picture[:, size // 2] = INK, INK
    return picture


def difference(one: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]) -> Picture:
    """Draw two outlines over each other: red where only the first is, blue where only the other is."""
    picture = np.tile(PAPER // 2, (*one.shape, 1)).astype(np.uint8)
    picture[one & other] = GREY
    picture[one & ~other], picture[other & ~one] = MARK, BLUE
    return picture


def encode(picture: Picture, title: str, lines: Sequence[str]) -> bytes:
    """Write a picture with a title and a line or two below as a PNG of at most LARGEST bytes; same picture, same bytes."""
    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width, height + CAPTION + 18 * len(lines)), tuple(int(c) for c in PAPER // 3))
    sheet.paste(Image.fromarray(picture), (0, CAPTION - 8))
    pen = ImageDraw.Draw(sheet)
    pen.text((10, 8), title, fill=INK, font=ImageFont.load_default(16))
    for number, line in enumerate(lines):
        pen.text((10, height + CAPTION - 4 + 18 * number), line, fill=INK, font=ImageFont.load_default(13))
    while len(png := encode_png(np.asarray(sheet))) > LARGEST:  # a palette would lose the few red pixels
        sheet = sheet.resize((sheet.width * 4 // 5, sheet.height * 4 // 5))
    return png


def _coloured(mesh: Mesh, colors: UInt8[np.ndarray, "f 3"]) -> Picture:
    """Draw the mesh in grey from both sides and tint what each face shows with its colour."""
    panels = []
    for side in SIDES:
        plain = Mesh(mesh.vertices, mesh.faces)
        grey = render(plain, BARE, *side, PANEL, side[0] - 40.0)
        hits = see(_project(mesh, side), mesh.faces, PANEL, cull=False).face
        panel, seen = on_paper(grey), hits >= 0
        light = np.where(grey[seen][:, 3:] > 0, panel[seen][:, :1], 40)  # what faces away is dark, not gone
        panel[seen] = np.clip(colors[hits[seen]] * (0.35 + light / 255.0), 0, 255).astype(np.uint8)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _bounds(mesh: Mesh) -> Float[np.ndarray, "2 3"]:
    return mesh.bounds


def _project(mesh: Mesh, side: tuple[float, float]) -> Float64[np.ndarray, "v 3"]:
    return project(mesh.vertices, frame_view(_bounds(mesh), *side), PANEL)


def segments(mesh: Mesh, ends: Int[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2 3"]:
    """Give the end points of edges."""
    return np.asarray(mesh.vertices.astype(np.float64)[ends])
