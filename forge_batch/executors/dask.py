"""Run chains on a Dask cluster: one worker for each GPU, and as many as there are cores for the CPU stages.

The GPU tasks of an asset that are ready together go to one worker, which builds their scene once.
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


Entry = tuple[TaskSpec, ...]
"""Tasks that go to a worker together: the GPU tasks of an asset that are ready at the same time, or one task alone."""


def on_worker(entry: Entry, before: Sequence[Sequence[TaskRecord]]) -> list[TaskRecord]:
    """Be an entry on a worker: run its tasks in order, each unless one that it reads from failed; then say so instead."""
    from forge_batch.executors.run_task import run_task  # noqa: PLC0415 - in the worker alone

    failed = {record.key for records in before for record in records if record.state == "failed"}
    found: list[TaskRecord] = []
    for spec in entry:
        if failed & spec.reads:
            failure = Failure(SKIPPED, "a stage before it failed")
            found.append(TaskRecord(spec.stage, spec.key, "failed", 0.0, failure=failure))
        else:
            found.append(run_task(spec, _no_progress))
        if found[-1].state == "failed":
            failed.add(spec.key)
    return found


def entries(chain: Chain) -> list[Entry]:
    """Divide a chain: the bakes of an asset share the scene that the first of them builds, so they go to one worker."""
    run_of = {task.key: number for number, run in enumerate(chain.gpu.runs if chain.gpu else ()) for task in run}
    found: dict[int | str, list[TaskSpec]] = {}
    for spec in chain.tasks:
        found.setdefault(run_of.get(spec.key, spec.key), []).append(spec)
    return [tuple(specs) for specs in found.values()]


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
                for record in _outcome(future, futures[future]):
                    asset = futures[future][0].asset
                    if record.failure and (record.failure.code == SKIPPED or asset in broken):
                        continue
                    if record.state == "failed":
                        broken.add(asset)
                    yield Finished(asset, record)
        finally:
            self.client.cancel(list(futures))

    def _submit(self, chains: Sequence[Chain]) -> dict[Any, Entry]:
        """Make a future for each entry; the dearest chain first, so that the last to finish finishes early."""
        has_gpu = any("GPU" in worker.get("resources", {}) for worker in self.client.scheduler_info()["workers"].values())
        futures: dict[Any, Entry] = {}
        for rank, chain in enumerate(sorted(chains, key=lambda chain: -chain.cost)):
            made: dict[str, Any] = {}
            for entry in entries(chain):
                reads = set[str]().union(*(spec.reads for spec in entry))
                future = self.client.submit(
                    on_worker,
                    entry,
                    list({made[key].key: made[key] for key in sorted(reads) if key in made}.values()),
                    key=f"{entry[0].stage}-{entry[0].asset}-{entry[0].key}",
                    pure=False,
                    priority=-rank,
                    retries=0,
                    resources={"GPU": 1} if has_gpu and entry[0].device == "gpu" else {},
                )
                made.update(dict.fromkeys((spec.key for spec in entry), future))
                futures[future] = entry
        return futures


def _allow_kills(dask_scheduler: Any, kills: int) -> None:
    """Tell the scheduler how many kills a task may survive; runs there."""
    dask_scheduler.allowed_failures = kills


def _outcome(future: Any, entry: Entry) -> list[TaskRecord]:
    """Give the records of an entry; a worker that died too often, or a task that Dask lost, is a failure of the first."""
    if future.status == "finished":
        records: list[TaskRecord] = future.result()
        return records
    error = future.exception() if future.status == "error" else None
    reason = f"{type(error).__name__}: {error}".splitlines()[0] if error else f"the task was {future.status}"
    first = entry[0]
    failure = Failure("worker", f"no worker survived {first.stage} ({reason})", "see the logs of the cluster, then run again")
    return [TaskRecord(first.stage, first.key, "failed", 0.0, failure=failure, params=first.params)]


def _no_progress(fraction: float, note: str) -> None:
    """Report to nobody: the cluster tells of tasks."""
