"""Run chains where GPU seconds are counted: CPU stages on this machine, GPU stages in windows that fit the allowance.

Both go on at the same time: while a window is open, the CPU prepares the next one and finishes what the last one left. A window
is reserved in the ledger before it opens and settled after it closes.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from forge_batch.errors import ContentError
from forge_batch.estimate import NOTHING, Seconds
from forge_batch.executors.contract import Chain, Event, Executor, Finished, Progress, TaskSpec, Waits, WindowEdge
from forge_batch.executors.gpu_window import Gpu, Refusal, Refused, Started, WindowTask, window_tasks
from forge_batch.executors.local import LocalPool
from forge_batch.jobs import Failure, TaskRecord
from forge_batch.opening import LAST_CALL, ripe, worth_opening
from forge_batch.quota import Budget
from forge_batch.stage import Device
from forge_batch.windows import GpuPlan, Window, overhead, pack

KILLS = 2
"""How often the worker of a task may be killed before the asset fails."""
RETRIES = 5
"""How often a window is tried again at once before the GPU is left alone for a while."""
PAUSE = timedelta(minutes=5)
GATHER = timedelta(minutes=30)
"""How long a window that would hold little waits for work that the CPU is at."""


@dataclass
class _Asset:
    """Follow the tasks of a chain that are not done."""

    chain: Chain
    gpu: GpuPlan
    left: dict[str, TaskSpec]
    at_work: set[str] = field(default_factory=set)
    ready_since: dict[str, datetime] = field(default_factory=dict)

    def ready(self, device: Device) -> list[TaskSpec]:
        """Give the tasks of a device that wait for nothing but each other, in order."""
        chosen: dict[str, TaskSpec] = {}
        for key, spec in self.left.items():
            waits_for = {one for one in spec.reads if one in self.left and one not in chosen}
            if spec.device == device and key not in self.at_work and not waits_for:
                chosen[key] = spec
        return list(chosen.values())

    def next_run(self, now: datetime) -> GpuPlan | None:
        """Give what may go into a window now: the next run, if all of it is ready."""
        plan = self.gpu.without({task.key for run in self.gpu.runs for task in run} - set(self.left))
        ready = {spec.key for spec in self.ready("gpu")}
        if not plan.runs or any(task.key not in ready for task in plan.runs[0]):
            return None
        return replace(plan, ready=self.ready_since.setdefault(plan.runs[0][0].key, now))


@dataclass
class _Session:
    """Follow one open window.

    Attributes:
        start: Seconds until its first task began, queueing included; 0 once a record holds them.
    """

    window: Window
    name: str
    since: float
    at_work: str = ""
    task_since: float = 0.0
    start: float = 0.0
    spent: float = 0.0


class WindowedExecutor(Executor):
    """Put GPU tasks into windows.

    Args:
        workers: Processes for CPU stages.
        gpu: What opens windows.
        budget: The allowance.
        start: Seconds until a fresh GPU worker can begin; left out, what the history of the chains' project says.
        clock: The time, with a zone.
        stay: What it waits for by itself; for longer waits it ends, and the work stays for the next run.
    """

    def __init__(
        self,
        workers: int,
        gpu: Gpu,
        budget: Budget,
        start: Seconds | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stay: timedelta = timedelta(minutes=15),
    ) -> None:
        self.workers, self.gpu, self.budget = workers, gpu, budget
        self.start, self.clock, self.stay = start, clock, stay

    def run(self, chains: Sequence[Chain]) -> Generator[Event, None, None]:
        yield from _Run(self, chains).events()


class _Run:
    """Be one call of `run`: what is where, and what comes next."""

    def __init__(self, settings: WindowedExecutor, chains: Sequence[Chain]) -> None:
        self.settings = settings
        empty = GpuPlan("", (), settings.clock())
        self.assets = {
            chain.asset: _Asset(chain, chain.gpu or empty, {spec.key: spec for spec in chain.tasks}) for chain in chains
        }
        self.owner = {key: asset for asset in self.assets.values() for key in asset.left}
        self.specs = {key: asset.left[key] for key, asset in self.owner.items()}
        known = [chain.gpu.start for chain in chains if chain.gpu]
        self.start = settings.start or (known[0] if known else NOTHING)
        self.pool = LocalPool(settings.workers)
        self.session: _Session | None = None
        self.news, self.tell = Pipe(duplex=False)
        self.blocked: Refusal | None = None
        self.cap = math.inf
        self.tries = 0
        self.kills: Counter[str] = Counter()

    def events(self) -> Generator[Event, None, None]:
        """Work until all is done, or until nothing can be done for a long while."""
        told: Refusal | None = None
        try:
            while True:
                self._start_cpu_work()
                if self._reserve_window():
                    yield WindowEdge(begins=True)  # the reservation can be put in a safe place before a second is spent
                    self._open_window()
                if self.blocked and self.blocked is not told:
                    told = self.blocked
                    yield Waits(told.reason, told.until)
                if not self.pool.busy and self.session is None and not self._soon():
                    return
                for event in self.pool.hear([self.news], self._timeout()):
                    yield from self._heard(event)
                while self.news.poll():
                    yield from self._news(self.news.recv())
        finally:
            self.pool.kill()
            self.tell.close()

    def _start_cpu_work(self) -> None:
        """Hand every asset's ready CPU tasks to the pool, one chain of each at a time."""
        for asset in self.assets.values():
            segment = asset.ready("cpu")
            if segment and not any(asset.left[key].device == "cpu" for key in asset.at_work):
                asset.at_work.update(spec.key for spec in segment)
                self.pool.add(replace(asset.chain, tasks=tuple(segment)))

    def _reserve_window(self) -> bool:
        """Pack and reserve the next window, if there is work for one and nothing forbids it."""
        now = self.settings.clock()
        if self.blocked and (self.blocked.until is None or now < self.blocked.until):
            return False
        plans = [plan for asset in self.assets.values() if (plan := asset.next_run(now))]
        if self.session or not plans:
            return False
        self.blocked = None
        try:
            self.session = self._reserve(plans, now)
        except ContentError as error:
            self.blocked = Refusal("alarm", str(error))
        return self.session is not None

    def _open_window(self) -> None:
        """Start the thread that follows the window."""
        assert self.session is not None
        self.session.since = time.monotonic()
        window = self.session.window
        tasks = window_tasks(window, self.specs)
        for task in tasks:
            self.owner[task.spec.key].at_work.add(task.spec.key)
        threading.Thread(target=_follow, args=(self.settings.gpu, window, tasks, self.tell), daemon=True).start()

    def _reserve(self, plans: Sequence[GpuPlan], now: datetime) -> _Session | None:
        """Pack a window and note it in the ledger; None if it is not to open now."""
        budget = self.settings.budget
        left = budget.remaining(now)
        seconds = left.seconds if self.cap == math.inf else int(min(left.seconds or self.cap, self.cap))
        chosen = ripe(plans, left, now, self.start, budget.allowance)
        window = pack(chosen, seconds, now, self.start, budget.allowance)
        if not window.tasks:
            last_call = left.resets_at - LAST_CALL if left.resets_at and len(chosen) < len(plans) else left.resets_at
            self.blocked = Refusal("wait", "what is left of the GPU allowance is too little for any task", last_call)
            return None
        if self.pool.busy and not worth_opening(window, plans, now, left.resets_at, GATHER):
            return None  # the CPU is about to bring more for it
        name = budget.ledger.reserve(window.limit * budget.allowance.factor(window.size), now)
        return _Session(window, name, time.monotonic())

    def _heard(self, event: Event) -> Iterator[Event]:
        """Take in what a CPU worker says."""
        yield event
        if isinstance(event, Finished):
            self._done(event)

    def _done(self, event: Finished) -> None:
        """Strike a task off; after a failure nothing more of its asset is started."""
        asset = self.assets[event.asset]
        asset.left.pop(event.record.key, None)
        asset.at_work.discard(event.record.key)
        if event.record.state == "failed":
            asset.left.clear()

    def _news(self, news: Started | TaskRecord | Refusal | None) -> Iterator[Event]:
        """Take in what the GPU side says."""
        session = self.session
        assert session is not None
        if isinstance(news, Started):
            if not session.task_since:
                session.start = time.monotonic() - session.since
            session.at_work, session.task_since = news.key, time.monotonic()
            yield Progress(self.specs[news.key].asset, self.specs[news.key].stage, 0.0)
        elif isinstance(news, TaskRecord):
            session.at_work = ""
            self.tries = 0
            event = Finished(self.specs[news.key].asset, _with_start(news, session))
            yield event
            self._done(event)
        else:
            self._settle(session, news)
            self.session = None
            yield WindowEdge(begins=False)
            if news is not None:
                yield from self._react(news, session)

    def _settle(self, session: _Session, refusal: Refusal | None) -> None:
        """Give back what was reserved and not used; a window that never began cost nothing."""
        budget, now = self.settings.budget, self.settings.clock()
        took = time.monotonic() - session.since
        if refusal and refusal.action in {"wait", "retry", "split", "alarm"} and not session.task_since:
            took = 0.0
        try:
            budget.ledger.settle(session.name, took * budget.allowance.factor(session.window.size), now)
        except ContentError as error:  # the reserve stays, and counts in full
            self.blocked = Refusal("alarm", str(error))
        for asset in self.assets.values():
            asset.at_work -= {task.key for task in [*session.window.tasks, *session.window.spare]}

    def _react(self, refusal: Refusal, session: _Session) -> Iterator[Event]:
        """Do what a refusal asks for."""
        now = self.settings.clock()
        if refusal.action in {"wait", "alarm"}:
            self.blocked = refusal
        elif refusal.action == "split":
            self.cap = session.window.limit // 2
            if self.cap < 2:
                self.blocked = Refusal("alarm", refusal.reason)
        elif refusal.action == "retry":
            self.tries += 1
            if self.tries > RETRIES:
                self.blocked, self.tries = Refusal("wait", refusal.reason, now + PAUSE), 0
        elif not session.at_work:
            self.blocked = Refusal("wait", refusal.reason, now + PAUSE)
        else:
            yield from self._blame(refusal, session)

    def _blame(self, refusal: Refusal, session: _Session) -> Iterator[Event]:
        """Count a kill against the task that was at work; fail its asset after too many, or if the task is at fault."""
        key = session.at_work
        asset, spec = self.owner[key], self.specs[key]
        self.kills[key] += 1
        if time.monotonic() - session.since >= session.window.limit:
            asset.gpu = asset.gpu.cut_off(key, time.monotonic() - session.task_since, self._most(asset.gpu))
        if refusal.action == "fail" or self.kills[key] > KILLS:
            code = "bug" if refusal.action == "fail" else "worker"
            failure = Failure(code, f"{spec.stage} broke the GPU worker ({refusal.reason})", "see the log of the Space")
            event = Finished(spec.asset, TaskRecord(spec.stage, key, "failed", 0.0, failure=failure, params=spec.params))
            yield event
            self._done(event)

    def _most(self, plan: GpuPlan) -> float:
        """Say how long a task of this asset may take at most, alone in a window with the whole allowance."""
        allowance = self.settings.budget.allowance
        if allowance.seconds is None or not plan.runs:
            return math.inf
        return allowance.longest(allowance.seconds, plan.size) - overhead(plan, self.start)

    def _soon(self) -> bool:
        """Tell whether a window may open before long."""
        now = self.settings.clock()
        if not any(asset.next_run(now) for asset in self.assets.values()):
            return False
        until = self.blocked.until if self.blocked else now
        return until is not None and until - now <= self.settings.stay

    def _timeout(self) -> float | None:
        """Say how long to listen before looking at the clock again."""
        if self.session is None and self.blocked and self.blocked.until and self._soon():
            return max(0.0, (self.blocked.until - self.settings.clock()).total_seconds())
        return None


def _with_start(record: TaskRecord, session: _Session) -> TaskRecord:
    """Put the start of a window into the first record that came of it: the job keeps it, and estimates learn from it."""
    start, session.start = session.start, 0.0
    if not start or record.state == "failed":
        return record
    return replace(record, gpu_seconds=round(record.gpu_seconds + start, 3), start_seconds=round(start, 3))


def _follow(gpu: Gpu, window: Window, tasks: Sequence[WindowTask], tell: Connection) -> None:
    """Be the thread of a window: pass on what the GPU side says, and at last how it ended."""
    end: Refusal | None = None
    try:
        for news in gpu.open(window, tasks):
            tell.send(news)
    except Refused as refused:
        end = refused.refusal
    except Exception as error:  # noqa: BLE001 - whatever a client library does, the CPU work goes on
        end = Refusal("alarm", f"the GPU cannot be reached ({type(error).__name__}: {error})")
    try:
        tell.send(end)
    except OSError:
        return  # nobody listens any more
