"""Plant every defect that a gate is there for in finished assets, and count what the gates find.

    PYTHONPATH=. python benchmarks/gates.py CONTENT [--assets NAME ...] [--out benchmarks/results/gates.json]

CONTENT is a content folder whose assets were run, with its work/ still there: each is taken as `inspect` had it, spoilt in one
way at a time (tests/asset_defects.py), and measured anew. A defect is found where its gate does not pass any more, and fails
where it has to. The gates of a rig are asked about the figure of tests/data. What the assets have as they are stands beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from forge_batch.content.local import LocalContent
from forge_batch.gates import judge
from forge_batch.ops.finished import Finished
from forge_batch.ops.gate_limits import LIMITS, RIG_GATES
from forge_batch.ops.measure_asset import GROUPS, measure_skeleton
from forge_batch.packages.mannequin import mannequin_names
from forge_batch.stage import StageContext
from forge_batch.stages import inspect
from forge_batch.standing import plans
from tests.asset_defects import DEFECTS, RIG_DEFECTS

ENOUGH = {"fail": {"fail"}, "warn": {"warn", "fail"}}
"""Results that count as found, by what a defect has to cause."""


def finished_assets(content: Path) -> Iterator[tuple[str, Finished]]:
    """Give every asset of a content folder as `inspect` reads it."""
    for plan in plans(LocalContent(content))[0]:
        (task,) = [task for task in plan.tasks if task.stage.name == "inspect"]
        places = {slot.name: content / "work" / task.inputs.get(slot.name, "-") / slot.filename for slot in task.stage.inputs}
        there = {name: path for name, path in places.items() if path.is_file()}
        if all(slot.name in there for slot in task.stage.inputs if slot.required):
            params = inspect.Params()
            yield plan.asset, inspect.load(StageContext(plan.asset, params, 0, {}, there, content))


def plant_all(asset: Finished) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Spoil an asset in every way: defect, gate, and what was found."""
    groups = {name: measure for measure in GROUPS for name in measure(asset)}
    for defect in DEFECTS:
        measured = groups[defect.gate](defect.plant(asset)).get(defect.gate)
        gate = judge(defect.gate, measured, kind=asset.kind)
        yield (
            defect.name,
            defect.gate,
            {"value": gate.value, "result": gate.result, "found": gate.result in ENOUGH[defect.result]},
        )


def as_they_are(asset: Finished) -> dict[str, list[str]]:
    """Name the gates that a sound asset fails, and those that warn."""
    values = {name: value for measure in GROUPS for name, value in measure(asset).items()}
    gates = [judge(name, values.get(name), kind=asset.kind) for name in LIMITS if name not in RIG_GATES]
    return {result: [gate.name for gate in gates if gate.result == result] for result in ("fail", "warn")}


def spoil_rig() -> Iterator[tuple[str, dict[str, Any]]]:
    """Spoil the rig of a figure in every way, after seeing that it passes as it is."""
    from forge_batch.backends.humanoid import make_rig
    from tests.figures import human

    mesh = human()[0]
    sound = make_rig(mesh, lambda *_: None).rig
    asset = Finished(mesh, manifest={"kind": "character"})

    def result(name: str, rig: Any) -> tuple[float | None, str]:
        named = mannequin_names(rig.names)
        values = measure_skeleton(asset, replace(rig, names=tuple(named.names)), mesh, named.unmatched)
        gate = judge(name, values[name], kind="character")
        return gate.value, gate.result

    for name, (spoil, wanted) in RIG_DEFECTS.items():
        (before, clean), (value, found) = result(name, sound), result(name, spoil(sound))
        good = clean == "pass" and found in ENOUGH[wanted]
        yield name, {"value": value, "result": found, "found": good, "before": before}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path)
    parser.add_argument("--assets", nargs="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"planted": {}, "sound": {}, "rig": dict(spoil_rig())}
    for name, asset in finished_assets(options.content):
        if options.assets and name not in options.assets:
            continue
        start = time.process_time()
        results["sound"][name] = as_they_are(asset)
        for defect, gate, found in plant_all(asset):
            results["planted"][f"{name}: {defect}"] = {"gate": gate, **found}
            if not found["found"]:
                print(f"{name}: {defect}: {gate} says {found['result']} ({found['value']})", flush=True)
        print(f"{name}: {time.process_time() - start:.0f} CPU s; as it is: {results['sound'][name]}", flush=True)
    every = [*results["planted"].values(), *results["rig"].values()]
    gates = {one["gate"] for one in results["planted"].values()} | set(results["rig"])
    count = Counter(one["found"] for one in every)
    results["summary"] = {"planted": len(every), "found": count[True], "gates": len(gates), "of_gates": len(LIMITS)}
    print(results["summary"], "never planted:", sorted(set(LIMITS) - gates) or "none")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
