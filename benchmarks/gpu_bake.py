"""Measure the four bakes on a GPU, and hold them against the CPU's and against nvdiffrast's coverage.

    python benchmarks/gpu_bake.py --prepare DIR --data DATA     anywhere: the pairs, as the files that the bake stages read
    python benchmarks/gpu_bake.py --pairs DIR                   on the machine with the GPU; writes results/gpu_bake.json

DATA as for bake.py. `device_ms` is the time of kernels and copies on the GPU alone (CUDA events), `wall_ms` what passes from
arrays in memory to maps in memory, `files_to_png_ms` from the two files to the bytes of all PNGs; medians of ROUNDS, warm.
`first_call_s` is the same from files to PNG in a fresh process with the kernels compiled before, importing included.
`kernels_ms` leaves copies out of `device_ms`. The case 4096_2x samples each texel four times, with its 64 rays shared.

nvdiffrast rounds corners to 1/16 texel (its rasteriser has 4 bits below the pixel): a texel whose centre lies within
NVDIFFRAST_SNAP of an edge of its face is a tie there. `beyond_snap` counts texels that differ and are no such tie: must be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import MISS, Baker, Search, Sky
from forge_batch.ops.gbuffer import gbuffer
from forge_batch.ops.gpu_baker import GpuBaker
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.gpu_raster import cover, start_warp
from forge_batch.ops.image_file import encode_working_png
from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
from forge_batch.ops.raster import rasterize
from forge_batch.ops.source import SourceMesh, load_source, save_source

HERE = Path(__file__).parent
CAGE, RAYS, DISTANCE = 0.02, 64, 0.5
ROUNDS = 5
FIRST_CALL = """
import sys
from pathlib import Path
from types import SimpleNamespace
from forge_batch.ops.bake_files import open_baker
from forge_batch.ops.baker import Sky
from forge_batch.ops.image_file import encode_working_png
folder = Path(sys.argv[1])
wish = SimpleNamespace(cage=0.02, raster="own", supersampling=1, crease=180.0)
baker = open_baker(folder / "mesh.npz", folder / "source_mesh.npz", wish)
for image in (baker.normal_map(), *baker.color_maps(), *baker.material_maps(), baker.occlusion_map(Sky(64, 0.5))):
    encode_working_png(image)
"""
"""What a stage's process does, without what this benchmark imports besides."""

CASES = {"2048": (2048, 1), "4096": (4096, 1), "4096_2x": (4096, 2), "8192": (8192, 1), "8192_2x": (8192, 2)}
"""Texels on an edge, and samples along an edge of a texel."""

NVDIFFRAST_SNAP = 2**0.5 / 32 + 1e-3
"""Texels by which an edge can move when both its ends are rounded to 1/16, and float32's own error."""


def prepare(folder: Path, data: Path) -> None:
    """Write the pair of the issue: 10,000 triangles made by our own stages from 1.31 million."""
    from benchmarks.bake import decimated_low, source_of

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source, _ = source_of(data, "egyptian_cat", 1_310_720, Path(scratch))
        low = decimated_low(source, 10_000, 2048, Path(scratch))
    save_source(folder / "source_mesh.npz", source)
    save_mesh(folder / "mesh.npz", low, {"texture_size": 2048})


def each_map(baker: Baker, rays: int = RAYS) -> Iterator[tuple[str, np.ndarray]]:
    """Bake everything, one map after the other, with their names."""
    yield "normal", baker.normal_map()
    yield from baker.color_maps()._asdict().items()
    yield from baker.material_maps()._asdict().items()
    yield "occlusion", baker.occlusion_map(Sky(rays, DISTANCE))


def all_maps(baker: Baker, rays: int = RAYS) -> dict[str, np.ndarray]:
    """Bake everything."""
    return dict(each_map(baker, rays))


def median_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Time some work, warm."""
    times = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return round(statistics.median(times[1:]) * 1000, 1)


def device_ms(work: Callable[[], object]) -> dict[str, float]:
    """Sum what the GPU was busy with, by kernel."""
    wp = start_warp()
    work()
    wp.timing_begin(cuda_filter=wp.TIMING_ALL)
    work()
    found: dict[str, float] = {}
    for result in wp.timing_end():
        name = result.name.removeprefix("forward kernel ").split("_cuda_kernel")[0]
        found[name] = round(found.get(name, 0.0) + result.elapsed, 3)
    kernels = sum(spent for name, spent in found.items() if not name.startswith("memcpy"))
    totals = {"kernels": round(kernels, 2), "total": round(sum(found.values()), 2)}
    return {**dict(sorted(found.items(), key=lambda item: -item[1])), **totals}


def from_files(folder: Path, size: int, samples: int) -> int:
    """Do all that the four stages do, from two files to the bytes of the PNGs."""
    with ThreadPoolExecutor(6) as pool:  # the coder lets go of Python's lock
        low, source = pool.submit(load_mesh, folder / "mesh.npz"), pool.submit(load_source, folder / "source_mesh.npz")
        baker = GpuBaker(low.result(), source.result(), size, Search(CAGE, samples))
        return sum(map(len, pool.map(encode_working_png, (image for _, image in each_map(baker)))))


def differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], texels: np.ndarray) -> dict[str, Any]:
    """Compare maps on covered texels, in steps of 8 bits."""
    found = {}
    for name, map_ in ours.items():
        scale = 257 if map_.dtype == np.uint16 else 1
        a, b = (image.reshape(len(image) ** 2, -1)[texels].astype(float) / scale for image in (map_, theirs[name]))
        away = np.abs(a - b)
        found[name] = {"mean": round(float(away.mean()), 5), "share_above_1": round(float((away.max(axis=1) > 1).mean()), 7)}
    return found


def against_cpu(low: Mesh, source: SourceMesh, size: int) -> dict[str, Any]:
    """Bake the same on the CPU of this machine, compare the maps and the time."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    cpu = CpuBaker(gbuffer(low, source, size, CAGE))
    theirs = all_maps(cpu)
    seconds = {"cpu_wall_s": round(time.perf_counter() - begin, 2), "cpu_cpu_s": round(time.process_time() - cpu_begin, 2)}
    gpu = GpuBaker(low, source, size, Search(CAGE))
    same = {"texels_equal": bool(np.array_equal(gpu.texel, cpu.texel))}
    same |= {"kind_differs_share": float((gpu.kind != cpu.kind).mean())} if same["texels_equal"] else {}
    return {**seconds, **same, "maps": differences(all_maps(gpu), theirs, cpu.texel[cpu.kind != MISS])}


