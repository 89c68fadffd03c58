"""Pack GPU work into windows that fit what is left of the allowance.

Pure; the clock is an argument. A window is one session of a GPU. What it takes of an asset is its next run: the GPU tasks that
are ready together, all bakes of an asset for example. Within a window tasks go by stage, then by model, so that each model is
loaded once; an asset's own order is the order of stages and is kept.

Every asset weighs seconds^0.3 x 2^urgency, and a window is the set of next runs with the greatest sum of weights that fits, the
start of the worker and the loading of models included. An asset becomes twice as urgent with every 10 points of priority, with
every 2 days of waiting, and in the last week before its deadline with every day. Because that growth has no end, nothing waits
for ever: to keep an asset out, the others in a window must outweigh it, and a hundred equal ones do so for 14 days at most.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import get_args

from forge_batch.backends.catalog import GPU_NEEDS
from forge_batch.estimate import NOTHING, Estimator, Seconds, total
from forge_batch.ops.knapsack import Item, fill
from forge_batch.plan import Plan, Task
from forge_batch.quota import CARD, DAY, UNLIMITED, Allowance, Size
from forge_batch.stages import STAGES

POINTS_PER_DOUBLING = 10.0
DAYS_PER_DOUBLING = 2.0
DEADLINE_DAYS = 7.0
DEARNESS = 0.3
"""Power of its seconds by which a run weighs more: were all the same, the dear ones would be left for the end, with nothing
cheap to fill their windows."""
FAINTEST = 30.0
"""Doublings below the most urgent asset at which all others weigh the same: so that sums of weights stay exact."""
SLACK = 3.0
"""Times the longest task by which a window may outlast its plan: seconds are charged as they pass, not as they are declared,
and a task that is cut off is lost. Three times its p90 is beyond the tail of any task that was seen."""

ORDER = {
    stage.name: next(number for number, other in enumerate(STAGES) if other.inputs == stage.inputs and other.device == "gpu")
    for stage in STAGES
    if stage.device == "gpu"
}
"""Places in a window; stages that read the same share one: the bakes of an asset use the scene that the first builds."""


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


Load = tuple[int, str]  # a model at a stage: it is loaded once for all tasks of that stage
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
        ready: Since when the next run could start, if that is known.
        start: Seconds until a fresh GPU worker can begin, as far as history knows.
    """

    asset: str
    runs: tuple[Run, ...]
    since: datetime
    priority: int = 50
    deadline: date | None = None
    ready: datetime | None = None
    start: Seconds = NOTHING

    @classmethod
    def of(
        cls,
        plan: Plan,
        estimator: Estimator,
        since: datetime,
        priority: int = 50,
        deadline: date | None = None,
        ready: datetime | None = None,
    ) -> GpuPlan:
        """Price the pending GPU tasks of a plan."""
        runs = tuple(tuple(_gpu_task(task, estimator) for task in run) for run in plan.gpu_runs)
        return cls(plan.asset, runs, since, priority, deadline, ready, estimator.cold_start())

    def without(self, keys: Collection[str]) -> GpuPlan:
        """Leave out tasks that are done."""
        runs = (tuple(task for task in run if task.key not in keys) for run in self.runs)
        return replace(self, runs=tuple(run for run in runs if run))

    def cut_off(self, key: str, seconds: float, most: float = math.inf) -> GpuPlan:
        """Give a task that was cut off after so many seconds by the end of a window twice as many: it needs more.

        But no more than `most`, what fits into a whole allowance: it has its chance before it is called too large.
        """

        def longer(task: GpuTask) -> GpuTask:
            p50, p90 = max(task.seconds.p50, 1.4 * seconds), max(task.seconds.p90, min(2 * seconds, most))
            return replace(task, seconds=replace(task.seconds, p50=min(p50, p90), p90=p90)) if task.key == key else task

        return replace(self, runs=tuple(tuple(map(longer, run)) for run in self.runs))

    @cached_property
    def size(self) -> Size:
        """The window that the next run needs."""
        return size_of(self.runs[0])

    @cached_property
    def seconds(self) -> int:
        """p90 of the next run, its models loaded, in whole seconds."""
        return math.ceil(sum(task.seconds.p90 for task in self.runs[0]))

    @cached_property
    def loads(self) -> tuple[tuple[Load, int], ...]:
        """What the next run needs loaded, and p90 of the seconds that takes."""
        return tuple(_loads(self.runs[0]).items())

    @cached_property
    def load_seconds(self) -> int:
        """p90 of all loads that the next run needs."""
        return sum(seconds for _, seconds in self.loads)


