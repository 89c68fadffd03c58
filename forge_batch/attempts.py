"""Decide how an asset is tried again after it failed: with the next seed, or once at the next lower resolution.

Pure: the failed records of a job are all the memory that it takes. Only what the asset itself did wrong is an attempt; faults
of workers, networks and allowances never are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from forge_batch.jobs import Failure, Job
from forge_batch.plan import InputImage, Wish, bind, model_of
from forge_batch.stage import Stage, StageParams


@dataclass(frozen=True)
class Attempt:
    """Be a wish as it is tried now.

    Attributes:
        seeds: How many seeds were tried before.
        lower: Whether the learned generator works at the next lower resolution than was asked for.
    """

    wish: Wish
    seeds: int = 0
    lower: bool = False

    @property
    def asset(self) -> str:
        return self.wish.asset

    @property
    def seed(self) -> int:
        return (self.wish.seed + self.seeds) % 2**32

    def params(self, stage: Stage[Any]) -> StageParams:
        """Give what the wish says to a stage, the resolution lowered where that is so."""
        params = self.wish.params(stage)
        below = lower_resolution(params) if self.lower else None
        return params if below is None else params.model_copy(update={"resolution": below})

    def made_from(self) -> dict[str, Any]:
        return self.wish.made_from()

    @property
    def note(self) -> str:
        """Say how it differs from what was asked for; empty if it does not."""
        notes = ["at the next lower resolution, because the GPU ran out of memory"] if self.lower else []
        notes += [f"with seed {self.seed}, because a gate failed with the seed before"] if self.seeds else []
        return f"made {' and '.join(notes)}" if notes else ""


def lower_resolution(params: StageParams) -> int | None:
    """Give the resolution below that of a learned generator; None if there is none, or if nothing is learned."""
    if not model_of(params) or "resolution" not in type(params).model_fields:
        return None
    allowed = sorted(get_args(type(params).model_fields["resolution"].annotation))
    place = allowed.index(getattr(params, "resolution"))  # noqa: B009 - params of any stage
    return allowed[place - 1] if place else None


def next_attempt(stages: Sequence[Stage[Any]], wish: Wish, images: Mapping[str, InputImage], job: Job, seeds: int) -> Attempt:
    """Find the first way to make an asset that has not failed yet; the last one if all have.

    Args:
        stages: In the order in which they run.
        wish: The manifest.
        images: Files of the image set by view name.
        job: What has happened to the asset.
        seeds: How many other seeds may be tried; they help only where something learned uses them.
    """
    attempt = Attempt(wish)
    if not any(record.failure for record in job.records.values()):
        return attempt  # by far the most: nothing has to be worked out
    while True:
        tasks = bind(stages, attempt, images)
        failed = {record.stage: record.failure for task in tasks if (record := job.records.get(task.key)) and record.failure}
        if not attempt.lower and any(_lowers(stage, attempt, failed) for stage in stages):
            attempt = replace(attempt, lower=True)
        elif attempt.seeds < seeds and _has(failed, "gate") and any(task.backend for task in tasks):
            attempt = replace(attempt, seeds=attempt.seeds + 1)
        else:
            return attempt


def _lowers(stage: Stage[Any], attempt: Attempt, failed: Mapping[str, Failure]) -> bool:
    """Tell whether a stage ran out of memory and can work at a lower resolution."""
    failure = failed.get(stage.name)
    return failure is not None and failure.code == "memory" and lower_resolution(attempt.wish.params(stage)) is not None


def _has(failed: Mapping[str, Failure], code: str) -> bool:
    return any(failure.code == code for failure in failed.values())
