"""The fast decoder gives Pillow's pixels, or nothing at all."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from forge_batch.ops.plain_png import decode_plain_png
from tests.planted import INBOX

NOISE = np.random.default_rng(7).integers(0, 256, (80, 96, 4), np.uint8)


def png(image: Image.Image, **options: object) -> bytes:
    """Save to memory."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("path", sorted(INBOX.glob("*/*.png")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_pictures_come_as_pillow_reads_them(path: object) -> None:
    """Every picture of the checkout has the same channels and the same bytes."""
    data = path.read_bytes()  # type: ignore[attr-defined]
    found = decode_plain_png(data, 64, 8192)
    assert found is not None
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(found, np.asarray(image))


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_noise_of_every_compression_is_decoded(mode: str, level: int) -> None:
    """A picture that no filter helps comes back whole."""
    image = Image.fromarray(NOISE).convert(mode)
    found = decode_plain_png(png(image, compress_level=level), 64, 8192)
    assert found is not None
    assert np.array_equal(found, np.asarray(image))


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return png(Image.fromarray(NOISE), exif=exif.tobytes())


def _text(packed: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif" if not packed else "Comment", "x" * 50, zip=packed)
    return png(Image.fromarray(NOISE), pnginfo=info)


def _flipped() -> bytes:
    data = bytearray(png(Image.fromarray(NOISE)))
    data[len(data) // 2] ^= 1
    return bytes(data)


def _rows_missing() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 96, 80, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(40 * (1 + 96 * 3)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


OTHERS = {
    "grey": lambda: png(Image.fromarray(NOISE).convert("L")),
    "palette": lambda: png(Image.fromarray(NOISE).convert("RGB").convert("P")),
    "one clear colour": lambda: png(Image.fromarray(NOISE).convert("RGB"), transparency=(1, 2, 3)),
    "turned": _exif,
    "packed text": lambda: _text(True),
    "raw profile": lambda: _text(False),
    "animated": lambda: png(Image.fromarray(NOISE), save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
    "cut": lambda: png(Image.fromarray(NOISE))[:-30],
    "without end": lambda: png(Image.fromarray(NOISE))[:-12],
    "one bit flipped": _flipped,
    "rows missing": _rows_missing,
    "too small": lambda: png(Image.fromarray(NOISE[:63])),
    "header alone": lambda: png(Image.fromarray(NOISE))[:40],
    "empty": lambda: b"",
    "JPEG": lambda: b"\xff\xd8\xff" + bytes(100),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_any_other_file_is_left_to_the_judge(kind: str) -> None:
    """What is not a sound plain PNG gives None, so that ops.image says what it is."""
    assert decode_plain_png(OTHERS[kind](), 64, 8192) is None


def test_a_bomb_is_not_decoded() -> None:
    """A picture that is larger than allowed gives None from its header alone."""
    assert decode_plain_png(png(Image.fromarray(NOISE)), 64, 90) is None
