"""Run 60 days of a batch in seconds: the real planner, estimator, packer and ledger in a made-up world, for four policies.

    python benchmarks/simulate.py [--days N] [--seed S] [--seeds N] [--json] [--out DIR]

The world (simulated_world.py): assets of all kinds come singly and in bursts, a quarter with a deadline; true durations are
log-normal about medians that the priors miss, and one in thirty tasks takes three times as long; the GPU is busy now and then;
workers are killed; on one day in four somebody else spends up to half of the allowance. All of it is drawn beforehand, so every
policy meets the same. The allowance is zerogpu-pro, and a little more is asked of it than there is; after the last arrival time
goes on until all is done, so that `assets_per_day` counts every asset, dear ones too. `finished_in_days` counts those that were
done before the last arrival.

Policies (simulated_policies.py): `fifo` takes assets by age until one does not fit; `shortest_first` the cheapest that fit;
`first_fit_decreasing` the dearest that fit; these three open a window as soon as anything fits, and run it in their order.
`ours` is opening.ripe, windows.pack and opening.worth_opening. All use the same estimates, the same slack at the end of a
window and the same ledger.

`kept_share` is the share of all seconds charged that went into tasks whose result was kept, with the loads and starts that
these needed; `wasted_seconds` is the rest: tasks cut off by a kill or by the end of a window, and what was loaded for them.
`overhead_share` is the part of the seconds charged that starts and loads took.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from simulated_policies import PATIENCE, POLICIES, Policy
from simulated_world import (
    ALLOWANCE,
    BEGIN,
    BUSY,
    GPU,
    KILLS_A_SECOND,
    SPREAD,
    START,
    TAIL,
    TAIL_FACTOR,
    WRONG,
    Arrival,
    Platform,
    arrivals,
    draw,
    others,
    truth_of_load,
)

from forge_batch.estimate import Estimator
from forge_batch.executors.windowed import KILLS
from forge_batch.jobs import Job, TaskRecord
from forge_batch.opening import ripe, worth_opening
from forge_batch.plan import InputImage, Plan, plan, replan
from forge_batch.quota import DAY, Ledger, remaining
from forge_batch.stages import STAGES
from forge_batch.windows import GpuPlan, GpuTask, Window, overhead, pack

BY_NAME = {stage.name: stage for stage in STAGES}
MEMORY = Path("/dev/shm")
"""Where ledgers lie if there is such a thing: a disk's fsync is no part of what is simulated."""


@dataclass
class Asset:
    """Follow one asset."""

    arrival: Arrival
    job: Job
    plan: Plan
    ready_at: datetime
    attempts: int = 0
    cut_off: dict[str, float] = field(default_factory=dict)
    done_at: datetime | None = None
    priced: GpuPlan | None = None


