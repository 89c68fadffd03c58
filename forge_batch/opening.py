"""Decide when a window opens, and which work is better left for a later one.

Pure; the clock is an argument. A load serves every task of its model in a window, so work that shares one is worth gathering;
and a task that is cut off by the end of the allowance is lost, so a long one waits for a fuller allowance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from forge_batch.estimate import NOTHING, Seconds
from forge_batch.quota import DAY, UNLIMITED, Allowance, Remaining, Size
from forge_batch.windows import GpuPlan, Load, Window, overhead

OVERHEAD = 0.04
"""Share of a window's seconds that starts and loads may take before it pays to wait for more work."""
ROOM = 2.0
"""Times p90 of a run that should be left before it starts: three medians and more, where nine of ten take less than half."""
FRESH = 0.9
"""Share of an allowance that counts as all of it: a run that needs more has its chance then."""
LAST_CALL = timedelta(hours=float(__import__("os").environ.get("LC", "3")))
"""Before the allowance comes back: what is left of it then is lost, so a run is tried though it may be cut off."""
HOLD = DAY
"""How long a run waits at most for others that share its model."""
NEAR = timedelta(days=3)
"""Before a deadline, nothing waits for others."""


def ripe(
    plans: Sequence[GpuPlan], left: Remaining, now: datetime, start: Seconds = NOTHING, allowance: Allowance = UNLIMITED
) -> list[GpuPlan]:
    """Choose what may go into a window now; the rest is better left for later.

    Left out are runs without ROOM in what is left of the allowance, unless a fresh one has no more of it, or it is LAST_CALL;
    and, while the others fill what is left, runs whose model would be loaded for little, unless one of them is ready for
    longer than HOLD or near its deadline.
    """
    queue = [plan for plan in plans if plan.runs]
    if left.seconds is None:
        return queue
    out = _cramped(queue, left, now, start, allowance)
    costs = {plan.asset: plan.seconds * allowance.factor(plan.size) for plan in queue if plan.asset not in out}
    rest = sum(costs.values())
    for group in _sparse(queue, now, start):
        cost = sum(costs.get(asset, 0.0) for asset in group - out)
        if rest - cost >= left.seconds:
            rest, out = rest - cost, out | group
    return [plan for plan in queue if plan.asset not in out]


def _cramped(plans: Sequence[GpuPlan], left: Remaining, now: datetime, start: Seconds, allowance: Allowance) -> set[str]:
    """Name the assets whose next run could be cut off by the end of what is left, and not by that of a fresh allowance."""
    if left.seconds is None or left.whole is None or left.seconds >= left.whole:
        return set()
    if left.resets_at is not None and left.resets_at - now <= LAST_CALL:
        return set()
    room = {size: allowance.longest(left.seconds, size) for size in ("large", "xlarge")}
    whole = {size: FRESH * allowance.longest(left.whole, size) for size in ("large", "xlarge")}
    return {
        plan.asset for plan in plans if room[plan.size] < min(ROOM * plan.seconds + overhead(plan, start), whole[plan.size])
    }


def _sparse(plans: Sequence[GpuPlan], now: datetime, start: Seconds) -> list[set[str]]:
    """Name the assets that share a load which would take more than OVERHEAD of its work; the dearest load first."""
    sharing: dict[tuple[Size, Load], list[GpuPlan]] = defaultdict(list)
    seconds: dict[tuple[Size, Load], int] = {}
    for plan in plans:
        for load, needed in plan.loads:
            sharing[plan.size, load].append(plan)
            seconds[plan.size, load] = needed + (math.ceil(start.p90) if plan.size == "xlarge" else 0)
    found = []
    for need, members in sharing.items():
        work = sum(plan.seconds for plan in members)
        if seconds[need] > OVERHEAD * (seconds[need] + work) and not any(_presses(plan, now) for plan in members):
            found.append((seconds[need] / work, {plan.asset for plan in members}))
    return [assets for _, assets in sorted(found, key=lambda group: -group[0])]


def _presses(plan: GpuPlan, now: datetime) -> bool:
    """Tell whether a run has waited for others long enough, or must not wait at all."""
    near = plan.deadline is not None and plan.deadline <= (now + NEAR).date()
    return near or now - (plan.ready or plan.since) >= HOLD


def worth_opening(
    window: Window, plans: Sequence[GpuPlan], now: datetime, resets_at: datetime | None, patience: timedelta
) -> bool:
    """Tell whether a window should be opened now, or whether more work should gather in it first.

    It waits while starts and loads would take more than OVERHEAD of it, but no asset in it longer than `patience` since its run
    was ready, and not when the allowance would come back meanwhile: what is left of it then is lost. Nor does it wait
    where nothing of the allowance is spent yet: the day of most begins with the first second that is.
    """
    work = sum(task.seconds.p90 for task in window.tasks)
    if window.seconds - work <= OVERHEAD * window.seconds or resets_at is None or resets_at - now <= patience:
        return bool(window.tasks)
    inside = set(window.assets)
    return any(now - (plan.ready or plan.since) >= patience for plan in plans if plan.asset in inside)
