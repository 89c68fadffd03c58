"""Measure what decimation does to outlines: no weights, weights of several strengths, and vertices moved to fit outlines.

    PYTHONPATH=. python benchmarks/silhouettes.py SHAPE.npz|REFERENCE.glb... [--out benchmarks/results/silhouettes.json]

A .npz is a mesh and is brought to 2,000 triangles. Of a reference a mesh is made as a learned generator would give it, with
300,000 faces, double shell and stairs (benchmarks/learned_mesh.py); repair and clean mend it, and it is brought to 5,000. Every
way leaves the same number of triangles. Outlines are compared in the 24 views of the gates, which the weights come from, and in
24 others; the difference is 1 - IoU per mille, distances are per mille of the diagonal. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pymeshlab
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import cg

from benchmarks.learned_mesh import cells_for, learned_mesh
from forge_batch.artifacts import MESH
from forge_batch.backends.trellis2 import TO_NATIVE
from forge_batch.ops import simplify
from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.measure_shape import OUTLINE, VIEWS, compare_outlines, draw_outlines
from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
from forge_batch.ops.outline_weights import outline_shares
from forge_batch.ops.raw_surface import raw_surface
from forge_batch.ops.silhouette import outline_distance
from forge_batch.ops.simplify import FAST_FACTOR, HUNDREDFOLD
from forge_batch.ops.solid import make_solid
from forge_batch.ops.zbuffer import frame_view, project, see, silhouette
from forge_batch.stage import StageContext
from forge_batch.stages import clean, repair

OTHERS = tuple((45.0 * k + 29.0, elevation) for elevation in (-35.0, 0.0, 28.0) for k in range(8))
ROUNDS, STIFF, FAR = 2, 3.0, 8.0  # of the fit: rounds, weight of staying, pixels beyond which outlines do not belong together


def main() -> None:
    """Measure every shape and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("shapes", type=Path, nargs="+")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    rows: list[dict[str, Any]] = []
    for path in chosen.shapes:
        mesh, triangles = (load_mesh(path), 2000) if path.suffix == ".npz" else (_learned(path), 5000)
        name = path.stem if path.suffix == ".npz" else f"{path.parent.name}, learned"
        rows += [{"shape": name, "faces": len(mesh.faces), **row} for row in _compare(mesh, triangles)]
        print(*(json.dumps(row) for row in rows if row["shape"] == name), sep="\n", flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _learned(path: Path) -> Mesh:
    """Make what decimate gets of a learned generator's mesh."""
    made = learned_mesh(path, cells_for(path, 300_000))
    with tempfile.TemporaryDirectory() as name:
        mesh = Path(name) / "mesh.npz"
        save_mesh(mesh, raw_surface(made.vertices @ TO_NATIVE, made.faces, "a generator"))
        for stage, params in ((repair.stage, repair.Params()), (clean.stage, clean.Params())):
            (Path(name) / stage.name).mkdir()
            context: StageContext[Any] = StageContext("x", params, 0, {}, {MESH.name: mesh}, Path(name) / stage.name)
            stage.run(context)  # type: ignore[arg-type]
            mesh = context.out(MESH)
        return load_mesh(mesh)


def _compare(mesh: Mesh, triangles: int) -> list[dict[str, Any]]:
    """Decimate every way to exactly as many triangles, and measure."""
    start = mesh
    if len(mesh.faces) > FAST_FACTOR * triangles:
        start = make_solid(simplify._fast(mesh, FAST_FACTOR * triangles), 0.0, 0.2 * mesh.diagonal).mesh  # noqa: SLF001
    began = time.process_time()
    shares = outline_shares(start)
    weighing = time.process_time() - began
    plain = _unweighted(start, triangles)

    def weighted(by: float) -> Callable[[], Mesh]:
        return lambda: simplify._quadric(start, triangles, shares * by)  # noqa: SLF001

    ways: dict[str, Callable[[], Mesh]] = {
        "no weights": lambda: _unweighted(start, triangles),
        "half the weights": weighted(0.5),
        "weights": weighted(1.0),
        "twice the weights": weighted(2.0),
        "on an outline or not": lambda: simplify._quadric(start, triangles, (shares > 0) * HUNDREDFOLD),  # noqa: SLF001
        "moved to fit": lambda: _fitted(plain, start),
    }
    known, others = draw_outlines(mesh), _other_outlines(mesh, mesh)
    rows = []
    for name, way in ways.items():
        began = time.process_time()
        made = way()
        seconds = time.process_time() - began + (0.0 if name in ("no weights", "moved to fit") else weighing)
        error, mille = measure_deviation(made, mesh), 1000 / mesh.diagonal
        beside = [(a & b).sum() / (a | b).sum() for a, b in zip(_other_outlines(made, mesh), others, strict=True)]
        rows.append(
            {
                "way": name,
                "triangles": len(made.faces),
                "outlines": round(1000 * (1 - compare_outlines(made, known)), 3),
                "other_outlines": round(1000 * (1 - float(np.mean(beside))), 3),
                "mean": round(mille * error.mean, 4),
                "p99": round(mille * error.p99, 3),
                "hausdorff": round(mille * error.largest, 2),
                "seconds": round(seconds, 2),
            }
        )
    return rows


def _other_outlines(mesh: Mesh, framed: Mesh) -> list[np.ndarray]:
    bounds = framed.bounds
    return [silhouette(mesh.vertices, mesh.faces, a, e, OUTLINE, bounds) for a, e in OTHERS]


def _unweighted(mesh: Mesh, triangles: int) -> Mesh:
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
    meshes.meshing_decimation_quadric_edge_collapse(
        targetfacenum=triangles,
        preservenormal=True,
        preservetopology=True,
        planarquadric=True,
        planarweight=simplify.PLANAR,
        qualityweight=False,  # left out, it is what the last call said
    )
    result = meshes.current_mesh()
    result.compact()
    return Mesh(result.vertex_matrix().astype(np.float32), result.face_matrix().astype(np.int32))


def _fitted(low: Mesh, reference: Mesh) -> Mesh:
    """Move vertices so that outlines fit: least squares over the pixels along all outlines, with a term for staying."""
    bounds = reference.bounds
    views = [frame_view(bounds, a, e) for a, e in VIEWS]
    wanted = [outline_distance(_mask(reference.vertices, reference.faces, view)) for view in views]
    points = low.vertices.astype(np.float64)
    for _ in range(ROUNDS):
        rows, columns, values, off = [], [], [], []
        count = 0
        for view, there in zip(views, wanted, strict=True):
            hits = see(project(points, view, OUTLINE), low.faces, OUTLINE, cull=False)
            mask = (hits.face >= 0).astype(np.uint8)
            here = outline_distance(mask * np.uint8(255))
            y, x = np.nonzero(mask & (1 - cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))))
            slope = np.stack([g[y, x] for g in np.gradient(here)[::-1]], axis=1)
            length, short = np.linalg.norm(slope, axis=1), there[y, x] - here[y, x]
            near = (np.abs(short) < FAR) & (length > 0.3)
            y, x, short, out = y[near], x[near], short[near], -slope[near] / length[near][:, None] @ view.axes[:2]
            corner, weight = low.faces[hits.face[y, x]], hits.weights[y, x]
            for k in range(3):
                for axis in range(3):
                    rows.append(count + np.arange(len(y)))
                    columns.append(3 * corner[:, k] + axis)
                    values.append(weight[:, k] * out[:, axis])
            off.append(short * 2 * view.half / OUTLINE)
            count += len(y)
        matrix = coo_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, points.size)
        ).tocsr()
        square = matrix.T @ matrix + STIFF * identity(points.size)
        points = points + cg(square, matrix.T @ np.concatenate(off), rtol=1e-3, maxiter=50)[0].reshape(-1, 3)
    return Mesh(points.astype(np.float32), low.faces)


def _mask(vertices: np.ndarray, faces: np.ndarray, view: Any) -> np.ndarray:
    return (see(project(vertices, view, OUTLINE), faces, OUTLINE, cull=False).face >= 0).astype(np.uint8) * np.uint8(255)


if __name__ == "__main__":
    main()
