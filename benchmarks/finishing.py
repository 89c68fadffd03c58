"""Measure what the geometry stages cost, from 50,000 faces to 3 million, on what a learned generator would give.

    PYTHONPATH=. python benchmarks/finishing.py REFERENCE.glb [--cells N ...] [--out benchmarks/results/finishing.json]

The reference becomes a double shell with stairs, noise and flipped faces (benchmarks/learned_mesh.py), whose faces grow with
cells ** 2, and goes through repair, clean, decimate, place, unwrap, build_lods and build_collision with what a prop has by
default, in one process. Seconds are user and system together, of children too; memory is the most that the process takes in a
stage. A picture of the cost is drawn beside `--out`, with n log n through the first point.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learned_mesh import learned_mesh
from forge_batch.artifacts import HULLS, LODS, MESH, SOURCE_MESH
from forge_batch.backends.trellis2 import TO_NATIVE
from forge_batch.ops.mesh import load_mesh, save_mesh
from forge_batch.ops.raw_surface import raw_surface
from forge_batch.ops.source import SourceMesh, save_source
from forge_batch.stage import Stage, StageContext
from forge_batch.stages import build_collision, build_lods, clean, decimate, place, repair, unwrap

CELLS = (108, 150, 212, 300, 475, 580, 830)
STAGES: tuple[tuple[Stage[Any], Any], ...] = (
    (repair.stage, repair.Params()),
    (clean.stage, clean.Params()),
    (decimate.stage, decimate.Params()),
    (place.stage, place.Params(height_cm=100)),
    (unwrap.stage, unwrap.Params()),
    (build_lods.stage, build_lods.Params()),
    (build_collision.stage, build_collision.Params()),
)


def main() -> None:
    """Measure every size and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("reference", type=Path)
    options.add_argument("--cells", type=int, nargs="*", default=list(CELLS))
    options.add_argument("--out", type=Path)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        for cells in (min(chosen.cells), *sorted(chosen.cells)):  # the first compiles
            for work in (_prepare, _chain):
                child = multiprocessing.get_context("spawn").Process(target=work, args=(chosen.reference, cells, folder))
                child.start()
                child.join()
                if child.exitcode:
                    raise SystemExit(f"failed at {cells} cells: see above")
            rows.append(json.loads((folder / "row.json").read_text(encoding="utf-8")))
            print(json.dumps(rows[-1]), flush=True)
    rows = rows[1:]
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        _draw(rows, chosen.out.with_suffix(".png"))


def _prepare(reference: Path, cells: int, folder: Path) -> None:
    """Write the slots that generate would."""
    folder.mkdir(exist_ok=True, parents=True)
    made = learned_mesh(reference, cells)
    mesh = raw_surface(made.vertices @ TO_NATIVE, made.faces, "a generator")
    save_mesh(folder / "mesh.npz", mesh)
    none = np.zeros(len(mesh.vertices), np.float32)
    save_source(folder / "source.npz", SourceMesh(mesh, np.zeros((len(none), 3), np.float32), none, none, none))


def _chain(_: Path, cells: int, folder: Path) -> None:
    """Run the stages one after the other; write faces, seconds and megabytes of each, and all together."""
    inputs = {MESH.name: folder / "mesh.npz", SOURCE_MESH.name: folder / "source.npz"}
    faces = len(load_mesh(inputs[MESH.name]).faces)
    seconds, memory = {"start": _seconds()}, {}
    for stage, params in STAGES:
        (folder / stage.name).mkdir(exist_ok=True)
        before = _seconds()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of memory
        context = StageContext("finishing", params, 0, {}, dict(inputs), folder / stage.name)
        metrics = stage.run(context)
        print(f"  {stage.name:16} {json.dumps(metrics)}", flush=True)
        seconds[stage.name] = _seconds() - before
        memory[stage.name] = _peak_mb()
        inputs |= {slot.name: context.out(slot) for slot in (MESH, SOURCE_MESH, LODS, HULLS) if slot in stage.outputs}
    row = {
        "cells": cells,
        "faces": faces,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "memory_mb": memory,
        "seconds_all": round(_seconds(), 2),
        "memory_mb_most": max(memory.values()),
    }
    (folder / "row.json").write_text(json.dumps(row), encoding="utf-8")


def _seconds() -> float:
    """Give the processor's time of this process and of its children so far, user and system."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib.pyplot as plt

    faces = np.array([row["faces"] for row in rows], float)
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    total = np.array([row["seconds_all"] for row in rows])
    axes.loglog(faces, total, "o-", color="black", label="all")
    for stage, _ in STAGES:
        axes.loglog(faces, [row["seconds"][stage.name] for row in rows], ".-", label=stage.name)
    axes.loglog(faces, total[0] * faces * np.log(faces) / (faces[0] * np.log(faces[0])), ":", color="grey", label="n log n")
    axes.set_xlabel("faces")
    axes.set_ylabel("seconds of the processor")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
