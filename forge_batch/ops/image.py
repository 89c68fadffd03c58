"""Read a user's picture, or refuse it with one line that says what was found and what to do instead.

A file is judged by its content, never by its suffix, and by its header before a single pixel is decoded: a file of a few
kilobytes may claim gigapixels. What is refused is refused because it would be guessed at: a CMYK picture's colours, which way
up an EXIF tag turns it, which frame of an animation is meant.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from forge_batch.errors import Problem, StageError

SMALLEST, LARGEST = 64, 8192  # pixels of an edge
LARGEST_FILE = 256 * 2**20  # bytes; an 8192 x 8192 RGBA picture of noise, stored as PNG, still fits
VIEWS = ("front", "right", "back", "left")
NOT_VIEWS = ("camera", "license")  # what an image set may hold besides pictures

Stream = io.BufferedReader | io.BytesIO

_ORIENTATION = 0x0112
_PNG = b"\x89PNG\r\n\x1a\n"
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF"),
    (0, b"<svg", "an SVG"),
    (0, b"<?xml", "an SVG or XML file"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the picture itself"),
    (4, b"ftypheic", "a HEIC"),
    (4, b"ftypheix", "a HEIC"),
    (4, b"ftypmif1", "a HEIF"),
    (4, b"ftypavif", "an AVIF"),
)
_SAVE_AS = "save it as an 8-bit sRGB PNG, JPEG or WebP"


class ImageRefused(StageError):
    """Refuse a picture: the message says what it is, the hint how to save it instead."""

    code = "image"


class ImageFacts(NamedTuple):
    """Be what the header says: `format` is PNG, JPEG or WebP; `alpha` whether the file stores any transparency."""

    width: int
    height: int
    format: str
    alpha: bool


def read_image(path: Path) -> tuple[UInt8[np.ndarray, "h w 4"], ImageFacts]:
    """Read a picture as sRGB with straight alpha, row 0 on top.

    Memory stays within a few times 8192 x 8192 x 4 bytes whatever the file claims; no warning escapes.

    Raises:
        ImageRefused: It is missing, broken, too small or large, not 8-bit RGB, animated, or turned by EXIF.
    """
    try:
        with path.open("rb") as file:
            return decode_image(path.name, file)
    except FileNotFoundError:
        raise ImageRefused(f"{path.name} does not exist", "add it, or take it out of the manifest") from None
    except IsADirectoryError:
        raise ImageRefused(f"{path.name} is a folder", "name a picture inside it") from None
    except PermissionError:
        raise ImageRefused(f"{path.name} may not be read", "give the runner read permission on it") from None


def decode_image(name: str, file: Stream) -> tuple[UInt8[np.ndarray, "h w 4"], ImageFacts]:
    """Decode an opened file as `read_image` does; every refusal begins with `name`.

    Raises:
        ImageRefused: As there, but for what keeps a file from being opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decode(name, file)


def _decode(name: str, file: Stream) -> tuple[np.ndarray, ImageFacts]:
    format_name = _sniff(name, file)
    try:
        _check_size(name, *_declared_size(format_name, file))
        file.seek(0)
        picture = _open(format_name, file)
    except ImageRefused:
        raise
    except _BROKEN as error:
        raise _broken(name, format_name) from error
    _check_size(name, *picture.size)
    _check_kind(name, format_name, picture, file)
    try:
        # a PNG's EXIF may stand behind its pixels, so asking for it may decode
        _check_upright(name, picture.getexif().get(_ORIENTATION, 1))
        alpha = picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info
        pixels = np.array(picture.convert("RGBA"))
    except ImageRefused:
        raise
    except _BROKEN as error:
        raise _broken(name, format_name) from error
    return pixels, ImageFacts(picture.width, picture.height, format_name, alpha)


def _broken(name: str, format_name: str) -> ImageRefused:
    return ImageRefused(f"{name} is a {format_name} that ends early or is damaged", "copy or export it again")


