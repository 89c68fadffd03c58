"""Pack GPU work into windows that fit what is left of the allowance, and foretell when each asset's turn will come.

Pure; the clock is an argument. A window is one session of a GPU. What it takes of an asset is its next run: the GPU tasks that
are ready together, all bakes of an asset for example. Within a window tasks go by stage, then by model, so that each model is
loaded once; an asset's own order is the order of stages and is kept.

Every asset weighs 2^urgency, and a window is the set of next runs with the greatest sum of weights that fits, the start of the
worker and the loading of models included. An asset becomes twice as urgent with every 10 points of priority, with every 2
days of waiting, and in the last week before its deadline with every day. Because that growth has no end, nothing waits for
ever: to keep an asset out, the others in a window must outweigh it, and a hundred equal ones do so for 14 days at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import cast

import numpy as np

from forge_batch.backends.catalog import GPU_NEEDS
from forge_batch.estimate import NOTHING, Estimator, Seconds, total
from forge_batch.plan import Plan, Task
from forge_batch.quota import CARD, DAY, UNLIMITED, Allowance, Remaining, Size
from forge_batch.stages import STAGES

POINTS_PER_DOUBLING = 10.0
DAYS_PER_DOUBLING = 2.0
DEADLINE_DAYS = 7.0
FAINTEST = 30.0
"""Doublings below the most urgent asset at which all others weigh the same: so that sums of weights stay exact."""
CELLS = 10_000
"""Capacity above which the table of the packer counts in more than one second."""

ORDER = {stage.name: number for number, stage in enumerate(STAGES)}


@dataclass(frozen=True)
class GpuTask:
    """Be a task as the packer sees it.

    Attributes:
        model: The learned model that must be loaded for it, empty if none.
        seconds: With the model loaded.
        load: Seconds to load the model.
        vram: GB of GPU memory it needs.
    """

    asset: str
    key: str
    stage: str
    model: str
    seconds: Seconds
    load: Seconds = NOTHING
    vram: float = 0.0


Run = tuple[GpuTask, ...]
"""GPU tasks of one asset that are ready together, in order."""


@dataclass(frozen=True)
class GpuPlan:
    """Be what remains of one asset on the GPU.

    Attributes:
        runs: The next first; between two of them lies work for the CPU.
        since: When the asset was first asked for.
        priority: 0 to 100.
        deadline: The last day on which it is of use, or None.
    """

    asset: str
    runs: tuple[Run, ...]
    since: datetime
    priority: int = 50
    deadline: date | None = None

    @classmethod
    def of(cls, plan: Plan, estimator: Estimator, since: datetime, priority: int = 50, deadline: date | None = None) -> GpuPlan:
        """Price the pending GPU tasks of a plan."""
        runs = tuple(tuple(_gpu_task(task, estimator) for task in run) for run in gpu_runs(plan))
        return cls(plan.asset, runs, since, priority, deadline)

    @property
    def size(self) -> Size:
        """The window that the next run needs."""
        return size_of(self.runs[0])


@dataclass(frozen=True)
class Window:
    """Be one session of a GPU: its tasks in order, and the seconds that it may take.

    Attributes:
        seconds: To be reserved and declared: p90 of every part, with the start of the worker and the loading of models.
            The GPU side stops before a task that would not fit in what is left of them.
        models: What is loaded, in that order.
    """

    opened: datetime
    tasks: Run = ()
    seconds: int = 0
    size: Size = "large"
    models: tuple[str, ...] = ()

    @property
    def deadline(self) -> datetime:
        return self.opened + timedelta(seconds=self.seconds)

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.asset for task in self.tasks))


def gpu_runs(plan: Plan) -> list[list[Task]]:
    """Group the pending GPU tasks of a plan: a run is ready as soon as the runs before it and the CPU work between are done."""
    depth: dict[str, int] = {}
    runs: dict[int, list[Task]] = {}
    devices = {task.key: task.device for task in plan.pending}
    for task in plan.pending:
        depth[task.key] = max(
            (depth[key] + (devices[key] == "gpu" and task.device == "cpu") for key in task.inputs.values() if key in depth),
            default=0,
        )
        if task.device == "gpu":
            runs.setdefault(depth[task.key], []).append(task)
    return [runs[number] for number in sorted(runs)]


def _gpu_task(task: Task, estimator: Estimator) -> GpuTask:
    model = task.backend
    vram = GPU_NEEDS[model].vram_at(getattr(task.params, "resolution", 0)) if model else 0.0
    load = estimator.switch(model) if model else NOTHING
    return GpuTask(task.asset, task.key, task.stage.name, model, estimator.gpu(task), load, vram)


def size_of(tasks: Iterable[GpuTask]) -> Size:
    """Give the smallest window that has enough GPU memory; the largest there is for a task that needs still more."""
    return "large" if max((task.vram for task in tasks), default=0.0) <= CARD["large"] else "xlarge"


def urgencies(plans: Sequence[GpuPlan], now: datetime) -> list[float]:
    """Give the doublings of each asset's weight above or below one of priority 50 that was asked for just now."""
    found = []
    for plan in plans:
        urgency = (plan.priority - 50) / POINTS_PER_DOUBLING + max(0.0, (now - plan.since) / DAY) / DAYS_PER_DOUBLING
        if plan.deadline is not None:
            end = datetime(plan.deadline.year, plan.deadline.month, plan.deadline.day, tzinfo=UTC) + DAY
            urgency += min(DEADLINE_DAYS, max(0.0, DEADLINE_DAYS - (end - now) / DAY))
        found.append(urgency)
    return found


