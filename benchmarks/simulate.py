"""Run 60 days of a batch in seconds: the real planner, estimator, packer and ledger in a made-up world, for four policies.

    python benchmarks/simulate.py [--days N] [--seed S] [--json] [--out DIR]

The world: assets of all kinds come singly and in bursts, a quarter with a deadline; true durations are log-normal about
medians that the priors miss, and one in thirty tasks takes three times as long; the GPU is busy now and then; workers are
killed; on one day in four somebody else spends up to half of the allowance. All of it is drawn beforehand, so every policy
meets the same. The allowance is zerogpu-pro, and a little more is asked of it than there is; after the last arrival time
goes on until all is done, so that `assets_per_day` counts every asset, dear ones too.

Policies: `fifo` takes assets by age until one does not fit; `shortest_first` the cheapest that fit; `first_fit_decreasing`
the dearest that fit; these three open a window as soon as anything fits, and run it in their order. `ours` is windows.pack and
worth_opening. All use the same estimates, the same slack at the end of a window and the same ledger.

`kept_share` is the share of all seconds charged that went into tasks whose result was kept, with the loads and starts that
these needed; `wasted_seconds` is the rest: tasks cut off by a kill or by the end of a window, and what was loaded for them.
`overhead_share` is the part of the seconds charged that starts and loads took.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.estimate import Estimator, Seconds
from forge_batch.executors.windowed import KILLS
from forge_batch.jobs import Job, TaskRecord
from forge_batch.plan import InputImage, Plan, plan
from forge_batch.quota import DAY, PROFILES, Allowance, Ledger, Reading, remaining
from forge_batch.stages import STAGES
from forge_batch.windows import SLACK, GpuPlan, GpuTask, Size, Window, overhead, pack, worth_opening

RESULTS = Path(__file__).parent / "results"
BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)
ALLOWANCE = PROFILES["zerogpu-pro"]
GPU = "RTX PRO 6000 Blackwell, half"
BY_NAME = {stage.name: stage for stage in STAGES}
WRONG = {"trellis2": 1.3, "hunyuan3d": 0.7, "unirig": 1.2, "diffusion": 0.8, "": 1.5}
"""How far the true medians lie from the priors."""
SPREAD, TAIL, TAIL_FACTOR = 0.3, 1 / 30, 3.0
START, KILLS_A_SECOND, BUSY = 6.0, 1 / 20_000, 0.1
SINGLES, BURST = 21, (30, 150)
"""Single assets a day, mean, and assets in a burst, from and to."""
KINDS: tuple[tuple[float, dict[str, dict[str, Any]]], ...] = (
    (0.30, {"generate": {"backend": "trellis2", "quality": "fast"}}),
    (0.22, {"generate": {"backend": "trellis2"}}),
    (0.06, {"generate": {"backend": "trellis2", "quality": "hero"}, "inpaint": {"enabled": True, "method": "diffusion"}}),
    (0.14, {"generate": {"backend": "hunyuan3d"}}),
    (0.08, {"generate": {"backend": "hunyuan3d"}, "inpaint": {"enabled": True, "method": "diffusion"}}),
    (0.10, {"generate": {"backend": "hull"}}),
    (0.10, {"generate": {"backend": "hunyuan3d"}, "rig": {"enabled": True, "backend": "unirig"}}),
)
"""Shares of what is asked for."""


def draw(*what: object) -> np.random.Generator:
    """Give a source of chance that depends on names alone, so that all policies meet the same."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8], "big"))


@dataclass(frozen=True)
class Arrival:
    """Be an asset that somebody asks for."""

    at: datetime
    asset: str
    settings: dict[str, dict[str, Any]]
    priority: int
    deadline: date | None
    seed: int = 0

    def params(self, stage: Any) -> Any:
        """Give what the manifest would say to a stage."""
        required = {"height_cm": 50} if stage.name == "place" else {}
        return stage.params(**{**required, **self.settings.get(stage.name, {})})

    def resolved(self) -> dict[str, Any]:
        """Give what makes the asset's keys its own."""
        return {"asset": self.asset, **self.settings}


def arrivals(days: int, seed: int) -> list[Arrival]:
    """Draw what is asked for: a few assets a day, and on one day in five a burst of one kind."""
    rng = draw("arrivals", seed)
    found: list[Arrival] = []
    shares = np.array([share for share, _ in KINDS])
    for day in range(days):
        times = [(float(rng.uniform(0, 1)), int(rng.choice(len(KINDS), p=shares))) for _ in range(rng.poisson(SINGLES))]
        if rng.random() < 0.18:
            moment = float(rng.uniform(0, 1))
            times += [(moment, int(kind)) for kind in rng.choice(len(KINDS), int(rng.integers(*BURST)), p=shares)]
        for moment, kind in sorted(times):
            at = BEGIN + (day + moment) * DAY
            deadline = (at + timedelta(days=int(rng.integers(3, 15)))).date() if rng.random() < 0.25 else None
            found.append(Arrival(at, f"a{len(found):05d}", KINDS[kind][1], int(rng.choice([30, 50, 50, 50, 70])), deadline))
    return found


