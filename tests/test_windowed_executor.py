from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_batch.estimate import Estimator, Seconds
from forge_batch.executors.contract import Chain, Event, Finished, TaskSpec, Waits, WindowEdge
from forge_batch.executors.gpu_window import Refusal, Refused, Started, WindowTask, run_window
from forge_batch.executors.local import LocalGpu
from forge_batch.executors.windowed import KILLS, WindowedExecutor
from forge_batch.jobs import Failure, TaskRecord
from forge_batch.quota import PROFILES, UNLIMITED, Allowance, Budget, Ledger
from forge_batch.windows import GpuPlan, GpuTask, Window
from tests.fakes import picture

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEED = PROFILES["seed"]


def gpu_chain(asset: str, work: Path, *runs: Sequence[str], seconds: float = 10.0) -> Chain:
    """Make an asset whose GPU tasks follow one another in runs; nothing lies between them but order."""
    specs, plans, before = [], [], ""
    for number, run in enumerate(runs):
        tasks = []
        for stage in run:
            key = f"{asset}-{number}-{stage}"
            inputs = {"mesh": f"{before}/mesh.npz"} if before else {}
            specs.append(TaskSpec(asset, stage, {}, 0, key, inputs, {}, work, "gpu"))
            tasks.append(GpuTask(asset, key, stage, "", Seconds(seconds / 2, seconds)))
            before = key
        plans.append(tuple(tasks))
    return Chain(asset, tuple(specs), 0.0, GpuPlan(asset, tuple(plans), NOW))


