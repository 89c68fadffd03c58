"""Break sound shapes in every way of tests/broken, finish them, and count what is ready for a package.

    PYTHONPATH=. python benchmarks/broken.py [--only KIND ...] [--shapes NAME ...] [--by NAME ...] [--jobs N]
        [--cache FOLDER] [--out benchmarks/results/broken.json [--resume]]

Beside ours (repair, clean, decimate to 5,000 triangles) the same corpus goes through pymeshfix, a PyMeshLab script, manifold3d
and trimesh.repair, which are asked for everything but the budget. Every case has a process of its own, 120 s and 4 GiB.

Nothing is fetched. The shapes are made once, into the folder of `--cache`, of tests/data (horse, barrel, crate), of what
PyMeshLab ships (bunny, cow, airplane, bone), of what gradio ships (duck, figure, face), and by formula (blob). gradio is the
one package beyond those that forge_batch needs itself, and where the folder holds the shapes already, it is not needed either.

Every case is written as soon as it is known, a line each, beside `--out` (`broken.cases.jsonl`); `--resume` takes from there
what an earlier run of the same code has tried.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from forge_batch.ops.mesh import Mesh
from tests.broken.cases import CASES, Case
from tests.broken.finishers import FINISHERS
from tests.broken.shapes import SHAPES
from tests.broken.trial import Outcome, Trial, sound_shapes, try_cases, warm_up

SLOW = 10.0
"""Seconds from which a case is named though it is ready."""

Outcomes = dict[tuple[str, str], Outcome]
"""What became of each case, by who finished it and the case's name."""


def main() -> None:
    """Run the cases that were asked for and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    options.add_argument("--by", nargs="*", default=list(FINISHERS), choices=list(FINISHERS))
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--out", type=Path)
    options.add_argument("--resume", action="store_true")
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "forge-broken")
    chosen = options.parse_args()
    cases = [case for case in CASES if (not chosen.only or case.kind in chosen.only) and case.shape in chosen.shapes]
    shapes = sound_shapes({case.shape for case in cases}, chosen.cache)
    lines = chosen.out.with_suffix(".cases.jsonl") if chosen.out else None
    known = _read(lines) if chosen.resume and lines else {}
    if lines and not chosen.resume:
        lines.unlink(missing_ok=True)
    trials = [Trial(case, shapes[case.shape], by) for by in chosen.by for case in _slow_first(cases, shapes)]
    warm_up()
    for trial, outcome in try_cases([t for t in trials if (t.by, str(t.case)) not in known], chosen.jobs):
        known[trial.by, str(trial.case)] = outcome
        if lines:
            with lines.open("a", encoding="utf-8") as file:
                entry = {"by": trial.by, "case": str(trial.case), **asdict(outcome)}
                file.write("\n" + json.dumps(entry))  # first, because a killed run may have cut a line short
        if (outcome.verdict != "ready" or outcome.seconds > SLOW) and trial.by == "forge_batch":
            print(f"{trial.case}: {outcome.verdict} {outcome.note} ({outcome.seconds:.1f} s)", flush=True)
    document = {by: _summary([(case, known[by, str(case)]) for case in cases]) for by in chosen.by}
    if chosen.out:
        chosen.out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for name, summary in document.items():
        print(f"{name:12} {json.dumps({key: value for key, value in summary.items() if key not in ('kinds', 'failures')})}")
    print("| damage | " + " | ".join(chosen.by) + " |\n| --- |" + " --- |" * len(chosen.by))
    for kind in dict.fromkeys(case.kind for case in cases):
        print(f"| {kind} | " + " | ".join(document[name]["kinds"][kind] for name in chosen.by) + " |")


def _read(lines: Path) -> Outcomes:
    """Read the cases of an earlier run; its last line may be cut short."""
    known: Outcomes = {}
    for line in lines.read_text(encoding="utf-8").splitlines() if lines.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        key = entry.pop("by"), entry.pop("case")
        known[key] = Outcome(**entry)
    return known


def _slow_first(cases: list[Case], shapes: Mapping[str, Mesh]) -> list[Case]:
    """Put those shapes first whose box holds most: what is built anew costs as many voxels."""
    room = {name: float(np.ptp(mesh.vertices, axis=0).prod()) for name, mesh in shapes.items()}
    return sorted(cases, key=lambda case: -room[case.shape])


def _summary(done: list[tuple[Case, Outcome]]) -> dict[str, object]:
    verdicts = Counter(outcome.verdict for _, outcome in done)
    kinds = {
        kind: f"{sum(o.verdict == 'ready' for c, o in done if c.kind == kind)}/{sum(c.kind == kind for c, _ in done)}"
        for kind in dict.fromkeys(case.kind for case, _ in done)
    }
    return {
        "cases": len(done),
        **{verdict: verdicts[verdict] for verdict in ("ready", "refused", "faulty", "crashed", "timeout")},
        "seconds_mean": round(sum(o.seconds for _, o in done) / len(done), 2),
        "seconds_most": round(max(o.seconds for _, o in done), 2),
        "memory_mb_most": round(max(o.memory_mb for _, o in done)),
        "kinds": kinds,
        "failures": [f"{case}: {o.verdict} {o.note}" for case, o in done if o.verdict != "ready"],
    }


if __name__ == "__main__":
    main()