@dataclass
class Platform:
    """Be ZeroGPU: keep the true count, start windows, refuse them."""

    others: list[tuple[datetime, float]]
    opened: datetime | None = None
    spent: float = 0.0

    def charge(self, now: datetime, seconds: float) -> None:
        """Count seconds; the first ones open a period of 24 hours."""
        self.reset(now)
        self.opened = self.opened or now
        self.spent += seconds
        assert self.spent <= (ALLOWANCE.seconds or 0) + 1e-6, "more was spent than there was"

    def reset(self, now: datetime) -> None:
        """End a period that is over."""
        if self.opened is not None and now >= self.opened + DAY:
            self.opened, self.spent = None, 0.0

    def read(self, now: datetime) -> Reading:
        """Answer the quota endpoint, after what others spent until now."""
        while self.others and self.others[0][0] <= now:
            at, seconds = self.others.pop(0)
            self.reset(at)
            self.charge(at, min(seconds, (ALLOWANCE.seconds or 0) - self.spent))
        self.reset(now)
        whole = ALLOWANCE.seconds or 0
        resets_at = None if self.opened is None else self.opened + DAY
        return Reading(whole, math.floor(whole - self.spent), resets_at, 0, now)


Policy = Callable[[Sequence[GpuPlan], int | None, datetime, Seconds, Allowance], Window]


def in_turn(key: Callable[[GpuPlan], Any], *, stop: bool) -> Policy:
    """Make a policy that takes assets one after another, loading a model whenever it is not the loaded one."""

    def choose(plans: Sequence[GpuPlan], seconds: int | None, now: datetime, start: Seconds, allowance: Allowance) -> Window:
        begin = math.ceil(start.p90)
        tasks: list[GpuTask] = []
        models: list[str] = []
        spent = begin
        size: Size = "large"
        for one in sorted(plans, key=key):
            size = size if tasks else one.size
            needed, loaded = 0, models[-1:]
            for task in one.runs[0]:
                needed += math.ceil(task.load.p90) if task.model and [task.model] != loaded else 0
                loaded = [task.model] if task.model else loaded
            needed += math.ceil(sum(task.seconds.p90 for task in one.runs[0]))
            if one.size == size and spent + needed <= allowance.longest(seconds or 0, size):
                spent, tasks = spent + needed, [*tasks, *one.runs[0]]
                models += [m for m in loaded if [m] != models[-1:]]
            elif stop:
                break
        slack = math.ceil(SLACK * max((task.seconds.p90 for task in tasks), default=0.0))
        limit = min(spent + slack, allowance.longest(seconds or 0, size))
        return Window(now, tuple(tasks), spent, limit, size, tuple(models)) if tasks else Window(now)

    return choose


def dearness(one: GpuPlan) -> float:
    """Give the seconds of an asset's next run."""
    return sum(task.seconds.p90 for task in one.runs[0])


