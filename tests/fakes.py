"""Stand in for what a test does not mean to exercise: pictures, stages, wishes, an executor that works in no time."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from forge_batch.artifacts import Artifact, Slot
from forge_batch.content.local import RECORD
from forge_batch.errors import Problem
from forge_batch.executors.contract import Chain, Event, Finished, Progress, TaskSpec
from forge_batch.jobs import Failure, Job, TaskRecord
from forge_batch.plan import Plan, Task
from forge_batch.report import AssetReport
from forge_batch.stage import Cost, Device, Metrics, Stage, StageContext, StageParams, Switchable
from forge_batch.stages import STAGES

LEAST = "forge: 1\nplace: {height_cm: 60}\n"
"""The shortest manifest that is sound; its images lie in the folder of inbox/ that has the asset's name."""


class Dial(Switchable):
    """Be the params of a fake stage: a switch and a number."""

    level: int = Field(default=0, description="Anything.")


def no_work(context: StageContext[Any]) -> Metrics:
    """Refuse to run: plans are made without running anything."""
    raise AssertionError(f"{context.asset} ran")


def fake_stage(
    name: str,
    inputs: Sequence[Slot],
    outputs: Sequence[Slot],
    *,
    version: int = 1,
    device: Device = "cpu",
    cost: float = 1.0,
    gpu: float = 0.0,
    revision: str = "",
) -> Stage[Dial]:
    """Make a stage that is planned and never run."""
    return Stage(
        name, version, device, tuple(inputs), tuple(outputs), Dial, lambda _: Cost(cost, gpu), no_work, lambda _: revision
    )


@dataclass(frozen=True)
class FakeWish:
    """Ask for an asset without a manifest: params by stage name, defaults for the others."""

    settings: Mapping[str, StageParams] = field(default_factory=dict)
    asset: str = "thing"
    seed: int = 0

    def params(self, stage: Stage[Any]) -> StageParams:
        found = self.settings.get(stage.name)
        return stage.params() if found is None else found

    def made_from(self) -> dict[str, Any]:
        return {"asset": self.asset, "seed": self.seed}


def record_of(task: Task) -> TaskRecord:
    """Say that a task went well."""
    return TaskRecord(task.stage.name, task.key, "done", 1.0)


def job_of(tasks: Sequence[Task], published: str = "") -> Job:
    """Give the history in which these tasks are done."""
    return Job("thing", {task.key: record_of(task) for task in tasks}, published)


class Killed(BaseException):
    """End a run the way a power cut does: nothing catches it."""


@dataclass
class FakeExecutor:
    """Fill every output with a few bytes that follow from the task's key, and remember what ran.

    Attributes:
        failures: By (asset, stage): fail there; a failed gate leaves what it measured, as the real thing does.
        die_after: Raise Killed once that many tasks are finished and told of.
        silent_death: Raise Killed before the last of them is told of; its outputs lie in place all the same.
        ran: (asset, stage) in the order of running, over all runs.
        data: What an output holds instead, by (stage, slot).
        metrics: What a stage measures, by stage.
    """

    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    die_after: int | None = None
    silent_death: bool = False
    ran: list[tuple[str, str]] = field(default_factory=list)
    data: dict[tuple[str, str], bytes] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
        count = 0
        for chain in chains:
            for task in chain.tasks:
                yield Progress(task.asset, task.stage, 0.0)
                count += 1
                record = self._work(task)
                if count == self.die_after and self.silent_death:
                    raise Killed
                yield Finished(task.asset, record)
                if count == self.die_after:
                    raise Killed
                if record.state == "failed":
                    break

    def stages(self, asset: str) -> list[str]:
        """Name the stages that ran for an asset."""
        return [stage for name, stage in self.ran if name == asset]

    def _work(self, task: TaskSpec) -> TaskRecord:
        self.ran.append((task.asset, task.stage))
        for name, path in task.inputs.items():
            assert (task.work / path).is_file(), f"{task.stage} was started without its {name}"
        for view, image in task.images.items():
            assert image.is_file(), f"{task.stage} was started without its {view}"
        failure = self.failures.get((task.asset, task.stage))
        if failure and failure.code != "gate":
            return TaskRecord(task.stage, task.key, "failed", 1.0, failure=failure)
        folder = task.work / task.key
        folder.mkdir(parents=True, exist_ok=True)
        stage = next(stage for stage in STAGES if stage.name == task.stage)
        outputs = []
        for slot in stage.outputs:
            if not slot.required and slot.name != "package_ue5":
                continue
            data = {"gates": b"[]", "package_report": b"{}"}.get(slot.name, f"{slot.name} {task.key}".encode())
            data = self.data.get((task.stage, slot.name), data)
            (folder / slot.filename).write_bytes(data)
            outputs.append(Artifact(slot.name, slot.filename, hashlib.sha256(data).hexdigest(), len(data)))
        state, measured = "failed" if failure else "done", self.metrics.get(task.stage, {})
        record = TaskRecord(task.stage, task.key, state, 1.0, outputs=tuple(outputs), metrics=measured, failure=failure)
        (folder / RECORD).write_text(json.dumps(record.to_json()))
        return record


@dataclass
class Recorder:
    """Listen to a run and remember everything."""

    plans: list[Plan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    reports: list[AssetReport] = field(default_factory=list)

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None:
        self.plans += plans
        self.problems += problems

    def event(self, event: Event) -> None:
        self.events.append(event)

    def finished(self, asset: AssetReport) -> None:
        self.reports.append(asset)


def picture(path: Path, size: tuple[int, int] = (512, 512), mode: str = "RGBA", **options: Any) -> Path:
    """Write a picture of a brown box on a clear ground, of `size` (width, height) pixels."""
    width, height = size
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None] = (120, 80, 40, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def content_folder(root: Path, *assets: str, manifest: str = LEAST) -> Path:
    """Make a content folder with sound assets: one front view and one short manifest each."""
    for folder in ("inbox", "manifests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for asset in assets:
        picture(root / "inbox" / asset / "front.png")
        (root / "manifests" / f"{asset}.yaml").write_text(manifest)
    return root


def fill(disk: Path) -> Path:
    """Write a file until the disk is full; give the file."""
    filler = disk / "filler"
    with filler.open("wb", 0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path | None]:
    """Mount a disk of that size at a new folder; None where this user may not mount."""
    folder.mkdir(parents=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(options, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
