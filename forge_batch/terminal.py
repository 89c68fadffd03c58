"""Show a run in a terminal: which asset, which stage, how long still. Everything goes to stderr; stdout is for results."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from forge_batch.errors import Problem
from forge_batch.executors.contract import Event, Finished
from forge_batch.executors.contract import Progress as StageProgress
from forge_batch.plain_text import duration
from forge_batch.plan import Plan
from forge_batch.report import AssetReport


class Clock:
    """Say how long a batch will still take: estimates of the stages' costs, corrected by what this run has shown so far."""

    def __init__(self, plans: Sequence[Plan], workers: int) -> None:
        self.workers = workers
        self.left = {(plan.asset, task.stage.name): max(task.cost.cpu, 0.05) for plan in plans for task in plan.pending}
        self.estimated = 0.0
        self.spent = 0.0

    def finished(self, asset: str, stage: str, seconds: float) -> None:
        """Learn from one task; a failed asset's later tasks are dropped by `abandon`."""
        self.estimated += self.left.pop((asset, stage), 0.0)
        self.spent += seconds

    def abandon(self, asset: str) -> None:
        """Forget the tasks that will not run because an earlier one failed."""
        for key in [key for key in self.left if key[0] == asset]:
            del self.left[key]

    @property
    def seconds(self) -> float:
        """Seconds until the batch is done: the longest chain, or all work shared by the workers, whichever is more."""
        chains: dict[str, float] = {}
        for (asset, _), cost in self.left.items():
            chains[asset] = chains.get(asset, 0.0) + cost
        ideal = max([sum(chains.values()) / self.workers, *chains.values()], default=0.0)
        prior = 20.0  # seconds of evidence that the estimates carry before the run has shown anything
        return ideal * (self.spent + prior) / (self.estimated + prior)


class Terminal:
    """Follow a run: bars that move on a terminal, one line a stage in a log file."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}
        self.plans: dict[str, Plan] = {}

    def planned(self, plans: Sequence[Plan], problems: Sequence[Problem]) -> None:
        for problem in problems:
            self.console.print(str(problem), style="red" if problem.severity == "error" else "yellow", markup=False)
        self.plans = {plan.asset: plan for plan in plans if plan.pending}
        self.clock = Clock(list(self.plans.values()), self.workers)
        if self.plans:
            count = sum(len(plan.pending) for plan in self.plans.values())
            self._say(f"{len(self.plans)} assets, {count} stages to run, about {duration(self.clock.seconds)}")
            self.total = self.bars.add_task("batch", total=count, note="")
        if self.console.is_terminal:
            self.bars.start()

    def event(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._stage_finished(event)
        elif isinstance(event, StageProgress):
            self._stage_moved(event)

    def _stage_moved(self, event: StageProgress) -> None:
        note = f"{event.stage} ({self._place(event.asset, event.stage)}) {event.note}"
        if event.asset not in self.tasks:
            self.tasks[event.asset] = self.bars.add_task(event.asset, total=len(self.plans[event.asset].tasks), note=note)
        place = int(self._place(event.asset, event.stage).split("/")[0]) - 1
        self.bars.update(self.tasks[event.asset], completed=place + event.fraction, note=note)

    def _stage_finished(self, event: Finished) -> None:
        record = event.record
        self.clock.finished(event.asset, record.stage, record.seconds)
        if record.state == "failed":
            self.clock.abandon(event.asset)
        left = f"about {duration(self.clock.seconds)} left" if self.clock.left else "finishing"
        if self.tasks or self.console.is_terminal:
            self.bars.update(self.total, advance=1, note=left)
        if not self.console.is_terminal:
            place = self._place(event.asset, record.stage)
            self._say(f"{event.asset}: {record.stage} ({place}) {record.state}, {record.seconds:.1f} s; {left}")

    def _place(self, asset: str, stage: str) -> str:
        names = [task.stage.name for task in self.plans[asset].tasks]
        return f"{names.index(stage) + 1}/{len(names)}"

    def finished(self, asset: AssetReport) -> None:
        if asset.asset in self.tasks:
            self.bars.remove_task(self.tasks.pop(asset.asset))
        if asset.state != "skipped":
            self._say(asset.line(), "red" if asset.failure else "green")

    def close(self) -> None:
        if self.console.is_terminal:  # elsewhere stopping prints an empty line
            self.bars.stop()

    def _say(self, line: str, style: str | None = None) -> None:
        self.console.print(line, style=style, markup=False)