POLICIES: dict[str, Policy] = {
    "fifo": in_turn(lambda one: (one.since, one.asset), stop=True),
    "shortest_first": in_turn(lambda one: (dearness(one), one.since), stop=False),
    "first_fit_decreasing": in_turn(lambda one: (-dearness(one), one.since), stop=False),
    "ours": pack,
}
PATIENCE = {"ours": timedelta(hours=2)}
"""The three simple policies open a window as soon as anything fits."""


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
    priced: tuple[int, GpuPlan] | None = None

    @property
    def open(self) -> bool:
        """Whether it is worked on: not done, and not given up after too many kills."""
        return self.done_at is None and self.attempts <= KILLS


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
        rng = draw("others", self.seed)
        spends = [
            (BEGIN + (day + rng.random()) * DAY, rng.uniform(100, 1200)) for day in range(self.days) if rng.random() < 0.25
        ]
        platform = Platform([(at, float(seconds)) for at, seconds in spends])
        now, end = BEGIN, BEGIN + self.days * DAY
        while now < end or (any(asset.open for asset in self.assets.values()) and now < end + (self.days + 30) * DAY):
            while coming and coming[0].at <= now:
                self._take_in(coming.pop(0))
            self._note(now)
            self.learned = (now - BEGIN) // timedelta(hours=8)
            left = remaining(ALLOWANCE, self._recent(now), now, platform.read(now))
            queue = [self._price(asset) for asset in self.assets.values() if asset.open and asset.ready_at <= now]
            window = self.policy(queue, left.seconds, now, self.estimator.cold_start(), ALLOWANCE)
            if not worth_opening(window, queue, now, left.resets_at, self.patience):
                events = [asset.ready_at for asset in self.assets.values() if asset.open and asset.ready_at > now]
                events += [one.at for one in coming[:1]] + ([left.resets_at] if left.resets_at else [])
                now = max(now + timedelta(minutes=15), min([*events, now + timedelta(hours=1)]))
            elif draw("busy", self.seed, now.date(), now.hour, now.minute // 10).random() < BUSY:
                now += timedelta(seconds=360)  # 60 in the queue of the platform, then a pause
            else:
                now = self._open(window, now, platform)
        return self._figures(now)

    def _recent(self, now: datetime) -> list[Any]:
        return [entry for entry in self.ledger.entries() if entry.at > now - 2 * DAY]

    def _take_in(self, arrival: Arrival) -> None:
        job = Job(arrival.asset)
        self.assets[arrival.asset] = Asset(arrival, job, planned(arrival, job), arrival.at)
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
        asset.plan = planned(asset.arrival, asset.job)
        asset.priced = None
        asset.ready_at = now + timedelta(seconds=seconds)
        if not asset.plan.pending:
            asset.done_at = asset.ready_at

    def _price(self, asset: Asset) -> GpuPlan:
        """Price an asset anew every eight hours: what was learned meanwhile counts from then on."""
        if asset.priced is None or asset.priced[0] != self.learned:
            arrival = asset.arrival
            priced = GpuPlan.of(asset.plan, self.estimator, arrival.at, arrival.priority, arrival.deadline)
            for key, seconds in asset.cut_off.items():
                most = ALLOWANCE.longest(ALLOWANCE.seconds or 0, priced.size) - overhead(priced, self.estimator.cold_start())
                priced = priced.cut_off(key, seconds, most)
            asset.priced = self.learned, replace(priced, ready=asset.ready_at)
        return asset.priced[1]

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
            waiting = [asset for asset in self.assets.values() if asset.open]
            self.backlog.append(len(waiting))
            self.oldest.append(max(((now - asset.arrival.at) / DAY for asset in waiting), default=0.0))
            self.finished.append(sum(asset.done_at is not None for asset in self.assets.values()))

    def _figures(self, end: datetime) -> dict[str, Any]:
        seen = [asset for asset in self.assets.values() if asset.open or asset.done_at]
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
            "asked": len(self.assets),
            "days_until_all_is_done": round(lasted, 1),
            "left_over": len(self.assets) - done,
            "given_up": sum(asset.done_at is None and not asset.open for asset in self.assets.values()),
        }


def planned(arrival: Arrival, job: Job) -> Plan:
    """Ask the real planner what remains."""
    pictures = {"front": InputImage(Path("front.png"), arrival.asset)}
    return plan(STAGES, arrival, pictures, job, set(job.records))


def truth_of_load(model: str, seed: int, window: int) -> float:
    """Say how long a model really takes to load."""
    return 18.0 * math.exp(0.25 * draw("load", seed, model, window).normal())


def draw_picture(path: Path, runs: dict[str, Simulation]) -> None:
    """Draw the course of the days."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    styles = {"fifo": "#b0b0b0", "shortest_first": "#e69f00", "first_fit_decreasing": "#56b4e9", "ours": "#d62728"}
    for panel, (title, unit, values) in zip(
        panels,
        (
            ("Finished", "assets", lambda run: run.finished),
            ("Waiting", "assets", lambda run: run.backlog),
            ("Oldest that waits", "days", lambda run: run.oldest),
        ),
        strict=True,
    ):
        for name, run in runs.items():
            label = name.replace("_", " ")
            panel.plot(values(run), color=styles[name], label=label, linewidth=2.4 if name == "ours" else 1.6)
        panel.set(title=title, xlabel="day", ylabel=unit)
        panel.set_xlim(0, None)
        panel.set_ylim(0, None)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    """Simulate every policy; print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--out", type=Path, help="folder for simulate.json and simulate.png")
    options = parser.parse_args()
    runs, rows = {}, []
    for name, policy in POLICIES.items():
        with tempfile.TemporaryDirectory() as folder:
            patience = PATIENCE.get(name, timedelta(0))
            runs[name] = Simulation(policy, patience, options.days, options.seed, Ledger(Path(folder) / "ledger.jsonl"))
            rows.append({"policy": name, **runs[name].run()})
    document = {"days": options.days, "seed": options.seed, "policies": rows}
    if options.json:
        print(json.dumps(document))
    else:
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()), file=sys.stdout)
    if options.out:
        (options.out / "simulate.json").write_text(json.dumps(document, indent=1) + "\n")
        draw_picture(options.out / "simulate.png", runs)


if __name__ == "__main__":
    main()
