"""Gather what the page shows of one asset: what ran, what was measured, what was said, what can be taken home."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forge_batch.builds import builds_of
from forge_batch.content.contract import ContentRepo
from forge_batch.estimate import Estimator
from forge_batch.gate_text import gate_rows, verdict
from forge_batch.gates import Gate
from forge_batch.jobs import Job
from forge_batch.live import Live
from forge_batch.ops.gate_limits import LIMITS
from forge_batch.plain_text import size
from forge_batch.problem_text import problems_text
from forge_batch.queue_view import NUMBER, Row
from forge_batch.standing import Standing
from forge_batch.survey import Survey

LOG_LINES, LOG_BYTES = 60, 5_000
LONGEST = 10_000
"""Characters of a text that are shown: a refresh must stay small whatever a manifest holds."""
PICTURE = re.compile(r"failed_[a-z0-9_]{1,64}\.png")
"""What the picture of a failed gate can be called."""
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
"""What an asset can be called; nothing else is ever looked for on the disk."""


@dataclass(frozen=True)
class StageRow:
    """Be one row of an asset's timeline.

    Attributes:
        state: `done`, `cached` (done before the last build), `failed`, `at work`, or `to do`.
        expected: p50 and p90 of its seconds as they were, or are, foretold; None if nobody did.
        note: What went wrong, or what it does now.
    """

    number: int
    name: str
    device: str
    state: str
    seconds: float | None
    expected: tuple[float, float] | None
    note: str = ""


@dataclass(frozen=True)
class GateRow:
    """Be a quality gate in words.

    Attributes:
        advice: What to change where it did not pass; empty otherwise.
        picture: Public name of the picture that shows what is wrong; empty if there is none.
    """

    name: str
    result: str
    value: str
    limit: str
    note: str
    advice: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Detail:
    """Be an asset as its view shows it; texts are plain and not escaped.

    Attributes:
        packages: Names and sizes; `rejected` the same of those that a gate refused.
        preview: Name of the picture of the result, or of what a gate refused; empty if there is none.
    """

    asset: str
    stages: Sequence[StageRow] = ()
    verdict: str = ""
    worst: str = ""
    gates: Sequence[GateRow] = ()
    problems: str = ""
    manifest: str = ""
    manifest_file: str = ""
    log: str = ""
    packages: Sequence[tuple[str, str]] = ()
    rejected: Sequence[tuple[str, str]] = ()
    report: bool = False
    commit: str = ""
    views: Sequence[str] = ()
    builds: Sequence[Mapping[str, Any]] = field(default_factory=list)
    preview: str = ""


def detail(survey: Survey, asset: str) -> Detail | None:
    """Gather an asset; None if nothing is known by that name."""
    if not NAME.fullmatch(asset) or survey.row(asset) is None:
        return None
    content, home = survey.content, survey.content.home
    entry = survey.standings.get(asset)
    problems = survey.intake.by_asset.get(asset, ())
    folder = home / "exports" / asset
    content.bring(f"exports/{asset}/builds")
    content.bring(f"exports/{asset}/report.json")
    report = _report(folder)
    gates = gates_in(report)
    said, worst = verdict(gates) if gates else ("", "")
    pictures = {name for gate in report.get("gates", ()) if (name := _picture_of(gate)) and find_picture(content, entry, name)}
    built = builds_of(home, asset)
    return Detail(
        asset,
        _timeline(entry, survey.queue.live, survey.estimator) if entry else (),
        said,
        worst,
        rows_of(gates, pictures),
        cut(problems_text(problems, content.root)) if problems else "",
        cut(entry.order.manifest.to_yaml()) if entry else "",
        entry.order.manifest.file if entry else f"manifests/{asset}.yaml",
        _log(home, asset),
        _sizes(folder, "export_*.zip"),
        _sizes(folder, "rejected_*.zip"),
        (folder / "report.html").is_file(),
        str(built[0]["commit"]) if built else "",
        sorted(view for view in entry.order.images if view not in {"camera", "license"}) if entry else (),
        built,
        preview.name if (preview := find_preview(content, asset)) else "",
    )


def cut(text: str) -> str:
    """Cut a text that nobody would read to its end."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... and {len(text) - LONGEST} characters more"


