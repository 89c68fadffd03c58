from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge_batch.attempts import Attempt, lower_resolution, next_attempt
from forge_batch.content.local import LocalContent
from forge_batch.jobs import Failure, Job, TaskRecord
from forge_batch.plan import InputImage, Task, bind
from forge_batch.project import load_project
from forge_batch.runner import run
from forge_batch.stages import STAGES
from tests.fakes import LEAST, FakeExecutor, FakeWish, Recorder, content_folder

PICTURES = {"front": InputImage(Path("front.png"), "f0")}
BY_NAME = {stage.name: stage for stage in STAGES}
LEARNED = LEAST + "generate: {backend: trellis2, resolution: 1536}\n"


def wish(**generate: Any) -> FakeWish:
    """Ask for a thing made by trellis2."""
    params = {"backend": "trellis2", "resolution": 1536, **generate}
    return FakeWish({"place": BY_NAME["place"].params(height_cm=50), "generate": BY_NAME["generate"].params(**params)}, seed=7)


def failed(task: Task, code: str) -> TaskRecord:
    """Say how a task failed."""
    return TaskRecord(task.stage.name, task.key, "failed", 1.0, failure=Failure(code, "no"))


def after(attempt: Attempt, stage: str, code: str, job: Job | None = None) -> Job:
    """Add to a job that this attempt failed at a stage."""
    task = next(task for task in bind(STAGES, attempt, PICTURES) if task.stage.name == stage)
    return (job or Job("thing")).with_record(failed(task, code))


def following(job: Job, seeds: int, asked: FakeWish) -> Attempt:
    """Find the next attempt."""
    return next_attempt(STAGES, asked, PICTURES, job, seeds)


def test_the_first_attempt_is_what_was_asked_for() -> None:
    """Without failures nothing is changed and nothing is noted."""
    asked = wish()
    attempt = following(Job("thing"), 3, asked)
    assert (attempt.seed, attempt.params(BY_NAME["generate"]), attempt.note) == (7, asked.params(BY_NAME["generate"]), "")


def test_a_failed_gate_leads_to_the_next_seed_and_no_further_than_allowed() -> None:
    """Seeds 7, 8, 9 with two more allowed; when they have failed, the last stays."""
    job = Job("thing")
    seen = []
    for _ in range(5):
        attempt = following(job, 2, wish())
        seen.append(attempt.seed)
        job = after(attempt, "inspect", "gate", job)
    assert seen == [7, 8, 9, 9, 9]
    assert "seed 9" in following(job, 2, wish()).note


@pytest.mark.parametrize(("seeds", "generate"), [(0, {}), (2, {"backend": "hull"})])
def test_a_seed_is_not_changed_in_vain(seeds: int, generate: dict[str, Any]) -> None:
    """Without leave, or where nothing learned uses the seed, a failed gate stays failed."""
    asked = wish(**generate)
    assert following(after(Attempt(asked), "inspect", "gate"), seeds, asked).seed == 7


def test_out_of_memory_lowers_the_resolution_once() -> None:
    """1536 becomes 1024; when that runs out of memory too, it stays."""
    job = after(Attempt(wish()), "generate", "memory")
    attempt = following(job, 0, wish())
    assert attempt.params(BY_NAME["generate"]).resolution == 1024
    assert "next lower resolution" in attempt.note
    assert following(after(attempt, "generate", "memory", job), 0, wish()) == attempt


def test_memory_of_the_cpu_is_no_reason_to_lower_anything() -> None:
    """Only a learned generator has a resolution to lower, and 512 has nothing below it."""
    assert not following(after(Attempt(wish()), "unwrap", "memory"), 0, wish()).lower
    assert lower_resolution(wish(resolution=512).params(BY_NAME["generate"])) is None
    assert lower_resolution(wish(backend="hull").params(BY_NAME["generate"])) is None


@pytest.mark.parametrize("code", ["worker", "content", "quota", "backend_unavailable", "stage", "bug"])
def test_faults_of_the_machinery_are_no_attempts(code: str) -> None:
    """After any other failure the same is tried again."""
    asked = wish()
    assert following(after(Attempt(asked), "generate", code), 3, asked) == Attempt(asked)


class _Refusing(FakeExecutor):
    """Fail a stage the first times."""

    times = 1
    code = "gate"
    stage = "inspect"

    def _work(self, task: Any) -> TaskRecord:
        if task.stage == self.stage and self.times > 0:
            self.times -= 1
            self.ran.append((task.asset, task.stage))
            return TaskRecord(task.stage, task.key, "failed", 1.0, failure=Failure(self.code, "no"))
        return super()._work(task)


def test_a_run_goes_on_with_the_next_seed(tmp_path: Path) -> None:
    """In one and the same run the asset is made again, its report says with which seed, and nothing is done a third time."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", manifest=LEARNED))
    (content.root / "forge.yaml").write_text("retry: {seeds: 2}\n")
    executor = _Refusing()
    (asset,) = run(content, executor, Recorder()).assets
    assert (asset.state, asset.failure) == ("done", None)
    assert asset.note == "made with seed 1, because a gate failed with the seed before"
    assert executor.stages("crate").count("generate") == 2
    assert asset.note in (content.root / "exports" / "crate" / "report.html").read_text()
    again = run(content, FakeExecutor(), Recorder()).assets[0]
    assert (again.state, again.note) == ("skipped", asset.note)


def test_a_run_goes_on_at_a_lower_resolution(tmp_path: Path) -> None:
    """When the generator runs out of memory, the same run makes the asset at the next lower resolution."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", manifest=LEARNED))
    executor = _Refusing()
    executor.code, executor.stage = "memory", "generate"
    (asset,) = run(content, executor, Recorder()).assets
    assert (asset.state, executor.stages("crate").count("generate")) == ("done", 2)
    assert asset.note == "made at the next lower resolution, because the GPU ran out of memory"


def test_without_leave_a_failed_gate_fails_the_asset(tmp_path: Path) -> None:
    """The default tries no other seed."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", manifest=LEARNED))
    assert load_project(content.root).retry.seeds == 0
    executor = _Refusing()
    (asset,) = run(content, executor, Recorder()).assets
    assert asset.state == "failed"
    assert executor.stages("crate").count("generate") == 1
