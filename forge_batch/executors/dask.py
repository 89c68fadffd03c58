"""Run chains on a Dask cluster: one worker for each GPU, and as many as there are cores for the CPU stages.

The content folder must lie on a disk that every worker sees at the same path: artifacts never travel, only names and paths do.
GPU tasks ask for the resource `GPU`, of which a worker that owns a card has one (`dask worker ADDRESS --nworkers 1
--nthreads 1 --resources GPU=1`, with CUDA_VISIBLE_DEVICES naming the card); on a cluster without any they run where there
is room. When a worker is killed, its task is run again elsewhere, KILLS times at most.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from forge_batch.executors.contract import Chain, Event, Executor, Finished, TaskSpec
from forge_batch.jobs import Failure, TaskRecord

KILLS = 2
"""How often the worker of a task may be killed before the asset fails."""


def on_worker(spec: TaskSpec, before: Sequence[TaskRecord]) -> TaskRecord:
    """Be a task on a worker: run it, unless one that it reads from failed; then say so without running."""
    from forge_batch.executors.run_task import run_task  # noqa: PLC0415 - in the worker alone

    if any(record.state == "failed" for record in before):
        return TaskRecord(spec.stage, spec.key, "failed", 0.0, failure=Failure(SKIPPED, "a stage before it failed"))
    return run_task(spec, _no_progress)


SKIPPED = "skipped"
"""Failure code of a task that did not run because another failed; it never leaves this module."""


class DaskExecutor(Executor):
    """Hand every task to the scheduler at once, each waiting for those it reads from.

    Args:
        client: A `distributed.Client`; it stays open.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        client.run_on_scheduler(_allow_kills, kills=KILLS)

    def run(self, chains: Sequence[Chain]) -> Generator[Event, None, None]:
        from distributed import as_completed  # noqa: PLC0415 - an executor that is not used costs nothing

        futures = self._submit(chains)
        finished = as_completed(futures)
        broken: set[str] = set()
        try:
            for future in finished:
                spec = futures[future]
                record = _outcome(future, spec)
                if record.failure and (record.failure.code == SKIPPED or spec.asset in broken):
                    continue
                if record.state == "failed":
                    broken.add(spec.asset)
                yield Finished(spec.asset, record)
        finally:
            self.client.cancel(list(futures))

    def _submit(self, chains: Sequence[Chain]) -> dict[Any, TaskSpec]:
        """Make a future for each task; the dearest chain first, so that the last to finish finishes early."""
        has_gpu = any("GPU" in worker.get("resources", {}) for worker in self.client.scheduler_info()["workers"].values())
        futures: dict[Any, TaskSpec] = {}
        for rank, chain in enumerate(sorted(chains, key=lambda chain: -chain.cost)):
            made: dict[str, Any] = {}
            for spec in chain.tasks:
                future = self.client.submit(
                    on_worker,
                    spec,
                    [made[key] for key in sorted(spec.reads) if key in made],
                    key=f"{spec.stage}-{spec.asset}-{spec.key}",
                    pure=False,
                    priority=-rank,
                    retries=0,
                    resources={"GPU": 1} if has_gpu and spec.device == "gpu" else {},
                )
                made[spec.key] = future
                futures[future] = spec
        return futures


def _allow_kills(dask_scheduler: Any, kills: int) -> None:
    """Tell the scheduler how many kills a task may survive; runs there."""
    dask_scheduler.allowed_failures = kills


def _outcome(future: Any, spec: TaskSpec) -> TaskRecord:
    """Give a task's record; a worker that died too often, or a task that Dask lost, becomes a failure."""
    if future.status == "finished":
        record: TaskRecord = future.result()
        return record
    error = future.exception() if future.status == "error" else None
    reason = f"{type(error).__name__}: {error}".splitlines()[0] if error else f"the task was {future.status}"
    failure = Failure("worker", f"no worker survived {spec.stage} ({reason})", "see the logs of the cluster, then run again")
    return TaskRecord(spec.stage, spec.key, "failed", 0.0, failure=failure, params=spec.params)


def _no_progress(fraction: float, note: str) -> None:
    """Report to nobody: the cluster tells of tasks."""