@dataclass
class FakeGpu:
    """Do every task in no time, and misbehave as told.

    Attributes:
        script: For each window that is opened, in order: after how many records it ends, and how.
        done: Keys in the order in which they were done, over all windows.
    """

    script: list[tuple[int, Refusal]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failing: frozenset[str] = frozenset()

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        self.windows.append(window)
        after, refusal = self.script.pop(0) if self.script else (len(tasks) + 1, Refusal("alarm", ""))
        for number, news in enumerate(run_window(tasks, window.limit, self._run)):
            yield news
            if isinstance(news, Started) and number // 2 >= after:
                break
        if after <= len(tasks):
            raise Refused(refusal)

    def _run(self, spec: TaskSpec, progress: Callable[[float, str], None]) -> TaskRecord:
        if spec.key in self.failing:
            return TaskRecord(spec.stage, spec.key, "failed", 1.0, failure=Failure("stage", "no"))
        self.done.append(spec.key)
        return TaskRecord(spec.stage, spec.key, "done", 1.0)


def run(
    gpu: Any, chains: Sequence[Chain], folder: Path, allowance: Allowance = SEED, clock: Callable[[], datetime] = lambda: NOW
) -> tuple[list[Event], Ledger]:
    """Run chains in windows; give the events and the ledger."""
    ledger = Ledger(folder / "ledger.jsonl")
    executor = WindowedExecutor(2, gpu, Budget(allowance, ledger), Seconds(1, 2), clock, stay=timedelta(0))
    return list(executor.run(chains)), ledger


def finished(events: Sequence[Event]) -> list[str]:
    """Name the tasks that ended well."""
    return [event.record.key for event in events if isinstance(event, Finished) and event.record.state == "done"]


def test_runs_of_several_assets_share_a_window(tmp_path: Path) -> None:
    """Two assets with two runs each take two windows, and every task is done once."""
    gpu = FakeGpu()
    chains = [gpu_chain(name, tmp_path, ["generate"], ["bake_normal", "bake_occlusion"]) for name in ("a", "b")]
    events, ledger = run(gpu, chains, tmp_path)
    assert sorted(finished(events)) == sorted(spec.key for chain in chains for spec in chain.tasks)
    assert [window.assets for window in gpu.windows] == [("a", "b"), ("a", "b")]
    kinds = [entry.kind for entry in ledger.entries()]
    assert kinds == ["reserve", "settle"] * 2
    assert [event.begins for event in events if isinstance(event, WindowEdge)] == [True, False] * 2


def test_a_window_is_told_of_before_it_begins(tmp_path: Path) -> None:
    """When its beginning is told, its seconds stand in the ledger and the GPU has not been asked yet; its end is settled."""
    gpu = FakeGpu()
    ledger = Ledger(tmp_path / "ledger.jsonl")
    executor = WindowedExecutor(2, gpu, Budget(SEED, ledger), Seconds(1, 2), lambda: NOW, stay=timedelta(0))
    seen = [
        (event.begins, len(gpu.windows), [entry.kind for entry in ledger.entries()])
        for event in executor.run([gpu_chain("a", tmp_path, ["generate"])])
        if isinstance(event, WindowEdge)
    ]
    assert seen == [(True, 0, ["reserve"]), (False, 1, ["reserve", "settle"])]


def test_what_does_not_fit_waits_and_says_so(tmp_path: Path) -> None:
    """With 1,500 s of allowance, an asset that needs 2,000 s stays undone, and an event says why."""
    gpu = FakeGpu()
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"], seconds=2000.0)], tmp_path)
    assert finished(events) == []
    assert [event.reason for event in events if isinstance(event, Waits)] == [
        "what is left of the GPU allowance is too little for any task"
    ]
    assert gpu.windows == []


def test_nobody_opens_a_window_that_is_not_in_the_ledger(tmp_path: Path) -> None:
    """Where the ledger cannot be read or written, no window opens, and an event says so."""
    (tmp_path / "ledger.jsonl").mkdir()
    gpu = FakeGpu()
    (event,), _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"])], tmp_path)
    assert isinstance(event, Waits)
    assert "ledger.jsonl" in event.reason
    assert gpu.windows == []


def test_a_wait_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    """When the platform says to come back in five hours, the work stays, nothing is charged, and the event has the time."""
    until = NOW + timedelta(hours=5)
    gpu = FakeGpu([(0, Refusal("wait", "the allowance is spent", until))])
    gpu.open = lambda window, tasks: _refuse(Refusal("wait", "the allowance is spent", until))  # type: ignore[method-assign]
    events, ledger = run(gpu, [gpu_chain("a", tmp_path, ["generate"])], tmp_path)
    assert [event for event in events if not isinstance(event, WindowEdge)] == [Waits("the allowance is spent", until)]
    assert [entry.seconds for entry in ledger.entries()][-1] == 0.0


def _refuse(refusal: Refusal) -> Iterator[Started | TaskRecord]:
    raise Refused(refusal)
    yield  # a generator, as the protocol says


def test_a_killed_window_keeps_what_it_yielded(tmp_path: Path) -> None:
    """After a kill at the third task, the first two are kept, and a second window does the rest."""
    gpu = FakeGpu([(2, Refusal("killed", "GPU task aborted"))])
    chains = [gpu_chain(name, tmp_path, ["generate"]) for name in "abcd"]
    events, _ = run(gpu, chains, tmp_path)
    assert sorted(finished(events)) == sorted(spec.key for chain in chains for spec in chain.tasks)
    assert len(gpu.windows) == 2
    assert len(gpu.windows[1].tasks) == 2


def test_a_task_whose_worker_is_killed_again_and_again_fails_its_asset(tmp_path: Path) -> None:
    """The third kill of one task is a failure of its asset; the others are done."""
    gpu = FakeGpu([(0, Refusal("killed", "GPU task aborted"))] * (KILLS + 1))
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"]), gpu_chain("b", tmp_path, ["generate"])], tmp_path)
    failed = [event for event in events if isinstance(event, Finished) and event.record.state == "failed"]
    assert [(event.asset, event.record.failure.code) for event in failed if event.record.failure] == [("a", "worker")]
    assert finished(events) == ["b-0-generate"]


def test_a_broken_task_fails_at_once(tmp_path: Path) -> None:
    """An exception in the worker fails the asset whose task was at work, and no other."""
    gpu = FakeGpu([(0, Refusal("fail", "ValueError"))])
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"]), gpu_chain("b", tmp_path, ["generate"])], tmp_path)
    failed = [event.asset for event in events if isinstance(event, Finished) and event.record.state == "failed"]
    assert (failed, finished(events)) == (["a"], ["b-0-generate"])


def test_faults_of_the_network_are_tried_again(tmp_path: Path) -> None:
    """A retry opens the same window again and fails nobody."""
    gpu = FakeGpu([(0, Refusal("retry", "Unexpected end of stream"))] * 3)
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"])], tmp_path)
    assert finished(events) == ["a-0-generate"]
    assert len(gpu.windows) == 4


def test_a_window_that_is_too_long_is_split(tmp_path: Path) -> None:
    """When the platform refuses the duration, the next windows ask for half of it at most."""
    gpu = FakeGpu([(0, Refusal("split", "larger than the maximum allowed"))])
    events, _ = run(gpu, [gpu_chain(name, tmp_path, ["generate"], seconds=50.0) for name in "abcdef"], tmp_path)
    assert len(finished(events)) == 6
    assert all(window.limit <= gpu.windows[0].limit // 2 for window in gpu.windows[1:])
    assert len(gpu.windows[1].tasks) < 6


def test_a_failed_task_takes_the_rest_of_its_asset_along(tmp_path: Path) -> None:
    """After a failed task nothing of that asset runs, in this window or a later one."""
    gpu = FakeGpu(failing=frozenset({"a-0-generate"}))
    chains = [gpu_chain(name, tmp_path, ["generate"], ["bake_normal"]) for name in "ab"]
    events, _ = run(gpu, chains, tmp_path)
    assert finished(events) == ["b-0-generate", "b-1-bake_normal"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from([Refusal("killed", "k"), Refusal("retry", "r"), Refusal("split", "s"), Refusal("fail", "f")]),
        ),
        max_size=5,
    ),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_nothing_is_lost_or_done_twice(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[int, Refusal]], lengths: list[int]
) -> None:
    """However windows end, every task is done at most once, in order, and every asset is done, failed, or left for later."""
    folder = tmp_path_factory.mktemp("run")
    stages = ["generate", "bake_normal", "rig"]
    chains = [gpu_chain(f"a{n}", folder, *[[stage] for stage in stages[:length]]) for n, length in enumerate(lengths)]
    gpu = FakeGpu(list(script))
    events, ledger = run(gpu, chains, folder)
    done = finished(events)
    assert max(Counter(done).values(), default=1) == 1
    failed = {event.asset for event in events if isinstance(event, Finished) and event.record.state == "failed"}
    waits = any(isinstance(event, Waits) for event in events)
    for chain in chains:
        mine = [key for key in done if key.startswith(chain.asset)]
        assert mine == [spec.key for spec in chain.tasks][: len(mine)]
        assert len(mine) == len(chain.tasks) or chain.asset in failed or waits
    assert len([entry for entry in ledger.entries() if entry.kind == "settle"]) == len(gpu.windows)


