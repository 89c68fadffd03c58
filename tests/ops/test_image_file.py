from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.errors import StageError
from forge_batch.ops.image_file import encode_png, encode_working_png, read_png, write_png

each_coder = pytest.mark.parametrize("encode", [encode_png, encode_working_png])


@each_coder
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1, 3), (300, 9, 3), (256, 3)])
def test_a_map_comes_back_as_it_was_written(
    encode: Callable[[np.ndarray], bytes], dtype: type, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Depth, channel order and values survive, by OpenCV's reader; two writes give the same bytes."""
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    (tmp_path / "a.png").write_bytes(encode(image))
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), image)
    assert read_png(tmp_path / "a.png").dtype == dtype
    assert encode(image) == encode(image)


@each_coder
def test_red_is_red_for_another_reader(encode: Callable[[np.ndarray], bytes]) -> None:
    """Pillow reads the pure red that was written, not blue."""
    with Image.open(io.BytesIO(encode(np.full((2, 2, 3), (255, 0, 0), np.uint8)))) as image:
        assert image.getpixel((0, 0)) == (255, 0, 0)


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    """Floats and two channels are a bug of the caller; a damaged or empty file names itself."""
    with pytest.raises(ValueError, match="uint8 or uint16"):
        write_png(tmp_path / "a.png", np.zeros((2, 2, 2), np.uint8))
    for content in (b"", b"\x89PNG\r\n\x1a\nnothing"):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(StageError, match=r"bad\.png is not a readable PNG"):
            read_png(tmp_path / "bad.png")
