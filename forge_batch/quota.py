"""Count GPU seconds against an allowance, so that none is spent that is not there.

The ledger is a file of JSON lines that only grows. A window's seconds are reserved before it starts and settled after it ends;
what was never settled counts in full, so a crash can only count too much. The clock is always an argument.

The figures are those that Hugging Face documents for ZeroGPU (Usage Tiers): the allowance comes back exactly 24 hours
after the first use, half a card (`large`, 48 GB) counts once, a whole one (`xlarge`, 96 GB) twice. Before a `large` window
starts, the platform asks that 1.5 times its declared duration be left on the cards of today; charged is what it really took.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from forge_batch.errors import ContentError

Reset = Literal["first_use", "midnight", "never"]
Size = Literal["large", "xlarge"]
DAY = timedelta(days=1)
CARD = MappingProxyType({"large": 48.0, "xlarge": 96.0})
"""GB of GPU memory by the size of a ZeroGPU window."""


@dataclass(frozen=True)
class Allowance:
    """Be a profile: how many GPU seconds there are, and when they come back.

    Attributes:
        seconds: In each period; None if nobody counts.
        reset: `first_use`: 24 hours after the first second spent; `midnight`: with the calendar day, UTC.
        xlarge: Seconds of allowance that a second of an `xlarge` window costs; one of a `large` window costs one.
        request_factor: What the platform multiplies a declared duration of a `large` window by before it asks whether that
            much is left; the platform's own figure replaces this one where it can be read.
        platform: Whether the platform keeps the count, and can be asked for it.
    """

    name: str
    seconds: int | None
    reset: Reset = "never"
    xlarge: float = 1.0
    request_factor: float = 1.0
    platform: bool = False

    def factor(self, size: Size) -> float:
        """Give the seconds of allowance that a second of GPU costs."""
        return self.xlarge if size == "xlarge" else 1.0

    def declared(self, seconds: float, size: Size = "large") -> int:
        """Give the duration to declare for a window that may take so long."""
        return math.ceil(seconds / (self.request_factor if size == "large" else 1.0))

    def longest(self, left: float, size: Size = "large") -> int:
        """Give the longest window, in whole seconds of GPU, that the platform starts with so much left."""
        if size == "large":
            return math.floor(math.floor(left / self.request_factor) * self.request_factor)
        return math.floor(left / self.factor(size))


def _zero_gpu(tier: str, seconds: int) -> Allowance:
    return Allowance(f"zerogpu-{tier}", seconds, "first_use", xlarge=2.0, request_factor=1.5, platform=True)


UNLIMITED = Allowance("unlimited", None)
PROFILES = {
    profile.name: profile
    for profile in (
        UNLIMITED,
        Allowance("seed", 1500, "midnight"),
        _zero_gpu("free", 300),
        _zero_gpu("pro", 2400),
        _zero_gpu("team", 2400),
        _zero_gpu("enterprise", 3600),
    )
}
"""Every allowance with a name; `custom` is made from forge.yaml."""


@dataclass(frozen=True)
class LedgerEntry:
    """Be one line of the ledger; seconds are those of the allowance, the size's factor included."""

    kind: Literal["reserve", "settle"]
    window: str
    at: datetime
    seconds: float


@dataclass(frozen=True)
class Reading:
    """Be what the platform's quota endpoint said, in seconds of the allowance.

    Attributes:
        base: The whole allowance.
        current: What is left of it.
        resets_at: When it comes back; None while the period is not opened.
        paid: Seconds already spent beyond the allowance.
        at: When it was read.
    """

    base: int
    current: int
    resets_at: datetime | None
    paid: int
    at: datetime


@dataclass(frozen=True)
class Remaining:
    """Say what may still be spent.

    Attributes:
        seconds: Left now, with paid ones where they are allowed; None if nobody counts.
        resets_at: When the whole allowance is back; None if nothing was spent of it, or nobody counts.
        source: Who says so.
        whole: Seconds of a fresh period, with paid ones where they are allowed; None if nobody counts.
    """

    seconds: int | None
    resets_at: datetime | None
    source: Literal["ledger", "platform"]
    whole: int | None


def remaining(
    allowance: Allowance,
    entries: Sequence[LedgerEntry],
    now: datetime,
    reading: Reading | None = None,
    allow_paid_seconds: int = 0,
) -> Remaining:
    """Work out what is left.

    Args:
        allowance: The profile.
        entries: The ledger.
        now: With a time zone.
        reading: What the platform said, if it could be asked; it also knows what others spent. Windows that may have been
            running then are taken off it, for nobody knows whether it counts them already.
        allow_paid_seconds: Seconds in each period that may be spent beyond the allowance, and paid for.
    """
    if allowance.seconds is None:
        return Remaining(None, None, "ledger", None)
    found = charges(entries)
    if reading is not None:
        unseen = sum(charge.seconds for charge in found if charge.ends > reading.at)
        left = reading.current - unseen + max(0, allow_paid_seconds - reading.paid)
        return Remaining(max(0, math.floor(left)), reading.resets_at, "platform", reading.base + allow_paid_seconds)
    start = period_start(allowance, found, now)
    spent = sum(charge.seconds for charge in found if start is not None and charge.at >= start)
    whole = allowance.seconds + allow_paid_seconds
    resets_at = start + DAY if start is not None and spent and allowance.reset != "never" else None
    return Remaining(max(0, math.floor(whole - spent)), resets_at, "ledger", whole)


