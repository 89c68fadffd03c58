"""Run a batch: the whole product in one file. Read this first.

Manifest (what is asked) -> Job (what has happened) -> Plan (what remains) -> the executor works -> Report (what this run did).
Results are committed before the state that speaks of them: a crash repeats work and loses none.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from forge_batch.artifacts import MANIFEST, PREVIEW
from forge_batch.content.contract import ContentRepo
from forge_batch.control import load_control
from forge_batch.errors import ContentError, Problem
from forge_batch.estimate import Estimator
from forge_batch.executors.contract import Chain, Event, Executor, Finished, TaskSpec, WindowEdge
from forge_batch.intake import Intake, take_in
from forge_batch.jobs import ATTEMPTS, Failure
from forge_batch.manifest import as_yaml, name_fault
from forge_batch.packages.names import REJECTED, packages_in
from forge_batch.plan import Plan
from forge_batch.report import AssetReport, Report, write_asset_report
from forge_batch.standing import Standing, look_up, refused, standing, write_status
from forge_batch.windows import GpuPlan


class Listener(Protocol):
    """Follow a run while it works, to show it to somebody."""

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None: ...
    def event(self, event: Event) -> None: ...
    def finished(self, asset: AssetReport) -> None: ...


def run(
    content: ContentRepo, executor: Executor, listener: Listener, *, asset: str | None = None, retry: bool = False
) -> Report:
    """Finish everything that a content folder asks for, or one asset of it.

    Raises:
        ContentError: Another runner is at work, no asset has that name, or the folder cannot be written at all.
    """
    with content.lock():
        intake, batch = _plan_all(content, asset, retry)
        while not content.begin(*_work(batch)):
            intake, batch = _plan_all(content, asset, retry)
        listener.planned([entry.plan for entry in batch.values()], intake.problems)
        _note_problems(content, intake, batch)
        done = [*refused(intake), *(_closed(content, entry) for entry in batch.values() if not entry.plan.pending)]
        for report in done:
            listener.finished(report)
        with closing(_work_off(content, executor, listener, batch)) as reports:
            for report in reports:
                listener.finished(report)
                done.append(report)
        _hand_over(content, intake if asset is None else take_in(content.root), batch, last=True)
        if unwanted := {name for name, entry in batch.items() if not entry.wanted}:
            done = [one for one in done if one.asset not in unwanted]
            done += [one for one in standing(content).assets if one.asset in unwanted]
    return Report(tuple(sorted(done, key=lambda one: one.asset)), intake.problems)


def _work_off(
    content: ContentRepo, executor: Executor, listener: Listener, batch: dict[str, Standing]
) -> Generator[AssetReport, None, None]:
    """Let the executor work on everything that is pending, and tell of each asset as soon as nothing more comes of it."""
    estimator = Estimator.from_records(record for entry in batch.values() for record in entry.job.records.values())
    chains: dict[str, Chain] = {}
    names = [name for name, entry in batch.items() if entry.plan.pending]
    while names:
        for name in names:
            try:
                chains[name] = _chain(content, batch[name], estimator, datetime.now(UTC))
            except ContentError as error:
                batch[name].job = replace(batch[name].job, failure=Failure.of(error))
                yield AssetReport.of(batch[name].plan, batch[name].job)
        names = []
        with closing(executor.run(list(chains.values()))) as events:
            for event in events:
                listener.event(event)
                if isinstance(event, Finished) and _over(content, batch[event.asset], event) and event.asset in chains:
                    del chains[event.asset]
                    if again := _next_attempt(content, batch[event.asset]):
                        batch[event.asset] = again
                        names.append(event.asset)
                    else:
                        yield _closed(content, batch[event.asset])
                if isinstance(event, WindowEdge):
                    content.mark()
                if content.due:
                    _hand_over(content, take_in(content.root), batch, last=False)
        for name in sorted(chains):  # what waits for a GPU or for its allowance
            yield AssetReport.standing(batch[name].plan, batch[name].job)
        chains.clear()


def _over(content: ContentRepo, entry: Standing, event: Finished) -> bool:
    """Record an outcome; tell whether nothing more comes of the chain."""
    entry.job = entry.job.with_record(event.record)
    entry.ran |= {event.record.key}
    _save(content, entry)
    return event.record.key == entry.plan.pending[-1].key or event.record.state == "failed"


def _next_attempt(content: ContentRepo, entry: Standing) -> Standing | None:
    """Plan an asset that failed in another way, if there is one: another seed, a lower resolution, or packed as rejected."""
    if entry.job.failure is None or entry.job.failure.code not in ATTEMPTS or not entry.wanted:
        return None
    again = replace(look_up(content, entry.order), ran=entry.ran)
    tried = {task.key for task in entry.plan.pending}
    return again if any(task.key not in tried for task in again.plan.pending) else None


def _plan_all(content: ContentRepo, asset: str | None, retry: bool) -> tuple[Intake, dict[str, Standing]]:
    """Plan what is asked for, in the order and with the exceptions that the owner wants; see control.py."""
    intake, control = take_in(content.root, asset), load_control(content.home)
    orders = [order.with_priority(control.priorities) for order in intake.orders]
    orders.sort(key=lambda order: -order.priority)
    wanted = [order for order in orders if asset is not None or order.manifest.asset not in control.held]
    again = {order.manifest.asset for order in wanted if retry or order.manifest.asset in control.retry}
    return intake, {order.manifest.asset: look_up(content, order, order.manifest.asset in again) for order in wanted}


def _work(batch: Mapping[str, Standing]) -> tuple[list[str], frozenset[str]]:
    """Name the assets to be worked on, and the finished tasks whose outputs that takes."""
    plans = [entry.plan for entry in batch.values() if entry.plan.pending]
    reads: frozenset[str] = frozenset().union(*(plan.reads for plan in plans))
    return [plan.asset for plan in plans], reads


def _hand_over(content: ContentRepo, intake: Intake, batch: dict[str, Standing], *, last: bool) -> None:
    """Commit what is finished; if users changed the folder meanwhile, plan again and keep only what is still wanted."""
    while not content.commit(write_status(content, intake), last=last):
        intake = take_in(content.root)
        fresh = {order.manifest.asset: look_up(content, order).plan.last.key for order in intake.orders}
        for name, entry in batch.items():
            if fresh.get(name) != entry.plan.last.key:
                entry.wanted = False
                content.withdraw(name)


def _note_problems(content: ContentRepo, intake: Intake, batch: Mapping[str, Standing]) -> None:
    """Leave in each asset's job what `validate` says of it, be the asset made or refused."""
    said = intake.by_asset
    for name, entry in batch.items():
        problems = said.get(name, ())
        if entry.job.problems != problems:
            entry.job = replace(entry.job, problems=problems)
            _save(content, entry)
    for report in refused(intake):
        if name_fault(report.asset) is None:
            job = replace(content.load_job(report.asset), failure=report.failure, problems=said[report.asset])
            with suppress(ContentError):
                content.save_job(job)


