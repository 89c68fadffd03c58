"""Look at a content folder now and then, and keep in memory what its page shows. Reads only what changed; works on nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forge_batch.content.contract import ContentRepo
from forge_batch.content.lease import PATH as LEASE
from forge_batch.content.lease import Lease
from forge_batch.control import load_control
from forge_batch.errors import ForgeError
from forge_batch.estimate import Estimator
from forge_batch.forecast import forecast
from forge_batch.intake import Intake, Order, take_in
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
SHOWN_WINDOWS = 60
"""Planned windows that a page shows."""
_BY_NAME = {stage.name: stage for stage in STAGES}


def _utc() -> datetime:
    return datetime.now(UTC)


class Survey:
    """Keep a `Queue` up to date. One thread calls `look`; everybody else reads `queue` and `rows`, which are replaced whole.

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
        self.version = 0
        self._orders: dict[str, Order] = {}
        self._stamps: dict[str, tuple[object, ...]] = {}
        self.estimator = Estimator()
        self._learned: set[str] = set()
        self._project = Project()
        self._revision = ""
        self._synced = self._asked = self._foretold = self._walk = 0.0
        self._jobs = 0
        self._reading: Reading | None = None
        self._turn = threading.Lock()
        self.ready = threading.Event()

    def start(self, every: float = 1.0) -> None:
        """Look again and again in a thread of its own, as long as the process lives; `ready` is set after the first look."""

        def work() -> None:
            while True:
                begun = time.monotonic()
                self.look()
                self.ready.set()
                time.sleep(max(every, REST * (time.monotonic() - begun)))

        threading.Thread(target=work, name="survey", daemon=True).start()

    def look(self) -> None:
        """Take in what has changed since the last look."""
        with self._turn:
            try:
                self._look()
            except ForgeError as error:  # said on the page; the next look is another try
                self.queue = replace(self.queue, error=str(error))
            except OSError as error:
                self.queue = replace(self.queue, error=f"{self.content.name} cannot be read ({error})")

    def row(self, asset: str) -> Row | None:
        """Find the row of an asset."""
        return next((row for row in self.rows if row.asset == asset), None)

    # ------------------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = self.clock()
        if self.sync is not None and time.monotonic() - self._synced >= self.sync:
            self.content.sync()
            self._synced = time.monotonic()
        home = self.content.home
        moved = False
        if (revision := self._now_there()) != self._revision:
            self._take_in()
            self._revision, moved = revision, True
        facts = dict(self.queue.facts) if not moved else self._refused()
        jobs = _changed(home / "state" / "jobs")
        for name, order in self._orders.items() if moved or jobs != self._jobs else ():
            stamp = _stamp(home, name, order)
            if stamp != self._stamps.get(name) or name not in facts:
                facts[name] = self._facts(order)
                self._stamps[name] = stamp
                moved = True
        self._jobs = jobs
        live, control = self._live(), load_control(home)
        ledger, reading = Ledger(home / "state" / "ledger.jsonl").entries(), self._read_platform()
        profile, paid = self._project.profile, self._project.allow_paid_seconds
        queue = Queue(
            facts if moved else self.queue.facts, live, control, profile, remaining(profile, ledger, now, reading, paid),
            tuple(charges(ledger)), self.queue.turns, self.workers, paid, self.content.name, "", loaded=True,
            planned=self.queue.planned,
        )  # fmt: skip
        if queue != replace(self.queue, live=replace(self.queue.live, heartbeat=live.heartbeat)):
            self.version += 1
        self.queue = self._foretell(queue, now)
        self.rows = rows(self.queue, now)

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

    def _facts(self, order: Order) -> Facts:
        name = order.manifest.asset
        entry = look_up(self.content, order)
        for key, record in entry.job.records.items():
            if key not in self._learned and record.state == "done" and record.stage in _BY_NAME:
                self.estimator.learn(record, _BY_NAME[record.stage])
                self._learned.add(key)
        self.standings[name] = entry
        folder = self.content.home / "exports" / name
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

    def _read_platform(self) -> Reading | None:
        if self._project.profile.platform and time.monotonic() - self._asked >= ASK:
            self._asked = time.monotonic()
            self._reading = self.ask()
        return self._reading

    def _foretell(self, queue: Queue, now: datetime) -> Queue:
        """Say on which day each asset's GPU work has its turn, where an allowance decides that."""
        if queue.left.whole is None or time.monotonic() - self._foretold < ASK:
            return queue
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
        never = dict.fromkeys(told.too_large, "never: more than a whole allowance")
        return replace(queue, turns={**turns, **never}, planned=told.planned[:SHOWN_WINDOWS])


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