def _sniff(name: str, file: Stream) -> str:
    """Tell PNG, JPEG or WebP from the first bytes, and refuse everything else by its own name."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(32)
    if not head:
        raise ImageRefused(f"{name} is empty", "copy or export it again")
    if size > LARGEST_FILE:
        raise ImageRefused(f"{name} takes {size / 2**20:.0f} MiB, more than {LARGEST_FILE // 2**20}", "save it smaller")
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    for offset, magic, kind in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            raise ImageRefused(f"{name} is {kind}", _SAVE_AS)
    raise ImageRefused(f"{name} is not a picture that can be read", _SAVE_AS)


def _declared_size(format_name: str, file: Stream) -> tuple[int, int]:
    """Read width and height from a header where merely opening the file would allocate by them (WebP), or could."""
    file.seek(0)
    if format_name == "JPEG":
        # the plugin's constructor stops at the first scan without decoding
        return JpegImagePlugin.JpegImageFile(file).size
    head = file.read(33)
    if format_name == "PNG":
        if len(head) < 33 or head[12:16] != b"IHDR":
            raise ValueError("no IHDR")
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    # https://developers.google.com/speed/webp/docs/riff_container
    kind, body = head[12:16], head[20:]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", body[6:10])
    return width & 0x3FFF, height & 0x3FFF


def _check_size(name: str, width: int, height: int) -> None:
    found = f"{name} is {width} x {height} pixels"
    if max(width, height) > LARGEST:
        raise ImageRefused(f"{found}, more than {LARGEST} an edge", f"scale it down to at most {LARGEST} an edge")
    if min(width, height) < SMALLEST:
        raise ImageRefused(f"{found}, less than {SMALLEST} an edge", "use a picture of 512 pixels or more")


def _open(format_name: str, file: Stream) -> ImageFile.ImageFile:
    """Open by the one plugin that fits, so that no other format's reader ever sees the bytes."""
    if format_name == "PNG":
        return PngImagePlugin.PngImageFile(file)
    if format_name == "JPEG":
        return JpegImagePlugin.JpegImageFile(file)
    return WebPImagePlugin.WebPImageFile(file)


def _check_kind(name: str, format_name: str, picture: ImageFile.ImageFile, file: Stream) -> None:
    if getattr(picture, "n_frames", 1) > 1:
        raise ImageRefused(f"{name} is an animated {format_name}", "save the one frame that shows the object")
    if format_name == "PNG":
        place = file.tell()
        file.seek(24)
        depth = file.read(1)[0]
        file.seek(place)
        if depth == 16:
            raise ImageRefused(f"{name} is a 16-bit PNG", "save it with 8 bits a channel")
    if picture.mode in {"CMYK", "YCCK"}:
        raise ImageRefused(f"{name} is a CMYK {format_name}", "save it as sRGB")
    if picture.mode in {"1", "L", "LA", "I", "I;16", "I;16B", "F"}:
        raise ImageRefused(f"{name} is a grayscale {format_name}", "save it as RGB; its colours become the base color")
    if picture.mode not in {"RGB", "RGBA", "RGBX", "P", "PA"}:
        raise ImageRefused(f"{name} is a {format_name} of the kind {picture.mode}", "save it as sRGB")


def _check_upright(name: str, orientation: object) -> None:
    if orientation not in {0, 1}:
        raise ImageRefused(f"{name} is turned by its EXIF tag (orientation {orientation})", "save it upright")


def _size(path: Path) -> tuple[int, int]:
    _, facts = read_image(path)
    return facts.width, facts.height


def check_image_set(paths: Mapping[str, Path], size: Callable[[Path], tuple[int, int]] = _size) -> list[Problem]:
    """Collect everything wrong with an image set, in the words that remove_background would use.

    Args:
        paths: Pictures by view name; `camera` and `license` are passed over.
        size: Gives the width and height of a picture or raises ImageRefused; for those who have looked at it already.

    Returns:
        One problem a line, in the order of the views; empty if the set can be used.
    """
    pictures = {view: path for view, path in paths.items() if view not in NOT_VIEWS}
    problems = [
        _problem(view, pictures[view], f"there is no view called {view}", f"use {', '.join(VIEWS)}")
        for view in pictures
        if view not in VIEWS
    ]
    if "front" not in pictures:
        first = next(iter(pictures.values()), None)
        place = first.parent if first is not None else Path()
        problems.append(_problem("front", place, "there is no front view", "add front.png"))
    sizes: dict[str, tuple[int, int]] = {}
    for view in [view for view in VIEWS if view in pictures]:
        try:
            sizes[view] = size(pictures[view])
        except ImageRefused as refusal:
            problems.append(_problem(view, pictures[view], refusal.message, refusal.hint))
    return problems + _unequal(sizes, pictures)


def _unequal(sizes: Mapping[str, tuple[int, int]], pictures: Mapping[str, Path]) -> list[Problem]:
    """Name each view whose size is not that of the first one."""
    problems = []
    for view, (width, height) in sizes.items():
        first = next(iter(sizes))
        if (width, height) != sizes[first]:
            other = "{} x {}".format(*sizes[first])
            message = f"{pictures[view].name} is {width} x {height} pixels, but {pictures[first].name} is {other}"
            problems.append(_problem(view, pictures[view], message, "show every view at one scale in one size"))
    return problems


def _problem(view: str, path: Path, message: str, hint: str) -> Problem:
    return Problem(str(path), 0, 0, f"images.{view}", "error", ImageRefused.code, message, hint)
