"""Run chains in processes of this machine, one asset a process, several assets at a time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from forge_batch.executors.contract import Chain, Event, Executor, Finished, Progress
from forge_batch.executors.gpu_window import Refusal, Refused, Started, WindowTask, run_window
from forge_batch.jobs import Failure, TaskRecord
from forge_batch.windows import Window
from forge_batch.worker_signals import die_with_parent

SPAWN = multiprocessing.get_context("spawn")

BREATH = 1.0
"""Seconds after which silent workers are said to be where they were: a listener may stop a run only when it hears something."""


@dataclass
class _Worker:
    """Follow one process: its chain, the task it was last heard at, and the last that it said of it."""

    chain: Chain
    process: BaseProcess
    events: Connection
    done: int = 0
    last: Progress | None = None

    def lost(self) -> Finished:
        """Say that the process went away in the middle of a task."""
        task = self.chain.tasks[self.done]
        code = self.process.exitcode or 0
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "run again: finished stages are kept; if it happens twice, see work/logs/" + self.chain.asset + ".log"
        failure = Failure("worker", f"the process that ran {task.stage} was killed ({reason})", hint)
        return Finished(self.chain.asset, TaskRecord(task.stage, task.key, "failed", 0.0, failure=failure))


class LocalPool:
    """Run chains in up to `workers` processes, the dearest first so that the last to finish finishes early."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.waiting: list[Chain] = []
        self.running: list[_Worker] = []

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, chain: Chain) -> None:
        """Take on a chain; it starts with the next `hear`."""
        self.waiting.append(chain)
        self.waiting.sort(key=lambda chain: -chain.cost)

    def hear(self, others: Sequence[Connection] = (), timeout: float | None = None) -> Iterator[Event]:
        """Start what there is room for, wait until a worker or one of `others` has something to say, and yield events.

        Where all are silent for BREATH seconds, what is being worked on is said again.
        """
        while self.waiting and len(self.running) < self.workers:
            self.running.append(_start(self.waiting.pop(0), self.workers))
        soon = BREATH if timeout is None else min(timeout, BREATH)
        if not wait([*(worker.events for worker in self.running), *others], soon):
            yield from [worker.last for worker in self.running if worker.last]
        for worker in list(self.running):
            yield from _hear(worker)
            if worker.events.closed:
                self.running.remove(worker)

    def kill(self) -> None:
        """End every worker, wherever it is."""
        for worker in self.running:
            worker.process.kill()
            worker.process.join()


class LocalExecutor(Executor):
    """Run everything on this machine, where nobody counts GPU seconds."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, chains: Sequence[Chain]) -> Generator[Event, None, None]:
        pool = LocalPool(self.workers)
        try:
            for chain in chains:
                pool.add(chain)
            while pool.busy:
                yield from pool.hear()
        finally:
            pool.kill()


class LocalGpu:
    """Open windows in a process of this machine: its GPU if it has one, else its CPU."""

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        """Run tasks; see `Gpu`. Raises Refused when the process is killed."""
        events, theirs = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=_be_the_gpu, args=(list(tasks), window.limit, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            while (news := events.recv()) is not None:
                yield news
        except EOFError:
            process.join()
            raise Refused(Refusal("killed", f"exit code {process.exitcode}")) from None
        finally:
            process.kill()
            process.join()


def _be_the_gpu(tasks: Sequence[WindowTask], limit: float, news: Connection) -> None:
    """Be the process of a window."""
    die_with_parent()
    from forge_batch.executors.run_task import run_task  # noqa: PLC0415 - in the worker alone

    with contextlib.suppress(OSError):
        _redirect(tasks[0].spec.work / "logs" / "gpu.log")
    for one in run_window(tasks, limit, run_task):
        news.send(one)
    news.send(None)


def _start(chain: Chain, workers: int) -> _Worker:
    events, theirs = SPAWN.Pipe(duplex=False)
    threads = max(1, (os.cpu_count() or 1) // workers)
    process = SPAWN.Process(target=_work, args=(chain, theirs, threads), daemon=False)
    process.start()
    theirs.close()
    return _Worker(chain, process, events)


def _hear(worker: _Worker) -> Iterator[Event]:
    """Yield what a worker has said; close its pipe when it is gone."""
    try:
        while worker.events.poll():
            event: Event = worker.events.recv()
            worker.done += isinstance(event, Finished)
            worker.last = event if isinstance(event, Progress) else None
            failed = isinstance(event, Finished) and event.record.state == "failed"
            yield event
            if failed:
                worker.done = len(worker.chain.tasks)
    except EOFError:
        worker.process.join()
        worker.events.close()
        if worker.done < len(worker.chain.tasks):
            yield worker.lost()


def _work(chain: Chain, events: Connection, threads: int) -> None:
    """Be the worker: run the chain's tasks one after another, and die with the parent."""
    die_with_parent()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    log = chain.tasks[0].work / "logs" / f"{chain.asset}.log"
    with contextlib.suppress(OSError):
        _redirect(log)
    from forge_batch.executors.run_task import run_task  # noqa: PLC0415 - after the thread limits are set

    for task in chain.tasks:
        with contextlib.suppress(OSError):  # on a full disk the stage says so, not its log
            print(f"== {task.stage} {task.key}", file=sys.stderr, flush=True)  # noqa: T201 - the asset's log
        events.send(Progress(chain.asset, task.stage, 0.0))

        def progress(fraction: float, note: str = "", stage: str = task.stage) -> None:
            events.send(Progress(chain.asset, stage, fraction, note))

        record = run_task(task, progress)
        events.send(Finished(chain.asset, record))
        if record.state == "failed":
            break


def _redirect(log: Path) -> None:
    """Send everything this process and its native libraries print to the asset's log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
