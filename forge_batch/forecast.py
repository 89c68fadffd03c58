"""Foretell when each asset's turn on the GPU will come, by packing the windows of the days to come. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from forge_batch.estimate import NOTHING, Seconds
from forge_batch.quota import DAY, Allowance, Remaining
from forge_batch.windows import GpuPlan, alone, expected, pack


@dataclass(frozen=True)
class Turn:
    """Say when a run of an asset will have its turn: the number of the window, counted from 1, and the day (UTC)."""

    window: int
    day: date


@dataclass(frozen=True)
class Planned:
    """Be a window to come.

    Attributes:
        window: Its number, counted from 1.
        opens: When, if every window before it takes its median and nothing else is asked for.
        seconds: Median, with the start of the worker and the loading of models.
        tasks: Asset and stage of each task, in the order in which the GPU runs them.
    """

    window: int
    opens: datetime
    seconds: float
    tasks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Forecast:
    """Foretell the windows to come.

    Attributes:
        turns: By asset, one for each of its runs; empty for an asset that needs no GPU.
        windows: How many there will be.
        days: From today until the last of them; 0 is today.
        too_large: Assets with a run that takes more seconds than a whole allowance, and the seconds it takes. They get no turns
            from that run on.
        planned: The windows, in order.
    """

    turns: Mapping[str, tuple[Turn, ...]]
    windows: int
    days: int
    too_large: Mapping[str, int]
    planned: tuple[Planned, ...] = ()


def forecast(
    plans: Sequence[GpuPlan], allowance: Allowance, left: Remaining, now: datetime, start: Seconds = NOTHING
) -> Forecast:
    """Simulate the packing of all windows to come, each of them taking its median.

    CPU work between two runs of an asset is taken to be done by the next window; where nobody counts seconds, all of it
    is today. `left` is what `quota.remaining` says now.
    """
    turns: dict[str, tuple[Turn, ...]] = {plan.asset: () for plan in plans}
    too_large: dict[str, int] = {}
    planned: list[Planned] = []
    queue = {plan.asset: plan for plan in plans if plan.runs}
    moment, seconds, resets_at, count = now, left.seconds, left.resets_at, 0
    while queue:
        for asset, plan in list(queue.items()):
            needed = alone(plan, start)
            if left.whole is not None and needed > allowance.longest(left.whole, plan.size):
                too_large[asset] = math.ceil(needed * allowance.factor(plan.size))
                del queue[asset]
        window = pack(list(queue.values()), seconds, moment, start, allowance)
        if not window.tasks:
            if seconds == left.whole:
                break  # nothing is left but what is too large
            moment, seconds, resets_at = max(moment, resets_at or moment + DAY), left.whole, None
            continue
        count += 1
        took = expected(window, start)
        planned.append(Planned(count, moment, took, tuple((task.asset, task.stage) for task in window.tasks)))
        for asset in window.assets:
            turns[asset] += (Turn(count, moment.astimezone(UTC).date()),)
            queue[asset] = replace(queue[asset], runs=queue[asset].runs[1:])
            if not queue[asset].runs:
                del queue[asset]
        if seconds is not None:
            resets_at = resets_at or _next_reset(allowance, moment)
            seconds = max(0, seconds - math.ceil(took * allowance.factor(window.size)))
            moment += timedelta(seconds=took)
            if resets_at is not None and moment >= resets_at:
                seconds, resets_at = left.whole, None
    last = max((turn.day for asset in turns.values() for turn in asset), default=now.astimezone(UTC).date())
    return Forecast(turns, count, (last - now.astimezone(UTC).date()).days, too_large, tuple(planned))


def _next_reset(allowance: Allowance, opened: datetime) -> datetime | None:
    """Say when an allowance that is first used at `opened` comes back."""
    if allowance.reset == "midnight":
        return opened.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    return opened + DAY if allowance.reset == "first_use" else None