def gates_in(report: Mapping[str, Any]) -> list[Gate]:
    """Read the gates of a report; none of one that holds something else."""
    try:
        return [Gate.from_json(gate) for gate in report.get("gates", ())]
    except (KeyError, TypeError, AttributeError):
        return []


def rows_of(gates: Sequence[Gate], pictures: Collection[str] = ()) -> list[GateRow]:
    """Put gates into words, failures first.

    Args:
        gates: What was measured.
        pictures: Public names of the pictures there are.
    """
    found = []
    for name, result, value, limit, note in gate_rows(gates):
        key = name.replace(" ", "_")
        advice = LIMITS[key].advice if result in {"fail", "warn"} and key in LIMITS else ""
        picture = f"failed_{key}.png"
        found.append(GateRow(name, result, value, limit, note, advice, picture if picture in pictures else ""))
    return found


def _picture_of(gate: Mapping[str, Any]) -> str:
    name = str(gate.get("picture") or "")
    return name if PICTURE.fullmatch(name) else ""


def find_picture(content: ContentRepo, entry: Standing | None, name: str) -> Path | None:
    """Find the picture of a failed gate: published, or where the stage that measured it left it; None if it is nowhere here."""
    if entry is None or not PICTURE.fullmatch(name):
        return None
    asset = entry.order.manifest.asset
    content.bring(f"exports/{asset}/{name}")
    folders = [content.home / "exports" / asset]
    folders += [content.task_folder(one.key) for one in entry.job.records.values() if one.stage == "inspect"]
    return next((path for folder in folders if (path := folder / name).is_file() and not path.is_symlink()), None)


def _sizes(folder: Path, pattern: str) -> list[tuple[str, str]]:
    return [(path.name, size(path.stat().st_size)) for path in sorted(folder.glob(pattern))]


def _report(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "report.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _log(home: Path, asset: str) -> str:
    """Give the end of what the asset's worker printed."""
    try:
        with (home / "work" / "logs" / f"{asset}.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_LINES:])
    except OSError:
        return ""


def _timeline(entry: Standing, live: Live, estimator: Estimator) -> list[StageRow]:
    plan, job = entry.plan, entry.job
    pending = {task.key for task in plan.pending}
    doing = live.doing.get(plan.asset) if live.state == "working" else None
    found = []
    for task in plan.tasks:
        record = job.records.get(task.key)
        told = estimator.of(task)
        expected = record.expected if record and record.expected else (told.p50, told.p90) if told.p50 else None
        state, seconds, note = "to do", None, ""
        if record is not None and task.key not in pending:
            state, seconds = record.state, record.seconds
            note = str(record.failure or "")
        elif record is not None and record.failure:
            state, note = "failed", str(record.failure)
        if doing is not None and doing.stage == task.stage.name:
            state, note = "at work", f"{doing.fraction:.0%} {doing.note}".strip()
        found.append(StageRow(NUMBER[task.stage.name], task.stage.name, task.device, state, seconds, expected, note))
    return found


def find_preview(content: ContentRepo, asset: str) -> Path | None:
    """Give the picture of an asset's result, or else of what a gate refused; None if neither is there."""
    folder = content.home / "exports" / asset
    names = ["preview.png", "rejected_preview.png"]
    if any(folder.glob("rejected_*.zip")):
        names.reverse()
    for name in names:
        content.bring(f"exports/{asset}/{name}")
        if (folder / name).is_file() and not (folder / name).is_symlink():
            return folder / name
    return None


def find_package(content: ContentRepo, row: Row) -> Path | None:
    """Give the package that an asset is looked at by: its result, or else what a gate refused; None if neither is there."""
    folder = content.home / "exports" / row.asset
    if row.facts.package:
        content.bring(f"exports/{row.asset}/{row.facts.package}")
        package = folder / row.facts.package
        return package if package.is_file() else None
    return next(iter(sorted(folder.glob("rejected_*.zip"))), None)


def stage_folder(content: ContentRepo, job: Job, stage: str) -> Path | None:
    """Say where what a stage made of an asset lies; None if it is not on this machine."""
    for record in job.records.values():
        if record.stage == stage and record.state == "done":
            folder = content.task_folder(record.key)
            return folder if folder.is_dir() else None
    return None
