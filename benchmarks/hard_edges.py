"""Measure what hard edges at chart borders do to the normal map.

python -m benchmarks.hard_edges CONTENT... [--degrees 60] [--out benchmarks/results/hard_edges.json]

CONTENT is a folder in which `forge-batch run` has worked. What `place` left there goes through unwrap and bake_normal twice:
shaded smooth, and with edges between charts hard. Of both, the angle that is left between the mapped and the source's normals.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from forge_batch.artifacts import MESH, SOURCE_MESH
from forge_batch.stage import StageContext
from forge_batch.stages import bake_normal, unwrap


def measure(mesh: Path, source: Path, degrees: float | None) -> dict[str, Any]:
    """Unwrap and bake; give charts and the angles."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = unwrap.Params(texture_size=1024, hard_edges=degrees)
        laid = StageContext("hard", params, 0, {}, {MESH.name: mesh}, folder)
        charts = unwrap.stage.run(laid)["charts"]
        inputs = {MESH.name: laid.out(MESH), SOURCE_MESH.name: source}
        (folder / "baked").mkdir()
        found = bake_normal.stage.run(StageContext("hard", bake_normal.Params(), 0, {}, inputs, folder / "baked"))
    return {"charts": charts, "error_mean": found["error_mean"], "error_p95": found["error_p95"]}


def main() -> None:
    """Run from the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("content", type=Path, nargs="+")
    options.add_argument("--degrees", type=float, default=60.0)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    results: dict[str, Any] = {}
    for content in chosen.content:
        for job in sorted((content / "state" / "jobs").glob("*.json")):
            keys = [one["key"] for one in json.loads(job.read_text())["records"] if one["stage"] == "place"]
            if not keys:
                continue
            work = content / "work" / keys[-1]
            ways = {"smooth": None, "hard": chosen.degrees}
            results[job.stem] = {
                name: measure(work / MESH.filename, work / SOURCE_MESH.filename, degrees) for name, degrees in ways.items()
            }
            print(job.stem, results[job.stem], flush=True)
            if chosen.out:
                chosen.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