@dataclass(frozen=True)
class Window:
    """Be one session of a GPU: its tasks in order, and the seconds that it may take.

    Attributes:
        tasks: What fits by p90.
        spare: What may be done as well when the tasks take less, as they do as a rule.
        seconds: The plan: p90 of every part, with the start of the worker and the loading of models.
        limit: What is reserved and declared: the plan, and slack for a task that takes longer. The GPU side stops before a
            task that would not fit in what is left of it.
        models: What is loaded, in that order.
    """

    opened: datetime
    tasks: Run = ()
    seconds: int = 0
    limit: int = 0
    size: Size = "large"
    models: tuple[str, ...] = ()
    spare: Run = ()

    @property
    def line(self) -> list[tuple[GpuTask, float]]:
        """Tasks in the order in which a GPU runs them, and before each the seconds that must be left over for others.

        By stage, then by model, spare ones last among those of a model. A task is passed over if it would not leave that
        much: nothing for the planned ones, p90 of all planned ones to come for the spare ones.
        """
        spare = set(self.spare)
        merged = sorted([*self.tasks, *self.spare], key=_place)
        left = sum(task.seconds.p90 for task in self.tasks) + sum(_loads(self.tasks).values())
        line, seen = [], set[Load]()
        for task in merged:
            load = _place(task)
            if task not in spare:
                left -= task.seconds.p90 + (0 if load in seen or not task.model else math.ceil(task.load.p90))
                seen.add(load)
            line.append((task, left if task in spare else 0.0))
        return line

    @property
    def deadline(self) -> datetime:
        return self.opened + timedelta(seconds=self.limit)

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.asset for task in self.tasks))


def _gpu_task(task: Task, estimator: Estimator) -> GpuTask:
    model = task.backend
    vram = GPU_NEEDS[model].vram_at(getattr(task.params, "resolution", 0)) if model else 0.0
    load = estimator.switch(model) if model else NOTHING
    return GpuTask(task.asset, task.key, task.stage.name, model, estimator.gpu(task), load, vram)


def size_of(tasks: Iterable[GpuTask]) -> Size:
    """Give the smallest window that has enough GPU memory; the largest there is for a task that needs still more."""
    return "large" if max((task.vram for task in tasks), default=0.0) <= CARD["large"] else "xlarge"


