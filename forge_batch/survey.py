"""Look at a content folder now and then, and keep in memory what its page shows. Reads only what changed; works on nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forge_batch.content.contract import ContentRepo
from forge_batch.content.lease import PATH as LEASE
from forge_batch.content.lease import Lease
from forge_batch.control import load_control
from forge_batch.errors import ContentError, ForgeError
from forge_batch.estimate import Estimator
from forge_batch.forecast import Planned, forecast
from forge_batch.intake import Intake, Order, take_in
from forge_batch.last_seen import keep_facts, last_facts
from forge_batch.live import Live, read_live
from forge_batch.project import Project, load_project
from forge_batch.queue_view import Facts, Queue, Row, facts_of, rows
from forge_batch.quota import Ledger, Reading, charges, remaining
from forge_batch.stages import STAGES
from forge_batch.standing import Standing, look_up, refused
from forge_batch.windows import GpuPlan

ASK = 60.0
"""Seconds between two questions to the platform about the allowance, and between two forecasts of windows."""
REST = 20.0
"""Times as long as a look took is waited until the next: a long queue costs a twentieth of a core at most."""
KEEP = 60.0
"""Seconds between two writes of what a page shows when it is started again."""
SHOWN_WINDOWS = 60
"""Planned windows that a page shows."""
_BY_NAME = {stage.name: stage for stage in STAGES}


def _utc() -> datetime:
    return datetime.now(UTC)


class Survey:
    """Keep a `Queue` up to date; everybody reads `queue` and `rows`, which are replaced whole.

    Two rhythms: `look` reads what users own and what became of each asset, which may take long; `glance` reads what the runner
    does now and what was spent, which never does, and makes the rows anew.

    Args:
        content: The content folder.
        workers: Assets that the runner works on at a time.
        sync: Seconds between two syncs of the content; None if a runner in this process does that.
        ask: Give what the platform says of the allowance, or None.
        clock: The time, with a zone.
    """

    def __init__(
        self,
        content: ContentRepo,
        workers: int,
        sync: float | None = None,
        ask: Callable[[], Reading | None] = lambda: None,
        clock: Callable[[], datetime] = _utc,
    ) -> None:
        self.content, self.workers, self.sync, self.ask, self.clock = content, workers, sync, ask, clock
        self.queue = Queue(folder=content.name, workers=workers)
        self.rows: list[Row] = []
        self.intake = Intake((), (), 0)
        self.standings: dict[str, Standing] = {}
        self.estimator = Estimator()
        self.ready = threading.Event()
        self._facts: Mapping[str, Facts] = {}
        self._as_of: datetime | None = None
        self._loaded = self._unkept = False
        self._error = ""
        self._orders: dict[str, Order] = {}
        self._stamps: dict[str, tuple[object, ...]] = {}
        self._learned: set[str] = set()
        self._project = Project()
        self._revision = ""
        self._synced = self._asked = self._foretold = self._walk = self._kept = 0.0
        self._jobs = 0
        self._reading: Reading | None = None
        self._turns: Mapping[str, str] = {}
        self._planned: tuple[Planned, ...] = ()
        self._ledger = Ledger(content.home / "state" / "ledger.jsonl")
        self._turn, self._short = threading.Lock(), threading.Lock()

    def remember(self) -> bool:
        """Show how the queue stood when it was last read; tell whether that is known."""
        self._facts, moment = last_facts(self.content.home)
        self._as_of = datetime.fromtimestamp(moment, UTC) if moment else None
        with suppress(ForgeError):  # said after the first look
            self._project = load_project(self.content.root)
        self.glance()
        return bool(moment)

    def start(self, every: float = 1.0) -> None:
        """Keep the queue up to date in threads of its own, for good; `ready` is set after the first look."""

        def again(work: Callable[[], None]) -> None:
            while True:
                begun = time.monotonic()
                work()
                time.sleep(max(every, REST * (time.monotonic() - begun)))

        for work in (self.look, self.glance):
            threading.Thread(target=again, args=(work,), name=f"survey: {work.__name__}", daemon=True).start()

    def look(self) -> None:
        """Take in what has changed since the last look."""
        with self._turn:
            try:
                self._read()
                self._error = ""
            except ForgeError as error:  # said on the page; the next look is another try
                self._error = str(error)
            except OSError as error:
                self._error = f"{self.content.name} cannot be read ({error})"
            self.glance()
            self._foretell()
        self.ready.set()

    def glance(self) -> None:
        """Say anew how the queue stands: what is known of the assets, what the runner does now, what is left to spend."""
        with self._short:
            now, project = self.clock(), self._project
            queue = replace(
                self.queue, facts=self._facts, live=self._live(), turns=self._turns, planned=self._planned,
                loaded=self._loaded, as_of=self._as_of, error=self._error, paid=project.allow_paid_seconds,
            )  # fmt: skip
            try:
                ledger = self._ledger.entries()
                left = remaining(project.profile, ledger, now, self._reading, project.allow_paid_seconds)
                control = load_control(self.content.home)
                queue = replace(queue, control=control, allowance=project.profile, left=left, charges=tuple(charges(ledger)))
            except ForgeError as error:  # what was known before stays
                queue = replace(queue, error=str(error))
            self.queue = queue
            self.rows = rows(queue, now)

    def row(self, asset: str) -> Row | None:
        """Find the row of an asset."""
        return next((row for row in self.rows if row.asset == asset), None)

    # ------------------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self.sync is not None and time.monotonic() - self._synced >= self.sync:
            self.content.sync()
            self._synced = time.monotonic()
        facts, moved = dict(self._facts), False
        if (revision := self._now_there()) != self._revision:
            self._take_in()
            self._revision, moved = revision, True
            facts = self._refused()
        jobs = _changed(self.content.home / "state" / "jobs")
        if moved or jobs != self._jobs:
            stamps = {name: _stamp(self.content.home, name, order) for name, order in self._orders.items()}
            stale = [name for name, stamp in stamps.items() if stamp != self._stamps.get(name) or name not in facts]
            wrong = {name: said for name in stale if (said := self._look_up(name))}  # all of them teach before one is estimated
            facts |= {name: wrong.get(name) or self._sum_up(name) for name in stale}
            self._stamps |= {name: stamps[name] for name in stale}
            moved = moved or bool(stale)
        self._jobs = jobs
        if moved:
            self._facts = facts
        self._loaded, self._unkept = True, self._unkept or moved
        if self._unkept and (not self._kept or time.monotonic() - self._kept >= KEEP):
            keep_facts(self.content.home, self._facts, self.clock().timestamp())
            self._kept, self._unkept = time.monotonic(), False
        if self._project.profile.platform and time.monotonic() - self._asked >= ASK:
            self._asked = time.monotonic()
            self._reading = self.ask()

    def _now_there(self) -> str:
        """Give the revision of what users own; a folder with thousands of files is not walked all the time."""
        begun = time.monotonic()
        if begun < self._walk:
            return self._revision
        found = self.content.revision
        self._walk = time.monotonic() + 2 * REST * (time.monotonic() - begun)
        return found

    def _take_in(self) -> None:
        self.intake = take_in(self.content.root)
        self._project = load_project(self.content.root)
        fresh = {order.manifest.asset: order for order in self.intake.orders}
        self._stamps = {name: stamp for name, stamp in self._stamps.items() if fresh.get(name) == self._orders.get(name)}
        self.standings = {name: entry for name, entry in self.standings.items() if name in fresh}
        self._orders = fresh

    def _refused(self) -> dict[str, Facts]:
        """Keep the facts of what is still asked for, and say of refused manifests what is wrong."""
        kept = {name: one for name, one in self.queue.facts.items() if name in self._orders and name in self._stamps}
        wrong = {one.asset: Facts(one.asset, failure=str(one.failure), blocked=True) for one in refused(self.intake)}
        return {**kept, **wrong}

    def _look_up(self, asset: str) -> Facts | None:
        """Plan an asset and learn from what its stages took; give facts only if its job cannot be read."""
        try:
            entry = look_up(self.content, self._orders[asset])
        except ContentError as error:
            self.standings.pop(asset, None)
            return Facts(asset, failure=str(error), blocked=True)
        for key, record in entry.job.records.items():
            if key not in self._learned and record.state == "done" and record.stage in _BY_NAME:
                self.estimator.learn(record, _BY_NAME[record.stage])
                self._learned.add(key)
        self.standings[asset] = entry
        return None

    def _sum_up(self, asset: str) -> Facts:
        entry = self.standings[asset]
        folder = self.content.home / "exports" / asset
        report = folder / "report.json"
        made = report.stat().st_mtime if report.is_file() else 0.0
        last = entry.job.records.get(entry.plan.last.key)
        packages = sorted(path.name for path in folder.glob("export_*.zip"))
        if not packages and last is not None:
            packages = [artifact.path for artifact in last.outputs if artifact.path.endswith(".zip")]
        return facts_of(entry, self.estimator, made or (1.0 if entry.job.published else 0.0), packages)

    def _live(self) -> Live:
        """Read what the runner of this machine does, or that of another machine by its lease."""
        live = read_live(self.content.home)
        lease = self._lease()
        if lease.heartbeat > live.heartbeat and lease.runner:
            state: Any = "working" if lease.state == "working" else "ended"
            return Live(state, lease.heartbeat, lease.beat, lease.since, seen=lease.seen, processed=live.processed)
        return live

    def _lease(self) -> Lease:
        try:
            return Lease.from_json((self.content.home / LEASE).read_bytes())
        except OSError:
            return Lease()

    def _foretell(self) -> None:
        """Say on which day each asset's GPU work has its turn, where an allowance decides that."""
        queue, now = self.queue, self.clock()
        if queue.left.whole is None or time.monotonic() - self._foretold < ASK:
            return
        self._foretold = time.monotonic()
        plans = []
        for name, entry in self.standings.items():
            since = now
            with suppress(ValueError):
                since = datetime.fromisoformat(entry.job.since)
            gpu = GpuPlan.of(entry.plan, self.estimator, since, entry.order.priority, entry.order.manifest.deadline)
            if gpu.runs and name in queue.facts:
                plans.append(gpu)
        told = forecast(plans, queue.allowance, queue.left, now, self.estimator.cold_start())
        turns = {name: f"{one[-1].day:%a %d %b}" for name, one in told.turns.items() if one and one[-1].day > now.date()}
        self._turns = turns | dict.fromkeys(told.too_large, "never: more than a whole allowance")
        self._planned = told.planned[:SHOWN_WINDOWS]
        self.glance()


def _changed(folder: Path) -> int:
    """Say when a file was last renamed into a folder, which every write of a job does."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _stamp(home: Path, asset: str, order: Order) -> tuple[object, ...]:
    """Tell versions of an asset's state apart."""
    found: list[object] = [order.priority]
    for path in (home / "state" / "jobs" / f"{asset}.json", home / "exports" / asset / "report.json"):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)
