"""Break sound shapes in every way of tests/broken, finish them, and count what is ready for a package.

    python benchmarks/broken.py [--only KIND ...] [--shapes NAME ...] [--by NAME ...] [--out benchmarks/results/broken.json]

Beside ours (repair, clean, decimate to 5,000 triangles) the same corpus goes through pymeshfix, a PyMeshLab script, manifold3d
and trimesh.repair, which are asked for everything but the budget. Every case has a process of its own, 120 s and 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from tests.broken.cases import CASES, Case
from tests.broken.finishers import FINISHERS
from tests.broken.trial import Outcome, sound_shapes, try_case, warm_up

SLOW = 10.0
"""Seconds from which a case is named though it is ready."""


def main() -> None:
    """Run the cases that were asked for and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--shapes", nargs="*", default=[])
    options.add_argument("--by", nargs="*", default=list(FINISHERS), choices=list(FINISHERS))
    options.add_argument("--out", type=Path)
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "forge-broken")
    chosen = options.parse_args()
    cases = [
        case
        for case in CASES
        if (not chosen.only or case.kind in chosen.only) and (not chosen.shapes or case.shape in chosen.shapes)
    ]
    shapes = sound_shapes({case.shape for case in cases}, chosen.cache)
    warm_up()
    outcomes: dict[str, list[tuple[Case, Outcome]]] = {name: [] for name in chosen.by}
    for name in chosen.by:
        for case in cases:
            outcome = try_case(case, shapes[case.shape], name)
            outcomes[name].append((case, outcome))
            if (outcome.verdict != "ready" or outcome.seconds > SLOW) and name == "forge_batch":
                print(f"{case}: {outcome.verdict} {outcome.note} ({outcome.seconds:.1f} s)", flush=True)
        if chosen.out:
            document = {done: _summary(outcomes[done]) for done in outcomes if outcomes[done]}
            chosen.out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    document = {name: _summary(done) for name, done in outcomes.items()}
    for name, summary in document.items():
        print(f"{name:12} {json.dumps({key: value for key, value in summary.items() if key not in ('kinds', 'failures')})}")
    kinds = list(dict.fromkeys(case.kind for case in cases))
    print("| damage | " + " | ".join(chosen.by) + " |\n| --- |" + " --- |" * len(chosen.by))
    for kind in kinds:
        print(f"| {kind} | " + " | ".join(document[name]["kinds"][kind] for name in chosen.by) + " |")


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
