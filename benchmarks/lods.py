"""Measure coarser levels of meshes with many charts: triangles, error, outlines, and how far texture slides on them.

    PYTHONPATH=. python benchmarks/lods.py SHAPES [--out benchmarks/results/lods.json]

SHAPES holds meshes (*.npz, what benchmarks/broken.py --cache leaves). Each is brought to 5,000 triangles, roughened by noise as
generators leave it, which is what makes xatlas cut many charts, unwrapped at 1024 with a padding of 8, and given LOD1 and LOD2
by the stage. `slide` is how far from its texel's place on LOD0 a point of a level lies, mean and 99th percentile per mille of
the diagonal: what the eye sees of borders that moved.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from forge_batch.artifacts import LODS, MESH
from forge_batch.ops.deviation import measure_deviation, sample_points
from forge_batch.ops.measure_shape import compare_outlines, draw_outlines
from forge_batch.ops.mesh import Mesh, load_mesh, load_meshes, save_mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.simplify import simplify
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.ops.topology import measure_topology
from forge_batch.ops.unwrap import unwrap
from forge_batch.ops.weld import welded
from forge_batch.ops.zbuffer import see
from forge_batch.stage import StageContext
from forge_batch.stages import build_lods

NOISE = (0.0, 0.002, 0.004)
SIZE, PADDING, TRIANGLES = 1024, 8, 5000


def main() -> None:
    """Measure every shape and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("shapes", type=Path)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    rows = []
    for path in sorted(chosen.shapes.glob("*.npz")):
        for noise in NOISE:
            with tempfile.TemporaryDirectory() as folder:
                rows += [{"shape": path.stem, "noise": noise, **row} for row in _measure(path, noise, Path(folder))]
            print(*(json.dumps(row) for row in rows[-2:]), sep="\n", flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _measure(path: Path, noise: float, folder: Path) -> list[dict[str, Any]]:
    """Build the levels of one shape and measure them."""
    low = simplify(load_mesh(path), TRIANGLES, preview=False, solid=True)
    rough = low.vertices + np.random.default_rng(0).normal(0, noise * low.diagonal, low.vertices.shape)
    made = unwrap(Mesh(rough.astype(np.float32), low.faces), SIZE, PADDING, None, folder=folder, timeout=120)
    mesh = split_by_tangent(replace(made.mesh, normals=split_vertex_normals(made.mesh.vertices, made.mesh.faces)))
    save_mesh(folder / "mesh.npz", mesh, {"texture_size": SIZE, "padding": PADDING})
    out = folder / "out"
    out.mkdir()
    began = time.process_time()
    context = StageContext("lods", build_lods.Params(), 0, {}, {MESH.name: folder / "mesh.npz"}, out)
    facts = build_lods.stage.run(context)
    seconds = time.process_time() - began
    levels, _ = load_meshes(context.out(LODS))
    whole, places = welded(mesh), _places(mesh)
    outlines = draw_outlines(whole)
    rows = []
    for number, level in enumerate(list(levels.values())[1:], start=1):
        error, mille = measure_deviation(welded(level), whole, 30_000), 1000 / mesh.diagonal
        row: dict[str, Any] = {"charts": made.charts, "level": number, "ratio": round(len(level.faces) / len(mesh.faces), 3)}
        row |= {"error_mean": round(mille * error.mean, 3), "error_p99": round(mille * error.p99, 2)}
        row |= {"error_most": round(mille * error.largest, 2), "slide": [round(mille * s, 2) for s in _slide(level, places)]}
        row |= {"outlines": round(compare_outlines(level, outlines), 4), "closed": measure_topology(welded(level).faces).closed}
        row |= {"screen_size": facts["screen_sizes"][number], "seconds": round(seconds, 2)}  # type: ignore[index,call-overload]
        rows.append(row)
    return rows


def _places(mesh: Mesh) -> np.ndarray:
    """Give for every texel the point of the surface it belongs to, outside charts that of the nearest texel inside."""
    assert mesh.uv is not None
    texels = np.column_stack([mesh.uv.astype(np.float64) * SIZE, np.zeros(len(mesh.uv))])
    hits = see(texels, mesh.faces, SIZE, cull=False)
    inside, places = hits.face >= 0, np.zeros((SIZE, SIZE, 3))
    places[inside] = np.einsum("nk,nkc->nc", hits.weights[inside], mesh.vertices[mesh.faces[hits.face[inside]]])
    near = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(places[near[0], near[1]])


def _slide(level: Mesh, places: np.ndarray) -> tuple[float, float]:
    assert level.uv is not None
    points, face = sample_points(level, 20_000)
    a, b, c = np.moveaxis(level.vertices.astype(np.float64)[level.faces[face]], 1, 0)
    normal = np.cross(b - a, c - a)
    square = np.einsum("ij,ij->i", normal, normal)
    v = np.einsum("ij,ij->i", np.cross(points - a, c - a), normal) / square
    w = np.einsum("ij,ij->i", np.cross(b - a, points - a), normal) / square
    weights = np.stack([1 - v - w, v, w], axis=1)
    column, row = np.clip((np.einsum("nk,nkc->nc", weights, level.uv[level.faces[face]]) * SIZE).astype(int), 0, SIZE - 1).T
    off = np.linalg.norm(places[row, column] - points, axis=1)
    return float(off.mean()), float(np.quantile(off, 0.99))


if __name__ == "__main__":
    main()
