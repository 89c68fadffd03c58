"""Turn what is known of a queue into what its page shows: rows, one sentence about the runner, the allowance. Pure.

Nothing here reads a file or a clock, and nothing here knows how a page is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from forge_batch.control import Control
from forge_batch.estimate import Estimator
from forge_batch.forecast import Planned
from forge_batch.live import Live
from forge_batch.quota import Allowance, Charge, Remaining
from forge_batch.stages import STAGES
from forge_batch.standing import Standing

RowState = Literal["working", "queued", "waiting", "held", "failed", "done"]
STATES: tuple[RowState, ...] = get_args(RowState)
"""The order is that of interest: what moves first, what is over last."""
SORTS = ("turn", "name", "finish", "estimate", "newest")
PAGE = 30
"""Rows of a page: what a refresh may weigh is bounded by it."""
NUMBER = {stage.name: number for number, stage in enumerate(STAGES, 1)}
SIGNS = {"working": "▶", "queued": "○", "waiting": "◷", "held": "■", "failed": "✕", "done": "✓"}
"""A shape for each state, so that colour is never the only sign."""


@dataclass(frozen=True)
class Facts:
    """Be what is known of an asset while nobody works on it.

    Attributes:
        stages: Names of its stages, in order; `done` counts the finished ones.
        left: p50 seconds of the stages that remain; `estimated` of all.
        gpu_left: Those of them that are for a GPU.
        spent: Seconds that its stages took; `gpu_spent` those that count against an allowance.
        attempts: How often it was tried, 0 if never.
        failure: Why it is not made, as one text; empty if that is not so.
        made: When its package was made, seconds since the epoch; 0 if it is not.
        changed: Differs whenever something of this differs.
    """

    asset: str
    kind: str = ""
    priority: int = 50
    stages: tuple[str, ...] = ()
    done: int = 0
    next_stage: str = ""
    left: float = 0.0
    estimated: float = 0.0
    gpu_left: float = 0.0
    spent: float = 0.0
    gpu_spent: float = 0.0
    attempts: int = 0
    failure: str = ""
    warnings: int = 0
    package: str = ""
    made: float = 0.0
    since: str = ""
    has_picture: bool = False
    blocked: bool = False


def facts_of(entry: Standing, estimator: Estimator, made: float, packages: Sequence[str]) -> Facts:
    """Sum up an asset that is sound.

    Args:
        entry: How it stands.
        estimator: What stages take.
        made: When its package was written, seconds since the epoch.
        packages: Names of its packages.
    """
    plan, job = entry.plan, entry.job
    pending = {task.key for task in plan.pending}
    records = [job.records[task.key] for task in plan.tasks if task.key in job.records]
    finished = [task for task in plan.tasks if job.done(task.key) and task.key not in pending]
    costs = {task.key: estimator.of(task).p50 for task in plan.tasks}
    lasting = plan.blocked or (job.failure if plan.pending and job.failure else None)
    published = job.published == plan.last.key and not plan.pending
    return Facts(
        plan.asset,
        entry.order.manifest.kind,
        entry.order.priority,
        tuple(task.stage.name for task in plan.tasks),
        len(finished),
        plan.pending[0].stage.name if plan.pending else "",
        sum(estimator.of(task).p50 for task in plan.pending),
        sum(costs.values()),
        sum(estimator.of(task).p50 for task in plan.pending if task.device == "gpu"),
        sum(record.seconds for record in records),
        sum(record.gpu_seconds for record in records),
        sum(record.teaches for record in job.records.values()) + bool(records),
        str(lasting) if lasting else "",
        sum(problem.severity == "warning" for problem in job.problems),
        packages[0] if packages and published else "",
        made if published else 0.0,
        job.since,
        bool(entry.order.images),
        plan.blocked is not None,
    )


@dataclass(frozen=True)
class Row:
    """Be one asset as the queue shows it.

    Attributes:
        number: Of the stage it is at, among all stages; 0 if it is at none.
        fraction: How much of the asset is done, 0..1.
        why: Why it waits or failed; empty otherwise.
        finish: When it will be done, as far as that can be foretold.
        place: Its turn; lower is sooner.
    """

    facts: Facts
    state: RowState
    stage: str = ""
    number: int = 0
    fraction: float = 0.0
    note: str = ""
    why: str = ""
    finish: datetime | None = None
    place: int = 0

    @property
    def asset(self) -> str:
        return self.facts.asset


@dataclass(frozen=True)
class Queue:
    """Be everything a page needs of a queue, as of one moment.

    Attributes:
        facts: By asset; of a manifest that was refused only `failure` tells something.
        turns: When an asset's GPU work has its turn, where that is not today, by asset: a day.
        planned: The GPU windows to come, where an allowance is counted.
        folder: What people call the content folder.
        loaded: Whether the folder has been read since the page began.
        as_of: When the facts were true, where it has not; None if there are none yet.
    """

    facts: Mapping[str, Facts] = field(default_factory=dict)
    live: Live = field(default_factory=Live)
    control: Control = field(default_factory=Control)
    allowance: Allowance = field(default_factory=lambda: Allowance("unlimited", None))
    left: Remaining = field(default_factory=lambda: Remaining(None, None, "ledger", None))
    charges: tuple[Charge, ...] = ()
    turns: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    paid: int = 0
    folder: str = ""
    error: str = ""
    loaded: bool = False
    as_of: datetime | None = None
    planned: tuple[Planned, ...] = ()


def rows(queue: Queue, now: datetime) -> list[Row]:
    """Give every asset's row, in the order of turns."""
    control, live = queue.control, queue.live
    held, priorities = control.held, control.priorities
    dead = live.silent(now.timestamp())
    found = []
    for name, facts in queue.facts.items():
        facts = replace(facts, priority=priorities[name]) if name in priorities else facts  # noqa: PLW2901
        found.append(_row(facts, queue, name in held, dead))
    order = {state: place for place, state in enumerate(STATES)}
    found.sort(key=lambda row: (order[row.state], -row.facts.priority, -row.facts.made, row.asset))
    return _timed(found, queue, now, dead)


