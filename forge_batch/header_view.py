"""Turn what is known of a queue into the top of its page: is the runner alive, what does it do, what is left to spend. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from forge_batch.plain_text import duration
from forge_batch.queue_view import Queue, Row, counts, until_words
from forge_batch.quota import DAY, period_start

Alive = Literal["alive", "dead", "away", "paused"]


@dataclass(frozen=True)
class Bar:
    """Be the allowance as the header shows it, in seconds; `whole` is None where nobody counts.

    Attributes:
        used: Spent and settled; `reserved`: set aside for a window that is open, or was never settled.
        resets: When it comes back; None if it does not, or is whole.
    """

    name: str
    whole: int | None
    used: float = 0.0
    reserved: float = 0.0
    left: int = 0
    resets: datetime | None = None
    paid: int = 0
    source: str = "ledger"

    def line(self, now: datetime) -> str:
        """Say it in a sentence."""
        if self.whole is None:
            return f"{self.name}: GPU seconds are not counted"
        back = f", all of it again in {duration((self.resets - now).total_seconds())}" if self.resets else ""
        paid = f"paid overrun on, up to {self.paid} s" if self.paid else "paid overrun off"
        who = "" if self.source == "platform" else ", estimated from the ledger"
        reserved = f", {self.reserved:.0f} s reserved" if self.reserved else ""
        return f"{self.name}: {self.left} of {self.whole} GPU seconds left, {self.used:.0f} s used{reserved}{back}; {paid}{who}"


def bar(queue: Queue, now: datetime) -> Bar:
    """Split the allowance into what is used, reserved and left."""
    left, allowance = queue.left, queue.allowance
    if left.whole is None or left.seconds is None:
        return Bar(allowance.name, None)
    start = period_start(allowance, queue.charges, now)
    open_ones = [one for one in queue.charges if one.settled_at is None and start is not None and one.at >= start]
    reserved = min(sum(one.seconds for one in open_ones), max(0.0, left.whole - left.seconds))
    used = max(0.0, left.whole - left.seconds - reserved)
    resets = left.resets_at if left.resets_at and left.resets_at > now else None
    return Bar(allowance.name, left.whole, used, reserved, left.seconds, resets, queue.paid, left.source)


@dataclass(frozen=True)
class Header:
    """Be the top of the page.

    Attributes:
        alive: `alive`, `dead`, `away` (it left in good order, or never was here) or `paused`.
        doing: What the runner does and, if it waits, why and until when: one sentence.
        age: Seconds since the last sign of life; None if there never was one.
    """

    alive: Alive
    doing: str
    age: float | None
    seen: str
    processed: str
    bar: Bar
    counts: Mapping[str, int]


def header(queue: Queue, found: Sequence[Row], now: datetime) -> Header:
    """Say whether the runner is alive, what it does, and how the queue stands."""
    live = queue.live
    age = max(0.0, now.timestamp() - live.heartbeat) if live.heartbeat else None
    alive: Alive = "alive"
    if live.silent(now.timestamp()):
        alive = "dead"
    elif live.state == "ended":
        alive = "away"
    elif queue.control.paused:
        alive = "paused"
    doing = _sentence(queue, found, alive, now, age)
    if queue.loaded and queue.error:
        doing = f"{doing} What is below may be old: {queue.error}"
    return Header(alive, doing, age, live.seen, live.processed, bar(queue, now), counts(found))


def _sentence(queue: Queue, found: Sequence[Row], alive: str, now: datetime, age: float | None) -> str:
    number = counts(found)
    rest = number["queued"] + number["waiting"]
    if not queue.loaded:
        then = f"; below is how it stood at {queue.as_of.astimezone():%H:%M on %d %b}" if queue.as_of else ""
        return queue.error or f"The folder is being read{then}."
    if alive == "dead":
        quiet = duration(age or 0.0)
        return f"The runner died: no sign of life for {quiet}. What is finished is kept; start it again to go on."
    if alive == "away":
        what = "No runner is at work" if age is not None else "No runner has been here yet"
        return f"{what}; {f'{_assets(rest)} for one' if rest else 'nothing waits for one'}."
    if alive == "paused" and queue.control.paused:
        return f"Paused by {queue.control.paused.by} since {_clock(queue.control.paused.at)}."
    return _at_work(queue, now, found) if queue.live.state == "working" else _at_rest(queue, rest, number)


def _at_rest(queue: Queue, rest: int, number: Mapping[str, int]) -> str:
    live = queue.live
    if live.error:
        return f"The last run stopped: {live.error}"
    if live.wait:
        return f"Waits{until_words(live.until)}: {live.wait}."
    if rest:
        return f"Waits for the next look at the folder; {_assets(rest)}."
    return f"Idle: everything that can be made is made ({number['done']} done, {number['failed']} failed)."


def _assets(count: int) -> str:
    return f"{count} {'asset waits' if count == 1 else 'assets wait'}"


def _at_work(queue: Queue, now: datetime, found: Sequence[Row]) -> str:
    busy = [row for row in found if row.state == "working"]
    window = f" A GPU window is open for {duration(now.timestamp() - queue.live.window)}." if queue.live.window else ""
    waits = f" The GPU waits{until_words(queue.live.until)}: {queue.live.wait}." if queue.live.wait else ""
    if not busy:
        return "At work: plans what to do next." + window + waits
    words = ", ".join(f"{row.asset} ({row.stage.replace('_', ' ')}, {row.fraction:.0%})" for row in busy[:4])
    more = f" and {len(busy) - 4} more" if len(busy) > 4 else ""
    return f"Works on {words}{more}.{window}{waits}"


def _clock(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone():%H:%M on %d %b}"


def burn_down(queue: Queue, now: datetime) -> list[tuple[datetime, float]]:
    """Give what was left of the allowance over the last day, as points that a line joins."""
    whole = queue.left.whole
    if whole is None:
        return []
    past = [one for one in queue.charges if one.at > now - DAY]
    points = [(now - DAY, float(whole))]
    left = float(whole)
    for one in past:
        points += [(one.at, left), (one.settled_at or one.at, max(0.0, left - one.seconds))]
        left = max(0.0, left - one.seconds)
    return [*points, (now, float(queue.left.seconds or 0))]