def test_the_gpu_side_stops_before_what_would_not_fit() -> None:
    """Of tasks of 40 s, two fit in 100 s; a later one that is short enough is still done."""
    now = [0.0]

    def work(spec: TaskSpec, progress: Callable[[float, str], None]) -> TaskRecord:
        now[0] += 40 if spec.asset != "e" else 10
        return TaskRecord(spec.stage, spec.key, "done", 40.0)

    tasks = [WindowTask(_spec(name), "", 10.0 if name == "e" else 40.0, 0.0, 0.0) for name in "abcde"]
    records = [news.key for news in run_window(tasks, 100, work, lambda: now[0]) if isinstance(news, TaskRecord)]
    assert records == ["a", "b", "e"]


def test_a_spare_task_leaves_room_for_the_planned_ones() -> None:
    """A spare task is done only if the planned ones still fit after it."""
    done = []

    def work(spec: TaskSpec, progress: Callable[[float, str], None]) -> TaskRecord:
        done.append(spec.key)
        now[0] += 30
        return TaskRecord(spec.stage, spec.key, "done", 30.0)

    plan = (("a", 40, 0), ("b", 40, 60), ("c", 60, 0))
    tasks = [WindowTask(_spec(name), "", seconds, 0, reserve) for name, seconds, reserve in plan]
    for limit, expected in ((100, ["a", "c"]), (130, ["a", "b", "c"])):
        now = [0.0]
        done.clear()
        list(run_window(tasks, limit, work, lambda now=now: now[0]))
        assert done == expected


def _spec(name: str) -> TaskSpec:
    return TaskSpec(name, "generate", {}, 0, name, {}, {}, Path("work"), "gpu")


def test_specs_cross_borders_as_plain_data(tmp_path: Path) -> None:
    """A window's tasks come back whole from JSON."""
    spec = TaskSpec("a", "generate", {"x": 1}, 3, "k", {"mesh": "b/mesh.npz"}, {"front": tmp_path}, tmp_path, "gpu", (1.0, 2.0))
    task = WindowTask(spec, "trellis2", 10.0, 5.0, 0.0)
    assert WindowTask.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_a_window_can_be_a_process_of_this_machine(tmp_path: Path) -> None:
    """LocalGpu runs tasks elsewhere and hands over their records: here a stage that does not find its input."""
    chain = gpu_chain("a", tmp_path, ["bake_normal"])
    began = time.monotonic()
    events, ledger = run(LocalGpu(), [chain], tmp_path, UNLIMITED)
    (event,) = [event for event in events if isinstance(event, Finished)]
    assert (event.record.state, event.record.key) == ("failed", "a-0-bake_normal")
    assert 0 < ledger.entries()[-1].seconds < time.monotonic() - began + 1


