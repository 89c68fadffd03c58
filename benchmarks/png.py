"""Measure how fast texture maps are packed into PNG and how small they become, by coder and level.

python -m benchmarks.png PACKAGE.zip... [--out benchmarks/results/png.json] [--runs 3]

The maps are those of packages that exist (any engine's with loose PNGs). pyoxipng is needed for its rows: pip install pyoxipng.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import statistics
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from forge_batch.ops.image_file import encode_working_png

Coder = Callable[[np.ndarray], bytes]


def by_cv2(level: int, strategy: int | None = None, filters: int | None = None) -> Coder:
    """Encode with OpenCV; a strategy or a filter of None is its own choice."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, level]
    options += [] if strategy is None else [cv2.IMWRITE_PNG_STRATEGY, strategy]
    options += [] if filters is None else [cv2.IMWRITE_PNG_FILTER, filters]

    def encode(image: np.ndarray) -> bytes:
        swapped = image if image.ndim == 2 else np.ascontiguousarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]])
        return bytes(cv2.imencode(".png", swapped, options)[1].tobytes())

    return encode


def by_pillow(**options: int | bool) -> Coder:
    """Encode with Pillow."""

    def encode(image: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "png", **options)
        return out.getvalue()

    return encode


def by_oxipng(level: int) -> Coder:
    """Encode with OpenCV at level 1 and let oxipng pack it again."""
    import oxipng

    kept = ("bit_depth_reduction", "color_type_reduction", "palette_reduction", "grayscale_reduction")  # engines go by the type
    quick = by_cv2(1)
    return lambda image: bytes(oxipng.optimize_from_memory(quick(image), level=level, **dict.fromkeys(kept, False)))


def coders() -> dict[str, Coder]:
    """List what is compared, the first being what the others are held to."""
    found: dict[str, Coder] = {
        "pillow 6 (its default)": by_pillow(),
        "pillow 1": by_pillow(compress_level=1),
        "pillow 9": by_pillow(compress_level=9),
    }
    rle = cv2.IMWRITE_PNG_STRATEGY_RLE
    filters = {
        "sub": cv2.IMWRITE_PNG_FILTER_SUB,
        "up": cv2.IMWRITE_PNG_FILTER_UP,
        "average": cv2.IMWRITE_PNG_FILTER_AVG,
        "paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
        "all": cv2.IMWRITE_PNG_ALL_FILTERS,
    }
    for level in (1, 3, 6):
        found[f"cv2 {level}"] = by_cv2(level)
    for name, choice in filters.items():
        found[f"cv2 1 rle {name}"] = by_cv2(1, rle, choice)
        found[f"cv2 1 {name}"] = by_cv2(1, None, choice)
    found["cv2 6 paeth"] = by_cv2(6, None, cv2.IMWRITE_PNG_FILTER_PAETH)
    found["ours between stages (isal 1, up)"] = encode_working_png
    if importlib.util.find_spec("oxipng"):
        found |= {f"cv2 1, then oxipng {level}": by_oxipng(level) for level in (1, 2, 4)}
    return found


def maps(packages: list[Path]) -> dict[str, np.ndarray]:
    """Read the texture maps of packages by name."""
    found = {}
    for path in packages:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".png"):
                    with Image.open(io.BytesIO(archive.read(name))) as image:
                        found[f"{path.stem}/{name}"] = np.asarray(image)
    return found


def measure(coder: Coder, images: dict[str, np.ndarray], runs: int) -> tuple[float, int]:
    """Give the median CPU seconds for all images together, and their bytes; each must come back exactly."""
    seconds, size = [], 0
    for _ in range(runs):
        start = time.process_time()
        packed = [coder(image) for image in images.values()]
        seconds.append(time.process_time() - start)
        size = sum(map(len, packed))
    for image, data in zip(images.values(), packed, strict=True):
        with Image.open(io.BytesIO(data)) as read:
            assert np.array_equal(np.asarray(read), image)
    return statistics.median(seconds), size


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    images = maps(options.packages)
    rows = []
    for name, coder in coders().items():
        seconds, size = measure(coder, images, options.runs)
        rows.append({"coder": name, "cpu_seconds": round(seconds, 3), "bytes": size})
        first = rows[0]
        print(f"{name:28} {seconds:7.2f} s {size / 1e6:8.2f} MB  {100 * size / first['bytes']:6.1f} %", flush=True)
    if options.out:
        versions = {"opencv": cv2.__version__, "pillow": Image.__version__}
        shapes = {name: f"{image.dtype} {image.shape}" for name, image in images.items()}
        options.out.write_text(json.dumps({"versions": versions, "maps": shapes, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