def _row(facts: Facts, queue: Queue, held: bool, dead: bool) -> Row:
    doing = None if dead or queue.live.state != "working" else queue.live.doing.get(facts.asset)
    if doing is not None:
        share = (facts.done + doing.fraction) / max(1, len(facts.stages))
        return Row(facts, "working", doing.stage, NUMBER.get(doing.stage, 0), min(1.0, share), doing.note)
    share = facts.done / max(1, len(facts.stages))
    stage = facts.next_stage or next(iter(facts.stages[facts.done :]), "")  # what is blocked has no next one: where it stopped
    row = Row(facts, "queued", stage, NUMBER.get(stage, 0), share)
    if facts.made:
        row = replace(row, state="done", fraction=1.0, number=len(STAGES), stage="export")
    elif held:
        row = replace(row, state="held", why=f"cancelled by {queue.control.held[facts.asset].by}")
    elif facts.failure and facts.asset not in queue.control.retry:
        row = replace(row, state="failed", why=facts.failure)
    elif queue.control.paused:
        row = replace(row, state="waiting", why=f"the runner is paused by {queue.control.paused.by}")
    elif queue.live.wait and facts.gpu_left and not dead:
        row = replace(row, state="waiting", why=f"{queue.live.wait}{until_words(queue.live.until)}")
    elif facts.asset in queue.turns:
        row = replace(row, state="waiting", why=f"the GPU allowance: its turn is {queue.turns[facts.asset]}")
    return row


def _timed(found: Sequence[Row], queue: Queue, now: datetime, dead: bool) -> list[Row]:
    """Foretell when each row will be done, by giving each the worker that is free first, and say how many are before it."""
    free = [0.0] * max(1, queue.workers)
    before = 0
    result = []
    stopped = dead or queue.live.state in {"ended", "paused"} or queue.control.paused
    for place, row in enumerate(found):
        timed = replace(row, place=place)
        if row.state in {"working", "queued", "waiting"}:
            seconds = row.facts.left
            if row.state == "working" and (doing := queue.live.doing.get(row.asset)):
                seconds = max(1.0, seconds - (now.timestamp() - doing.since))
            worker = min(range(len(free)), key=free.__getitem__)
            free[worker] += seconds
            finish = None if stopped else now + timedelta(seconds=free[worker])
            if row.state == "waiting" and queue.live.until and not stopped:
                finish = datetime.fromtimestamp(queue.live.until + seconds, now.tzinfo)
            why = row.why or (_queue_words(before) if row.state == "queued" else "")
            timed = replace(timed, finish=finish, why=why)
            before += 1
        result.append(timed)
    return result


def _queue_words(before: int) -> str:
    return "next" if before == 0 else f"{before} {'asset is' if before == 1 else 'assets are'} before it"


def until_words(moment: float | None) -> str:
    """Say until when, or nothing."""
    return f", until {datetime.fromtimestamp(moment).astimezone():%H:%M}" if moment else ""


@dataclass(frozen=True)
class Wish:
    """Be what a viewer wants to see of the queue."""

    text: str = ""
    states: frozenset[str] = frozenset()
    sort: str = "turn"
    page: int = 1


@dataclass(frozen=True)
class Page:
    """Be a page of rows: `number` of `pages`, `found` rows in all that match."""

    rows: tuple[Row, ...]
    number: int
    pages: int
    found: int


def select(found: Sequence[Row], wish: Wish) -> Page:
    """Filter, sort and cut; a page that does not exist is the nearest that does."""
    words = wish.text[:200].lower().split()

    def meets(row: Row) -> bool:
        text = f"{row.asset} {row.facts.kind} {row.stage} {row.state} {row.why}".lower()
        return (not wish.states or row.state in wish.states) and all(word in text for word in words)

    kept = [row for row in found if meets(row)]
    far = math.inf
    keys = {
        "name": lambda row: (row.asset,),
        "finish": lambda row: (row.finish.timestamp() if row.finish else far, row.place),
        "estimate": lambda row: (-row.facts.estimated, row.asset),
        "newest": lambda row: (-row.facts.made, row.place),
    }
    if wish.sort in keys:
        kept.sort(key=keys[wish.sort])
    pages = max(1, math.ceil(len(kept) / PAGE))
    number = min(max(1, wish.page), pages)
    return Page(tuple(kept[(number - 1) * PAGE : number * PAGE]), number, pages, len(kept))


def counts(found: Iterable[Row]) -> dict[str, int]:
    """Count rows by state, every state named."""
    count = Counter(row.state for row in found)
    return {state: count[state] for state in STATES}