def weights(plans: Sequence[GpuPlan], now: datetime) -> list[float]:
    """Give the weight of each asset relative to the most urgent one, 2^-30 to 1."""
    found = urgencies(plans, now)
    most = max(found, default=0.0)
    return [2.0 ** max(urgency - most, -FAINTEST) for urgency in found]


def pack(
    plans: Sequence[GpuPlan],
    seconds: int | None,
    now: datetime,
    start: Seconds = NOTHING,
    allowance: Allowance = UNLIMITED,
) -> Window:
    """Choose the next window.

    Exact up to 10,000 seconds (see `_Packer`). Among equally good windows the one that loads fewer models is taken, then
    the one with the older assets.

    Args:
        plans: Assets whose next run can start; those without a run are passed over.
        seconds: What is left of the allowance; None if nobody counts, and then every next run of one size is taken.
        now: With a time zone.
        start: Seconds until a fresh worker can begin.
        allowance: What a second costs by the size of the window.

    Returns:
        A window whose p90 lies within what the platform starts with so many seconds left; without tasks if nothing fits.
    """
    queue = sorted((plan for plan in plans if plan.runs), key=lambda plan: (plan.since, plan.asset))
    worth = weights(queue, now)
    begin = math.ceil(start.p90)
    best: tuple[float, list[GpuPlan], Size] = (0.0, [], "large")
    for size in cast("tuple[Size, ...]", ("large", "xlarge")):
        chosen = [(plan, weight) for plan, weight in zip(queue, worth, strict=True) if plan.size == size]
        room = None if seconds is None else allowance.longest(seconds, size) - begin
        value, taken = _Packer([plan.runs[0] for plan, _ in chosen], [weight for _, weight in chosen]).pack(room)
        if value > best[0]:
            best = value, [chosen[number][0] for number in taken], size
    return _window([task for plan in best[1] for task in plan.runs[0]], now, begin, best[2])


def _window(tasks: Sequence[GpuTask], now: datetime, begin: int, size: Size) -> Window:
    if not tasks:
        return Window(now)
    ordered = sorted(tasks, key=lambda task: (ORDER.get(task.stage, 0), task.model))  # stable: older assets first
    loads = _loads(tasks)
    assets: dict[str, float] = {}
    for task in tasks:
        assets[task.asset] = assets.get(task.asset, 0.0) + task.seconds.p90
    seconds = begin + sum(loads.values()) + sum(math.ceil(part) for part in assets.values())
    return Window(now, tuple(ordered), seconds, size, tuple(model for _, model in loads))


Load = tuple[int, str]  # a model at a stage: it is loaded once for all tasks of that stage


