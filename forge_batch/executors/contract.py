"""Say what an executor does: run chains of tasks somewhere, and tell what happens as it happens.

Tasks cross process borders as names and paths, never as meshes or tensors.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from forge_batch.jobs import TaskRecord
from forge_batch.plan import Plan, Task


@dataclass(frozen=True)
class TaskSpec:
    """Be a task as names and paths: what run_task needs, and nothing else.

    Attributes:
        inputs: File by slot name, relative to `work`.
        images: File of the image set by view name.
        work: Folder that holds one folder per finished task.
    """

    asset: str
    stage: str
    params: Mapping[str, Any]
    seed: int
    key: str
    inputs: Mapping[str, str]
    images: Mapping[str, Path]
    work: Path

    @classmethod
    def of(cls, task: Task, plan: Plan, work: Path) -> TaskSpec:
        slots = {slot.name: slot for slot in task.stage.inputs}
        inputs = {name: f"{key}/{slots[name].filename}" for name, key in task.inputs.items() if name != "images"}
        images = {name: image.path for name, image in plan.images.items()} if "images" in task.inputs else {}
        params = task.params.model_dump(mode="json")
        return cls(task.asset, task.stage.name, params, task.seed, task.key, inputs, images, work)


@dataclass(frozen=True)
class Chain:
    """Be the pending tasks of one asset, in order, to be run by one worker."""

    asset: str
    tasks: tuple[TaskSpec, ...]
    cost: float


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


Event = Progress | Finished


class Executor(Protocol):
    """Run chains of tasks."""

    def run(self, chains: Sequence[Chain]) -> Generator[Event, None, None]:
        """Run every chain, a chain's tasks one after another until one fails, and yield what happens.

        A finished task's outputs and record lie in its folder before its event is yielded, so nothing is lost when the
        caller or the executor is killed. An error never leaves this method: it comes as a failed record.
        Closing the generator stops what still runs.
        """
        ...
