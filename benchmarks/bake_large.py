"""Measure memory and seconds of the CPU bakes at their limits: 16 million faces, an atlas of 8192, supersampling 2.

python -m benchmarks.bake_large [--faces 16000000] [--size 8192] [--samples 2] [--rays 4] [--share 0.25] [--maps NAME...]

The source is a sphere with bumps, the low poly a coarser one whose charts cover `share` of the atlas. The maps are those of the
four stages: normal and its error, base colour, material, occlusion with falloff, ground and denoise. Prints one line a step and
writes results/bake_large.json, where maps that were not asked for stand as they were. Memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import Search, Sky
from forge_batch.ops.gbuffer import GBuffer
from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.source import SourceMesh, load_source, save_source
from forge_batch.ops.tangents import split_by_tangent

RESULTS = Path(__file__).parent / "results" / "bake_large.json"


def globe(rows: int, columns: int, bump: float) -> Mesh:
    """Make a sphere of radius 1 of 2 * rows * columns faces, with UVs (v, u): its charts are all of the square."""
    v, u = np.meshgrid(np.linspace(0.02, 0.98, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    v, u = v.ravel().astype(np.float32), u.ravel().astype(np.float32)
    radius = 1 + np.float32(bump) * np.sin(60 * u * np.pi) * np.sin(40 * v * np.pi)
    ring = np.sin(np.pi * v) * radius
    vertices = np.stack([ring * np.sin(2 * np.pi * u), np.cos(np.pi * v) * radius, ring * np.cos(2 * np.pi * u)], axis=1)
    first = (np.arange(rows, dtype=np.int32)[:, None] * (columns + 1) + np.arange(columns, dtype=np.int32)).ravel()
    faces = np.empty((2 * len(first), 3), np.int32)
    for k, offset in enumerate((0, columns + 1, columns + 2)):
        faces[::2, k] = first + offset
    for k, offset in enumerate((0, columns + 2, 1)):
        faces[1::2, k] = first + offset
    return Mesh(vertices.astype(np.float32), faces, uv=np.stack([u, v], axis=1))


def pair(faces: int, share: float) -> tuple[Mesh, SourceMesh]:
    """Make a low poly and a source of as many faces."""
    rough = globe(60, 80, 0.0)
    assert rough.uv is not None
    low = Mesh(rough.vertices, rough.faces, uv=rough.uv * np.float32(np.sqrt(share / 0.96)))
    low = split_by_tangent(Mesh(low.vertices, low.faces, uv=low.uv, normals=split_vertex_normals(low.vertices, low.faces)))
    side = int(np.sqrt(faces / 2))
    fine = globe(side, side, 0.005)
    mesh = Mesh(fine.vertices, fine.faces, normals=split_vertex_normals(fine.vertices, fine.faces))
    count = len(mesh.vertices)
    color = np.abs(mesh.vertices)
    plain = np.full(count, 0.5, np.float32)
    return low, SourceMesh(mesh, color / np.maximum(color.max(), 1), plain, plain, np.ones(count, np.float32))


def save_pair(faces: int, share: float, mesh_path: Path, source_path: Path) -> None:
    """Make the pair in a process of its own, whose memory does not count."""
    low, source = pair(faces, share)
    save_mesh(mesh_path, low)
    save_source(source_path, source)


def peak() -> float:
    """Give the most memory that the process ever held, GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def main() -> None:
    """Bake and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("faces", 16_000_000), ("size", 8192), ("samples", 2), ("rays", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--maps", nargs="*", default=["normal", "base_color", "material", "occlusion"])
    options = parser.parse_args()
    steps: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        spent = {"cpu": round(time.process_time() - cpu, 1), "wall": round(time.perf_counter() - wall, 1), "peak_gib": peak()}
        steps[name] = spent
        print(name, json.dumps(spent), flush=True)
        return result

    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / "mesh", Path(folder) / "source")
        maker = multiprocessing.get_context("spawn").Process(target=save_pair, args=(options.faces, options.share, *paths))
        maker.start()
        maker.join()
        low, source = timed("read", lambda: (load_mesh(paths[0]), load_source(paths[1])))
    heard: list[float] = []
    search = Search(0.02, samples=options.samples)
    buffer = timed("search", lambda: GBuffer(low, source, options.size, search, heard.append))
    baker = CpuBaker(buffer)
    sky = Sky(options.rays, 0.5, 1.0, True, True)
    if "normal" in options.maps:
        normal = timed("normal", lambda: baker.normal_map(heard.append))
        timed("normal_error", lambda: baker.normal_error(normal, heard.append))
        del normal
    if "base_color" in options.maps:
        timed("base_color", lambda: baker.color_maps(heard.append))
    if "material" in options.maps:
        timed("material", lambda: baker.material_maps(heard.append))
    if "occlusion" in options.maps:
        timed("occlusion", lambda: baker.occlusion_map(sky, heard.append))
    asked = {name: getattr(options, name) for name in ("faces", "size", "samples", "rays", "share")}
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    same = all(before.get(name) == value for name, value in asked.items())
    steps = {**(before["steps"] if same else {}), **steps}
    result = {
        **asked,
        "covered_texels": len(buffer.texel),
        "missed_found_by_ray_found_as_nearest": np.bincount(buffer.kind, minlength=3).tolist(),
        "steps": steps,
        "cpu": round(sum(step["cpu"] for step in steps.values()), 1),
        "peak_gib": max(step["peak_gib"] for step in steps.values()),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