def urgencies(plans: Sequence[GpuPlan], now: datetime) -> list[float]:
    """Give the doublings of each asset's weight above or below one second of priority 50 that was asked for just now."""
    found = []
    for plan in plans:
        dearness = DEARNESS * math.log2(max(1, plan.seconds)) if plan.runs else 0.0
        urgency = dearness + (plan.priority - 50) / POINTS_PER_DOUBLING + max(0.0, (now - plan.since) / DAY) / DAYS_PER_DOUBLING
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

    Within 0.1 % of the optimum up to 10,000 seconds (see ops.knapsack). Among equally good choices the one that loads fewer
    models is taken, then the one with the older assets. A window has one size; runs of both sizes compete for the same
    seconds, and where the best choice holds both, the size with the greater sum of weights comes first and the other is left
    for the next window.

    Args:
        plans: Assets whose next run can start; those without a run are passed over.
        seconds: What is left of the allowance; None if nobody counts, and then every next run of one size is taken.
        now: With a time zone.
        start: Seconds until a fresh worker can begin.
        allowance: What a second costs by the size of the window.

    Returns:
        A window whose limit lies within what the platform starts with so many seconds left; without tasks if nothing fits.
    """
    queue = sorted((plan for plan in plans if plan.runs), key=lambda plan: (plan.since, plan.asset))
    worth = weights(queue, now)
    begin = math.ceil(start.p90)
    items = _items(queue, worth, allowance, begin)
    window = Window(now)
    for room in [None] if seconds is None else [seconds, allowance.longest(seconds)]:
        taken = [(queue[number], worth[number]) for number in fill(items, room)]
        size = max(get_args(Size), key=lambda size: sum(weight for plan, weight in taken if plan.size == size))
        most = None if seconds is None else allowance.longest(seconds, size)
        window = _window([plan for plan, _ in taken if plan.size == size], now, begin, size, most)
        if most is None or window.seconds <= most:
            break  # the platform's rounding of durations costs the second choice a second or two of room
    return replace(window, spare=_spare(window, queue, worth, start)) if window.tasks and seconds is not None else window


def _items(
    plans: Iterable[GpuPlan],
    worth: Iterable[float],
    allowance: Allowance = UNLIMITED,
    begin: int = 0,
    loaded: Collection[Load] = (),
) -> list[Item]:
    """Price next runs in seconds of the allowance, where some models are loaded already."""
    shapes: dict[Hashable, Mapping[Hashable, int]] = {}  # runs that need the same share one set of needs
    items = []
    for plan, weight in zip(plans, worth, strict=True):
        factor = allowance.factor(plan.size)
        needs = shapes.get((plan.size, plan.loads))
        if needs is None:
            needs = {(plan.size, load): math.ceil(seconds * factor) for load, seconds in plan.loads if load not in loaded}
            needs = shapes[plan.size, plan.loads] = {**needs, (plan.size, "start of a worker"): math.ceil(begin * factor)}
        items.append(Item(math.ceil(plan.seconds * factor), weight, needs))
    return items


def _spare(window: Window, queue: Sequence[GpuPlan], worth: Sequence[float], start: Seconds) -> Run:
    """Choose what to do in the seconds by which a window will probably end before its limit; its own models are loaded."""
    inside = set(window.assets)
    loaded = {_place(task) for task in window.tasks}
    others = [
        (plan, weight)
        for plan, weight in zip(queue, worth, strict=True)
        if plan.asset not in inside and plan.size == window.size
    ]
    items = _items((plan for plan, _ in others), (weight for _, weight in others), loaded=loaded)
    middle = expected(window, start)
    taken = fill(items, math.floor((window.limit - middle) * window.seconds / middle))
    return tuple(sorted((task for number in taken for task in others[number][0].runs[0]), key=_place))


def _window(chosen: Sequence[GpuPlan], now: datetime, begin: int, size: Size, most: int | None) -> Window:
    tasks = [task for plan in chosen for task in plan.runs[0]]
    if not tasks:
        return Window(now)
    # long ones first: what the end of the window cuts off, or passes over, is short; among equals older assets first
    whole: dict[tuple[str, Load], float] = defaultdict(float)
    for task in tasks:
        whole[task.asset, _place(task)] += task.seconds.p90
    ordered = sorted(tasks, key=lambda task: (_place(task), -whole[task.asset, _place(task)]))
    loads = _loads(tasks)
    seconds = begin + sum(loads.values()) + sum(plan.seconds for plan in chosen)
    limit = seconds + math.ceil(SLACK * max(task.seconds.p90 for task in tasks))
    limit = limit if most is None else min(limit, most)
    return Window(now, tuple(ordered), seconds, limit, size, tuple(model for _, model in loads))


def _place(task: GpuTask) -> Load:
    """Say where a task belongs in the order of a window."""
    return ORDER.get(task.stage, 0), task.model


def _loads(tasks: Iterable[GpuTask]) -> dict[Load, int]:
    """Give the seconds of every load that these tasks need, in the order of the window."""
    loads = {_place(task): math.ceil(task.load.p90) for task in tasks if task.model}
    return dict(sorted(loads.items()))


def expected(window: Window, start: Seconds = NOTHING) -> float:
    """Give the median of the seconds that a window will take."""
    loads = {(task.stage, task.model): task.load for task in window.tasks}
    return total([start, *loads.values(), *(task.seconds for task in window.tasks)]).p50


def alone(plan: GpuPlan, start: Seconds) -> int:
    """Give the seconds of a window that holds nothing but this asset's next run."""
    return plan.seconds + overhead(plan, start)


def overhead(plan: GpuPlan, start: Seconds) -> int:
    """Give the seconds of such a window that are not the tasks' own."""
    return math.ceil(start.p90) + plan.load_seconds
