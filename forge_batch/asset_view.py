"""Gather what the page shows of one asset: what ran, what was measured, what was said, what can be taken home."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
from forge_batch.plain_text import size
from forge_batch.problem_text import problems_text
from forge_batch.queue_view import NUMBER
from forge_batch.standing import Standing
from forge_batch.survey import Survey

LOG_LINES = 60
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
class Detail:
    """Be an asset as its view shows it; texts are plain and not escaped."""

    asset: str
    stages: Sequence[StageRow] = ()
    verdict: str = ""
    worst: str = ""
    gates: Sequence[Sequence[str]] = ()
    problems: str = ""
    manifest: str = ""
    manifest_file: str = ""
    log: str = ""
    packages: Sequence[tuple[str, str]] = ()
    commit: str = ""
    views: Sequence[str] = ()
    builds: Sequence[Mapping[str, Any]] = field(default_factory=list)
    preview: bool = False


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
    content.bring(f"exports/{asset}/preview.png")
    report = _report(folder)
    gates = [Gate.from_json(gate) for gate in report.get("gates", ())]
    said, worst = verdict(gates) if gates else ("", "")
    built = builds_of(home, asset)
    return Detail(
        asset,
        _timeline(entry, survey.queue.live, survey.estimator) if entry else (),
        said,
        worst,
        gate_rows(gates),
        problems_text(problems, content.root) if problems else "",
        entry.order.manifest.to_yaml() if entry else "",
        entry.order.manifest.file if entry else f"manifests/{asset}.yaml",
        _log(home, asset),
        [(path.name, size(path.stat().st_size)) for path in sorted(folder.glob("export_*.zip"))],
        str(built[0]["commit"]) if built else "",
        sorted(view for view in entry.order.images if view not in {"camera", "license"}) if entry else (),
        built,
        (folder / "preview.png").is_file(),
    )


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
            file.seek(max(0, file.tell() - 40_000))
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


def stage_folder(content: ContentRepo, job: Job, stage: str) -> Path | None:
    """Say where what a stage made of an asset lies; None if it is not on this machine."""
    for record in job.records.values():
        if record.stage == stage and record.state == "done":
            folder = content.task_folder(record.key)
            return folder if folder.is_dir() else None
    return None
