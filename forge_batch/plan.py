"""Work out what remains to be done for an asset.

Pure: a Plan is a function of the manifest, the images and the job, made anew every run and never stored. A dry run is a
printed Plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from forge_batch.artifacts import IMAGES, MANIFEST
from forge_batch.backends.catalog import GPU_NEEDS
from forge_batch.jobs import Failure, Job
from forge_batch.stage import Cost, Device, Stage, StageParams, Switchable


class Wish(Protocol):
    """Be what a plan needs to know of a manifest."""

    @property
    def asset(self) -> str: ...
    @property
    def seed(self) -> int: ...
    def params(self, stage: Stage[Any]) -> StageParams: ...
    def made_from(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class InputImage:
    """Point at one file of an image set, with the sha256 of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Task:
    """Be one stage of one asset, with everything its outcome depends on.

    Attributes:
        key: sha256 over stage, version, params, seed, backend revision and the keys of what it reads. Known before anything
            runs; equal keys mean equal results.
        inputs: Key of the producer by slot name; for the root slots, the hash of what the content folder holds.
    """

    asset: str
    stage: Stage[Any]
    params: StageParams
    seed: int
    key: str
    inputs: Mapping[str, str]

    @cached_property
    def cost(self) -> Cost:
        return self.stage.cost(self.params)

    @cached_property
    def device(self) -> Device:
        """Where it runs: a stage made for the GPU may have a choice that needs none, such as the generator hull."""
        return "gpu" if self.stage.device == "gpu" and self.cost.gpu > 0 else "cpu"

    @cached_property
    def backend(self) -> str:
        """The learned model that must be loaded for it; empty if there is none."""
        return model_of(self.params)

    @cached_property
    def method(self) -> str:
        """The word for how it is done: its model, or its algorithm; empty where there is no choice."""
        return method_of(self.params)


@dataclass(frozen=True)
class Plan:
    """Be what remains for one asset.

    Attributes:
        tasks: Every task of the asset, in order.
        pending: Those that must run, in order: the ones without an outcome, and the ones whose outputs they need but are gone.
        blocked: A failure that running again would only repeat; then nothing is pending but, after a failed gate, `rejected`.
        images: Files of the image set by view name.
        manifest_key: Hash of all in the manifest that decides what is made.
        note: How this attempt differs from what was asked for; empty if it does not.
    """

    asset: str
    tasks: tuple[Task, ...]
    pending: tuple[Task, ...]
    blocked: Failure | None
    images: Mapping[str, InputImage]
    manifest_key: str
    note: str = ""

    @property
    def last(self) -> Task:
        """The task that makes the package."""
        return self.tasks[-1]

    @cached_property
    def rejected(self) -> Task:
        """The task that packs what a gate refused, for its owner to decide about: the last one, under a key of its own."""
        return replace(self.last, key=digest(["rejected", self.last.key]))

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(task.key for task in (*self.tasks, self.rejected))

    @cached_property
    def gpu_runs(self) -> list[list[Task]]:
        """The pending GPU tasks in groups: a run is ready as soon as the runs before it and the CPU work between are done."""
        depth: dict[str, int] = {}
        runs: dict[int, list[Task]] = {}
        devices = {task.key: task.device for task in self.pending}
        for task in self.pending:
            before = [
                depth[key] + (devices[key] == "gpu" and task.device == "cpu") for key in task.inputs.values() if key in depth
            ]
            depth[task.key] = max(before, default=0)
            if task.device == "gpu":
                runs.setdefault(depth[task.key], []).append(task)
        return [runs[number] for number in sorted(runs)]

    @property
    def reads(self) -> frozenset[str]:
        """Keys of the finished tasks whose outputs the pending ones read."""
        pending = {task.key for task in self.pending}
        return frozenset(key for task in self.pending for key in task.inputs.values() if key in self.keys - pending)

    @property
    def cost(self) -> Cost:
        """Sum over the pending tasks."""
        costs = [task.cost for task in self.pending]
        return Cost(sum(c.cpu for c in costs), sum(c.gpu for c in costs))


def model_of(params: StageParams) -> str:
    """Name the learned model that these params ask for; empty if they ask for none."""
    word = str(getattr(params, "backend", None) or getattr(params, "method", ""))
    return word if word in GPU_NEEDS else ""


