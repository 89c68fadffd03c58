"""Keep what the owner asks of the runner beside the manifests: pause, hold, retry, go first.

A file that says who asked for what and when; what holds now follows from it. Nothing is hidden in a process, so a
restart, another page and the command line all see the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from forge_batch.errors import ContentError

PATH = "state/control.json"
KEPT = 200
"""Actions that are remembered; older ones stay only while they hold."""
RUNNER = "runner"
"""Who acts where the runner notes that it has taken something up."""

Word = Literal["run", "pause", "resume", "retry", "cancel", "release", "priority", "taken_up"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True)
class Action:
    """Be one thing that somebody asked for.

    Attributes:
        at: ISO 8601, with a zone.
        by: Who.
        word: `run` now; `pause` and `resume` the runner; `retry` an asset that failed; `cancel` keeps an asset from being
            worked on until `release` or `retry`; `priority` puts `value` in place of the manifest's; `taken_up`: the runner
            has begun what `retry` asked for.
        asset: Whom it is about; empty for the runner.
    """

    at: str
    by: str
    word: Word
    asset: str = ""
    value: int | None = None

    def line(self) -> str:
        """Say it in a sentence."""
        about = f" {self.asset}" if self.asset else ""
        value = f" {self.value}" if self.value is not None else ""
        return f"{self.at[:16].replace('T', ' ')} {self.by}: {self.word.replace('_', ' ')}{about}{value}"


@dataclass(frozen=True)
class Control:
    """Be everything that was asked for, oldest first, and what of it holds."""

    actions: tuple[Action, ...] = ()

    @property
    def paused(self) -> Action | None:
        """The action that keeps the runner from working; None if it may."""
        last = next((one for one in reversed(self.actions) if one.word in {"pause", "resume"}), None)
        return last if last and last.word == "pause" else None

    @property
    def held(self) -> dict[str, Action]:
        """Assets that were cancelled and not asked for again, with the action that did it."""
        held: dict[str, Action] = {}
        for one in self.actions:
            if one.word == "cancel":
                held[one.asset] = one
            elif one.word in {"release", "retry"}:
                held.pop(one.asset, None)
        return held

    @property
    def retry(self) -> frozenset[str]:
        """Assets to be tried again although they failed for a lasting reason."""
        names: set[str] = set()
        for one in self.actions:
            if one.word == "retry":
                names.add(one.asset)
            elif one.word in {"taken_up", "cancel"}:
                names.discard(one.asset)
        return frozenset(names)

    @property
    def priorities(self) -> dict[str, int]:
        """Priorities that stand in place of the manifests', by asset."""
        return {one.asset: one.value for one in self.actions if one.word == "priority" and one.value is not None}

    def after(self, *actions: Action) -> Control:
        """Add actions, and forget old ones that no longer change anything."""
        every = [*self.actions, *actions]
        old, new = every[:-KEPT], every[-KEPT:]
        whole = Control(tuple(every))
        holding = {id(whole.paused), *(id(one) for one in whole.held.values())}
        last = {one.asset: one for one in every if one.word == "priority"}
        holding |= {id(one) for one in last.values()} | {id(one) for one in old if one.asset in whole.retry}
        return Control((*(one for one in old if id(one) in holding), *new))

    def to_json(self) -> bytes:
        return (json.dumps({"actions": [asdict(one) for one in self.actions]}, indent=1) + "\n").encode()


def asked(word: Word, by: str, now: datetime, asset: str = "", value: int | None = None) -> Action:
    """Make an action; ContentError says what it lacks."""
    if word not in WORDS:
        raise ContentError(f'"{str(word)[:40]}" is no action', f"write one of {', '.join(WORDS)}")
    if (word in {"retry", "cancel", "release", "priority", "taken_up"}) != bool(asset):
        raise ContentError(f"{word} {'needs' if not asset else 'takes no'} asset", "name one asset for what is about an asset")
    if (word == "priority") != (value is not None) or not 0 <= (value or 0) <= 100:
        raise ContentError(f"a priority of {value} cannot be", "write a whole number from 0 to 100")
    return Action(now.isoformat(timespec="seconds"), by, word, asset, value)


def load_control(home: Path) -> Control:
    """Read what was asked for; nothing if the file is not there. A damaged file is an error: what it held is not known.

    Raises:
        ContentError: The file cannot be read.
    """
    path = home / PATH
    try:
        return _control(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Control()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContentError(f"{path} cannot be read ({error})", "restore it, or delete it: nothing is paused then") from error


def _control(document: dict[str, Any]) -> Control:
    actions: Sequence[dict[str, Any]] = document["actions"]
    found = tuple(Action(one["at"], one["by"], one["word"], one.get("asset", ""), one.get("value")) for one in actions)
    if wrong := next((one.word for one in found if one.word not in WORDS), ""):
        raise ValueError(f"{wrong} is no action")
    return Control(found)