def test_the_cpu_works_while_a_window_is_open(tmp_path: Path) -> None:
    """A window stays open until a CPU stage of another asset is finished; then that asset has its own window."""
    cut = threading.Event()

    class Slow(FakeGpu):
        def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
            assert self.windows or cut.wait(60), "the CPU waited for the GPU"
            yield from super().open(window, tasks)

    image = picture(tmp_path / "inbox" / "b" / "front.png")
    first = TaskSpec("b", "remove_background", {}, 0, "b-cut", {}, {"front": image}, tmp_path / "work")
    then = TaskSpec("b", "generate", {}, 0, "b-generate", {"cutouts": "b-cut/cutouts.npz"}, {}, tmp_path / "work", "gpu")
    plan = GpuPlan("b", ((GpuTask("b", "b-generate", "generate", "", Seconds(50, 100)),),), NOW)
    chains = [gpu_chain("a", tmp_path, ["generate"], seconds=100.0), Chain("b", (first, then), 1.0, plan)]
    gpu = Slow()
    executor = WindowedExecutor(2, gpu, Budget(SEED, Ledger(tmp_path / "ledger.jsonl")), Seconds(1, 2), lambda: NOW)
    done = []
    for event in executor.run(chains):
        if isinstance(event, Finished):
            done.append(event.record.key)
            if event.record.key == "b-cut":
                cut.set()
    assert done == ["b-cut", "a-0-generate", "b-generate"]
    assert [window.assets for window in gpu.windows] == [("a",), ("b",)]


class LateGpu(FakeGpu):
    """Take a while until the first task of a window begins."""

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        time.sleep(0.2)
        yield from super().open(window, tasks)


def test_the_start_of_a_worker_is_kept_and_learned_from(tmp_path: Path) -> None:
    """The first record of each window holds the seconds until its first task began; estimates move from their prior to them."""
    chains = [gpu_chain(name, tmp_path, ["generate"], ["bake_normal"]) for name in "ab"]
    events, _ = run(LateGpu(), chains, tmp_path)
    records = [event.record for event in events if isinstance(event, Finished)]
    begun = [record.start_seconds for record in records]
    assert [start >= 0.2 for start in begun] == [True, False] * 2
    assert begun[1::2] == [0.0, 0.0]
    assert [record.gpu_seconds for record in records] == pytest.approx([1.0 + start for start in begun])
    kept = [TaskRecord.from_json(json.loads(json.dumps(record.to_json()))) for record in records]
    learned, guessed = Estimator.from_records(kept).cold_start(), Estimator().cold_start()
    assert max(begun) < learned.p50 < guessed.p50 / 2


def test_the_start_that_history_knows_is_planned_for(tmp_path: Path) -> None:
    """An executor that is told nothing plans the start that came with the chains: 7 s of p90 beside a task of 10 s."""
    chain = gpu_chain("a", tmp_path, ["generate"])
    assert chain.gpu is not None
    gpu = FakeGpu()
    executor = WindowedExecutor(2, gpu, Budget(SEED, Ledger(tmp_path / "ledger.jsonl")), clock=lambda: NOW, stay=timedelta(0))
    list(executor.run([replace(chain, gpu=replace(chain.gpu, start=Seconds(4.0, 7.0)))]))
    assert [window.seconds for window in gpu.windows] == [17]


def test_after_five_retries_the_gpu_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """The sixth fault of the network in a row ends the windows for five minutes; nobody has failed."""
    gpu = FakeGpu([(0, Refusal("retry", "Unexpected end of stream"))] * 6)
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"])], tmp_path)
    assert [event for event in events if isinstance(event, Waits)] == [
        Waits("Unexpected end of stream", NOW + timedelta(minutes=5))
    ]
    assert (finished(events), len(gpu.windows)) == ([], 6)


def test_a_long_task_waits_for_the_last_call(tmp_path: Path) -> None:
    """With 300 s left of 1,500, a task of 200 s waits until three hours before midnight, and the event says when."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.settle(ledger.reserve(1200, NOW), 1200, NOW)
    gpu = FakeGpu()
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"], seconds=200.0)], tmp_path)
    assert [event.until for event in events if isinstance(event, Waits)] == [datetime(2026, 3, 1, 21, tzinfo=UTC)]
    late = lambda: datetime(2026, 3, 1, 21, tzinfo=UTC)  # noqa: E731 - a clock that stands still
    events, _ = run(gpu, [gpu_chain("a", tmp_path, ["generate"], seconds=200.0)], tmp_path, clock=late)
    assert finished(events) == ["a-0-generate"]