@dataclass
class Simulation:
    """Be one run of the world under one policy."""

    policy: Policy
    patience: timedelta
    days: int
    seed: int
    ledger: Ledger
    estimator: Estimator = field(default_factory=lambda: Estimator(GPU))
    assets: dict[str, Asset] = field(default_factory=dict)
    open: dict[str, Asset] = field(default_factory=dict)
    errors: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    charged: float = 0.0
    kept: float = 0.0
    overhead: float = 0.0
    windows: int = 0
    learned: int = 0
    backlog: list[int] = field(default_factory=list)
    oldest: list[float] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Live through the days; give the figures."""
        coming = arrivals(self.days, self.seed)
        platform = Platform(others(self.days, self.seed))
        now, end = BEGIN, BEGIN + self.days * DAY
        while now < end or (self.open and now < end + (self.days + 30) * DAY):
            while coming and coming[0].at <= now:
                self._take_in(coming.pop(0))
            self._note(now)
            self._forget_prices(now)
            left = remaining(ALLOWANCE, self._recent(now), now, platform.read(now))
            queue = [asset.priced or self._price(asset) for asset in self.open.values() if asset.ready_at <= now]
            if self.policy is pack:
                queue = ripe(queue, left, now, self.estimator.cold_start(), ALLOWANCE)
            window = self.policy(queue, left.seconds, now, self.estimator.cold_start(), ALLOWANCE)
            if not worth_opening(window, queue, now, left.resets_at, self.patience):
                events = [asset.ready_at for asset in self.open.values() if asset.ready_at > now]
                events += [one.at for one in coming[:1]]
                look = max(now + timedelta(minutes=15), min([*events, now + timedelta(hours=1)]))
                now = min(look, left.resets_at or look)
            elif draw("busy", self.seed, now.date(), now.hour, now.minute // 10).random() < BUSY:
                now += timedelta(seconds=360)  # 60 in the queue of the platform, then a pause
            else:
                now = self._open(window, now, platform)
        return self._figures(now)

    def _recent(self, now: datetime) -> list[Any]:
        entries = self.ledger.entries()
        return entries[bisect_right(entries, now - 2 * DAY, key=lambda entry: entry.at) :]

    def _take_in(self, arrival: Arrival) -> None:
        job = Job(arrival.asset)
        self.open[arrival.asset] = self.assets[arrival.asset] = Asset(arrival, job, planned(arrival, job), arrival.at)
        self._work_on_cpu(self.assets[arrival.asset], arrival.at)

    def _work_on_cpu(self, asset: Asset, now: datetime) -> None:
        """Do the CPU work that is ready; what comes next on the GPU waits for it."""
        done = set(asset.job.records)
        seconds = 0.0
        for task in asset.plan.pending:
            if task.device == "cpu" and all(
                key in done for name, key in task.inputs.items() if name not in {"images", "manifest"}
            ):
                done.add(task.key)
                seconds += task.cost.cpu
                asset.job = asset.job.with_record(TaskRecord(task.stage.name, task.key, "done", task.cost.cpu))
        asset.plan = replan(asset.plan, asset.job, asset.job.records)
        asset.priced = None
        asset.ready_at = now + timedelta(seconds=seconds)
        if not asset.plan.pending:
            asset.done_at = asset.ready_at
            del self.open[asset.arrival.asset]

    def _forget_prices(self, now: datetime) -> None:
        """Let all be priced anew every eight hours: what was learned meanwhile counts from then on."""
        third = (now - BEGIN) // timedelta(hours=8)
        if third > self.learned:
            self.learned = third
            for asset in self.open.values():
                asset.priced = None

    def _price(self, asset: Asset) -> GpuPlan:
        arrival = asset.arrival
        priced = GpuPlan.of(asset.plan, self.estimator, arrival.at, arrival.priority, arrival.deadline, asset.ready_at)
        for key, seconds in asset.cut_off.items():
            most = ALLOWANCE.longest(ALLOWANCE.seconds or 0, priced.size) - overhead(priced, self.estimator.cold_start())
            priced = priced.cut_off(key, seconds, most)
        asset.priced = priced
        return priced

    def _open(self, window: Window, now: datetime, platform: Platform) -> datetime:
        """Reserve, run, settle; give the time when it is over."""
        name = self.ledger.reserve(window.limit * ALLOWANCE.factor(window.size), now)
        records, seconds, wasted, overhead = self._work(window)
        charge = seconds * ALLOWANCE.factor(window.size)
        platform.charge(now, charge)
        now += timedelta(seconds=seconds)
        self.ledger.settle(name, charge, now)
        self.charged += charge
        self.kept += charge - wasted * ALLOWANCE.factor(window.size)
        self.overhead += overhead * ALLOWANCE.factor(window.size)
        self.windows += 1
        for asset_name in dict.fromkeys(asset for asset, _ in records):
            asset = self.assets[asset_name]
            for owner, record in records:
                if owner == asset_name:
                    asset.job = asset.job.with_record(record)
                    self.estimator.learn(record, BY_NAME[record.stage])
            self._work_on_cpu(asset, now)
        return now + timedelta(seconds=5)

    def _work(self, window: Window) -> tuple[list[tuple[str, TaskRecord]], float, float, float]:
        """Be the GPU: run a window's tasks; give records, seconds taken, seconds wasted, and seconds of starts and loads."""
        records: list[tuple[str, TaskRecord]] = []
        start = START * math.exp(0.3 * draw("start", self.seed, window.tasks[0].key, self.windows).normal())
        elapsed, loaded, overhead, unused = start, "", start, start
        for task, reserved in window.line if self.policy is pack else [(task, 0.0) for task in window.tasks]:
            switch = bool(task.model) and task.model != loaded
            if elapsed + (task.load.p90 if switch else 0) + task.seconds.p90 + reserved > window.limit and records:
                continue  # it would not fit
            asset = self.assets[task.asset]
            loading = truth_of_load(task.model, self.seed, self.windows) if switch else 0.0
            seconds, killed_after = self._truth(asset, task)
            overhead, unused, loaded = overhead + loading, unused + loading, task.model or loaded
            if killed_after < seconds or elapsed + loading + seconds > window.limit:
                asset.attempts += 1
                if asset.attempts > KILLS:
                    del self.open[task.asset]
                asset.priced = None
                if killed_after >= seconds:
                    asset.cut_off[task.key] = float(window.limit) - elapsed - loading
                cut = min(elapsed + loading + min(seconds, killed_after), float(window.limit))
                return records, cut, cut - elapsed - loading + unused, overhead
            params = next(one for one in asset.plan.tasks if one.key == task.key).params.model_dump(mode="json")
            begun = 0.0 if records else start
            self.errors.append(abs(task.seconds.p50 - seconds) / seconds)
            self.covered.append(seconds <= task.seconds.p90)
            record = TaskRecord(task.stage, task.key, "done", seconds, seconds + loading + begun, gpu=GPU, params=params)
            records.append((task.asset, TaskRecord(**{**vars(record), "load_seconds": loading, "start_seconds": begun})))
            elapsed, unused = elapsed + loading + seconds, 0.0
        return records, elapsed, unused, overhead

    def _truth(self, asset: Asset, task: GpuTask) -> tuple[float, float]:
        """Say how long a task really takes, and after how long its worker would be killed."""
        real = next(one for one in asset.plan.tasks if one.key == task.key)
        rng = draw("truth", self.seed, task.asset, task.stage)
        seconds = real.cost.gpu * WRONG[task.model] * math.exp(SPREAD * rng.normal())
        seconds *= TAIL_FACTOR if rng.random() < TAIL else 1.0
        return seconds, float(draw("kill", self.seed, task.asset, task.stage, asset.attempts).exponential(1 / KILLS_A_SECOND))

    def _note(self, now: datetime) -> None:
        """Keep the course of things, once a day."""
        day = (now - BEGIN) // DAY
        while len(self.backlog) <= day:
            self.backlog.append(len(self.open))
            self.oldest.append(max(((now - asset.arrival.at) / DAY for asset in self.open.values()), default=0.0))
            self.finished.append(sum(asset.done_at is not None for asset in self.assets.values()))

    def _figures(self, end: datetime) -> dict[str, Any]:
        seen = [asset for asset in self.assets.values() if asset.attempts <= KILLS or asset.done_at]
        ages = [((asset.done_at or end) - asset.arrival.at) / DAY for asset in seen]
        late = [
            asset
            for asset in self.assets.values()
            if asset.arrival.deadline and (asset.done_at or end).date() > asset.arrival.deadline
        ]
        times = [asset.done_at for asset in self.assets.values() if asset.done_at is not None]
        done, lasted = len(times), max([(max(times, default=end) - BEGIN) / DAY, float(self.days)])
        return {
            "assets_per_day": round(done / lasted, 2),
            "kept_share": round(self.kept / max(self.charged, 1e-9), 4),
            "wasted_seconds": round(self.charged - self.kept),
            "oldest_days": round(max(ages, default=0.0), 1),
            "deadline_misses": len(late),
            "estimate_mape": round(float(np.mean(self.errors or [0.0])), 3),
            "under_p90": round(float(np.mean(self.covered or [0.0])), 3),
            "overhead_share": round(self.overhead / max(self.charged, 1e-9), 4),
            "windows": self.windows,
            "charged_seconds": round(self.charged),
            "finished_in_days": sum(at < BEGIN + self.days * DAY for at in times),
            "asked": len(self.assets),
            "days_until_all_is_done": round(lasted, 1),
            "left_over": len(self.assets) - done,
            "given_up": sum(asset.done_at is None and asset.attempts > KILLS for asset in self.assets.values()),
        }


