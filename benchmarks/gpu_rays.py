"""Measure the rays of occlusion on a GPU: through our packed tree, and through the trees that Warp builds itself.

    python benchmarks/gpu_rays.py --pairs DIR        on the machine with the GPU; writes results/gpu_rays.json

DIR as gpu_bake.py --prepare writes it. The same kernel asks either tree, about the same rays in the same order: 64 from each
covered texel of a 2048 atlas, half a diagonal long. Times are of the GPU's own clock, medians of ROUNDS, warm. `differ` is the
share of texels whose occlusion is another by more than 1 of 255.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp

from benchmarks.gpu_bake import CAGE, DISTANCE, HERE, RAYS
from forge_batch.ops.baker import Search, Sky
from forge_batch.ops.gpu_baker import GpuBaker
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.gpu_sky import BLOCK, DeviceSky
from forge_batch.ops.gpu_tree import build_tree
from forge_batch.ops.mesh import load_mesh
from forge_batch.ops.source import load_source
from forge_batch.ops.warp_sky import Points, Rays, basis_of, direction_of, sky, turn_of

DEVICE, SIZE, ROUNDS = "cuda:0", 2048, 5
TREES = {"lbvh": "Warp, LBVH", "cubql": "Warp, cuBQL", "sah": "Warp, surface area"}


@wp.kernel(enable_backward=False)
def sky_by_warp(
    scene: wp.uint64,
    points: Points,
    rays: Rays,
    texels: wp.array(dtype=wp.int32),
    out: wp.array(dtype=wp.float32),
) -> None:
    """Do what warp_sky.sky does for one sample a texel, by Warp's own query."""
    texel = texels[wp.tid()]
    turn = turn_of(rays, points.first_row + texel / points.size, texel % points.size)
    basis = basis_of(points, rays, texel)
    blocked = wp.int32(0)
    for k in range(rays.pattern.shape[0]):
        if wp.mesh_query_ray_anyhit(scene, basis.origin, direction_of(rays, turn, basis, k), rays.reach):
            blocked = blocked + 1
    out[texel] = 1.0 - wp.float32(blocked) / wp.float32(rays.pattern.shape[0])


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Time what work does on the GPU, warm, in milliseconds."""
    work()
    times = []
    for _ in range(rounds):
        begin, end = (wp.Event(DEVICE, enable_timing=True) for _ in range(2))
        wp.record_event(begin)
        work()
        wp.record_event(end)
        times.append(wp.get_event_elapsed_time(begin, end))
    return round(statistics.median(times), 2)


def measure(folder: Path) -> dict[str, Any]:
    """Build each tree and send the rays through it."""
    low, source = load_mesh(folder / "mesh.npz"), load_source(folder / "source_mesh.npz")
    baker = GpuBaker(low, source, SIZE, Search(CAGE), DEVICE)
    high = baker._high  # noqa: SLF001 - the same source, already on the device
    bounds = source.mesh.bounds
    tree = build_tree(high.vertices, high.faces, bounds)
    look = DeviceSky(Sky(RAYS, DISTANCE), low, high, tree, SIZE, 1)
    [band] = baker._bands()  # noqa: SLF001
    points = look._points(band)  # noqa: SLF001
    texels = look._texels(points)  # noqa: SLF001
    found = {"faces": len(source.mesh.faces), "rays": len(texels) * RAYS, "list_texels_ms": timed(lambda: look._texels(points))}  # noqa: SLF001

    def send(kernel: Any, first: Any, *offset: int) -> np.ndarray:
        inputs = [first, points, look._rays, texels, *offset, look._out]  # noqa: SLF001
        wp.launch(kernel, len(texels), inputs=inputs, device=DEVICE, block_dim=BLOCK)
        return np.asarray(look._out.numpy()[texels.numpy()])  # noqa: SLF001

    def row(build: Callable[[], object], kernel: Any, first: Any, *offset: int) -> dict[str, float]:
        sent = [first, points, look._rays, texels, *offset, look._out]  # noqa: SLF001
        spent = timed(lambda: wp.launch(kernel, len(texels), inputs=sent, device=DEVICE, block_dim=BLOCK))
        differ = float((np.abs(send(kernel, first, *offset) - ours) > 1 / 255).mean())
        return {
            "build_ms": timed(build, 2),
            "rays_ms": spent,
            "giga_rays_per_s": round(found["rays"] / spent / 1e6, 2),
            "differ": differ,
        }

    ours = send(sky, tree, 0)
    rows = {"ours": row(lambda: build_tree(high.vertices, high.faces, bounds), sky, tree, 0)}
    print("ours", rows["ours"], flush=True)
    flat = high.faces.flatten()
    for kind, name in TREES.items():
        make = lambda kind=kind: wp.Mesh(high.vertices, flat, bvh_constructor=kind, bvh_leaf_size=1)  # noqa: E731 - timed, then kept
        mesh = make()
        rows[name] = row(make, sky_by_warp, mesh.id)
        print(name, rows[name], flush=True)
    return {**found, "trees": rows}


def main() -> None:
    """Measure, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu_rays.json")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {gpu_name()}"
    options.out.write_text(json.dumps({"machine": machine, **measure(options.pairs)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
