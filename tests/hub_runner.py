"""Be a runner in a process of its own, so that a test can kill it; what it pays for is noted in a file that outlives it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from forge_batch.content.hub import GPU_STAGES, HubContent
from forge_batch.content.hub_options import HubOptions
from forge_batch.errors import ContentError
from forge_batch.executors.contract import TaskSpec
from forge_batch.jobs import TaskRecord
from forge_batch.runner import run
from tests.fakes import FakeExecutor, Recorder

PROCESSES = multiprocessing.get_context("forkserver")  # clean of the test's threads, and quick
PROCESSES.set_forkserver_preload(["tests.hub_runner", "huggingface_hub.hf_api", "tenacity", "forge_batch.picture_checks"])


@dataclass
class NotingExecutor(FakeExecutor):
    """Note every finished task in a file, and die at one if asked to.

    Attributes:
        notes: One line per task: stage, key, the runner's process.
        die_at: (number of the task, whether its outputs are whole by then); None to live.
        slow: Seconds that a task takes.
    """

    notes: Path = field(default_factory=Path)
    die_at: tuple[int, bool] | None = None
    slow: float = 0.0

    def _work(self, task: TaskSpec) -> TaskRecord:
        time.sleep(self.slow)
        if self.die_at == (len(self.ran), False):
            folder = task.work / task.key
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "half.npz").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        record = super()._work(task)
        with self.notes.open("a") as file:
            file.write(f"{task.stage} {task.key} {os.getpid()}\n")
        if self.die_at == (len(self.ran) - 1, True):
            os.kill(os.getpid(), signal.SIGKILL)
        return record


def paid(notes: Path) -> list[str]:
    """Give the keys of the GPU tasks that were paid, in order."""
    lines = [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []
    return [key for stage, key, _ in lines if stage in GPU_STAGES]


def one_run(repo: str, options: HubOptions, notes: Path, die_at: tuple[int, bool] | None, slow: float) -> None:
    """Run one batch."""
    run(HubContent(repo, options), NotingExecutor(notes=notes, die_at=die_at, slow=slow), Recorder())


def many_runs(repo: str, options: HubOptions, notes: Path, assets: Sequence[str], seconds: float) -> None:
    """Run batches until every asset has been exported, and stand back while another runner is at work."""
    end = time.monotonic() + seconds
    content, rest = HubContent(repo, options), random.Random(options.runner)
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            report = run(content, NotingExecutor(notes=notes), Recorder())
        except ContentError as error:
            if "another runner" not in str(error):
                raise
            time.sleep(0.05)
            continue
        if {asset.asset for asset in report.assets if asset.package} >= set(assets):
            return
        time.sleep((time.monotonic() - start) * rest.uniform(0.5, 2.0))  # so that now one, now the other is first
    raise TimeoutError("not every asset was exported")


def started(target: object, *arguments: object) -> BaseProcess:
    """Start a process."""
    process = PROCESSES.Process(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
    process.start()
    return process
