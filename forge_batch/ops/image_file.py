"""Keep texture maps in PNG files."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from isal import isal_zlib
from jaxtyping import UInt

from forge_batch.errors import StageError

_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
)
"""Paeth's prediction, then runs and Huffman codes without a search for matches, of which baked maps have few: against Pillow's
default a fifth of the time for 105 % of the bytes; level 1 with a search is slower and 127 %: benchmarks/results/png.json."""


_STRIP = 128
"""Rows that are packed at once; fixed, as it is seen in the bytes."""

_THREADS = 8


def write_png(path: Path, image: UInt[np.ndarray, "h w *c"]) -> None:
    """Write a map that stages hand to each other as PNG; see encode_working_png. OSError: the file cannot be written."""
    path.write_bytes(encode_working_png(image))


def encode_working_png(image: UInt[np.ndarray, "h w *c"]) -> bytes:
    """Give a map as the bytes of a PNG in a fifth of encode_png's time, in no more bytes.

    Each row is predicted by the one above and packed by ISA-L at level 1, strips of rows side by side: a 16-bit normal map of
    2048 takes 50 CPU ms where OpenCV takes 255. ISA-L chooses its code by the processor, so two kinds of machine may give
    different bytes for the same pixels: good for maps in work/, not for packages, which must be the same everywhere.

    Args:
        image: As for encode_png, which also says what is refused.
    """
    _check(image)
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    depth = image.dtype.itemsize
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        strips = list(pool.map(partial(_pack_strip, image), range(0, height, _STRIP)))
    check = 1
    for strip, _ in strips:
        check = isal_zlib.adler32(strip, check)
    # a stream of zlib: its head, whole blocks of each strip, an empty last block
    body = b"".join([b"\x78\x01", *(packed for _, packed in strips), b"\x03\x00", struct.pack(">I", check)])
    header = struct.pack(">IIBBBBB", width, height, 8 * depth, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", isal_zlib.crc32(body, isal_zlib.crc32(kind)))
        for kind, body in chunks
    )


def _pack_strip(image: np.ndarray, start: int) -> tuple[np.ndarray, bytes]:
    """Predict and compress some rows; give the bytes to be compressed, and blocks of DEFLATE that end on a whole byte."""
    before = max(start - 1, 0)
    part = image[before : start + _STRIP]
    part = np.ascontiguousarray(part.astype(">u2") if part.dtype.itemsize == 2 else part).view(np.uint8).reshape(len(part), -1)
    rows = part[start - before :]
    strip = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    strip[:, 0] = 2  # the filter "up"
    strip[0, 1:] = rows[0] - part[0] if start else rows[0]
    np.subtract(rows[1:], rows[:-1], out=strip[1:, 1:])
    coder = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
    return strip, coder.compress(strip) + coder.flush(isal_zlib.Z_SYNC_FLUSH)


def encode_png(image: UInt[np.ndarray, "h w *c"]) -> bytes:
    """Give a map as the bytes of a PNG; same array, same bytes.

    Args:
        image: uint8 or uint16, row 0 on top: (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA, straight alpha.

    Raises:
        ValueError: Another depth or another number of channels (a bug of the caller).
    """
    _check(image)
    done, data = cv2.imencode(".png", _swapped(image), _OPTIONS)
    if not done:
        raise ValueError(f"OpenCV refused to encode {image.dtype} {image.shape}")
    return bytes(data.tobytes())


def encode_webp(image: UInt[np.ndarray, "h w *c"], quality: int) -> bytes:
    """Give an 8-bit RGB map as the bytes of a lossy WebP of that quality (1 to 100); same array, same bytes."""
    done, data = cv2.imencode(".webp", _swapped(image), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV refused to encode {image.dtype} {image.shape}")
    return bytes(data.tobytes())


def shrunk(image: UInt[np.ndarray, "h w *c"], largest: int) -> UInt[np.ndarray, "h2 w2 *c"]:
    """Halve an image until its edges are at most `largest` pixels."""
    while max(image.shape[:2]) > largest:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return image


def read_png(path: Path) -> UInt[np.ndarray, "h w *c"]:
    """Read what write_png wrote: channels in the order RGB(A), 8 or 16 bits as in the file.

    Raises:
        StageError: The file is not a readable image.
        OSError: The file is missing or cannot be read.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if image is None:
        raise StageError(f"{path.name} is not a readable PNG ({len(data)} bytes)", "delete it and run again")
    return _swapped(np.asarray(image))


def _check(image: np.ndarray) -> None:
    if image.dtype not in (np.uint8, np.uint16) or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
        raise ValueError(f"a PNG holds uint8 or uint16 grey, RGB or RGBA, not {image.dtype} {image.shape}")


def _swapped(image: np.ndarray) -> np.ndarray:
    """Exchange red and blue: OpenCV keeps BGR(A), we keep RGB(A)."""
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    order = [2, 1, 0, 3][: image.shape[2]]
    return np.ascontiguousarray(image[:, :, order])
