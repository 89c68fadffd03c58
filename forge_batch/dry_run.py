"""Work out what a run would cost, without doing it: what `plan` and `validate --price` show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from forge_batch.content.contract import ContentRepo
from forge_batch.estimate import Estimator
from forge_batch.intake import Order
from forge_batch.price import Price, price
from forge_batch.project import load_project
from forge_batch.quota import Ledger, remaining
from forge_batch.standing import look_up


def priced(
    content: ContentRepo, orders: Sequence[Order], now: datetime, workers: int, only: Collection[str] | None = None
) -> Price:
    """Price a queue, from what its jobs took so far and what is left of the allowance.

    Args:
        content: The content folder.
        orders: The whole queue, since assets wait for each other.
        now: With a time zone.
        workers: Assets that this machine works on at a time.
        only: Assets to show; all if None.

    Raises:
        ManifestError: forge.yaml is wrong.
        ContentError: The ledger cannot be read.
    """
    project = load_project(content.root)
    records = [record for order in orders for record in content.load_job(order.manifest.asset).records.values()]
    left = remaining(
        project.profile, Ledger(content.home / "state" / "ledger.jsonl").entries(), now, None, project.allow_paid_seconds
    )
    return price(
        [look_up(content, order).plan for order in orders],
        Estimator.from_records(records),
        project.profile,
        left,
        now,
        priorities={order.manifest.asset: order.manifest.priority for order in orders},
        workers=workers,
        only=only,
    )
