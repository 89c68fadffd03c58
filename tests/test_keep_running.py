"""Keep a runner going on a real folder with an executor that makes files out of thin air."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forge_batch.builds import Builds, builds_of
from forge_batch.content.local import LocalContent
from forge_batch.control import PATH, Word, asked, load_control
from forge_batch.executors.contract import Chain, Event
from forge_batch.jobs import Failure
from forge_batch.keep_running import keep_running, run_once
from forge_batch.live import LiveFile, Several, read_live
from forge_batch.queue_view import Row
from forge_batch.survey import Survey
from tests.fakes import FakeExecutor, Recorder, content_folder


@dataclass
class SlowExecutor(FakeExecutor):
    """Take some time for each task."""

    seconds: float = 0.0

    def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
        for event in super().run(chains):
            time.sleep(self.seconds)
            yield event


@dataclass
class Runner:
    """Be a runner in a thread."""

    content: LocalContent
    executor: SlowExecutor
    said: list[str] = field(default_factory=list)
    nudge: threading.Event = field(default_factory=threading.Event)
    left: bool = False

    def start(self) -> None:
        """Begin, and go on until `stop`."""
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        live = LiveFile(self.content.home, self.nudge.set, beat=0.2)
        told = Several(Recorder(), Builds(self.content), live)
        keep_running(
            self.content,
            lambda: run_once(self.content, self.executor, told, live),
            live,
            self.said.append,
            self.nudge,
            lambda: self.left,
        )

    def stop(self) -> None:
        """Leave in good order."""
        self.left = True
        self.nudge.set()
        self.thread.join(10)

    def ask(self, word: Word, asset: str = "", value: int | None = None) -> None:
        """Be the owner."""
        control = load_control(self.content.home).after(asked(word, "owner", datetime.now(UTC), asset, value))
        self.content.record(PATH, control.to_json(), word)


def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def at_rest(runner: Runner) -> bool:
    """Tell whether a first run is over."""
    live = read_live(runner.content.home)
    return live.state == "idle" and live.processed != ""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """Give a runner with three assets to make."""
    one = Runner(LocalContent(content_folder(tmp_path / "content", "crate", "hat", "lamp")), SlowExecutor())
    yield one
    one.stop()


def states(content: LocalContent) -> dict[str, str]:
    """Give the state of every row of the page."""
    survey = Survey(content, 1)
    survey.look()
    return {row.asset: row.state for row in sorted(survey.rows, key=lambda row: row.asset)}


def row(content: LocalContent, asset: str) -> Row:
    """Give a row of the page."""
    survey = Survey(content, 1)
    survey.look()
    found = survey.row(asset)
    assert found
    return found


def test_a_live_run_is_seen_from_outside(runner: Runner) -> None:
    """While it works the file names the asset, its stage and the folder's revision; then it is idle, and leaves when told."""
    runner.executor.seconds = 0.02
    runner.start()
    until(lambda: bool(read_live(runner.content.home).doing))
    live = read_live(runner.content.home)
    assert live.state == "working"
    assert live.seen == runner.content.revision
    assert set(live.doing) <= {"crate", "hat", "lamp"}
    until(lambda: at_rest(runner))
    assert read_live(runner.content.home).processed == runner.content.revision
    assert states(runner.content) == {"crate": "done", "hat": "done", "lamp": "done"}
    runner.stop()
    live = read_live(runner.content.home)
    assert live.state == "ended"
    assert not live.silent(time.time() + 3600)


def test_a_runner_that_died_is_silent_after_two_beats(tmp_path: Path) -> None:
    """Signs of life come as long as the thread that works lives; then the file is found silent within two beats and a bit."""
    begun = threading.Event()

    def die() -> None:
        LiveFile(tmp_path, beat=0.2).began("x")
        begun.set()
        time.sleep(0.5)

    thread = threading.Thread(target=die, daemon=True)
    thread.start()
    begun.wait()
    time.sleep(0.45)
    assert not read_live(tmp_path).silent(time.time())
    thread.join()
    until(lambda: read_live(tmp_path).silent(time.time()), seconds=1.0)
    assert read_live(tmp_path).state == "working"


def test_paused_means_paused(runner: Runner) -> None:
    """A paused run stops between two tasks and keeps what is finished; resumed, it does no task twice."""
    runner.executor.seconds = 0.02
    runner.start()
    until(lambda: len(runner.executor.ran) > 8)
    runner.ask("pause")
    until(lambda: read_live(runner.content.home).state == "paused")
    count = len(runner.executor.ran)
    time.sleep(0.4)
    assert len(runner.executor.ran) == count
    assert "paused by owner" in row(runner.content, "lamp").why
    runner.ask("resume")
    until(lambda: set(states(runner.content).values()) == {"done"})
    assert len(runner.executor.ran) - len(set(runner.executor.ran)) <= 1  # the one that was cut off


def test_a_cancelled_asset_is_left_alone(runner: Runner) -> None:
    """Cancelled before its turn, an asset is not worked on; released, it is made."""
    runner.ask("cancel", "hat")
    runner.start()
    until(lambda: at_rest(runner))
    assert states(runner.content) == {"crate": "done", "hat": "held", "lamp": "done"}
    assert runner.executor.stages("hat") == []
    runner.ask("release", "hat")
    until(lambda: states(runner.content)["hat"] == "done")


def test_a_failure_is_tried_again_once(runner: Runner) -> None:
    """A lasting failure stays until the owner asks for another try; after it the wish is taken up."""
    runner.executor.failures["lamp", "inspect"] = Failure("stage", "it is not closed")
    runner.start()
    until(lambda: states(runner.content)["lamp"] == "failed")
    assert row(runner.content, "lamp").why.startswith("it is not closed")
    assert row(runner.content, "lamp").facts.attempts == 1
    until(lambda: at_rest(runner))
    before = runner.executor.stages("lamp")
    del runner.executor.failures["lamp", "inspect"]
    runner.ask("retry", "lamp")
    until(lambda: states(runner.content)["lamp"] == "done")
    assert runner.executor.stages("lamp")[len(before)] == "inspect"
    until(lambda: load_control(runner.content.home).retry == frozenset())


def test_priority_decides_who_is_next(runner: Runner) -> None:
    """The asset with the highest priority is made first, whatever its name and its manifest."""
    runner.ask("priority", "lamp", 90)
    runner.start()
    until(lambda: set(states(runner.content).values()) == {"done"})
    assert runner.executor.ran[0][0] == "lamp"


def test_every_build_is_remembered(runner: Runner) -> None:
    """A build says from which version of the folder it came; another build of the same asset stands before it."""
    runner.start()
    until(lambda: at_rest(runner))
    seen = read_live(runner.content.home).processed
    (build,) = builds_of(runner.content.home, "lamp")
    assert build["commit"] == seen
    assert build["package"] == "exports/lamp/export_Lamp_UE5.zip"
    time.sleep(1.0)  # names of builds tell seconds apart
    path = runner.content.root / "manifests" / "lamp.yaml"
    path.write_text(path.read_text() + "seed: 7\n")
    until(lambda: len(builds_of(runner.content.home, "lamp")) == 2)
    newest = builds_of(runner.content.home, "lamp")[0]
    assert newest["commit"] == runner.content.revision != seen