def planned(arrival: Arrival, job: Job) -> Plan:
    """Ask the real planner what remains."""
    pictures = {"front": InputImage(Path("front.png"), arrival.asset)}
    return plan(STAGES, arrival, pictures, job, set(job.records))


Course = dict[str, list[float]]
"""By day: assets finished, assets waiting, days that the oldest waits."""


def live(name: str, days: int, seed: int) -> tuple[dict[str, Any], Course]:
    """Run the world under one policy; give its figures, and the course of the days."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        patience = PATIENCE.get(name, timedelta(0))
        one = Simulation(POLICIES[name], patience, days, seed, Ledger(Path(folder) / "ledger.jsonl"))
        figures = {"policy": name, **one.run()}
    return figures, {"Finished": list(one.finished), "Waiting": list(one.backlog), "Oldest that waits": one.oldest}


def live_all(days: int, seeds: Sequence[int]) -> dict[int, dict[str, tuple[dict[str, Any], Course]]]:
    """Run every policy with every seed, in a process each."""
    runs = [(name, seed) for seed in seeds for name in reversed(POLICIES)]  # the slowest first
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(live, *zip(*((name, days, seed) for name, seed in runs), strict=True)))
    by_run = dict(zip(runs, made, strict=True))
    return {seed: {name: by_run[name, seed] for name in POLICIES} for seed in seeds}


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Write a table in Markdown, one row for each mapping."""
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(str(row[column]).replace("_", " ") for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def draw_picture(path: Path, courses: Mapping[str, Course]) -> None:
    """Draw the course of the days."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    styles = {"fifo": "#b0b0b0", "shortest_first": "#e69f00", "first_fit_decreasing": "#56b4e9", "ours": "#d62728"}
    units = {"Finished": "assets", "Waiting": "assets", "Oldest that waits": "days"}
    for panel, (title, unit) in zip(panels, units.items(), strict=True):
        for name, course in courses.items():
            label = name.replace("_", " ")
            panel.plot(course[title], color=styles[name], label=label, linewidth=2.4 if name == "ours" else 1.6)
        panel.set(title=title, xlabel="day", ylabel=unit)
        panel.set_xlim(0, None)
        panel.set_ylim(0, None)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    FigureCanvasAgg(figure).print_png(path)


SHOWN = (
    "policy", "assets_per_day", "finished_in_days", "kept_share", "wasted_seconds", "overhead_share", "oldest_days",
    "deadline_misses", "estimate_mape", "windows", "days_until_all_is_done",
)  # fmt: skip


def main() -> None:
    """Simulate every policy; print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="how many worlds: this seed and those after it (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--out", type=Path, help="folder for simulate.json and simulate.png")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.seeds)
    made = live_all(options.days, seeds)
    rows = {seed: [figures for figures, _ in runs.values()] for seed, runs in made.items()}
    document = {"days": options.days, "seed": options.seed, "policies": rows[options.seed]}
    if options.seeds > 1:
        document["by_seed"] = {str(seed): policies for seed, policies in rows.items()}
    if options.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        for seed, policies in rows.items():
            sys.stdout.write(f"seed {seed}, {options.days} days\n\n{table(policies, SHOWN)}\n")
    if options.out:
        (options.out / "simulate.json").write_text(json.dumps(document, indent=1) + "\n")
        draw_picture(options.out / "simulate.png", {name: course for name, (_, course) in made[options.seed].items()})


if __name__ == "__main__":
    main()