@dataclass(frozen=True)
class Budget:
    """Be an allowance with its ledger, and with whom to ask what is left.

    Attributes:
        ask: Give what the platform says, or None if it cannot be asked now.
    """

    allowance: Allowance
    ledger: Ledger
    allow_paid_seconds: int = 0
    ask: Callable[[], Reading | None] = lambda: None

    def remaining(self, now: datetime) -> Remaining:
        """Say what may still be spent; see the function of that name."""
        return remaining(self.allowance, self.ledger.entries(), now, self.ask(), self.allow_paid_seconds)


@dataclass(frozen=True)
class Charge:
    """Be what one window costs: its reserve until it is settled, what it took thereafter."""

    window: str
    at: datetime
    seconds: float
    settled_at: datetime | None = None

    @property
    def ends(self) -> datetime:
        """When it is certainly over; unless somebody said so, that is its time and five minutes of queue and start-up."""
        return self.settled_at or self.at + timedelta(seconds=self.seconds + 300)


def charges(entries: Iterable[LedgerEntry]) -> list[Charge]:
    """Give what each window costs, in the order in which they were reserved; settling twice counts the dearer."""
    found: dict[str, Charge] = {}
    for entry in entries:
        known = found.get(entry.window)
        if known is None:
            found[entry.window] = Charge(entry.window, entry.at, entry.seconds, entry.at if entry.kind == "settle" else None)
        elif entry.kind == "settle":
            seconds = max(known.seconds, entry.seconds) if known.settled_at else entry.seconds
            found[entry.window] = replace(known, seconds=seconds, settled_at=entry.at)
    return sorted(found.values(), key=lambda charge: charge.at)


def period_start(allowance: Allowance, found: Sequence[Charge], now: datetime) -> datetime | None:
    """Say when the period of `now` began; None while none is open."""
    if allowance.reset == "midnight":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    start: datetime | None = None
    for charge in found:
        if start is None or (allowance.reset == "first_use" and charge.at >= start + DAY):
            start = charge.at
    return None if start is not None and allowance.reset == "first_use" and now >= start + DAY else start


class Ledger:
    """Be state/ledger.jsonl. One process writes at a time: whoever holds the content folder's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[str, list[LedgerEntry]] = "", []  # whole lines that were read before, and what they say

    def entries(self) -> list[LedgerEntry]:
        """Read every line; a last line that a crash tore off is not one.

        Raises:
            ContentError: A line in the middle cannot be read: then nobody knows what was spent.
        """
        text = self._text()
        seen, entries = self._seen if text.startswith(self._seen[0]) else ("", [])  # it may have been restored, or deleted
        *lines, last = text[len(seen) :].split("\n")
        first = seen.count("\n") + 1
        entries = entries + [self._entry(line, number) for number, line in enumerate(lines, first) if line]
        self._seen = text[: len(text) - len(last)], entries
        try:
            return [*entries, *([_entry(json.loads(last))] if last else [])]
        except (ValueError, KeyError, TypeError):
            return list(entries)

    def _entry(self, line: str, number: int) -> LedgerEntry:
        try:
            return _entry(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise ContentError(
                f"{self.path}:{number} cannot be read ({error})", "restore it, or delete it if you know what was spent"
            ) from error

    def reserve(self, seconds: float, now: datetime) -> str:
        """Note a window that is about to start; give its name. It is on the disk when this returns.

        Raises:
            ContentError: It could not be written; the window must not start.
        """
        window = uuid.uuid4().hex[:12]
        self._append(LedgerEntry("reserve", window, now, seconds))
        return window

    def settle(self, window: str, seconds: float, now: datetime) -> None:
        """Note what a window took. Raises like `reserve`; until it succeeds, the reserve counts in full."""
        self._append(LedgerEntry("settle", window, now, seconds))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ContentError(f"cannot read {self.path} ({error.strerror})", "make it readable") from error

    def _append(self, entry: LedgerEntry) -> None:
        self.entries()  # nothing is added below a line that cannot be read
        text = json.dumps({**asdict(entry), "at": entry.at.isoformat()}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.truncate(_whole_bytes(self.path.read_bytes()))
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ContentError(f"cannot write {self.path} ({error.strerror})", "free space, or make it writable") from error


def _whole_bytes(data: bytes) -> int:
    """Say where the last whole line ends: what follows is the rest of a write that a crash cut off."""
    return data.rfind(b"\n") + 1


def _entry(document: Mapping[str, Any]) -> LedgerEntry:
    kind = document["kind"]
    if kind not in {"reserve", "settle"}:
        raise ValueError(f"kind is {kind!r}")
    at, seconds = datetime.fromisoformat(document["at"]), float(document["seconds"])
    if at.tzinfo is None or not 0 <= seconds < math.inf:
        raise ValueError("a time without zone, or seconds below 0")
    return LedgerEntry(kind, str(document["window"]), at, seconds)
