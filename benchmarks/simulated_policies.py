"""Be the policies that the simulation compares: three simple ones, and windows.pack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from forge_batch.estimate import Seconds
from forge_batch.executors.windowed import GATHER
from forge_batch.quota import CARD, Allowance, Size
from forge_batch.windows import SLACK, GpuPlan, GpuTask, Window, pack

Policy = Callable[[Sequence[GpuPlan], int | None, datetime, Seconds, Allowance], Window]


def in_turn(key: Callable[[GpuPlan], Any], *, stop: bool) -> Policy:
    """Make a policy that takes assets one after another, loading a model whenever it is not the loaded one."""

    def choose(plans: Sequence[GpuPlan], seconds: int | None, now: datetime, start: Seconds, allowance: Allowance) -> Window:
        begin = math.ceil(start.p90)
        longest = {card: allowance.longest(seconds or 0, card) for card in CARD}
        tasks: list[GpuTask] = []
        models: list[str] = []
        spent = begin
        size: Size = "large"
        for one in sorted(plans, key=key):
            size = size if tasks else one.size
            room = longest[size] - spent
            if one.seconds > room and not stop:
                continue  # not even with every model loaded
            needed, loaded = 0, models[-1:]
            for task in one.runs[0]:
                needed += math.ceil(task.load.p90) if task.model and [task.model] != loaded else 0
                loaded = [task.model] if task.model else loaded
            needed += one.seconds
            if one.size == size and needed <= room:
                spent, tasks = spent + needed, [*tasks, *one.runs[0]]
                models += [m for m in loaded if [m] != models[-1:]]
            elif stop:
                break
        slack = math.ceil(SLACK * max((task.seconds.p90 for task in tasks), default=0.0))
        limit = min(spent + slack, longest[size])
        return Window(now, tuple(tasks), spent, limit, size, tuple(models)) if tasks else Window(now)

    return choose


POLICIES: dict[str, Policy] = {
    "fifo": in_turn(lambda one: (one.since, one.asset), stop=True),
    "shortest_first": in_turn(lambda one: (one.seconds, one.since), stop=False),
    "first_fit_decreasing": in_turn(lambda one: (-one.seconds, one.since), stop=False),
    "ours": pack,
}
PATIENCE = {"ours": GATHER}
"""The three simple policies open a window as soon as anything fits."""
