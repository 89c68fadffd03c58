"""Measure how much faster a Dask cluster works off GPU tasks on more GPUs: hull generation and the four bakes.

    python benchmarks/dask_gpus.py --prepare DIR                 anywhere: the CPU stages up to unwrap, for four example assets
    python benchmarks/dask_gpus.py --content DIR --gpus 1 2      on the machine with GPUs; writes results/dask_gpus.json

Every asset's five tasks are run COPIES times under keys of their own, through the executor that `run --executor dask` uses:
one worker process for each GPU (resource GPU=1, CUDA_VISIBLE_DEVICES), the same scheduler, artifacts on the shared folder.
A small batch goes before each measurement, so that workers have started and kernels are compiled.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from forge_batch.content.local import LocalContent
from forge_batch.estimate import NOTHING
from forge_batch.executors.contract import Chain, Finished, TaskSpec
from forge_batch.executors.dask import DaskExecutor
from forge_batch.executors.local import LocalExecutor
from forge_batch.intake import take_in
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.standing import look_up
from forge_batch.windows import GpuPlan, GpuTask

HERE = Path(__file__).parent
ASSETS = ("teddy_bear", "horse", "mailbox", "ammo_crate")
MANIFEST = (
    "forge: 1\nimages: {name}\nplace: {{height_cm: 80}}\ndecimate: {{triangles: 10000}}\nunwrap: {{texture_size: 2048}}\n"
)
COPIES = 6


def prepare(root: Path) -> None:
    """Make a content folder, run the CPU stages of its assets, and note the GPU tasks that are then ready."""
    for name in ASSETS:
        shutil.copytree(HERE.parent / "inbox" / name, root / "inbox" / name, dirs_exist_ok=True)
        (root / "manifests").mkdir(exist_ok=True)
        (root / "manifests" / f"{name}.yaml").write_text(MANIFEST.format(name=name))
    content = LocalContent(root)
    plans = [look_up(content, order).plan for order in take_in(root).orders]
    tasks = {plan.asset: [TaskSpec.of(task, plan, root / "work") for task in plan.tasks] for plan in plans}
    before = {
        name: specs[: next(i for i, spec in enumerate(specs) if spec.stage == "bake_normal")] for name, specs in tasks.items()
    }
    for event in LocalExecutor(2).run([Chain(name, tuple(specs), 1.0) for name, specs in before.items()]):
        if isinstance(event, Finished):
            print(event.asset, event.record.stage, event.record.state, event.record.seconds, flush=True)
    wanted = [spec.to_json() for specs in tasks.values() for spec in specs if spec.stage == "generate" or "bake_" in spec.stage]
    (root / "tasks.json").write_text(json.dumps({"root": str(root), "tasks": wanted}))
    read = {path.split("/")[0] for spec in wanted for path in spec["inputs"].values()}
    for folder in (root / "work").iterdir():
        if folder.name not in read:
            shutil.rmtree(folder)


def chains(root: Path, copies: int, label: str) -> list[Chain]:
    """Give every asset's GPU tasks, each copy an asset of its own."""
    document = json.loads(
        (root / "tasks.json").read_text().replace(json.loads((root / "tasks.json").read_text())["root"], str(root))
    )
    specs = [TaskSpec.from_json(task) for task in document["tasks"]]
    made = []
    for copy in range(copies):
        for name in ASSETS:
            own = [
                replace(spec, asset=f"{name}_{copy}", key=f"{spec.key[:24]}-{label}-{copy}")
                for spec in specs
                if spec.asset == name
            ]
            runs = [own[:1], own[1:]]
            gpu = tuple(tuple(GpuTask(spec.asset, spec.key, spec.stage, "", NOTHING) for spec in run) for run in runs)
            made.append(Chain(f"{name}_{copy}", tuple(own), 1.0, GpuPlan(f"{name}_{copy}", gpu, None)))  # type: ignore[arg-type]
    return made


@contextmanager
def cluster(gpus: int) -> Iterator[Any]:
    """Start a scheduler and one worker process for each GPU, as docs/gpu.md says."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as scheduler, Client(scheduler) as client:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.scheduler_address]
        command += ["--nworkers", "1", "--nthreads", "1", "--resources", "GPU=1", "--no-dashboard"]
        environments = [{**os.environ, "CUDA_VISIBLE_DEVICES": str(number)} for number in range(gpus)]
        workers = [subprocess.Popen(command, env=one, stderr=subprocess.DEVNULL) for one in environments]
        try:
            client.wait_for_workers(gpus, timeout=120)
            yield client
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def measure(root: Path, gpus: int) -> dict[str, Any]:
    """Work the batch off on so many GPUs."""
    with cluster(gpus) as client:
        list(DaskExecutor(client).run(chains(root, 1, f"warm{gpus}")))
        batch = chains(root, COPIES, f"run{gpus}")
        begin = time.perf_counter()
        records = [event.record for event in DaskExecutor(client).run(batch) if isinstance(event, Finished)]
        wall = time.perf_counter() - begin
    failed = [record.failure for record in records if record.state != "done"]
    if failed or len(records) != 5 * len(batch):
        raise SystemExit(f"{len(records)} records of {5 * len(batch)}, failures: {failed[:3]}")
    busy: dict[str, float] = {}
    for record in records:
        busy[record.stage] = round(busy.get(record.stage, 0.0) + record.seconds, 2)
    return {"gpus": gpus, "assets": len(batch), "wall_seconds": round(wall, 2), "task_seconds": busy}


def main() -> None:
    """Prepare, or measure and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", type=Path)
    parser.add_argument("--content", type=Path)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "dask_gpus.json")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare.resolve())
        return
    rows = [measure(options.content.resolve(), gpus) for gpus in options.gpus]
    for row in rows:
        row["speed_up"] = round(rows[0]["wall_seconds"] / row["wall_seconds"], 3)
        print(json.dumps(row), flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {gpu_name() or 'no GPU'}"
    options.out.write_text(json.dumps({"machine": machine, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
