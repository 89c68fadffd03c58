"""Run a batch: the whole product in one file. Read this first.

Manifest (what is asked) -> Job (what has happened) -> Plan (what remains) -> the executor works -> Report (what this run did).
Results are committed before the state that speaks of them: a crash repeats work and loses none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from forge_batch.artifacts import MANIFEST, PREVIEW
from forge_batch.content.contract import ContentRepo
from forge_batch.errors import ContentError, Problem
from forge_batch.executors.contract import Chain, Event, Executor, Finished, TaskSpec
from forge_batch.intake import Intake, Order, take_in
from forge_batch.jobs import Failure, Job
from forge_batch.manifest import name_fault
from forge_batch.packages.names import packages_in
from forge_batch.plan import Plan, plan
from forge_batch.report import AssetReport, Report, status_markdown, write_asset_report
from forge_batch.stages import STAGES


class Listener(Protocol):
    """Follow a run while it works, to show it to somebody."""

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None: ...
    def event(self, event: Event) -> None: ...
    def finished(self, asset: AssetReport) -> None: ...


@dataclass
class _Asset:
    """Keep what belongs together while an asset is worked on."""

    order: Order
    plan: Plan
    job: Job


def run(
    content: ContentRepo, executor: Executor, listener: Listener, *, asset: str | None = None, retry: bool = False
) -> Report:
    """Finish everything that a content folder asks for, or one asset of it.

    Raises:
        ContentError: Another runner is at work, no asset has that name, or the folder cannot be written at all.
    """
    with content.lock():
        intake = take_in(content.root, asset)
        batch = {order.manifest.asset: look_up(content, order, retry) for order in intake.orders}
        listener.planned([entry.plan for entry in batch.values()], intake.problems)
        done = _refused(intake)
        _note_problems(content, intake, batch)
        done += [_closed(content, entry) for entry in batch.values() if not entry.plan.pending]
        for report in done:
            listener.finished(report)
        chains = []
        for entry in batch.values():
            try:
                chains += _chain(content, entry)
            except ContentError as error:
                entry.job = replace(entry.job, failure=Failure.of(error))
                done.append(AssetReport.of(entry.plan, entry.job))
                listener.finished(done[-1])
        with closing(executor.run(chains)) as events:
            for event in events:
                listener.event(event)
                if isinstance(event, Finished):
                    entry = batch[event.asset]
                    entry.job = entry.job.with_record(event.record)
                    _save(content, entry)
                    if event.record.key == entry.plan.last.key or event.record.state == "failed":
                        done.append(_closed(content, entry))
                        listener.finished(done[-1])
        with suppress(ContentError):  # a disk too full for the status has failed assets to say so
            write_status(content, intake if asset is None else take_in(content.root))
    return Report(tuple(sorted(done, key=lambda one: one.asset)), intake.problems)


def look_up(content: ContentRepo, order: Order, retry: bool = False) -> _Asset:
    """Plan one asset from its job, taking back finished tasks that a killed run left unrecorded or another asset made."""
    wish, job = order.manifest, content.load_job(order.manifest.asset)
    remains = plan(STAGES, wish, order.images, job, (), retry)
    if remains.pending:
        found = {task.key: record for task in remains.tasks if (record := content.recall(task.key))}
        job = replace(job, records={**job.records, **found})
        remains = plan(STAGES, wish, order.images, job, found, retry)
    return _Asset(order, remains, job.only(remains.keys))


def _refused(intake: Intake) -> list[AssetReport]:
    """Say of each asset that an error keeps from being made what is wrong."""
    wrong = {name: [one for one in problems if one.severity == "error"] for name, problems in intake.by_asset.items()}
    return [AssetReport.refused(name, errors) for name, errors in wrong.items() if errors]


def _note_problems(content: ContentRepo, intake: Intake, batch: Mapping[str, _Asset]) -> None:
    """Leave in each asset's job what `validate` says of it, be the asset made or refused."""
    for name, entry in batch.items():
        problems = intake.by_asset.get(name, ())
        if entry.job.problems != problems:
            entry.job = replace(entry.job, problems=problems)
            _save(content, entry)
    for report in _refused(intake):
        if name_fault(report.asset) is None:
            job = replace(content.load_job(report.asset), failure=report.failure, problems=intake.by_asset[report.asset])
            with suppress(ContentError):
                content.save_job(job)


def _chain(content: ContentRepo, entry: _Asset) -> list[Chain]:
    """Hand an asset's pending tasks to the executor, with the resolved manifest where stages can read it."""
    pending = entry.plan.pending
    if not pending:
        return []
    content.write(f"work/{entry.plan.manifest_key}/{MANIFEST.filename}", entry.order.manifest.to_yaml().encode())
    work = content.task_folder(pending[0].key).parent
    return [Chain(entry.plan.asset, tuple(TaskSpec.of(task, entry.plan, work) for task in pending), entry.plan.cost.cpu)]


def _save(content: ContentRepo, entry: _Asset) -> None:
    """Save the job; a full disk costs the record, not the run: the outcome also lies beside the task's outputs."""
    try:
        content.save_job(entry.job)
    except ContentError as error:
        entry.job = replace(entry.job, failure=Failure.of(error))


def _closed(content: ContentRepo, entry: _Asset) -> AssetReport:
    """Publish what is finished, record it, and say how the asset stands after this run."""
    last = entry.plan.last.key
    worked = bool(entry.plan.pending)
    try:
        if entry.job.done(last) and entry.job.published != last:
            folder = content.task_folder(last)
            made = {**packages_in(entry.plan.asset, entry.job.records[last]), "preview.png": PREVIEW.filename}
            content.publish(entry.plan.asset, {name: folder / file for name, file in made.items()})
            entry.job = replace(entry.job, published=last, failure=None)
            worked = True
        if worked:
            report = AssetReport.of(entry.plan, entry.job)
            write_asset_report(content, report, entry.plan, entry.job)
            content.save_job(entry.job)
            return report
    except ContentError as error:
        entry.job = replace(entry.job, failure=Failure.of(error))
        return AssetReport.of(entry.plan, entry.job)
    return AssetReport.skipped(entry.plan, entry.job)


def plans(content: ContentRepo, asset: str | None = None) -> tuple[list[Plan], tuple[Problem, ...]]:
    """Work out what remains without doing it: a dry run."""
    intake = take_in(content.root, asset)
    return [look_up(content, order).plan for order in intake.orders], intake.problems


def standing(content: ContentRepo, asset: str | None = None) -> Report:
    """Say how every asset stands, without working on any."""
    return _standing(content, take_in(content.root, asset))


def _standing(content: ContentRepo, intake: Intake) -> Report:
    assets = _refused(intake)
    entries = [look_up(content, order) for order in intake.orders]
    assets += [AssetReport.standing(entry.plan, entry.job) for entry in entries]
    return Report(tuple(sorted(assets, key=lambda one: one.asset)), intake.problems)


def write_status(content: ContentRepo, intake: Intake) -> None:
    """Leave what `standing` says in state/, for the page and for people."""
    report = _standing(content, intake)
    content.write("state/status.json", json.dumps(report.to_json(), indent=1).encode())
    content.write("state/STATUS.md", status_markdown(report, content.root).encode())
