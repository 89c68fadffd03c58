"""Count charts with and without the smoothing of stairs: `python -m benchmarks.stair_charts CONTENT...`.

CONTENT is a folder in which benchmarks/learned_results.py has worked. What `repair` left there goes through clean, decimate
(10,000 triangles) and unwrap twice; outlines are compared with what repair left.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from forge_batch.artifacts import MESH
from forge_batch.ops.mesh import load_mesh
from forge_batch.ops.unwrap import unwrap
from forge_batch.ops.zbuffer import silhouette
from forge_batch.stage import StageContext
from forge_batch.stages import clean, decimate

VIEWS = [(azimuth, elevation) for azimuth in range(0, 360, 45) for elevation in (-20.0, 10.0, 45.0)]


def main() -> None:
    """Print a row for each object and way."""
    for content in map(Path, sys.argv[1:]):
        job = next((content / "state" / "jobs").glob("*.json"))
        key = [one["key"] for one in json.loads(job.read_text())["records"] if one["stage"] == "repair"][-1]
        given = content / "work" / key / MESH.filename
        before = load_mesh(given)
        for rounds in (0, 2):
            with tempfile.TemporaryDirectory() as name:
                one, two = Path(name) / "clean", Path(name) / "decimate"
                one.mkdir()
                two.mkdir()
                params = clean.Params(smooth_iterations=rounds)
                cleaned = StageContext("stairs", params, 0, {}, {MESH.name: given}, one)
                found = clean.stage.run(cleaned)
                coarse = StageContext("stairs", decimate.Params(), 0, {}, {MESH.name: cleaned.out(MESH)}, two)
                decimate.stage.run(coarse)
                mesh = load_mesh(coarse.out(MESH))
                charts = unwrap(mesh, 1024, 8, None, folder=Path(name), timeout=120.0).charts
            shares = []
            for azimuth, elevation in VIEWS:
                bounds = before.vertices[[0, 0]].copy()
                bounds[0], bounds[1] = before.vertices.min(axis=0), before.vertices.max(axis=0)
                a, b = (silhouette(m.vertices, m.faces, azimuth, elevation, 512, bounds) for m in (before, mesh))
                shares.append(float((a & b).sum() / (a | b).sum()))
            rounds_done, least = found["smoothing_rounds"], round(min(shares), 4)
            print(f"{job.stem}: {rounds_done} rounds, {charts} charts, outlines {least}", flush=True)


if __name__ == "__main__":
    main()