def _loads(tasks: Iterable[GpuTask]) -> dict[Load, int]:
    """Give the seconds of every load that these tasks need, in the order of the window."""
    loads = {(ORDER.get(task.stage, 0), task.model): math.ceil(task.load.p90) for task in tasks if task.model}
    return dict(sorted(loads.items()))


@dataclass
class _Packer:
    """Solve the knapsack with set-up costs: which runs to take, when the loads that they need take room as well.

    For every set of loads the fractional optimum over the runs that need no others is an upper bound (Dantzig 1957); the sets
    are tried from the highest bound down, each by dynamic programming over whole seconds, until no bound is left above the
    best that was found. Loads are few, one for each learned model, so that their sets can be listed.
    """

    runs: Sequence[Run]
    worth: Sequence[float]
    loads: dict[Load, int] = field(init=False)
    sizes: np.ndarray = field(init=False)  # (n,) int64 seconds
    needs: np.ndarray = field(init=False)  # (n,) int64, one bit for each load

    def __post_init__(self) -> None:
        self.loads = _loads(task for run in self.runs for task in run)
        bits = {load: 1 << number for number, load in enumerate(self.loads)}
        self.sizes = np.array([math.ceil(sum(task.seconds.p90 for task in run)) for run in self.runs], np.int64)
        self.needs = np.array([sum(bits[load] for load in _loads(run)) for run in self.runs], np.int64)

    def pack(self, room: int | None) -> tuple[float, list[int]]:
        """Give the greatest sum of weights, and the runs that make it, as numbers in order."""
        worth = np.array(self.worth, np.float64)
        everything = sum(self.loads.values()) + int(self.sizes.sum())
        if room is None or everything <= room:
            return float(worth.sum()), list(range(len(self.runs)))
        best, taken, count = 0.0, np.zeros(0, np.int64), 0
        for bound, used, numbers, left in self.candidates(room, worth):
            gain = bound - best
            if gain < -1e-9 * best or (gain <= 1e-9 * best and used >= count):
                continue
            value, found = _knapsack(self.sizes[numbers], worth[numbers], left)
            if value > best * (1 + 1e-9) or (value >= best * (1 - 1e-9) and used < count):
                best, taken, count = value, numbers[found], used
        return best, [int(number) for number in taken]

    def candidates(self, room: int, worth: np.ndarray) -> list[tuple[float, int, np.ndarray, int]]:
        """List sets of loads, the highest bound first: bound, number of loads, runs that need no others, the room left."""
        order = np.argsort(-worth / np.maximum(self.sizes, 1e-9), kind="stable")
        found = []
        for used in range(len(self.loads) + 1):
            for chosen in combinations(range(len(self.loads)), used):
                left = room - sum(list(self.loads.values())[number] for number in chosen)
                mask = sum(1 << number for number in chosen)
                inside = order[(self.needs[order] & ~mask == 0) & (self.sizes[order] <= left)]
                if left >= 0 and len(inside):
                    found.append((_bound(self.sizes[inside], worth[inside], left), used, np.sort(inside), left))
        return sorted(found, key=lambda candidate: (-candidate[0], candidate[1]))


def _bound(sizes: np.ndarray, worth: np.ndarray, room: int) -> float:
    """Give the optimum if runs could be cut; both (n,), the greatest worth per second first."""
    filled = np.cumsum(sizes)
    whole = int(np.searchsorted(filled, room, side="right"))
    value = float(worth[:whole].sum())
    if whole < len(sizes):
        value += float(worth[whole] * (room - (filled[whole - 1] if whole else 0)) / sizes[whole])
    return value


