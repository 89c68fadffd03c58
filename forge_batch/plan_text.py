"""Print plans with their prices, and standings, as tables or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from forge_batch.dry_run import Machinery
from forge_batch.errors import Problem
from forge_batch.estimate import Seconds
from forge_batch.plain_text import duration, size, table
from forge_batch.price import AssetPrice, Price
from forge_batch.problem_text import Format, all_problems
from forge_batch.quota import Allowance, Remaining
from forge_batch.report import Report
from forge_batch.source_preview import SourcePreview
from forge_batch.stage import Stage
from forge_batch.stages import STAGES

Previews = Mapping[str, SourcePreview | None]
NO_PREVIEWS: Previews = {}


def price_json(price: Price, previews: Previews = NO_PREVIEWS) -> dict[str, Any]:
    """Give what remains as data, all seconds estimates; `source` of the assets whose previews are asked for."""
    return {
        "assets": [_asset_json(asset) | _preview_json(asset.plan.asset, previews) for asset in price.assets],
        "workers": price.workers,
        "seconds": round(price.wall, 1),
        "total": {
            "gpu": _seconds_json(price.gpu),
            "cpu": _seconds_json(price.cpu),
            "without_gpu": _seconds_json(price.without_gpu),
            "disk_bytes": price.disk,
            "retry_gpu_seconds": round(price.retry_gpu, 2),
            "windows": price.windows,
            "days": price.days,
        },
        "allowance": _allowance_json(price.allowance, price.left),
    }


def _preview_json(asset: str, previews: Previews) -> dict[str, Any]:
    made = previews.get(asset)
    return {"source": {"faces": made.faces, "preview": str(made.path)} if made else None} if asset in previews else {}


def _allowance_json(allowance: Allowance, left: Remaining) -> dict[str, Any]:
    return {
        "profile": allowance.name,
        "seconds": allowance.seconds,
        "left": left.seconds,
        "resets_at": left.resets_at.isoformat() if left.resets_at else None,
        "source": left.source,
    }


def machinery_json(machinery: Machinery) -> dict[str, Any]:
    """Give what `status` says beside the assets."""
    seen = machinery.calibration
    estimates = {"tasks": seen.tasks, "under_p90": round(seen.under_p90, 3), "error": round(seen.error, 3)} if seen else None
    return {"allowance": _allowance_json(machinery.allowance, machinery.left), "estimates": estimates}


def _asset_json(asset: AssetPrice) -> dict[str, Any]:
    plan = asset.plan
    pending = {task.key for task in plan.pending}
    stages = [
        {
            "name": task.stage.name,
            "key": task.key,
            "device": task.device,
            "state": "pending" if task.key in pending else "cached",
            "cpu_seconds": round(task.cost.cpu, 2),
            "gpu_seconds": round(task.cost.gpu, 2),
        }
        for task in plan.tasks
    ]
    return {
        "asset": plan.asset,
        "pending": len(pending),
        "cpu_seconds": round(asset.without_gpu.p50, 2),
        "gpu_seconds": round(asset.gpu.p50, 2),
        "gpu": _seconds_json(asset.gpu),
        "cpu": _seconds_json(asset.cpu),
        "without_gpu": _seconds_json(asset.without_gpu),
        "disk_bytes": asset.disk,
        "cached": list(asset.cached),
        "saved_gpu": _seconds_json(asset.saved),
        "window": asset.turn.window if asset.turn else None,
        "day": asset.turn.day.isoformat() if asset.turn else None,
        "retries": [
            {
                "reason": retry.reason,
                "chance": round(retry.chance, 3),
                "times": retry.times,
                "gpu": _seconds_json(retry.gpu),
                "expected_gpu_seconds": round(retry.expected, 2),
            }
            for retry in asset.retries
        ],
        "deadline": asset.deadline.isoformat() if asset.deadline else None,
        "late": asset.late,
        "too_large_seconds": asset.too_large or None,
        "blocked": {"code": plan.blocked.code, "message": plan.blocked.message} if plan.blocked else None,
        "packs_rejected": plan.blocked is not None and bool(plan.pending),
        "stages": stages,
    }


def _seconds_json(seconds: Seconds) -> dict[str, float]:
    return {"p50": round(seconds.p50, 2), "p90": round(seconds.p90, 2)}


def print_priced(price: Price, problems: Sequence[Problem], form: Format, root: Path, manifests: int) -> None:
    """Print problems in any of the forms of `problem_text`, and the price of what is sound behind them."""
    sys.stdout.write(priced_text(price, problems, form, root, manifests) + "\n")


def priced_text(price: Price, problems: Sequence[Problem], form: Format, root: Path, manifests: int) -> str:
    """Write what `print_priced` prints."""
    said = all_problems(problems, form, root, manifests)
    if form == "json":
        said = json.dumps({**json.loads(said), "price": price_json(price)}, indent=2, ensure_ascii=False)
    elif form == "github":
        said = "\n".join([said, *(_notice(asset, price) for asset in price.assets)]).strip()
    else:
        said = f"{said}\n\n{price_text(price)}"
    return said


def _notice(asset: AssetPrice, price: Price) -> str:
    """Write an asset's price as an annotation for GitHub."""
    name, run, gpu, retry, cpu, _, disk, window, day, _ = _row(asset, price)
    costs = f"gpu {gpu}, retries {retry}, cpu {cpu}, {disk} on disk"
    return f"::notice title=price of {name}::{run} stages, {costs}, window {window}, {day}"


HEAD = ("asset", "to run", "gpu", "retry", "cpu", "no gpu", "disk", "window", "day", "stages")


