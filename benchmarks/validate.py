"""Time `forge-batch validate` on 1,000 manifests with 4,000 different pictures, as whole processes, cold and warm.

python benchmarks/validate.py --data DIR [--manifests 1000] [--size 1024] [--size 512]

DIR holds folders with front.png, right.png, back.png and left.png. The pictures are theirs, each with a
number of its own in a comment, so that no two files are equal. Cold: no work/image_checks.json; the disk's cache may hold the
files. Writes results/validate.json, with the machine's load before and after: other work on the cores makes wall time longer.

CPU seconds are user + system of the command and its workers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import cv2

HERE = Path(__file__).parent
VIEWS = ("front", "right", "back", "left")
MANIFEST = """\
forge: 1
asset: asset_{index:04d}
images: set_{index:04d}
place: {{height_cm: 60}}
decimate: {{triangles: {triangles}}}
"""


def encoded(path: Path, size: int) -> bytes:
    """Give a picture as a PNG of `size` pixels an edge."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if size == picture.shape[0]:
        return path.read_bytes()
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1])


def numbered(png: bytes, number: int) -> bytes:
    """Put a comment with a number behind a PNG's header, so that its content is its own."""
    body = b"tEXtComment\0" + str(number).encode()
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


def write_sets(folder: Path, objects: list[Path], size: int, count: int) -> None:
    """Write the manifests and four pictures for each."""
    pictures = [[encoded(source / f"{view}.png", size) for view in VIEWS] for source in objects]
    (folder / "manifests").mkdir()
    for index in range(count):
        target = folder / "inbox" / f"set_{index:04d}"
        target.mkdir(parents=True)
        for view, png in zip(VIEWS, pictures[index % len(objects)], strict=True):
            (target / f"{view}.png").write_bytes(numbered(png, index))
        text = MANIFEST.format(index=index, triangles=1000 + index)
        (folder / "manifests" / f"asset_{index:04d}.yaml").write_text(text)


def timed(folder: Path) -> dict[str, Any]:
    """Run the command and measure it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "forge_batch.cli", "validate", "--content", str(folder), "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    problems = json.loads(done.stdout)["problems"]
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "exit": done.returncode, "problems": len(problems)}


def measure(data: Path, count: int, size: int) -> dict[str, Any]:
    """Build a folder and time both runs."""
    objects = sorted(path.parent for path in data.glob("*/front.png") if (path.parent / "left.png").is_file())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sets(folder, objects, size, count)
        sizes = [path.stat().st_size for path in folder.glob("inbox/*/*.png")]
        load = os.getloadavg()[0]
        cold = timed(folder)
        warm = [timed(folder) for _ in range(3)]
        cache = (folder / "work" / "image_checks.json").stat().st_size
    return {
        "manifests": count,
        "pictures": len(sizes),
        "size": size,
        "mib": round(sum(sizes) / 2**20, 1),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "cold": cold,
        "warm": warm,
        "cache_mib": round(cache / 2**20, 2),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--manifests", type=int, default=1000)
    parser.add_argument("--size", type=int, action="append")
    options = parser.parse_args()
    runs = []
    for size in options.size or [1024, 512]:
        runs.append(measure(options.data, options.manifests, size))
        print(json.dumps(runs[-1], indent=1), flush=True)
    machine = {"cores": len(os.sched_getaffinity(0)), "machine": platform.machine(), "python": platform.python_version()}
    document = {"machine": machine, "runs": runs}
    (HERE / "results" / "validate.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
