"""Price what remains: seconds of GPU and CPU, bytes on disk, and the window and day on which each asset's turn will come.

Pure; the clock is an argument. A price is made of a plan, the estimates and the allowance, and spends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from forge_batch.estimate import Estimator, Seconds, total
from forge_batch.forecast import Forecast, Turn, forecast
from forge_batch.plan import Plan
from forge_batch.quota import Allowance, Remaining
from forge_batch.retry_price import Odds, Retry, retries
from forge_batch.windows import GpuPlan


@dataclass(frozen=True)
class Claim:
    """Be what an asset can say for itself when it waits with others; see `windows.urgencies`.

    Attributes:
        priority: 0 to 100.
        deadline: The last day on which it is of use, UTC, or None.
        since: When it was first asked for; None: now.
        seeds: How many other seeds may still be tried for it.
        lower: Whether a lower resolution may still be tried.
    """

    priority: int = 50
    deadline: date | None = None
    since: datetime | None = None
    seeds: int = 0
    lower: bool = True


@dataclass(frozen=True)
class AssetPrice:
    """Be what remains of one asset.

    Attributes:
        gpu: Seconds of its GPU stages on a GPU, models loaded.
        cpu: Seconds of its CPU stages on two cores.
        without_gpu: Seconds of all its stages where there is no GPU.
        disk: Bytes that its stages will leave.
        cached: Names of the stages that are done already, and therefore free.
        saved: GPU seconds that those took, or would have taken.
        turn: Window and day of its last GPU run; None if it needs no GPU or never gets a turn.
        too_large: Seconds of a run that no whole allowance holds; 0 if there is none.
        deadline: The last day on which it is of use, or None.
        late: Whether it will be done after that day, going by medians, or never.
        retries: What trying again would add; no part of the seconds above.
    """

    plan: Plan
    gpu: Seconds
    cpu: Seconds
    without_gpu: Seconds
    disk: int
    cached: tuple[str, ...]
    saved: Seconds
    turn: Turn | None
    too_large: int
    deadline: date | None
    late: bool
    retries: tuple[Retry, ...] = ()

    @property
    def retry_gpu(self) -> float:
        """GPU seconds that trying again adds on average."""
        return sum(retry.expected for retry in self.retries)


@dataclass(frozen=True)
class Price:
    """Be what remains of a whole queue, held against the allowance.

    Attributes:
        gpu: p50 and p90 of all windows together: starts of workers and loading of models included.
        wall: Seconds on this machine without a GPU, median: all work shared by the workers, no asset faster than its chain.
        windows: How many GPU windows it takes.
        days: From today until the last of them; 0 is today.
    """

    assets: tuple[AssetPrice, ...]
    gpu: Seconds
    cpu: Seconds
    without_gpu: Seconds
    disk: int
    wall: float
    workers: int
    now: datetime
    allowance: Allowance
    left: Remaining
    windows: int
    days: int
    odds: Odds

    @property
    def retry_gpu(self) -> float:
        """GPU seconds that trying again adds on average to all of it."""
        return sum(asset.retry_gpu for asset in self.assets)


def price(
    plans: Sequence[Plan],
    estimator: Estimator,
    allowance: Allowance,
    left: Remaining,
    now: datetime,
    *,
    claims: Mapping[str, Claim],
    workers: int,
    odds: Odds | None = None,
    only: Collection[str] | None = None,
) -> Price:
    """Price plans, and foretell the windows.

    Args:
        plans: Of the whole queue, since assets wait for each other.
        estimator: What tasks take.
        allowance: The profile that is counted against.
        left: What of it may still be spent.
        now: With a time zone.
        claims: By asset.
        workers: Assets that this machine works on at a time.
        odds: How often attempts fail; as a guess if None.
        only: Assets that the price is for; all if None.
    """
    start = estimator.cold_start()
    queue = [
        GpuPlan.of(plan, estimator, claim.since or now, claim.priority, claim.deadline)
        for plan in plans
        for claim in [claims[plan.asset]]
    ]
    foretold = forecast(queue, allowance, left, now, start)
    shown = [plan for plan in plans if only is None or plan.asset in only]
    odds = odds or Odds()
    assets = tuple(
        replace(
            _asset_price(plan, estimator, foretold, claims[plan.asset].deadline, now.date()),
            retries=retries(plan, estimator, odds, claims[plan.asset].seeds, claims[plan.asset].lower),
        )
        for plan in shown
    )
    turns = [turn for plan in shown for turn in foretold.turns[plan.asset]]
    windows = len({turn.window for turn in turns})
    models = sorted({task.backend for plan in shown for task in plan.pending} - {""})
    return Price(
        assets,
        total([*(asset.gpu for asset in assets), *map(estimator.switch, models), *[start] * windows]),
        total(asset.cpu for asset in assets),
        total(asset.without_gpu for asset in assets),
        sum(asset.disk for asset in assets),
        wall_seconds((asset.without_gpu.p50 for asset in assets), workers),
        workers,
        now,
        allowance,
        left,
        windows,
        max(((turn.day - now.date()).days for turn in turns), default=0),
        odds,
    )


def _asset_price(plan: Plan, estimator: Estimator, foretold: Forecast, deadline: date | None, today: date) -> AssetPrice:
    cached = [task for task in plan.tasks if task not in plan.pending and not plan.blocked]
    turns = foretold.turns[plan.asset]
    too_large = foretold.too_large.get(plan.asset, 0)
    done = turns[-1].day if turns else today
    return AssetPrice(
        plan,
        total(estimator.gpu(task) for task in plan.pending),
        total(estimator.cpu(task) for task in plan.pending if task.device == "cpu"),
        total(estimator.cpu(task) for task in plan.pending),
        estimator.disk(plan.pending),
        tuple(task.stage.name for task in cached),
        total(estimator.gpu(task) for task in cached),
        turns[-1] if turns else None,
        too_large,
        deadline,
        deadline is not None and bool(plan.pending) and (bool(too_large) or done > deadline),
    )


def wall_seconds(chains: Iterable[float], workers: int) -> float:
    """Estimate the wall time of a batch: all work shared, but no asset faster than its own chain."""
    costs = list(chains)
    return max([sum(costs) / workers, *costs], default=0.0)
