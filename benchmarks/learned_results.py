"""Feed the pipeline what TRELLIS.2 gives, without TRELLIS.2: a reference's surface with all the faults of such results.

    PYTHONPATH=. python benchmarks/learned_results.py FOLDER... [--faces 1500000] [--jobs N] [--out RESULT.json] [--keep WORK]

FOLDER holds reference.glb (largest side 1, centred) and the views front.png, right.png, back.png, left.png. Of the reference a
mesh is made as the model makes them: two shells round the surface, 30 in 100 faces flipped, the stairs of voxels, colours
beyond 0..1 in voxels (benchmarks/learned_mesh.py). It goes through the adapter and every stage, and the gates judge.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.learned_mesh import cells_for, learned_mesh
from forge_batch.backends import trellis2
from forge_batch.content.local import LocalContent
from forge_batch.executors.contract import Chain, Event, Finished
from forge_batch.executors.run_task import run_task
from forge_batch.jobs import TaskRecord
from forge_batch.runner import run
from tests.fakes import Recorder
from tests.upstream import LAYOUT

VIEWS = ("front", "right", "back", "left")
MANIFEST = """forge: 1
preset: prop_UE5_standard
kind: prop
generate: {backend: trellis2}
place: {height_cm: 100}
unwrap: {texture_size: 1024}
"""


def model_result(path: Path, cells: int) -> SimpleNamespace:
    """Give the mesh and voxels of a reference as upstream's MeshWithVoxel holds them."""
    made = learned_mesh(path, cells)
    return SimpleNamespace(
        vertices=torch.tensor(made.vertices, dtype=torch.float32), faces=torch.tensor(made.faces.copy(), dtype=torch.int32),
        coords=torch.tensor(made.voxels, dtype=torch.int32), attrs=torch.tensor(made.values, dtype=torch.float32),
        voxel_size=1 / cells, layout=LAYOUT,
    )  # fmt: skip


@dataclass
class Given:
    """Be a pipeline that gives one result."""

    result: SimpleNamespace
    get_cond: Any = None

    def run(self, *_: Any, **__: Any) -> Any:
        """Give it."""
        return [self.result], (None, None, 1024)


class InProcess:
    """Run tasks here, so that the stand-in is seen, and keep their records."""

    def __init__(self) -> None:
        self.records: list[TaskRecord] = []
        self.fault = ""

    def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
        """Run every chain to its end or its first failure."""
        for chain in chains:
            for task in chain.tasks:
                record = run_task(task, lambda *_: None)
                self.records.append(record)
                self.fault = record.failure.message if record.failure else ""
                print(f"  {task.asset:14} {task.stage:18} {record.state} {record.seconds:6.1f} s {self.fault}", flush=True)
                yield Finished(task.asset, record)
                if record.state == "failed":
                    break


def main() -> None:
    """Make every reference and say what the gates found."""
    options = argparse.ArgumentParser()
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--faces", type=int, default=1_500_000)
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--out", type=Path)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    work = chosen.keep or Path(tempfile.mkdtemp())
    rows = {}
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        left = [pool.submit(finish, folder, chosen.faces, work / folder.name) for folder in chosen.folders]
        for row in (done.result() for done in as_completed(left)):
            rows[row.pop("object")] = row
            if chosen.out:
                chosen.out.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{sum(row['made'] for row in rows.values())} of {len(rows)} made")


def finish(folder: Path, faces: int, root: Path) -> dict[str, Any]:
    """Make one reference's package; give what it was made of, the seconds of each stage, and which gates said what."""
    cells = cells_for(folder / "reference.glb", faces)
    result = model_result(folder / "reference.glb", cells)
    print(f"{folder.name}: {len(result.faces)} faces, {cells} cells, {len(result.coords)} voxels", flush=True)
    engine = trellis2.Engine(Given(result), "cpu")
    trellis2._engine = lambda *_: engine  # noqa: SLF001 - a stand-in for what needs a GPU
    (root / "inbox" / folder.name).mkdir(parents=True, exist_ok=True)
    (root / "manifests").mkdir(exist_ok=True)
    for view in VIEWS:
        shutil.copy(folder / f"{view}.png", root / "inbox" / folder.name)
    (root / "manifests" / f"{folder.name}.yaml").write_text(MANIFEST)
    executor = InProcess()
    report = run(LocalContent(root), executor, Recorder())
    gates = next((task.metrics for task in executor.records if task.stage == "inspect"), {})
    print(f"{folder.name}: {'made' if report.ok else 'failed'} {executor.fault}", flush=True)
    return {
        "object": folder.name,
        "made": report.ok,
        "faces": len(result.faces),
        "cells": cells,
        "fault": executor.fault,
        "gates": gates,
        "seconds": {task.stage: round(task.seconds, 1) for task in executor.records},
    }


if __name__ == "__main__":
    main()
