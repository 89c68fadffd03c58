"""Say how the assets of a content folder stand: what remains, what failed and why. Works on none of them."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace

from forge_batch.advice import LICENCE
from forge_batch.attempts import next_attempt
from forge_batch.content.contract import ContentRepo
from forge_batch.errors import ContentError, Problem
from forge_batch.intake import Intake, Order, take_in
from forge_batch.jobs import Failure, Job
from forge_batch.plan import Plan, plan, replan
from forge_batch.report import AssetReport, Report, status_markdown
from forge_batch.stages import STAGES


@dataclass
class Standing:
    """Keep what belongs together while an asset is worked on.

    Attributes:
        wanted: False as soon as users ask for something else.
        ran: Keys of the tasks that ran in this run.
    """

    order: Order
    plan: Plan
    job: Job
    wanted: bool = True
    ran: frozenset[str] = frozenset()


def look_up(content: ContentRepo, order: Order, retry: bool = False) -> Standing:
    """Plan one asset from its job, taking back finished tasks that a killed run left unrecorded or another asset made."""
    job = content.load_job(order.manifest.asset)
    known = None
    while known is not job:  # what a killed run measured may lead to another attempt
        known = job
        wish = next_attempt(STAGES, order.manifest, order.images, job, order.retry_seeds)
        remains = plan(STAGES, wish, order.images, job, (), retry)
        if remains.pending:
            tasks = (*remains.tasks, remains.rejected)
            found = {task.key: record for task in tasks if (record := content.recall(task.key))}
            if any(record.teaches and key not in job.records for key, record in found.items()):
                job = replace(job, records={**job.records, **found})
            elif found:
                job = known = replace(job, records={**job.records, **found})
                remains = replan(remains, job, found, retry)
    forbidden = [problem for problem in order.manifest.warnings if problem.code == LICENCE]
    if forbidden and remains.pending:  # what is made already stays; nothing more is made with that generator
        remains = replace(remains, pending=(), blocked=Failure(LICENCE, forbidden[0].message, forbidden[0].hint))
    return Standing(order, replace(remains, note=wish.note), job.only(remains.keys))


def refused(intake: Intake) -> list[AssetReport]:
    """Say of each asset that an error keeps from being made what is wrong."""
    wrong = {name: [one for one in problems if one.severity == "error"] for name, problems in intake.by_asset.items()}
    return [AssetReport.refused(name, errors) for name, errors in wrong.items() if errors]


def plans(content: ContentRepo, asset: str | None = None) -> tuple[list[Plan], tuple[Problem, ...]]:
    """Work out what remains without doing it: a dry run."""
    intake = take_in(content.root, asset)
    return [look_up(content, order).plan for order in intake.orders], intake.problems


def standing(content: ContentRepo, asset: str | None = None) -> Report:
    """Say how every asset stands, without working on any."""
    return _all(content, take_in(content.root, asset))[0]


def _all(content: ContentRepo, intake: Intake) -> tuple[Report, frozenset[str]]:
    """Say how every asset stands, and which task keys those read that wait."""
    entries = [look_up(content, order) for order in intake.orders]
    assets = [*refused(intake), *(AssetReport.standing(entry.plan, entry.job) for entry in entries)]
    needed: frozenset[str] = frozenset().union(*(entry.plan.keys for entry in entries if entry.plan.pending))
    return Report(tuple(sorted(assets, key=lambda one: one.asset)), intake.problems), needed


def write_status(content: ContentRepo, intake: Intake) -> frozenset[str]:
    """Leave what `standing` says in state/, for the page and for people; give the task keys that waiting assets read."""
    report, needed = _all(content, intake)
    with suppress(ContentError):  # a disk too full for the status has failed assets to say so
        content.write("state/status.json", json.dumps(report.to_json(), indent=1).encode())
        content.write("state/STATUS.md", status_markdown(report, content.root).encode())
    return needed
