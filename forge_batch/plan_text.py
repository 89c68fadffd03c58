"""Print plans and standings as tables, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from forge_batch.plan import Plan
from forge_batch.report import Report
from forge_batch.stage import Stage
from forge_batch.stages import STAGES
from forge_batch.text_table import table


def plan_json(plans: Sequence[Plan], workers: int) -> dict[str, Any]:
    """Give plans as data; seconds are estimates."""
    assets = []
    for plan in plans:
        pending = {task.key for task in plan.pending}
        stages = [
            {
                "name": task.stage.name,
                "key": task.key,
                "state": "pending" if task.key in pending else "cached",
                "cpu_seconds": round(task.cost.cpu, 2),
                "gpu_seconds": round(task.cost.gpu, 2),
            }
            for task in plan.tasks
        ]
        blocked = {"code": plan.blocked.code, "message": plan.blocked.message} if plan.blocked else None
        cost = plan.cost
        assets.append(
            {
                "asset": plan.asset,
                "pending": len(pending),
                "cpu_seconds": round(cost.cpu, 2),
                "gpu_seconds": round(cost.gpu, 2),
                "blocked": blocked,
                "stages": stages,
            }
        )
    return {"assets": assets, "workers": workers, "seconds": round(wall_seconds(plans, workers), 1)}


def wall_seconds(plans: Sequence[Plan], workers: int) -> float:
    """Estimate the wall time of a batch on this machine: all work shared, but no asset faster than its own chain."""
    costs = [plan.cost.cpu for plan in plans]
    return max([sum(costs) / workers, *costs], default=0.0)


def plan_text(plans: Sequence[Plan], workers: int) -> str:
    """Say per asset what would run and how long it would take."""
    if not plans:
        return "no manifest can be planned"
    rows = []
    for plan in plans:
        names = [task.stage.name for task in plan.pending]
        what = plan.blocked.message if plan.blocked else ", ".join(names) or "up to date"
        rows.append([plan.asset, f"{len(names)}/{len(plan.tasks)}", f"{plan.cost.cpu:.0f} s", f"{plan.cost.gpu:.0f} s", what])
    count, seconds = sum(len(plan.pending) for plan in plans), wall_seconds(plans, workers)
    total = f"{count} stages to run, about {seconds:.0f} s with {workers} workers"
    return table(["asset", "to run", "cpu", "gpu", "stages"], rows) + f"\n{total}"


def status_text(report: Report) -> str:
    """Say how every asset stands."""
    if not report.assets:
        return "no asset yet: put a manifest into manifests/"
    rows = [[one.asset, one.state, one.package or "-", str(one.failure or "").replace("\n", " / ")] for one in report.assets]
    return table(["asset", "state", "package", "why"], rows)


def stage_table() -> str:
    """Write the README's table of stages, from the stages themselves."""
    rows = ["| # | stage | what | device | reads | writes |", "|---|---|---|---|---|---|"]
    for number, stage in enumerate(STAGES, start=1):
        reads = ", ".join(slot.name if slot.required else f"({slot.name})" for slot in stage.inputs)
        writes = ", ".join(slot.name for slot in stage.outputs)
        rows.append(f"| {number} | `{stage.name}` | {_what(stage)} | {stage.device} | {reads} | {writes} |")
    return "\n".join(rows) + "\n"


def _what(stage: Stage[Any]) -> str:
    """Give the first sentence of a stage's module."""
    text = sys.modules[stage.run.__module__].__doc__ or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
