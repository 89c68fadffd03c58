"""Be the GPU side of a window: run its tasks while there is time, and hand over each record as soon as it exists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from forge_batch.executors.contract import TaskSpec
from forge_batch.jobs import TaskRecord
from forge_batch.windows import Window


@dataclass(frozen=True)
class WindowTask:
    """Be a task of a window, with what is known of its time.

    Attributes:
        seconds: p90 of the task with its model loaded.
        load: p90 of loading its model.
        reserve: Seconds that must be left over after it.
    """

    spec: TaskSpec
    model: str
    seconds: float
    load: float
    reserve: float

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "spec": self.spec.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> WindowTask:
        return cls(**{**document, "spec": TaskSpec.from_json(document["spec"])})


@dataclass(frozen=True)
class Started:
    """Tell which task is at work now: the one to blame if nothing more is heard."""

    key: str


@dataclass(frozen=True)
class Refusal:
    """Say what to do after a window ended before its time.

    Attributes:
        action: `wait` until a time; `retry` at once; `split`: ask for less; `alarm`: somebody must set something right;
            `fail`: the task that was at work is to blame; `killed`: its worker was killed.
    """

    action: Literal["wait", "retry", "split", "alarm", "fail", "killed"]
    reason: str
    until: datetime | None = None


class Refused(Exception):
    """End a window before its time."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Gpu(Protocol):
    """Be what opens windows."""

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        """Run tasks, and yield each record as soon as it exists. Raises Refused."""
        ...


def window_tasks(window: Window, specs: Mapping[str, TaskSpec]) -> list[WindowTask]:
    """Give the tasks of a window in the order in which a GPU runs them."""
    return [WindowTask(specs[task.key], task.model, task.seconds.p90, task.load.p90, reserve) for task, reserve in window.line]


def run_window(
    tasks: Sequence[WindowTask],
    limit: float,
    run: Callable[[TaskSpec, Callable[[float, str], None]], TaskRecord],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Started | TaskRecord]:
    """Run tasks one after another, each only if it fits in what is left of `limit` seconds.

    A task that would not fit is passed over, and so is one whose asset was stopped by a failure or by a task that was passed
    over. The first is always tried. Records carry their seconds as GPU seconds.
    """
    begin = clock()
    loaded, tried = "", 0
    stopped: set[str] = set()
    for task in tasks:
        switch = task.load if task.model and task.model != loaded else 0.0
        left = limit - (clock() - begin) - task.reserve
        if task.spec.asset in stopped or (tried and switch + task.seconds > left):
            stopped.add(task.spec.asset)
            continue
        yield Started(task.spec.key)
        tried += 1
        record = run(task.spec, _no_progress)
        loaded = task.model or loaded
        if record.state == "failed":
            stopped.add(task.spec.asset)
        yield replace(record, gpu_seconds=record.seconds)


def _no_progress(fraction: float, note: str) -> None:
    """Report to nobody: a window tells of tasks."""