def _knapsack(sizes: np.ndarray, worth: np.ndarray, room: int) -> tuple[float, np.ndarray]:
    """Solve 0-1 knapsack; earlier things are preferred among equals.

    Args:
        sizes: (n,) whole seconds, each at most `room`.
        worth: (n,) above 0.
        room: Seconds; above CELLS sizes are rounded up to a coarser unit, and the greedy choice is taken where it is better.

    Returns:
        The worth, and the things taken, in order.
    """
    unit = max(1, math.ceil(room / CELLS))
    units, width = -(-sizes // unit), room // unit
    value = np.zeros(width + 1)
    took = np.zeros((len(sizes), width + 1), bool)
    for number, (size, weight) in enumerate(zip(units.tolist(), worth.tolist(), strict=True)):
        if size > width:
            continue
        with_it = value[: width + 1 - size] + weight
        better = with_it > value[size:] * (1 + 1e-12)
        took[number, size:] = better
        value[size:] = np.where(better, with_it, value[size:])
    left, taken = width, []
    for number in range(len(sizes) - 1, -1, -1):
        if took[number, left]:
            taken.append(number)
            left -= int(units[number])
    if unit > 1:
        greedy = _greedy(sizes, worth, room)
        if worth[greedy].sum() > worth[taken].sum():
            taken = greedy
    return float(worth[taken].sum()), np.array(sorted(taken), np.int64)


def _greedy(sizes: np.ndarray, worth: np.ndarray, room: int) -> list[int]:
    """Take what fits, the greatest worth per second first."""
    taken = []
    for number in np.argsort(-worth / np.maximum(sizes, 1e-9), kind="stable").tolist():
        if sizes[number] <= room:
            taken.append(number)
            room -= int(sizes[number])
    return taken


@dataclass(frozen=True)
class Turn:
    """Say when a run of an asset will have its turn: the number of the window, counted from 1, and the day (UTC)."""

    window: int
    day: date


@dataclass(frozen=True)
class Forecast:
    """Foretell the windows to come.

    Attributes:
        turns: By asset, one for each of its runs; empty for an asset that needs no GPU.
        windows: How many there will be.
        days: From today until the last of them; 0 is today.
        too_large: Assets with a run that takes more seconds than a whole allowance, and the seconds it takes. They get no turns
            from that run on.
    """

    turns: Mapping[str, tuple[Turn, ...]]
    windows: int
    days: int
    too_large: Mapping[str, int]


def forecast(
    plans: Sequence[GpuPlan], allowance: Allowance, left: Remaining, now: datetime, start: Seconds = NOTHING
) -> Forecast:
    """Simulate the packing of all windows to come, each of them taking its median.

    CPU work between two runs of an asset is taken to be done by the next window; where nobody counts seconds, all of it
    is today. `left` is what `quota.remaining` says now.
    """
    turns: dict[str, tuple[Turn, ...]] = {plan.asset: () for plan in plans}
    too_large: dict[str, int] = {}
    queue = {plan.asset: plan for plan in plans if plan.runs}
    moment, seconds, resets_at, count = now, left.seconds, left.resets_at, 0
    while queue:
        for asset, plan in list(queue.items()):
            needed = _alone(plan, start)
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
        for asset in window.assets:
            turns[asset] += (Turn(count, moment.astimezone(UTC).date()),)
            queue[asset] = replace(queue[asset], runs=queue[asset].runs[1:])
            if not queue[asset].runs:
                del queue[asset]
        if seconds is not None:
            took = expected(window, start)
            resets_at = resets_at or _next_reset(allowance, moment)
            seconds = max(0, seconds - math.ceil(took * allowance.factor(window.size)))
            moment += timedelta(seconds=took)
            if resets_at is not None and moment >= resets_at:
                seconds, resets_at = left.whole, None
    last = max((turn.day for asset in turns.values() for turn in asset), default=now.astimezone(UTC).date())
    return Forecast(turns, count, (last - now.astimezone(UTC).date()).days, too_large)


def expected(window: Window, start: Seconds = NOTHING) -> float:
    """Give the median of the seconds that a window will take."""
    loads = {(task.stage, task.model): task.load for task in window.tasks}
    return total([start, *loads.values(), *(task.seconds for task in window.tasks)]).p50


def _alone(plan: GpuPlan, start: Seconds) -> int:
    """Give the seconds of a window that holds nothing but this asset's next run."""
    run = plan.runs[0]
    return math.ceil(start.p90) + sum(_loads(run).values()) + math.ceil(sum(task.seconds.p90 for task in run))


def _next_reset(allowance: Allowance, opened: datetime) -> datetime | None:
    """Say when an allowance that is first used at `opened` comes back."""
    if allowance.reset == "midnight":
        return opened.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    return opened + DAY if allowance.reset == "first_use" else None