def price_text(price: Price, previews: Previews = NO_PREVIEWS) -> str:
    """Say per asset what would run and what it will cost, hold the total against the allowance, and point at previews."""
    if not price.assets:
        return "no manifest can be planned"
    rows = [_row(asset, price) for asset in price.assets]
    if len(rows) > 1:
        count = sum(len(asset.plan.pending) for asset in price.assets)
        windows, days = str(price.windows or "-"), _day(price.now.date() + timedelta(days=price.days), price.now.date())
        rows.append(["total", str(count), *_costs(price), windows, days, ""])
    return table(HEAD, rows, right=(1, 2, 3, 4, 5, 6, 7)) + "\n\n" + "\n".join(_notes(price) + _looks(previews))


def _looks(previews: Previews) -> list[str]:
    """Say how many faces were generated, and where one can look at them."""
    made = {asset: preview for asset, preview in previews.items() if preview}
    return [f"{asset}: {preview.faces:,} faces were generated; to look at: {preview.path}" for asset, preview in made.items()]


def _row(asset: AssetPrice, price: Price) -> list[str]:
    plan, turn = asset.plan, asset.turn
    names = [task.stage.name for task in plan.pending]
    what = plan.blocked.message if plan.blocked else ", ".join(names) or "up to date"
    if plan.blocked and names:
        what = f"{' and '.join(names)} again, as rejected: {what}"
    if len(names) == len(plan.tasks):
        what = "all"
    day = _day(turn.day if turn else price.now.date(), price.now.date()) if names else "-"
    window = str(turn.window) if turn else "-"
    if asset.too_large:
        window, day = "none", "never"
    day += " (late)" if asset.late else ""
    return [plan.asset, f"{len(names)}/{len(plan.tasks)}", *_costs(asset), window, day, what]


def _costs(what: AssetPrice | Price) -> list[str]:
    retry = f"+{what.retry_gpu:.0f} s" if what.retry_gpu >= 0.5 else "-"
    return [_whole(what.gpu), retry, _both(what.cpu), _both(what.without_gpu), size(what.disk) if what.disk else "-"]


def _both(seconds: Seconds) -> str:
    return f"{duration(seconds.p50)} / {duration(seconds.p90)}" if seconds.p50 > 0 else "-"


def _whole(seconds: Seconds) -> str:
    """Say GPU time in seconds, as allowances count it."""
    return f"{seconds.p50:.0f} / {seconds.p90:.0f} s" if seconds.p50 > 0 else "-"


def _day(day: date, today: date) -> str:
    """Name a day from where one stands."""
    return {0: "today", 1: "tomorrow"}.get((day - today).days, f"{day:%a} {day.day} {day:%b}")


def _notes(price: Price) -> list[str]:
    """Say what the columns mean, what is free, and how the total stands against the allowance."""
    lines = ["seconds as p50 / p90: half, and nine of ten, take less; `no gpu`: all stages where there is only a CPU"]
    if cached := sum(len(asset.cached) for asset in price.assets):
        lines.append(f"{cached} stages are done and free")
    if price.wall:
        lines.append(f"on this machine, without a GPU: about {duration(price.wall)} with {price.workers} workers")
    lines += _retry_lines(price)
    lines.append(_allowance_line(price))
    return lines + [
        f"{asset.plan.asset}: needs {asset.too_large} s in one window, more than the whole allowance: lower generate.quality"
        for asset in price.assets
        if asset.too_large
    ]


WHY = {"gate": "a quality gate fails, and the next seed is tried", "memory": "memory runs out, and a lower resolution is tried"}


def _retry_lines(price: Price) -> list[str]:
    """Say how the column `retry` comes about."""
    kinds = {retry.reason: retry for asset in price.assets for retry in asset.retries}
    if not kinds:
        return []
    learned = f"learned from {price.odds.learned_from} attempts" if price.odds.learned_from else "a guess until some were made"
    chances = "; ".join(f"in {retry.chance:.0%} {WHY[reason]}" for reason, retry in kinds.items())
    return [f"`retry`: GPU seconds that trying again adds on average ({learned}): {chances}"]


def _allowance_line(price: Price) -> str:
    left, said = price.left, _left_text(price.allowance, price.left)
    if left.whole is None:
        return said
    if not price.gpu.p50:
        return f"{said}; nothing of it is needed"
    shares = f"{price.gpu.p50 / left.whole:.0%} / {price.gpu.p90 / left.whole:.0%} of a day's"
    windows = f"{price.windows} window{'s' * (price.windows != 1)}"
    done = _day(price.now.date() + timedelta(days=price.days), price.now.date())
    return f"{said}; this takes {_whole(price.gpu)}, {shares}, in {windows}, done {done}"


def _left_text(allowance: Allowance, left: Remaining) -> str:
    if left.seconds is None or left.whole is None:
        return f"allowance {allowance.name}: GPU seconds are not counted"
    resets = f", the rest comes back at {left.resets_at:%H:%M} UTC on {left.resets_at:%d %b}" if left.resets_at else ""
    return f"allowance {allowance.name}: {left.seconds} of {left.whole} s left ({left.source}){resets}"


def machinery_text(machinery: Machinery) -> str:
    """Say what is left of the allowance, who says so, and how well past tasks were foretold."""
    lines = [_left_text(machinery.allowance, machinery.left)]
    if seen := machinery.calibration:
        lines.append(
            f"estimates: {seen.under_p90:.0%} of {seen.tasks} past tasks took less than their p90 (90% is right); "
            f"half of the p50 were off by less than {seen.error:.0%}"
        )
    return "\n".join(lines)


def status_text(report: Report) -> str:
    """Say how every asset stands."""
    if not report.assets:
        return "no asset yet: put a manifest into manifests/"
    rows = [
        [one.asset, one.state, one.package or one.rejected or "-", str(one.failure or "").replace("\n", " / ")]
        for one in report.assets
    ]
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