def _chain(content: ContentRepo, entry: Standing, estimator: Estimator, now: datetime) -> Chain:
    """Hand an asset's pending tasks to the executor, priced, with the resolved manifest where stages can read it."""
    pending = entry.plan.pending
    content.write(f"work/{entry.plan.manifest_key}/{MANIFEST.filename}", as_yaml(entry.order.manifest.made_from()).encode())
    entry.job = replace(entry.job, since=entry.job.since or now.isoformat())
    since, order = datetime.fromisoformat(entry.job.since), entry.order
    gpu = GpuPlan.of(entry.plan, estimator, since, order.priority, order.manifest.deadline)
    work = content.task_folder(pending[0].key).parent
    specs = [TaskSpec.of(task, entry.plan, work, estimator.of(task)) for task in pending]
    return Chain(entry.plan.asset, tuple(specs), entry.plan.cost.cpu, gpu)


def _save(content: ContentRepo, entry: Standing) -> None:
    """Save the job; a full disk costs the record, not the run: the outcome also lies beside the task's outputs."""
    try:
        if entry.wanted:
            content.save_job(entry.job)
    except ContentError as error:
        entry.job = replace(entry.job, failure=Failure.of(error))


def _closed(content: ContentRepo, entry: Standing) -> AssetReport:
    """Publish what is finished, record it, and say how the asset stands after this run."""
    worked = bool(entry.plan.pending)
    try:
        if entry.wanted:
            worked |= _publish(content, entry)
        if worked and entry.wanted:
            report = AssetReport.of(entry.plan, entry.job, entry.ran)
            write_asset_report(content, report, entry.plan, entry.job)
            content.save_job(entry.job)
            return report
    except ContentError as error:
        entry.job = replace(entry.job, failure=Failure.of(error))
        return AssetReport.of(entry.plan, entry.job, entry.ran)
    return AssetReport.skipped(entry.plan, entry.job)


def _publish(content: ContentRepo, entry: Standing) -> bool:
    """Put a new package into exports/: a result, or what a gate refused, which is no result; tell whether there was one."""
    plan, last, rejected = entry.plan, entry.plan.last.key, entry.plan.rejected.key
    if plan.blocked is None and entry.job.done(last) and entry.job.published != last:
        made = {**packages_in(plan.asset, entry.job.records[last]), "preview.png": PREVIEW.filename}
        content.publish(plan.asset, {name: content.task_folder(last) / file for name, file in made.items()})
        entry.job = replace(entry.job, published=last, rejected="", failure=None, since="")
        return True
    if plan.blocked is None:
        return False
    fresh = entry.job.done(rejected) and entry.job.rejected != rejected
    if fresh:
        made = packages_in(plan.asset, entry.job.records[rejected], REJECTED)
        made[f"{REJECTED}_{PREVIEW.filename}"] = PREVIEW.filename
        content.publish(plan.asset, {name: content.task_folder(rejected) / file for name, file in made.items()})
        entry.job = replace(entry.job, rejected=rejected)
    entry.job = replace(entry.job, failure=plan.blocked)
    return fresh
