"""Compare ways of cutting a mesh into charts: the table of docs/unwrap.md.

python -m benchmarks.unwrap CONTENT|MESH.npz... [--out benchmarks/results/unwrap.json] [--triangles 10000]

CONTENT is a folder in which `forge-batch run` has worked; the meshes are what its stage `place` left. Larger meshes are
decimated. All but what is called "as it comes" and PyMeshLab's own atlases are packed by our packer on a page of 1024 texels
with 4 of padding. Each way has LIMIT seconds of CPU time. Blender, libigl and PartUV are run where the environment says where
they lie: FORGE_BLENDER_PYTHON, FORGE_IGL, FORGE_PARTUV (benchmarks/unwrap_ways.py).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unwrap_ways import PADDING, SIZE, WAYS
from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.measure_atlas import find_charts, measure_layout
from forge_batch.ops.mesh import Mesh, load_mesh
from forge_batch.ops.simplify import simplify
from forge_batch.ops.topology import face_areas, find_edges
from forge_batch.ops.unwrap import measure_uv

LIMIT = 60.0


def chart(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Go one way, in a child process."""
    begun = _seconds()
    made = WAYS[options["way"]](Mesh(arrays["vertices"], arrays["faces"]))
    assert made.uv is not None
    return {"vertices": made.vertices, "faces": made.faces, "uv": made.uv}, {"seconds": _seconds() - begun}


def _seconds() -> float:
    """Give the processor's time of this process and of its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def distortion(mesh: Mesh) -> tuple[float, float, float]:
    """Give the mean distortion of angles and of areas, by area (1 is none), and the largest singular value's 99th percentile.

    Of the two singular values of the map from the surface to the page, as large as the surface: half their quotients' sum both
    ways, and half of that of their product and its inverse.
    """
    assert mesh.uv is not None
    corners, page = mesh.vertices.astype(np.float64)[mesh.faces], mesh.uv.astype(np.float64)[mesh.faces]
    along, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(along, axis=1), 1e-12)
    x = np.einsum("ij,ij->i", along, side) / length
    y = np.maximum(np.linalg.norm(np.cross(along, side), axis=1) / length, 1e-12)
    a, b = page[:, 1] - page[:, 0], page[:, 2] - page[:, 0]
    jacobian = np.stack([a / length[:, None], (b - a * (x / length)[:, None]) / y[:, None]], axis=2)
    area = face_areas(mesh)
    flat = np.abs(np.linalg.det(jacobian)) * area
    large, small = np.linalg.svd(jacobian * np.sqrt(area.sum() / max(flat.sum(), 1e-30)), compute_uv=False).T
    whole = (small > 1e-3) & (area > 0)
    large, small, area = large[whole], small[whole], area[whole]
    angle, scale = 0.5 * (large / small + small / large), 0.5 * (large * small + 1 / (large * small))
    order = np.argsort(1 / small)
    worst = (1 / small)[order][np.searchsorted(np.cumsum(area[order]), 0.99 * area.sum())]
    return float(np.average(angle, weights=area)), float(np.average(scale, weights=area)), float(worst)


def measure(mesh: Mesh) -> dict[str, float]:
    """Measure a layout."""
    layout, stretch = measure_layout(mesh, SIZE, PADDING), measure_uv(mesh)
    angle, scale, worst = distortion(mesh)
    edges = find_edges(mesh.faces)
    rim = edges.ends[edges.uses == 1]
    seams = float(np.linalg.norm(mesh.vertices[rim[:, 0]] - mesh.vertices[rim[:, 1]], axis=1).sum()) / 2
    return {
        "charts": int(find_charts(mesh).max()) + 1,
        "thin_percent": round(100 * layout.thin, 1),
        "stretch_mean": round(stretch.stretch_mean, 3),
        "stretch_p95": round(stretch.stretch_p95, 3),
        "stretch_worst_p99": round(worst, 3),
        "angle_distortion": round(angle, 4),
        "area_distortion": round(scale, 4),
        "use_percent": round(100 * layout.use, 1),
        "overlap_texels": layout.overlap,
        "mirrored_faces": layout.mirrored,
        "density_variation": round(layout.variation, 3),
        "seams_per_root_area": round(seams / float(np.sqrt(face_areas(mesh).sum())), 2),
    }


def meshes(paths: list[Path], triangles: int) -> Iterator[tuple[str, Mesh]]:
    """Give the meshes of files and of content folders, by name, no larger than asked."""
    for path in paths:
        found = {path.stem: path} if path.is_file() else {}
        for job in sorted((path / "state" / "jobs").glob("*.json")):
            keys = [one["key"] for one in json.loads(job.read_text())["records"] if one["stage"] == "place"]
            if keys:
                found[job.stem] = path / "work" / keys[-1] / "mesh.npz"
        for name, file in found.items():
            mesh = load_mesh(file)
            if len(mesh.faces) > triangles:
                mesh = simplify(mesh, triangles, preview=False, solid=True)
            yield name, Mesh(mesh.vertices, mesh.faces)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--triangles", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for mesh_name, mesh in meshes(options.paths, options.triangles):
        for name in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
                try:
                    out, facts = call("benchmarks.unwrap:chart", arrays, {"way": name}, folder=Path(folder), timeout=LIMIT)
                    made = Mesh(out["vertices"], out["faces"], uv=out["uv"])
                    seconds = round(facts["seconds"], 1)
                    found = {"triangles": len(made.faces), "cpu_seconds": seconds, **measure(made)}
                except (ChildFailedError, ValueError, IndexError) as error:
                    found = {"failed": str(error)[:200]}
            results.setdefault(mesh_name, {})[name] = found
            print(mesh_name, "|", name, "|", json.dumps(found), flush=True)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
