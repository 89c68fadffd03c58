"""Say who works on a repo: state/runner.json as a value, and the rules about it. Pure; the clock is an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

PATH = "state/runner.json"
BEATS = 3
"""A lease without a sign of life for that many heartbeats may be taken over."""
HOUR = 3600.0


@dataclass(frozen=True)
class Lease:
    """Be who works on the repo, or who did last.

    Attributes:
        runner: Name of the runner.
        nonce: Made anew for each claim: two runners of one name are still two.
        state: `working` or `idle`.
        heartbeat: The last sign of life, seconds since the epoch.
        beat: Seconds that this runner lets pass between two signs of life.
        since: When it was claimed.
        assets: What is worked on.
        seen: The commit whose manifests and images are worked on.
        commits: When runners committed within the last hour.
        status: sha256 of the status files as they were last committed, by path, without the lines about the runner.
    """

    runner: str = ""
    nonce: str = ""
    state: Literal["working", "idle"] = "idle"
    heartbeat: float = 0.0
    beat: float = 0.0
    since: float = 0.0
    assets: tuple[str, ...] = ()
    seen: str = ""
    commits: tuple[float, ...] = ()
    status: Mapping[str, str] = field(default_factory=dict)

    def claimed(self, runner: str, nonce: str, now: float, beat: float, assets: Sequence[str], seen: str) -> Lease:
        """Give the lease of a runner that begins to work."""
        return Lease(runner, nonce, "working", now, beat, now, tuple(assets), seen, self.commits, self.status)

    def beaten(self, now: float) -> Lease:
        """Give the lease with a sign of life, and with a commit more."""
        recent = tuple(round(when, 1) for when in self.commits if when > now - HOUR)
        return replace(self, heartbeat=now, commits=(*recent, round(now, 1)))

    def released(self) -> Lease:
        """Give the lease of a runner that has left."""
        return replace(self, state="idle", assets=())

    def keeps_out(self, runner: str, nonce: str, now: float) -> bool:
        """Tell whether this lease keeps that runner out: another one holds it and has been heard of.

        A runner's own name does not keep it out: it was restarted, and its former self is dead.
        """
        mine = runner == self.runner or nonce == self.nonce
        return self.state == "working" and not mine and now - self.heartbeat < BEATS * self.beat

    def wait(self, now: float, floor: float, per_hour: int, spare: int = 0) -> float:
        """Give the seconds until another commit may be made; `spare` of the hour's commits are left for later."""
        recent = sorted(when for when in self.commits if when > now - HOUR)
        waits = [0.0]
        if recent:
            waits.append(recent[-1] + floor - now)
        if len(recent) >= per_hour - spare:
            waits.append(recent[len(recent) - max(1, per_hour - spare)] + HOUR - now)
        return max(waits)

    def to_json(self) -> bytes:
        document = {
            "runner": self.runner,
            "nonce": self.nonce,
            "state": self.state,
            "heartbeat": _text(self.heartbeat),
            "heartbeat_seconds": self.beat,
            "since": _text(self.since),
            "assets": list(self.assets),
            "seen": self.seen,
            "commits": list(self.commits),
            "status": dict(self.status),
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Lease:
        """Read a lease; one that is damaged counts as nobody's, since a damaged file must not stop work for ever."""
        try:
            found: dict[str, Any] = json.loads(data)
            return cls(
                str(found["runner"]),
                str(found["nonce"]),
                "working" if found["state"] == "working" else "idle",
                _seconds(found["heartbeat"]),
                float(found["heartbeat_seconds"]),
                _seconds(found["since"]),
                tuple(str(asset) for asset in found["assets"]),
                str(found["seen"]),
                tuple(float(when) for when in found["commits"]),
                {str(path): str(digest) for path, digest in found["status"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return cls()

    def lines(self) -> str:
        """Say it for people, as Markdown."""
        if not self.runner:
            return ""
        work = f"at work on {', '.join(self.assets[:8])}" if self.assets else "at work"
        more = f" and {len(self.assets) - 8} more" if len(self.assets) > 8 else ""
        doing = f"{work}{more} since {_text(self.since)}" if self.state == "working" else "idle"
        return (
            f"\n## Runner\n\n`{self.runner}` is {doing}. Last heartbeat {_text(self.heartbeat)}"
            + (f", one every {self.beat:.0f} s while it works" if self.beat else "")
            + (f". Commit seen: `{self.seen}`.\n" if self.seen else ".\n")
        )


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def with_runner(path: str, data: bytes, lease: Lease) -> bytes:
    """Add to a status file, as JSON or Markdown, who the runner is and when it was last heard of."""
    if path.endswith(".json"):
        document = json.loads(data)
        about = json.loads(lease.to_json())
        document["runner"] = {key: value for key, value in about.items() if key not in {"commits", "status"}}
        return (json.dumps(document, indent=1) + "\n").encode()
    return data + lease.lines().encode()