def to_edges(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Give the distance of n points to the nearest side of a triangle each, (n, 3, 2) and (n, 2)."""
    best = np.full(len(points), np.inf)
    for k in range(3):
        start, side = corners[:, k].astype(float), corners[:, (k + 1) % 3].astype(float) - corners[:, k]
        along = np.einsum("nx,nx->n", points - start, side) / np.maximum(np.einsum("nx,nx->n", side, side), 1e-30)
        nearest = start + np.clip(along, 0, 1)[:, None] * side
        best = np.minimum(best, np.linalg.norm(points - nearest, axis=1))
    return best


def coverage(low: Mesh, size: int) -> dict[str, Any]:
    """Hold our two rasters and nvdiffrast against each other: texels whose centre is covered by one and not by the other."""
    assert low.uv is not None
    own = cover(low, size, "own", "cuda:0")
    cpu = rasterize(low.uv, low.faces, size, conservative=True)
    face = own.face.numpy().reshape(size, size)
    centre = own.centre.numpy().reshape(size, size) > 0
    found: dict[str, Any] = {"covered_centres": int(centre.sum()), "cpu_faces_differ": int((face != cpu.face).sum())}
    try:
        other = cover(low, size, "nvdiffrast", "cuda:0")
    except Exception as error:  # noqa: BLE001 - a benchmark says what it could not do
        return {**found, "nvdiffrast": f"{type(error).__name__}: {error}"[:200]}
    theirs = other.centre.numpy().reshape(size, size) > 0
    their_face = other.face.numpy().reshape(size, size)
    differ = theirs != centre
    swapped = (their_face != face) & theirs & centre
    found |= {
        "nvdiffrast_coverage_differs": int(differ.sum()),
        "nvdiffrast_share": int(differ.sum()) / int(centre.sum()),
        "nvdiffrast_faces_differ": int(swapped.sum()),
    }
    at = np.argwhere(differ | swapped)
    faces = np.where(centre, face, their_face)[at[:, 0], at[:, 1]], np.where(theirs, their_face, face)[at[:, 0], at[:, 1]]
    away = np.minimum(*(to_edges(low.uv[low.faces[one]] * size, at[:, ::-1] + 0.5) for one in faces))
    found |= {"beyond_snap": int((away > NVDIFFRAST_SNAP).sum()), "farthest_from_an_edge": round(float(away.max(initial=0)), 4)}
    wp = start_warp()

    def timed(raster: Any) -> float:
        def work() -> None:
            cover(low, size, raster, "cuda:0")
            wp.synchronize()

        return median_ms(work)

    return {**found, "own_cover_ms": timed("own"), "nvdiffrast_cover_ms": timed("nvdiffrast")}


def case(folder: Path, size: int, samples: int) -> dict[str, Any]:
    """Measure one texture size."""
    wp = start_warp()
    low, source = load_mesh(folder / "mesh.npz"), load_source(folder / "source_mesh.npz")
    search = Search(CAGE, samples)
    result: dict[str, Any] = {"size": size, "samples_along_an_edge": samples}
    result |= {"low_triangles": len(low.faces), "source_triangles": len(source.mesh.faces)}
    baker = GpuBaker(low, source, size, search)
    result["covered_texels"] = len(baker.texel)
    del baker
    result["device_ms"] = device_ms(lambda: all_maps(GpuBaker(low, source, size, search)))
    result["wall_ms"] = median_ms(lambda: all_maps(GpuBaker(low, source, size, search)), 3)
    result["files_to_png_ms"] = median_ms(lambda: from_files(folder, size, samples), 3)
    result["peak_gpu_gb"] = round(wp.get_mempool_used_mem_high("cuda:0") / 2**30, 2)
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    """Prepare, or measure and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare, options.data)
        return
    results: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {gpu_name()}", "rays": RAYS}
    out = options.out or HERE / "results" / "gpu_bake.json"
    command = [sys.executable, "-c", FIRST_CALL, str(options.pairs)]
    spent = []
    for _ in range(3):  # the first compiles
        begin = time.perf_counter()
        subprocess.run(command, check=True)
        spent.append(round(time.perf_counter() - begin, 2))
    results |= {"first_call_compiling_s": spent[0], "first_call_s": spent[1:]}
    print(spent, flush=True)
    results["cases"] = {name: case(options.pairs, *sizes) for name, sizes in CASES.items()}
    low, source = load_mesh(options.pairs / "mesh.npz"), load_source(options.pairs / "source_mesh.npz")
    results["coverage"] = {name: coverage(low, size) for name, size in (("2048", 2048), ("4096", 4096))}
    print(json.dumps(results["coverage"]), flush=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    results["against_cpu"] = against_cpu(low, source, 2048)
    print(json.dumps(results["against_cpu"]), flush=True)
    out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
