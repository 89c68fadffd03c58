"""Work out what a run would cost, without doing it: what `plan` and `validate --price` show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forge_batch.content.contract import ContentRepo
from forge_batch.errors import Problem
from forge_batch.estimate import Calibration, Estimator, calibration
from forge_batch.executors.choose import Access, budget_of
from forge_batch.intake import Order
from forge_batch.price import Claim, Price, price
from forge_batch.project import load_project
from forge_batch.quota import Allowance, Remaining
from forge_batch.retry_price import Odds
from forge_batch.standing import Standing, look_up

NO_ACCESS = Access()


@dataclass(frozen=True)
class Machinery:
    """Be what `status` says beside the assets.

    Attributes:
        left: What may be spent of the allowance, and who says so.
        calibration: How well past tasks were foretold; None if none was.
    """

    allowance: Allowance
    left: Remaining
    calibration: Calibration | None


def machinery(content: ContentRepo, assets: Iterable[str], now: datetime, access: Access) -> Machinery:
    """Look at the allowance and at the history of these assets; raises like `priced`."""
    project = load_project(content.root)
    records = [record for asset in assets for record in content.load_job(asset).records.values()]
    left = budget_of(content.home, project, access).remaining(now)
    return Machinery(project.profile, left, calibration(records))


def priced(
    content: ContentRepo,
    orders: Sequence[Order],
    now: datetime,
    workers: int,
    only: Collection[str] | None = None,
    access: Access = NO_ACCESS,
) -> Price:
    """Price a queue, from what its jobs took so far and what is left of the allowance.

    Args:
        content: The content folder.
        orders: The whole queue, since assets wait for each other.
        now: With a time zone.
        workers: Assets that this machine works on at a time.
        only: Assets to show; all if None.
        access: How to ask the platform what is left; without a token the ledger says it.

    Raises:
        ManifestError: forge.yaml is wrong.
        ContentError: The ledger cannot be read.
    """
    project = load_project(content.root)
    records = [record for order in orders for record in content.load_job(order.manifest.asset).records.values()]
    entries = [look_up(content, order) for order in orders]
    left = budget_of(content.home, project, access).remaining(now)
    return price(
        [entry.plan for entry in entries],
        Estimator.from_records(records),
        project.profile,
        left,
        now,
        claims={entry.plan.asset: _claim(entry) for entry in entries},
        workers=workers,
        odds=Odds.from_records(records),
        only=only,
    )


def _claim(entry: Standing) -> Claim:
    wish, since = entry.order.manifest, entry.job.since
    tried = (entry.plan.last.seed - wish.seed) % 2**32
    seeds = max(0, entry.order.retry_seeds - tried)
    as_asked = all(task.params == wish.params(task.stage) for task in entry.plan.tasks)
    return Claim(wish.priority, wish.deadline, datetime.fromisoformat(since) if since else None, seeds, lower=as_asked)


def late(price: Price, orders: Sequence[Order]) -> list[Problem]:
    """Warn of each asset that will probably be done after its deadline, where its manifest says so."""
    places = {order.manifest.asset: order.manifest.place_of("deadline") for order in orders}
    found = []
    for asset in price.assets:
        if asset.late and asset.deadline is not None:
            done = f"on {asset.turn.day}" if asset.turn and not asset.too_large else "never" if asset.too_large else "today"
            message = f"{asset.plan.asset} will probably be done {done}, and is of use until {asset.deadline}"
            hint = "raise its priority, lower generate.quality, or write a later deadline"
            found.append(places[asset.plan.asset].problem("deadline", "late", message, hint, "warning"))
    return found