def method_of(params: StageParams) -> str:
    """Name the learned model or the algorithm that these params ask for; empty if they leave no choice."""
    return model_of(params) or str(getattr(params, "method", ""))


def digest(document: Any) -> str:
    """Hash a JSON document; equal documents have equal hashes whatever the order of their keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def bind(stages: Sequence[Stage[Any]], wish: Wish, images: Mapping[str, InputImage]) -> tuple[Task, ...]:
    """Give every task of an asset its inputs and its key: each input slot is bound to the latest producer before it.

    A switchable stage that must have what only switched-off stages write is left out with them: inpaint without a base colour.

    Raises:
        LookupError: A stage reads a required slot that nothing before it writes; the order of STAGES is wrong.
    """
    producers = {
        IMAGES.name: digest({name: image.sha256 for name, image in images.items()}),
        MANIFEST.name: digest(wish.made_from()),
    }
    tasks = []
    left_out: set[str] = set()
    for stage in stages:
        params = wish.params(stage)
        missing = [slot.name for slot in stage.inputs if slot.required and slot.name not in producers]
        if not params.on or (missing and isinstance(params, Switchable) and left_out.issuperset(missing)):
            left_out.update(slot.name for slot in stage.outputs)
            continue
        if missing:
            raise LookupError(f"stage {stage.name} reads {', '.join(missing)}, which no stage before it writes")
        inputs = {slot.name: producers[slot.name] for slot in stage.inputs if slot.name in producers}
        fields = [stage.name, stage.version, params.made_from(), wish.seed, stage.revision(params), inputs]
        task = Task(wish.asset, stage, params, wish.seed, digest(fields), inputs)
        producers.update({slot.name: task.key for slot in stage.outputs})
        tasks.append(task)
    return tuple(tasks)


def plan(
    stages: Sequence[Stage[Any]],
    wish: Wish,
    images: Mapping[str, InputImage],
    job: Job,
    present: Collection[str],
    retry: bool = False,
) -> Plan:
    """Work out what remains.

    Args:
        stages: In the order in which they run.
        wish: The manifest.
        images: Files of the image set by view name.
        job: What has happened to the asset.
        present: Task keys whose outputs lie on this machine's disk.
        retry: Run again what failed for a lasting reason.
    """
    tasks = bind(stages, wish, images)
    return replan(Plan(wish.asset, tasks, tasks, None, images, digest(wish.made_from())), job, present, retry)


def replan(known: Plan, job: Job, present: Collection[str], retry: bool = False) -> Plan:
    """Work out what remains now that more has happened; as `plan` does, where manifest and images are the same as before."""
    failures = [failure for task in known.tasks if (failure := job.lasting_failure(task.key))]
    blocked = failures[0] if failures and not retry else None
    pending = _pending_rejected(known, job, present) if blocked else _pending(known.tasks, job.done, present, job.published)
    return replace(known, pending=pending, blocked=blocked)


def _pending(
    tasks: tuple[Task, ...], finished: Callable[[str], bool], present: Collection[str], published: str
) -> tuple[Task, ...]:
    """Walk from the package backwards: a task runs if it is not finished, or if its outputs are needed and gone.

    Outputs are needed by the tasks that run, and by the publication of a package that is not published yet.
    """
    wanted = set() if published == tasks[-1].key else {tasks[-1].key}
    running: list[Task] = []
    for task in reversed(tasks):
        if not finished(task.key) or (task.key in wanted and task.key not in present):
            running.append(task)
            wanted.update(task.inputs.values())
    return tuple(reversed(running))


def _pending_rejected(known: Plan, job: Job, present: Collection[str]) -> tuple[Task, ...]:
    """List what is left to do for the package of an asset that a gate refused; nothing if there can be none.

    There can be one if everything else of it is made. Where what the gate measured is gone, that is measured again first, and
    the package comes with the next plan.
    """

    def finished(key: str) -> bool:
        return job.done(key) or job.refused(key)

    at_a_gate = any(job.refused(task.key) for task in known.tasks)
    if not (at_a_gate and all(finished(task.key) for task in known.tasks[:-1])) or job.lasting_failure(known.rejected.key):
        return ()
    pending = _pending((*known.tasks[:-1], known.rejected), finished, present, job.rejected)
    again = [number for number, task in enumerate(pending) if job.refused(task.key)]
    return pending[: again[0] + 1] if again else pending
