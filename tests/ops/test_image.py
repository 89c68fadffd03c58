"""Try every kind of picture that must be refused, and the kinds that must not."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.ops.image import ImageRefused, check_image_set, read_image


def _picture(width: int = 96, height: int = 80, mode: str = "RGB") -> Image.Image:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 4), np.uint8))
    return noise if mode == "RGBA" else noise.convert("RGB").convert(mode)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, *, depth: int = 8, color: int = 2, rows: bytes | None = None) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = rows if rows is not None else bytes(height * (1 + width * 3 * depth // 8))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(body)) + _chunk(b"IEND", b"")


def _saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _turned(format_name: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(_picture(), format_name, exif=exif.tobytes())


def _animated(format_name: str) -> bytes:
    other = _picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _saved(_picture(), format_name, save_all=True, append_images=[other], duration=100)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "tiny.png": (lambda: _saved(_picture(1, 1), "PNG"), "tiny.png is 1 x 1 pixels, less than 64 an edge: use a picture of 512"),
    "narrow.png": (lambda: _saved(_picture(500, 20), "PNG"), "narrow.png is 500 x 20 pixels, less than 64 an edge"),
    "cut.png": (lambda: _saved(_picture(), "PNG")[:700], "cut.png is a PNG that ends early or is damaged: copy or export"),
    "head.png": (lambda: _saved(_picture(), "PNG")[:20], "head.png is a PNG that ends early or is damaged"),
    "cut.jpg": (lambda: _saved(_picture(), "JPEG")[:900], "cut.jpg is a JPEG that ends early or is damaged"),
    "head.jpg": (lambda: _saved(_picture(), "JPEG")[:12], "head.jpg is a JPEG that ends early or is damaged"),
    "cut.webp": (lambda: _saved(_picture(), "WEBP")[:200], "cut.webp is a WebP that ends early or is damaged"),
    "head.webp": (lambda: _saved(_picture(), "WEBP")[:22], "head.webp is a WebP that ends early or is damaged"),
    "bomb.png": (
        lambda: _png(30000, 30000, rows=b""),
        "bomb.png is 30000 x 30000 pixels, more than 8192 an edge: scale it down",
    ),
    "wide.png": (lambda: _png(8193, 64), "wide.png is 8193 x 64 pixels, more than 8192 an edge"),
    "cmyk.jpg": (lambda: _saved(_picture(mode="CMYK"), "JPEG"), "cmyk.jpg is a CMYK JPEG: save it as sRGB"),
    "turned.jpg": (lambda: _turned("JPEG"), "turned.jpg is turned by its EXIF tag (orientation 6): save it upright"),
    "turned.png": (lambda: _turned("PNG"), "turned.png is turned by its EXIF tag (orientation 6): save it upright"),
    "turned.webp": (lambda: _turned("WEBP"), "turned.webp is turned by its EXIF tag (orientation 6): save it upright"),
    "deep.png": (lambda: _png(80, 80, depth=16), "deep.png is a 16-bit PNG: save it with 8 bits a channel"),
    "grey.png": (lambda: _saved(_picture(mode="L"), "PNG"), "grey.png is a grayscale PNG: save it as RGB"),
    "greyalpha.png": (lambda: _saved(_picture(mode="LA"), "PNG"), "greyalpha.png is a grayscale PNG"),
    "grey.jpg": (lambda: _saved(_picture(mode="L"), "JPEG"), "grey.jpg is a grayscale JPEG: save it as RGB"),
    "bits.png": (lambda: _saved(_picture(mode="1"), "PNG"), "bits.png is a grayscale PNG"),
    "moving.png": (lambda: _animated("PNG"), "moving.png is an animated PNG: save the one frame"),
    "moving.webp": (lambda: _animated("WEBP"), "moving.webp is an animated WebP: save the one frame"),
    "gif.png": (lambda: _saved(_picture(mode="P"), "GIF"), "gif.png is a GIF: save it as an 8-bit sRGB PNG, JPEG or WebP"),
    "scan.png": (lambda: _saved(_picture(), "TIFF"), "scan.png is a TIFF"),
    "old.jpg": (lambda: _saved(_picture(), "BMP"), "old.jpg is a BMP"),
    "text.png": (lambda: b"hello, this is no picture at all", "text.png is not a picture that can be read"),
    "pointer.png": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "pointer.png is a Git LFS pointer"),
    "empty.png": (lambda: b"", "empty.png is empty: copy or export it again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_picture_is_refused_in_one_line_that_says_what_to_do(name: str, tmp_path: Path) -> None:
    """Each names the file, what was found and what to do instead; no warning or other exception escapes."""
    build, expected = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(build())
    with pytest.raises(ImageRefused) as caught:
        read_image(path)
    line = str(caught.value)
    assert line.startswith(expected)
    assert "\n" not in line
    assert str(tmp_path) not in line


def test_a_missing_picture_and_a_folder_are_named(tmp_path: Path) -> None:
    """What is not a file is refused by name as well."""
    with pytest.raises(ImageRefused, match=r"^front.png does not exist: add it, or take it out of the manifest$"):
        read_image(tmp_path / "front.png")
    with pytest.raises(ImageRefused, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("width", [30000, 65535])
def test_a_bomb_costs_no_memory(width: int, tmp_path: Path) -> None:
    """A file that claims gigapixels, with matching data, is refused without being decoded."""
    row = bytes(1 + width * 3)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(64)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, 30000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b""))
    tracemalloc.start()
    with pytest.raises(ImageRefused, match="more than 8192 an edge"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_bomb_in_a_text_chunk_is_refused(tmp_path: Path) -> None:
    """A PNG comment that unpacks to 200 MB is called damaged rather than unpacked."""
    good = _png(80, 80)
    comment = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * 2**20), 9))
    path = tmp_path / "comment.png"
    path.write_bytes(good[:33] + comment + good[33:])
    with pytest.raises(ImageRefused, match="damaged"):
        read_image(path)


@pytest.mark.parametrize(
    ("format_name", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)
def test_eight_bit_pictures_are_read_by_content(format_name: str, mode: str, tmp_path: Path) -> None:
    """PNG, JPEG and WebP are told apart by their bytes even under a wrong suffix, and come as RGBA with row 0 on top."""
    path = tmp_path / "front.dat"
    original = _picture(mode=mode)
    path.write_bytes(_saved(original, format_name, **({"lossless": True, "exact": True} if format_name == "WEBP" else {})))
    pixels, facts = read_image(path)
    assert pixels.shape == (80, 96, 4)
    assert (facts.width, facts.height) == (96, 80)
    assert facts.alpha == (mode == "RGBA")
    if format_name != "JPEG":
        assert np.array_equal(pixels, np.asarray(original.convert("RGBA")))


def test_a_sound_image_set_has_no_problems(tmp_path: Path) -> None:
    """Four views of one size, a camera and a licence pass."""
    paths = {}
    for view in ("front", "right", "back", "left"):
        paths[view] = tmp_path / f"{view}.png"
        _picture().save(paths[view])
    paths["camera"], paths["license"] = tmp_path / "camera.json", tmp_path / "LICENSE.txt"
    assert check_image_set(paths) == []


def test_all_problems_of_a_set_come_at_once(tmp_path: Path) -> None:
    """A fifth view, a missing one, a CMYK one and one of another size are four problems, each with its field."""
    _picture().save(tmp_path / "front.png")
    _picture(128, 128).save(tmp_path / "back.png")
    _picture(mode="CMYK").save(tmp_path / "left.jpg")
    _picture().save(tmp_path / "top.png")
    names = {"front": "front.png", "right": "right.png", "back": "back.png", "left": "left.jpg", "top": "top.png"}
    problems = check_image_set({view: tmp_path / name for view, name in names.items()})
    assert [(problem.field, problem.message) for problem in problems] == [
        ("images.top", "there is no view called top"),
        ("images.right", "right.png does not exist"),
        ("images.left", "left.jpg is a CMYK JPEG"),
        ("images.back", "back.png is 128 x 128 pixels, but front.png is 96 x 80"),
    ]
    assert all(problem.hint and problem.line == 0 and problem.severity == "error" for problem in problems)


def test_a_set_needs_a_front_view(tmp_path: Path) -> None:
    """A set of a back view alone, or of nothing, is told to add the front."""
    _picture().save(tmp_path / "back.png")
    for paths in ({"back": tmp_path / "back.png"}, {}):
        assert [problem.message for problem in check_image_set(paths)] == ["there is no front view"]
