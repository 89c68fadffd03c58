"""Say what a run did, per asset and in total: JSON, HTML, Markdown."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from forge_batch.artifacts import GATES, PREVIEW
from forge_batch.content.contract import ContentRepo
from forge_batch.errors import Problem
from forge_batch.gate_text import HEAD, add_pictures, gate_rows, read_pictures, verdict
from forge_batch.gates import Gate
from forge_batch.jobs import Failure, Job
from forge_batch.ops.document import Document
from forge_batch.packages.names import REJECTED, packages_in
from forge_batch.plan import Plan
from forge_batch.problem_text import problems_json, problems_text

REJECTED_MEANS = "No result, but kept for you to decide about (inspect.strict: false would make it one)"

AssetState = Literal["done", "failed", "waiting", "skipped"]


@dataclass(frozen=True)
class StageLine:
    """Be one row of an asset's timeline. `seconds` is what the stage took when it ran, now or earlier if `cached`."""

    name: str
    state: Literal["done", "failed", "pending"]
    cached: bool
    seconds: float
    estimated: float


@dataclass(frozen=True)
class AssetReport:
    """Be what a run did for one asset.

    Attributes:
        state: `done` worked and finished, `failed`, `waiting`, or `skipped`: nothing was left to do.
        package: Path of the package relative to the content folder, if there is one; of the first engine's if there are more.
        report: Path of the HTML report relative to the content folder.
        seconds: Wall seconds of the stages that ran in this run.
        gpu_seconds: Those that count against an allowance.
        note: How what was made differs from what was asked for; empty if it does not.
        rejected: Path of the package that a gate refused, relative to the content folder, if one is kept.
    """

    asset: str
    state: AssetState
    package: str | None
    report: str | None
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    stages: tuple[StageLine, ...] = ()
    failure: Failure | None = None
    note: str = ""
    rejected: str | None = None

    @classmethod
    def of(cls, plan: Plan, job: Job, ran: Collection[str] = ()) -> AssetReport:
        """Tell how an asset stands after it was worked on; `ran` are the tasks that ran, left out those that were pending."""
        ran = ran or {task.key for task in plan.pending}
        records = [job.records[key] for key in ran if key in job.records]
        lines = []
        for task in plan.tasks:
            record = job.records.get(task.key)
            state = record.state if record else "pending"
            lines.append(
                StageLine(
                    task.stage.name, state, task.key not in ran, record.seconds if record else 0.0, round(task.cost.cpu, 1)
                )
            )
        published = job.published == plan.last.key and job.failure is None
        packages = list(packages_in(plan.asset, job.records[plan.last.key])) if published else []
        return cls(
            plan.asset,
            "done" if published else "failed",
            f"exports/{plan.asset}/{packages[0]}" if packages else None,
            f"exports/{plan.asset}/report.html",
            round(sum(record.seconds for record in records), 2),
            round(sum(record.gpu_seconds for record in records), 2),
            tuple(lines),
            job.failure,
            plan.note,
            _kept(plan, job),
        )

    @classmethod
    def skipped(cls, plan: Plan, job: Job) -> AssetReport:
        """Tell that nothing was left to do, or that trying again would only fail again."""
        report = cls.of(plan, job)
        if plan.blocked:
            again = Failure(
                plan.blocked.code, plan.blocked.message, plan.blocked.hint or "change the manifest, or run with --retry"
            )
            return cls(**{**report.__dict__, "state": "failed", "package": None, "failure": again})
        return cls(**{**report.__dict__, "state": "skipped"})

    @classmethod
    def standing(cls, plan: Plan, job: Job) -> AssetReport:
        """Tell how an asset stands while nobody works on it: done, failed, or waiting for the next run."""
        report = cls.skipped(plan, job)
        state: AssetState = "failed" if report.failure else "waiting" if plan.pending else "done"
        return cls(**{**report.__dict__, "state": state, "seconds": round(sum(line.seconds for line in report.stages), 2)})

    @classmethod
    def refused(cls, asset: str, problems: Sequence[Problem]) -> AssetReport:
        """Tell that a manifest or its images cannot be used."""
        first = problems[0]
        return cls(asset, "failed", None, None, failure=Failure(first.code, "\n".join(str(problem) for problem in problems)))

    def line(self) -> str:
        """Say it in one line."""
        if self.failure:
            kept = f"; the package is kept as {self.rejected}" if self.rejected else ""
            return f"{self.asset}: {self.state}: {self.failure}{kept}"
        return f"{self.asset}: {self.state}, {self.package}, {self.seconds:.0f} s" + (f"; {self.note}" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        stages = [{key: value for key, value in asdict(line).items() if key != "estimated"} for line in self.stages]
        return {
            "asset": self.asset,
            "state": self.state,
            "package": self.package,
            "report": self.report,
            "rejected": self.rejected,
            "seconds": self.seconds,
            "gpu_seconds": self.gpu_seconds,
            "stages": stages,
            "note": self.note,
            "error": asdict(self.failure) if self.failure else None,
        }


def _kept(plan: Plan, job: Job) -> str | None:
    """Name the package that lies in exports/ as rejected, if this plan's does; of the first engine's if there are more."""
    record = job.records.get(plan.rejected.key)
    if plan.blocked is None or record is None or job.rejected != plan.rejected.key:
        return None
    return f"exports/{plan.asset}/{next(iter(packages_in(plan.asset, record, REJECTED)))}"


@dataclass(frozen=True)
class Report:
    """Be what a run did, assets by name, and what `validate` says of their manifests."""

    assets: tuple[AssetReport, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return all(asset.failure is None for asset in self.assets)

    @property
    def worked(self) -> bool:
        return any(asset.state != "skipped" for asset in self.assets)

    def to_json(self) -> dict[str, Any]:
        return {"assets": [asset.to_json() for asset in self.assets], "problems": problems_json(self.problems)}


def write_asset_report(content: ContentRepo, report: AssetReport, plan: Plan, job: Job) -> None:
    """Leave report.json and report.html in exports/<asset>/, whether the asset was finished or failed."""
    gates = _gates(content, plan)
    estimated = round(sum(line.estimated for line in report.stages), 1)
    facts = {**report.to_json(), "estimated_seconds": estimated, "gates": [gate.to_json() for gate in gates]}
    facts["cache_hits"] = sum(line.cached for line in report.stages)
    facts["metrics"] = {record.stage: dict(record.metrics) for record in job.records.values()}
    facts["problems"] = problems_json(job.problems)
    facts["log"] = _log(content, plan.asset)
    content.write(f"exports/{plan.asset}/report.json", json.dumps(facts, indent=1).encode())
    content.write(f"exports/{plan.asset}/report.html", _html(content, report, plan, job, gates, facts["log"]).encode())


def _html(content: ContentRepo, report: AssetReport, plan: Plan, job: Job, gates: Sequence[Gate], log: str) -> str:
    page = Document(f"{plan.asset}: {report.state}")
    if report.failure:
        page.paragraph(str(report.failure), "fail")
    if report.note:
        page.paragraph(f"This was {report.note}.")
    preview = content.task_folder(plan.last.key if report.package else plan.rejected.key) / PREVIEW.filename
    if (report.package or report.rejected) and preview.is_file():
        page.picture(preview.read_bytes(), f"{plan.asset}: the input front view beside renders of the result")
    if report.package:
        page.paragraph(f"Package: {report.package}")
    if report.rejected:
        page.paragraph(f"{REJECTED_MEANS}: {report.rejected}", "warn")
    page.paragraph(*verdict(gates))
    if job.problems:
        page.heading("What validate said")
        page.log(problems_text(job.problems, content.root))
    page.heading("Quality gates")
    page.table(HEAD, gate_rows(gates))
    folders = [content.task_folder(task.key) for task in plan.tasks if task.stage.name == "inspect"]
    add_pictures(page, gates, read_pictures(gates, folders[0]) if folders else {})
    page.heading("Stages")
    page.table(
        ["stage", "state", "kept from before", "seconds", "estimated"],
        [
            [one.name, one.state, "yes" if one.cached else "", f"{one.seconds:.1f}", f"{one.estimated:.1f}"]
            for one in report.stages
        ],
    )
    page.heading("Log")
    page.log(log or "empty")
    return page.to_html()


def _gates(content: ContentRepo, plan: Plan) -> list[Gate]:
    """Read what `inspect` measured; none if it did not run or the asset failed before it."""
    for task in plan.tasks:
        path = content.task_folder(task.key) / GATES.filename
        if task.stage.name == "inspect" and path.is_file():
            return [Gate.from_json(gate) for gate in json.loads(path.read_text())]
    return []


def _log(content: ContentRepo, asset: str, lines: int = 40) -> str:
    """Give the end of what the asset's worker printed."""
    path = content.task_folder("logs") / f"{asset}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.is_file() else ""


def status_markdown(report: Report, root: Path) -> str:
    """Write STATUS.md: a table that a person reads in the content folder, and every problem as `validate` shows it."""
    rows = ["| asset | state | package | why |", "|---|---|---|---|"]
    for asset in report.assets:
        why = _cell(str(asset.failure)) if asset.failure else ""
        rows.append(f"| {asset.asset} | {asset.state} | {asset.package or asset.rejected or ''} | {why} |")
    text = "# Status\n\n" + "\n".join(rows) + "\n"
    if report.problems:
        text += f"\n## Problems\n\n````text\n{problems_text(report.problems, root)}\n````\n"
    return text


def _cell(text: str) -> str:
    """Keep text that came from outside from ending a table's cell or being read as HTML."""
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", "<br>")
