"""Say what an executor does: run chains of tasks somewhere, and tell what happens as it happens.

Tasks cross process borders as names and paths, never as meshes or tensors.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from forge_batch.estimate import Seconds
from forge_batch.jobs import TaskRecord
from forge_batch.plan import Plan, Task
from forge_batch.stage import Device
from forge_batch.windows import GpuPlan


@dataclass(frozen=True)
class TaskSpec:
    """Be a task as names and paths: what run_task needs, and nothing else.

    Attributes:
        inputs: File by slot name, relative to `work`.
        images: File of the image set by view name.
        work: Folder that holds one folder per finished task.
        device: Where its seconds are spent.
        expected: p50 and p90 of its seconds, kept beside what it really takes.
    """

    asset: str
    stage: str
    params: Mapping[str, Any]
    seed: int
    key: str
    inputs: Mapping[str, str]
    images: Mapping[str, Path]
    work: Path
    device: Device = "cpu"
    expected: tuple[float, float] | None = None

    @property
    def reads(self) -> set[str]:
        """Keys of the tasks whose outputs it reads, and of the manifest."""
        return {path.split("/")[0] for path in self.inputs.values()}

    @classmethod
    def of(cls, task: Task, plan: Plan, work: Path, expected: Seconds | None = None) -> TaskSpec:
        slots = {slot.name: slot for slot in task.stage.inputs}
        inputs = {name: f"{key}/{slots[name].filename}" for name, key in task.inputs.items() if name != "images"}
        images = {name: image.path for name, image in plan.images.items()} if "images" in task.inputs else {}
        params = task.params.model_dump(mode="json")
        seconds = (round(expected.p50, 2), round(expected.p90, 2)) if expected else None
        return cls(task.asset, task.stage.name, params, task.seed, task.key, inputs, images, work, task.device, seconds)

    def to_json(self) -> dict[str, Any]:
        """Give plain data, paths as text, for another process or machine."""
        images = {view: str(path) for view, path in self.images.items()}
        return {**asdict(self), "images": images, "work": str(self.work)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TaskSpec:
        images = {view: Path(path) for view, path in document["images"].items()}
        p50, p90 = document["expected"] or (0.0, 0.0)
        expected = (p50, p90) if document["expected"] else None
        return cls(**{**document, "images": images, "work": Path(document["work"]), "expected": expected})


@dataclass(frozen=True)
class Chain:
    """Be the pending tasks of one asset, in order.

    Attributes:
        cost: Seconds of CPU.
        gpu: The GPU tasks among them as the packer sees them; None where nobody packs.
    """

    asset: str
    tasks: tuple[TaskSpec, ...]
    cost: float
    gpu: GpuPlan | None = None


@dataclass(frozen=True)
class Progress:
    """Tell how far a running task is, `fraction` in 0..1."""

    asset: str
    stage: str
    fraction: float
    note: str = ""


@dataclass(frozen=True)
class Finished:
    """Tell how a task ended."""

    asset: str
    record: TaskRecord


@dataclass(frozen=True)
class Waits:
    """Tell why no GPU is at work though there is work for one, and until when; None if nobody knows."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True)
class WindowEdge:
    """Tell that a GPU window is about to begin, its seconds reserved, or has ended and is settled."""

    begins: bool


Event = Progress | Finished | Waits | WindowEdge


class Executor(Protocol):
    """Run chains of tasks."""

    def run(self, chains: Sequence[Chain]) -> Generator[Event, None, None]:
        """Run every chain, a chain's tasks one after another until one fails, and yield what happens.

        A finished task's outputs and record lie in its folder before its event is yielded, so nothing is lost when the
        caller or the executor is killed. An error never leaves this method: it comes as a failed record. What could not
        be run for now, for want of a GPU or of allowance, stays undone, and an event says why.
        Closing the generator stops what still runs.
        """
        ...
