"""Remember every build of an asset and every GPU window: what came of it, from which commit, and how long it took.

Lines and small pictures beside what the runner publishes; the packages themselves are kept by the history of a dataset repo.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forge_batch.content.contract import ContentRepo
from forge_batch.errors import ContentError, Problem
from forge_batch.executors.contract import Event, Finished, WindowEdge
from forge_batch.gate_text import verdict
from forge_batch.gates import Gate
from forge_batch.plan import Plan
from forge_batch.report import AssetReport
from forge_batch.runner import Listener

WINDOWS = "state/windows.jsonl"
THUMBNAIL = 360
"""Edge of a build's picture, pixels."""


def _utc() -> datetime:
    return datetime.now(UTC)


class Builds(Listener):
    """Follow runs and write down what they made."""

    def __init__(self, content: ContentRepo, clock: Callable[[], datetime] = _utc) -> None:
        self.content, self.clock = content, clock
        self.commit = ""
        self._window: datetime | None = None
        self._packed: list[dict[str, Any]] = []

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None:  # noqa: ARG002 - as the protocol has it
        self.commit = self.content.revision

    def event(self, event: Event) -> None:
        if isinstance(event, WindowEdge):
            self._edge(event.begins)
        elif isinstance(event, Finished) and self._window and event.record.gpu_seconds:
            record = event.record
            self._packed.append(
                {
                    "asset": event.asset,
                    "stage": record.stage,
                    "expected": record.expected,
                    "seconds": record.gpu_seconds,
                    "state": record.state,
                }
            )

    def finished(self, asset: AssetReport) -> None:
        """Keep a build that was made now."""
        if asset.state != "done" or not asset.package:
            return
        folder = self.content.home / "exports" / asset.asset
        now = self.clock()
        name = f"exports/{asset.asset}/builds/{now:%Y%m%dT%H%M%SZ}"
        try:
            report = json.loads((folder / "report.json").read_bytes())
            gates = [Gate.from_json(gate) for gate in report["gates"]]
            said, worst = verdict(gates)
            build = {
                "at": now.isoformat(timespec="seconds"),
                "commit": self.commit,
                "package": asset.package,
                "bytes": (self.content.home / asset.package).stat().st_size,
                "seconds": asset.seconds,
                "gpu_seconds": asset.gpu_seconds,
                "estimated_seconds": report["estimated_seconds"],
                "note": asset.note,
                "verdict": said,
                "worst": worst,
                "gates": report["gates"],
            }
            self.content.write(f"{name}.json", json.dumps(build, indent=1).encode())
            if (folder / "preview.png").is_file():
                self.content.write(f"{name}.webp", thumbnail((folder / "preview.png").read_bytes(), 3 * THUMBNAIL))
        except (ContentError, OSError, ValueError, KeyError):
            return  # the package is made and said; a full disk costs its place in the history

    def _edge(self, begins: bool) -> None:
        now = self.clock()
        if begins:
            self._window, self._packed = now, []
        elif self._window:
            line = {"from": self._window.isoformat(), "to": now.isoformat(), "packed": self._packed}
            self._window = None
            path = self.content.home / WINDOWS
            before = path.read_bytes() if path.is_file() else b""
            self.content.write(WINDOWS, before + json.dumps(line).encode() + b"\n")


def thumbnail(data: bytes, edge: int, *, close: bool = False) -> bytes:
    """Shrink a picture so that neither edge is longer than that, as WebP; OSError if it cannot be read.

    `close` cuts off the clear margin around what is seen first.
    """
    from PIL import Image  # noqa: PLC0415 - only where a picture is made

    picture: Image.Image = Image.open(io.BytesIO(data))
    if close and (box := picture.convert("RGBA").getchannel("A").getbbox()):
        picture = picture.crop(box)
    picture.thumbnail((edge, edge))
    out = io.BytesIO()
    picture.convert("RGBA").save(out, "WEBP", quality=82)
    return out.getvalue()


def builds_of(home: Path, asset: str) -> list[dict[str, Any]]:
    """Give an asset's builds, newest first, each with the name of its picture (empty if it has none)."""
    found = []
    for path in sorted((home / "exports" / asset / "builds").glob("*.json"), reverse=True):
        try:
            build = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        picture = path.with_suffix(".webp")
        found.append({**build, "name": path.stem, "picture": picture.name if picture.is_file() else ""})
    return found


def windows_of(home: Path, most: int = 200) -> list[dict[str, Any]]:
    """Give the last windows, newest first; a line that cannot be read is left out."""
    found: list[dict[str, Any]] = []
    try:
        lines = (home / WINDOWS).read_text().splitlines()[-most:]
    except OSError:
        return found
    for line in reversed(lines):
        try:
            one = json.loads(line)
            found.append(
                {
                    "from": datetime.fromisoformat(one["from"]),
                    "to": datetime.fromisoformat(one["to"]),
                    "packed": one["packed"],
                }
            )
        except (ValueError, KeyError, TypeError):
            continue
    return found
