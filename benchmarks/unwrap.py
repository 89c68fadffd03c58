"""Compare ways of cutting a mesh into charts: the table of docs/gates.md.

python -m benchmarks.unwrap CONTENT [--out benchmarks/results/unwrap.json]

CONTENT is a folder in which `forge-batch run` has worked; the meshes are what its stage `place` left. xatlas, planes and box
are packed by our own packer on a page of 1024 texels with 4 of padding; what PyMeshLab makes is measured as it is. Each way has
LIMIT seconds of CPU time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymeshlab
import xatlas

from forge_batch.ops.atlas import build_atlas
from forge_batch.ops.box_charts import box_charts
from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.measure_atlas import find_charts, measure_layout
from forge_batch.ops.mesh import Mesh, load_mesh
from forge_batch.ops.plane_charts import plane_charts
from forge_batch.ops.topology import find_edges
from forge_batch.ops.unwrap import measure_uv

SIZE, PADDING, LIMIT = 1024, 4, 40.0


def packed(mesh: Mesh, charted: tuple[np.ndarray, np.ndarray, np.ndarray] | None) -> Mesh:
    """Let xatlas chart, or take charts, and pack."""
    base, faces = np.arange(len(mesh.vertices)), mesh.faces
    arrays: dict[str, np.ndarray] = {"vertices": mesh.vertices, "faces": mesh.faces}
    if charted is not None:
        base, faces, uv = charted
        arrays = {"vertices": mesh.vertices[base], "faces": faces, "uv": uv}
    made, _ = build_atlas(arrays, {"size": SIZE, "padding": PADDING, "density": None, "crease": 180.0})
    return Mesh(mesh.vertices[base[made["origin"]]], made["faces"], uv=np.clip(made["uv"] / SIZE, 0, 1).astype(np.float32))


def plain_xatlas(mesh: Mesh) -> Mesh:
    """Leave everything to xatlas as it comes."""
    origin, faces, uv = xatlas.parametrize(mesh.vertices, mesh.faces.astype(np.uint32))
    return Mesh(mesh.vertices[origin], faces.astype(np.int32), uv=(uv * (1, -1) + (0, 1)).astype(np.float32))


def by_pymeshlab(name: str, **options: Any) -> Callable[[Mesh], Mesh]:
    """Use a filter of PyMeshLab."""

    def way(mesh: Mesh) -> Mesh:
        meshes = pymeshlab.MeshSet()
        meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
        meshes.apply_filter(name, **options)
        made = meshes.current_mesh()
        faces = made.face_matrix()
        points = made.vertex_matrix()
        if made.has_wedge_tex_coord():
            uv = made.wedge_tex_coord_matrix()
            corners = points[faces].reshape(-1, 3).astype(np.float32)
            index = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
            return Mesh(corners, index, uv=(uv * (1, -1) + (0, 1)).astype(np.float32))
        uv = made.vertex_tex_coord_matrix()
        return Mesh(points.astype(np.float32), faces.astype(np.int32), uv=(uv * (1, -1) + (0, 1)).astype(np.float32))

    return way


WAYS: dict[str, Callable[[Mesh], Mesh]] = {
    "xatlas, mended, our packer": lambda mesh: packed(mesh, None),
    "planes, our packer": lambda mesh: packed(mesh, plane_charts(mesh)),
    "box, our packer": lambda mesh: packed(mesh, box_charts(mesh)),
    "xatlas as it comes": plain_xatlas,
    "PyMeshLab Voronoi atlas": by_pymeshlab("generate_voronoi_atlas_parametrization", regionnum=40),
    "PyMeshLab trivial per triangle": by_pymeshlab(
        "compute_texcoord_parametrization_triangle_trivial_per_wedge", textdim=SIZE, border=2, method=1
    ),
}


def chart(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Go one way, in a child process."""
    begun = time.process_time()
    made = WAYS[options["way"]](Mesh(arrays["vertices"], arrays["faces"]))
    assert made.uv is not None
    return {"vertices": made.vertices, "faces": made.faces, "uv": made.uv}, {"seconds": time.process_time() - begun}


def measure(mesh: Mesh) -> dict[str, float]:
    """Measure a layout."""
    layout, stretch = measure_layout(mesh, SIZE, PADDING), measure_uv(mesh)
    edges = find_edges(mesh.faces)
    rim = edges.ends[edges.uses == 1]
    seams = float(np.linalg.norm(mesh.vertices[rim[:, 0]] - mesh.vertices[rim[:, 1]], axis=1).sum()) / 2
    return {
        "charts": int(find_charts(mesh).max()) + 1,
        "thin_percent": round(100 * layout.thin, 1),
        "stretch_mean": round(stretch.stretch_mean, 3),
        "stretch_p95": round(stretch.stretch_p95, 3),
        "use_percent": round(100 * layout.use, 1),
        "overlap_texels": layout.overlap,
        "mirrored_faces": layout.mirrored,
        "density_variation": round(layout.variation, 3),
        "seams_in_diagonals": round(seams / mesh.diagonal, 1),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for job in sorted((options.content / "state" / "jobs").glob("*.json")):
        keys = [one["key"] for one in json.loads(job.read_text())["records"] if one["stage"] == "place"]
        if not keys:
            continue
        mesh = load_mesh(options.content / "work" / keys[-1] / "mesh.npz")
        for name in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
                try:
                    out, facts = call("benchmarks.unwrap:chart", arrays, {"way": name}, folder=Path(folder), timeout=LIMIT)
                except ChildFailedError as error:
                    results.setdefault(job.stem, {})[name] = {"failed": str(error)[:200]}
                    print(job.stem, name, results[job.stem][name], flush=True)
                    continue
            made, seconds = Mesh(out["vertices"], out["faces"], uv=out["uv"]), round(facts["seconds"], 1)
            found = {"triangles": len(made.faces), "cpu_seconds": seconds, **measure(made)}
            results.setdefault(job.stem, {})[name] = found
            print(job.stem, name, found, flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
