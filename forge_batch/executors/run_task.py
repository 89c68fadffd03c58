"""Run one task. The only caller of stage.run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from forge_batch.artifacts import Artifact
from forge_batch.content.local import RECORD
from forge_batch.errors import ForgeError, GateFailed
from forge_batch.executors.contract import TaskSpec
from forge_batch.jobs import Failure, TaskRecord, TaskState
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.stage import Metrics, Stage, StageContext
from forge_batch.stages import STAGES

BY_NAME = {stage.name: stage for stage in STAGES}


def run_task(spec: TaskSpec, progress: Callable[[float, str], None]) -> TaskRecord:
    """Run a stage in a private folder and rename that folder into place together with its record.

    Never raises: a ForgeError and a bug both become a failed record, the bug with its traceback on stderr. Where a stage
    measured `load_seconds`, those in which its backend loaded a model, they go into the record's own field. What a failed gate
    measured is kept like the outputs of a task that is done.
    """
    start = time.monotonic()
    folder = spec.work / "unfinished" / f"{spec.key}-{uuid4().hex[:8]}"  # another machine may be at the same task
    try:
        folder.mkdir(parents=True)
        try:
            metrics, failure = _run_stage(spec, folder, progress), None
        except GateFailed as error:
            metrics, failure = {}, Failure.of(error)
        outputs = tuple(_outputs(BY_NAME[spec.stage], folder))
        seconds = round(time.monotonic() - start, 3)
        loading = float(metrics.pop("load_seconds", 0.0))
        gpu = gpu_name() if spec.device == "gpu" else ""
        state: TaskState = "failed" if failure else "done"
        record = TaskRecord(spec.stage, spec.key, state, seconds, seconds if gpu else 0.0, outputs, metrics, failure)
        record = replace(record, params=spec.params, gpu=gpu, load_seconds=loading, expected=spec.expected)
        (folder / RECORD).write_text(json.dumps(record.to_json(), indent=1))
        place = spec.work / spec.key
        shutil.rmtree(place, ignore_errors=True)
        folder.rename(place)
    except Exception as error:  # noqa: BLE001 - whatever a stage or a disk does, the batch goes on
        shutil.rmtree(folder, ignore_errors=True)
        failure = _failure(error, spec)
        return TaskRecord(spec.stage, spec.key, "failed", round(time.monotonic() - start, 3), failure=failure)
    return record


def _run_stage(spec: TaskSpec, folder: Path, progress: Callable[[float, str], None]) -> Metrics:
    stage = BY_NAME[spec.stage]
    inputs = {name: spec.work / path for name, path in spec.inputs.items()}
    params = stage.params.model_validate(spec.params)
    metrics = stage.run(StageContext(spec.asset, params, spec.seed, spec.images, inputs, folder, progress))
    written = {path.name for path in folder.iterdir()}
    declared = {path.name for _, path in _files(stage, folder)}
    needed = {slot.filename for slot in stage.outputs if slot.required}
    if not needed <= written <= declared:
        raise RuntimeError(f"stage {stage.name} wrote {sorted(written)} but declares {sorted(declared)}")
    json.dumps(metrics, allow_nan=False)
    return metrics


def _files(stage: Stage[Any], folder: Path) -> Iterator[tuple[str, Path]]:
    """Give what a stage may leave, by slot; what lies beside a slot's file goes by its own name."""
    for slot in stage.outputs:
        yield slot.name, folder / slot.filename
        if slot.beside:
            yield from ((path.name, path) for path in sorted(folder.glob(slot.beside)))


def _outputs(stage: Stage[Any], folder: Path) -> Iterator[Artifact]:
    return (_artifact(name, path) for name, path in _files(stage, folder) if path.exists())


def _artifact(slot: str, path: Path) -> Artifact:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(slot, path.name, sha256, path.stat().st_size)


def _failure(error: Exception, spec: TaskSpec) -> Failure:
    if isinstance(error, ForgeError):
        return Failure.of(error)
    if isinstance(error, OSError) and error.errno in {28, 122, 30, 13}:
        where = error.filename or spec.work
        hint = "free some space" if error.errno in {28, 122} else "make that folder writable"
        return Failure("content", f"cannot write {where} ({os.strerror(error.errno)})", hint)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's is no MemoryError
        return Failure("memory", f"{spec.stage} ran out of memory", "lower texture_size or quality, or set FORGE_WORKERS=1")
    traceback.print_exc()
    text = str(error).splitlines()
    reason = f"{type(error).__name__}: {text[0] if text else ''}"
    return Failure("bug", f"{spec.stage} broke ({reason})", f"please report it with work/logs/{spec.asset}.log")
