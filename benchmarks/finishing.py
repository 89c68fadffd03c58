"""Measure what the geometry stages cost, from 50,000 faces to 3 million, on what a learned generator would give.

    PYTHONPATH=. python benchmarks/finishing.py REFERENCE.glb [--cells N ...] [--kinds shells pierced]
        [--out benchmarks/results/finishing.json]

The reference becomes a double shell with stairs, noise and flipped faces (benchmarks/learned_mesh.py), whose faces grow with
cells ** 2, and goes through repair, clean, decimate, place, unwrap, build_lods and build_collision with what a prop has by
default, in one process. `pierced` has its two shells joined by 24 holes, so that repair must build the outside anew. Seconds
are user and system together, of children too; memory is the most that the process takes in a stage. What `--out` holds of other
kinds and sizes stays; a picture of the cost is drawn beside it, with a + b n log n fitted to each kind.
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

CELLS = (108, 151, 238, 336, 475, 580, 820)
KINDS = {"shells": 0, "pierced": 24}
"""How often the shells are pierced."""
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
    options.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    options.add_argument("--out", type=Path)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    rows: list[dict[str, Any]] = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.is_file() else []
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        for kind in chosen.kinds:
            for cells in (min(chosen.cells), *sorted(chosen.cells)):  # the first compiles
                row = _measure(chosen.reference, cells, kind, folder)
                print(json.dumps(row), flush=True)
                rows = [old for old in rows if (old["kind"], old["cells"]) != (kind, cells)] + [row]
                rows.sort(key=lambda row: (list(KINDS).index(row["kind"]), row["cells"]))
                if chosen.out:
                    chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if chosen.out:
        _draw(rows, chosen.out.with_suffix(".png"))


def _measure(reference: Path, cells: int, kind: str, folder: Path) -> dict[str, Any]:
    """Make a mesh in a process of its own, and run the chain on it in another."""
    for work in (_prepare, _chain):
        child = multiprocessing.get_context("spawn").Process(target=work, args=(reference, cells, kind, folder))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(f"failed at {cells} cells, {kind}: see above")
    return dict(json.loads((folder / "row.json").read_text(encoding="utf-8")))


def _prepare(reference: Path, cells: int, kind: str, folder: Path) -> None:
    """Write the slots that generate would."""
    folder.mkdir(exist_ok=True, parents=True)
    made = learned_mesh(reference, cells, KINDS[kind])
    mesh = raw_surface(made.vertices @ TO_NATIVE, made.faces, "a generator")
    save_mesh(folder / "mesh.npz", mesh)
    none = np.zeros(len(mesh.vertices), np.float32)
    save_source(folder / "source.npz", SourceMesh(mesh, np.zeros((len(none), 3), np.float32), none, none, none))


def _chain(_: Path, cells: int, kind: str, folder: Path) -> None:
    """Run the stages one after the other; write faces, seconds and megabytes of each, and all together."""
    inputs = {MESH.name: folder / "mesh.npz", SOURCE_MESH.name: folder / "source.npz"}
    faces = len(load_mesh(inputs[MESH.name]).faces)
    seconds, memory, rebuilt = {"start": _seconds()}, {}, 0
    for stage, params in STAGES:
        (folder / stage.name).mkdir(exist_ok=True)
        before = _seconds()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of memory
        context = StageContext("finishing", params, 0, {}, dict(inputs), folder / stage.name)
        metrics = stage.run(context)
        print(f"  {stage.name:16} {json.dumps(metrics)}", flush=True)
        rebuilt = metrics.get("rebuilt_cells", rebuilt)
        seconds[stage.name] = _seconds() - before
        memory[stage.name] = _peak_mb()
        inputs |= {slot.name: context.out(slot) for slot in (MESH, SOURCE_MESH, LODS, HULLS) if slot in stage.outputs}
    row = {
        "kind": kind,
        "cells": cells,
        "faces": faces,
        "rebuilt_cells": rebuilt,
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
    """Draw a panel for each kind: every stage, all of them, and the fit."""
    import matplotlib.pyplot as plt

    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    figure, panels = plt.subplots(
        1, len(kinds), figsize=(6 * len(kinds), 4.5), layout="constrained", sharey=True, squeeze=False
    )
    for kind, axes in zip(kinds, panels[0], strict=True):
        some = [row for row in rows if row["kind"] == kind]
        faces, total = (np.array([row[name] for row in some], float) for name in ("faces", "seconds_all"))
        n_log_n = faces * np.log(faces)
        # relative errors count, so that the smallest sizes do too
        base, slope = np.linalg.lstsq(np.stack([1 / total, n_log_n / total], axis=1), np.ones(len(total)), rcond=None)[0]
        axes.loglog(faces, total, "o-", color="black", label="all")
        for stage, _ in STAGES:
            axes.loglog(faces, [max(row["seconds"][stage.name], 0.01) for row in some], ".-", label=stage.name)
        each = 1e6 * slope * np.log(1e6)
        fit = f"{base:.0f} s + {each:.0f} s a million faces, as n log n"
        axes.loglog(faces, base + slope * n_log_n, ":", color="grey", label=fit)
        axes.set_title(kind)
        axes.set_xlabel("faces")
        axes.legend(fontsize=8)
    panels[0, 0].set_ylabel("seconds of the processor")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
