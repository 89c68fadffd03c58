"""Price what trying again would add: another seed after a failed gate, a lower resolution after the GPU ran out of memory.

Pure. How often it comes to that is learned from the job history, from a prior that is worth PRIOR_TASKS tasks: with f failures
among n outcomes, the chance is (PRIOR_TASKS p + f) / (PRIOR_TASKS + n), the mean of a beta distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from forge_batch.attempts import lower_resolution
from forge_batch.estimate import Estimator, Seconds, total
from forge_batch.jobs import TaskRecord
from forge_batch.plan import Plan, Task

Reason = Literal["gate", "memory"]
PRIOR = {"gate": 0.1, "memory": 0.02}
"""Chance of a failed gate, and of running out of memory, before anything was seen: guesses."""
PRIOR_TASKS = 5.0


@dataclass(frozen=True)
class Odds:
    """Be the chances that an attempt fails, by the reason, and from how many past attempts they were learned."""

    gate: float = PRIOR["gate"]
    memory: float = PRIOR["memory"]
    learned_from: int = 0

    @classmethod
    def from_records(cls, records: Iterable[TaskRecord]) -> Odds:
        """Learn from the outcomes of past tasks: gates are held by `inspect`, memory runs out in `generate`."""
        seen = list(records)
        gates = [record for record in seen if record.stage == "inspect"]
        made = [record for record in seen if record.stage == "generate"]
        return cls(_chance("gate", gates), _chance("memory", made), len(gates))


def _chance(reason: Reason, records: Sequence[TaskRecord]) -> float:
    failed = sum(record.failure is not None and record.failure.code == reason for record in records)
    return (PRIOR_TASKS * PRIOR[reason] + failed) / (PRIOR_TASKS + len(records))


@dataclass(frozen=True)
class Retry:
    """Be what trying again for one reason would add to an asset.

    Attributes:
        chance: That an attempt fails for this reason.
        times: How often it may still be tried again.
        gpu: GPU seconds of one further attempt, models loaded.
    """

    reason: Reason
    chance: float
    times: int
    gpu: Seconds

    @property
    def expected(self) -> float:
        """GPU seconds that it adds on average: each further attempt is made only if all before it have failed."""
        return self.gpu.mean * sum(self.chance**number for number in range(1, self.times + 1))


def retries(plan: Plan, estimator: Estimator, odds: Odds, seeds: int, lower: bool) -> tuple[Retry, ...]:
    """Price what may be tried again.

    Another seed makes every stage anew. A lower resolution makes `generate` anew; what comes after it had not run yet.

    Args:
        plan: What remains; where nothing does, nothing is tried again.
        estimator: What tasks take.
        odds: How often attempts fail.
        seeds: How many other seeds may still be tried.
        lower: Whether a lower resolution may still be tried.
    """
    if not plan.pending or plan.blocked:
        return ()
    found = []
    if seeds and any(task.backend for task in plan.tasks):
        found.append(Retry("gate", odds.gate, seeds, total(estimator.gpu(task) for task in plan.tasks)))
    lowered = [task for task in map(_lowered, plan.pending) if task is not None]
    if lower and lowered:
        found.append(Retry("memory", odds.memory, 1, total(map(estimator.gpu, lowered))))
    return tuple(found)


def _lowered(task: Task) -> Task | None:
    """Give the task at the next lower resolution; None if there is none."""
    resolution = lower_resolution(task.params)
    if resolution is None:
        return None
    return replace(task, params=task.params.model_copy(update={"resolution": resolution}))
