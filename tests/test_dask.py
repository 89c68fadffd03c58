from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from forge_batch.content.local import LocalContent
from forge_batch.estimate import NOTHING
from forge_batch.executors.contract import Chain, Finished, TaskSpec
from forge_batch.executors.dask import SKIPPED, DaskExecutor, entries, on_worker
from forge_batch.runner import run
from forge_batch.windows import GpuPlan, GpuTask
from tests.fakes import LEAST, Recorder, content_folder, picture

SMALL = LEAST + (
    "generate: {quality: fast}\ndecimate: {triangles: 1000}\nunwrap: {texture_size: 512}\nbake_occlusion: {rays: 4}\n"
    "build_collision: {method: box}\n"
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Start a cluster of two worker processes with one GPU each."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, resources={"GPU": 1}, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as found,
    ):
        yield found


def cut_out(folder: Path, asset: str, size: int = 64, device: str = "gpu", **fields: Any) -> TaskSpec:
    """Make a task that cuts out a picture; a large one takes some seconds."""
    image = picture(folder / "inbox" / asset / "front.png", (size, size), "RGB" if size > 64 else "RGBA")
    params = {"method": "key"} if size > 64 else {}
    spec = TaskSpec(asset, "remove_background", params, 0, f"key-{asset}", {}, {"front": image}, folder / "work", device)
    return TaskSpec(**{**vars(spec), **fields})


@pytest.mark.slow
def test_a_batch_runs_on_a_cluster(client: Client, tmp_path: Path) -> None:
    """Two assets become packages on two workers, through the same runner as everywhere."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", "lamp", manifest=SMALL))
    report = run(content, DaskExecutor(client), Recorder())
    assert [(asset.asset, asset.state) for asset in report.assets] == [("crate", "done"), ("lamp", "done")], report
    assert (content.root / "exports" / "lamp" / "export_Lamp_UE5.zip").is_file()


def test_both_gpus_work_at_the_same_time(client: Client, tmp_path: Path) -> None:
    """Of two GPU tasks each is on a worker of its own at one and the same moment."""
    specs = [cut_out(tmp_path, name, 2500) for name in "ab"]
    seen = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append([len(keys) for keys in client.processing().values() if keys])
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    events = list(DaskExecutor(client).run([Chain(spec.asset, (spec,), 1.0) for spec in specs]))
    over.set()
    thread.join()
    assert [event.record.state for event in events if isinstance(event, Finished)] == ["done"] * 2
    assert [1, 1] in seen


def test_the_bakes_of_an_asset_go_to_one_worker() -> None:
    """GPU tasks that are ready together are one entry; what comes before and after them is on its own."""
    stages = [("generate", "gpu"), ("unwrap", "cpu"), ("bake_normal", "gpu"), ("bake_occlusion", "gpu"), ("export", "cpu")]
    specs = tuple(TaskSpec("a", name, {}, 0, name, {}, {}, Path(), device) for name, device in stages)
    runs = tuple(
        tuple(GpuTask("a", name, name, "", NOTHING) for name in run)
        for run in (["generate"], ["bake_normal", "bake_occlusion"])
    )
    chain = Chain("a", specs, 1.0, GpuPlan("a", runs, datetime(2026, 1, 1, tzinfo=UTC)))
    together = [[spec.stage for spec in entry] for entry in entries(chain)]
    assert together == [["generate"], ["unwrap"], ["bake_normal", "bake_occlusion"], ["export"]]
    assert [len(entry) for entry in entries(replace(chain, gpu=None))] == [1] * 5


def test_within_an_entry_a_failure_stops_what_reads_from_it(client: Client, tmp_path: Path) -> None:
    """Of two tasks ready together one fails: the other is done and told of, once each."""
    bad, good = cut_out(tmp_path, "bad", params={"method": "no such method"}), cut_out(tmp_path, "good")
    after = TaskSpec("bad", "repair", {}, 0, "after", {"mesh": "key-bad/mesh.npz"}, {}, tmp_path / "work")
    records = client.submit(on_worker, (bad, after, good), [], pure=False).result()
    assert [(record.key, record.state) for record in records] == [
        ("key-bad", "failed"), ("after", "failed"), ("key-good", "done"),
    ]  # fmt: skip
    assert records[1].failure.code == SKIPPED


def test_a_killed_worker_costs_its_task_nothing(client: Client, tmp_path: Path) -> None:
    """When the process that works on a task is killed, another does it, and nobody fails."""
    spec = cut_out(tmp_path, "a", 3000)
    pids = client.run(os.getpid)
    killed = []

    def kill() -> None:
        while not killed:
            busy = [address for address, keys in client.processing().items() if keys]
            if busy and (tmp_path / "work" / "unfinished").is_dir():
                os.kill(pids[busy[0]], signal.SIGKILL)
                killed.append(busy[0])
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    events = list(DaskExecutor(client).run([Chain("a", (spec,), 1.0)]))
    killed.append("nobody")
    thread.join()
    assert killed[0] in pids
    assert [event.record.state for event in events if isinstance(event, Finished)] == ["done"]
    assert (tmp_path / "work" / "key-a" / "cutouts.npz").is_file()
    client.wait_for_workers(2)


def test_after_a_failure_the_asset_stops_and_the_others_go_on(client: Client, tmp_path: Path) -> None:
    """A task that fails is told of once; those that read from it do not run; another asset is done."""
    bad = cut_out(tmp_path, "bad", params={"method": "no such method"})
    after = TaskSpec("bad", "repair", {}, 0, "after", {"mesh": "key-bad/mesh.npz"}, {}, tmp_path / "work")
    good = cut_out(tmp_path, "good")
    events = list(DaskExecutor(client).run([Chain("bad", (bad, after), 2.0), Chain("good", (good,), 1.0)]))
    outcomes = {(event.asset, event.record.key): event.record.state for event in events if isinstance(event, Finished)}
    assert outcomes == {("bad", "key-bad"): "failed", ("good", "key-good"): "done"}
