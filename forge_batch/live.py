"""Say what a runner does now, in a file that others on this machine may read: the queue page, and you.

The file is work/live.json. It never leaves the machine and nothing depends on it; what has happened stands in the jobs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from forge_batch.content.local import replace_file
from forge_batch.control import load_control
from forge_batch.errors import ContentError, ForgeError, Problem
from forge_batch.executors.contract import Event, Finished, Progress, Waits, WindowEdge
from forge_batch.plan import Plan
from forge_batch.report import AssetReport
from forge_batch.runner import Listener

PATH = "work/live.json"
BEAT = 5.0
"""Seconds between two signs of life."""
OFTEN = 0.4
"""Seconds between two writes at least, unless something begins or ends."""

State = Literal["working", "idle", "paused", "ended"]


class Stopped(ForgeError):
    """End a run because its owner asked for it; what is finished is kept."""

    code = "stopped"


@dataclass(frozen=True)
class Doing:
    """Be the stage that an asset is at."""

    stage: str
    fraction: float = 0.0
    note: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Live:
    """Be what a runner does; times are seconds since the epoch.

    Attributes:
        state: `working` on a run, `idle` between two, `paused` by the owner, or `ended`: it left in good order.
        heartbeat: The last sign of life.
        beat: Seconds between two signs.
        since: When the state began.
        doing: By asset, where it is.
        wait: Why no GPU is at work though there is work for one; empty if that is not so.
        until: When that ends; None if nobody knows.
        window: When the open GPU window began; None if none is open.
        seen: What users own, as the current or last run sees it: a commit, or a digest.
        processed: And as the last run that ended well saw it.
        error: What the last run ended with, if it did not end well.
    """

    state: State = "ended"
    heartbeat: float = 0.0
    beat: float = BEAT
    since: float = 0.0
    doing: Mapping[str, Doing] = field(default_factory=dict)
    wait: str = ""
    until: float | None = None
    window: float | None = None
    seen: str = ""
    processed: str = ""
    error: str = ""

    def silent(self, now: float) -> bool:
        """Tell whether the runner has died: it neither left nor gave two signs of life."""
        return self.state != "ended" and now - self.heartbeat > 2 * self.beat

    def to_json(self) -> bytes:
        return json.dumps({**asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Live:
        """Read it; what cannot be read says nothing."""
        try:
            found: dict[str, Any] = json.loads(data)
            doing = {name: Doing(**one) for name, one in found.pop("doing").items()}
            return cls(doing=doing, **found)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


class LiveFile(Listener):
    """Follow runs and keep the file. Between runs it goes on giving signs of life until `leave`.

    Args:
        home: Where the runner's files lie.
        nudge: Called when the owner has asked for something since the last look.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, home: Path, nudge: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.time, beat: float = BEAT
    ) -> None:
        self.home, self.nudge, self.clock = home, nudge, clock
        self.live = replace(_read(home), state="idle", heartbeat=clock(), beat=beat, since=clock(), doing={}, window=None)
        self._written = 0.0
        self._asked = _stamp(home)
        self._turn = threading.Lock()
        self._end = threading.Event()
        self._owner = threading.current_thread()
        self._put()
        threading.Thread(target=self._beat, name="signs of life", daemon=True).start()

    # -- what a run tells ----------------------------------------------------------------------------------------------

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None:  # noqa: ARG002 - as the protocol has it
        self._set(doing={}, wait="", until=None)

    def event(self, event: Event) -> None:
        now = self.clock()
        if isinstance(event, Progress):
            before = self.live.doing.get(event.asset)
            same = before is not None and before.stage == event.stage
            since = before.since if before is not None and same else now
            doing = Doing(event.stage, round(event.fraction, 3), event.note, since)
            self._set(doing={**self.live.doing, event.asset: doing}, often=same)
        elif isinstance(event, Finished):
            self._set(doing={name: one for name, one in self.live.doing.items() if name != event.asset})
        elif isinstance(event, Waits):
            self._set(wait=event.reason, until=event.until.timestamp() if event.until else None)
        elif isinstance(event, WindowEdge):
            self._set(window=now if event.begins else None, wait="", until=None)
        self._obey(isinstance(event, Finished))

    def finished(self, asset: AssetReport) -> None:
        """Do nothing: how an asset ended stands in its job."""

    # -- what stands around runs ---------------------------------------------------------------------------------------

    def began(self, seen: str) -> None:
        """Note that a run begins, and what it sees."""
        self._owner = threading.current_thread()
        self._set(state="working", since=self.clock(), seen=seen, doing={}, error="", wait="", until=None)

    def over(self, seen: str = "", error: str = "") -> None:
        """Note that a run has ended: with what it had seen if well, else with why."""
        processed = self.live.processed if error else seen
        self._set(state="idle", since=self.clock(), doing={}, window=None, processed=processed, error=error)

    def pause(self) -> None:
        """Note that the owner keeps the runner from working."""
        if self.live.state != "paused":
            self._set(state="paused", since=self.clock(), doing={}, window=None)

    def leave(self) -> None:
        """Note that the runner leaves in good order."""
        self._end.set()
        self._set(state="ended", since=self.clock(), doing={}, window=None)

    @property
    def until(self) -> datetime | None:
        """When work that waits can go on."""
        return datetime.fromtimestamp(self.live.until).astimezone() if self.live.until else None

    # ------------------------------------------------------------------------------------------------------------------

    def _obey(self, between: bool) -> None:
        """Stop the run if its owner wants that, or does not want what is worked on; for anything else when a task is over."""
        if (stamp := _stamp(self.home)) == self._asked:
            return
        control = load_control(self.home)
        if control.paused:
            self._asked = stamp
            raise Stopped("the owner has paused the runner", "resume it on the page")
        if between or control.held.keys() & self.live.doing.keys():
            self._asked = stamp
            raise Stopped("the owner has changed what is to be done", "the run begins anew")

    def _set(self, often: bool = False, **changes: Any) -> None:
        with self._turn:
            self.live = replace(self.live, heartbeat=self.clock(), **changes)
            if not often or self.clock() - self._written >= OFTEN:
                self._put()

    def _put(self) -> None:
        try:
            replace_file(self.home / PATH, self.live.to_json())
        except ContentError:
            return  # a full disk costs the page its news, not the run
        self._written = self.clock()

    def _beat(self) -> None:
        while not self._end.wait(self.live.beat / 2) and self._owner.is_alive():
            with self._turn:
                if not self._end.is_set():
                    self.live = replace(self.live, heartbeat=self.clock())
                    self._put()
            if self.live.state != "working" and (stamp := _stamp(self.home)) != self._asked:
                self._asked = stamp
                self.nudge()


def read_live(home: Path) -> Live:
    """Read what the runner of a content folder does, or did last."""
    return _read(home)


def _read(home: Path) -> Live:
    try:
        return Live.from_json((home / PATH).read_bytes())
    except OSError:
        return Live()


def _stamp(home: Path) -> int:
    """Tell versions of what the owner asked for apart."""
    try:
        return (home / "state" / "control.json").stat().st_mtime_ns
    except OSError:
        return 0


class Several(Listener):
    """Let several follow one run."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None:
        for one in self.listeners:
            one.planned(plans, problems)

    def event(self, event: Event) -> None:
        for one in self.listeners:
            one.event(event)

    def finished(self, asset: AssetReport) -> None:
        for one in self.listeners:
            one.finished(asset)
