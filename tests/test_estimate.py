from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field

from forge_batch.artifacts import IMAGES, MESH, Artifact
from forge_batch.estimate import NOTHING, Calibration, Estimator, Seconds, calibration, total
from forge_batch.jobs import TaskRecord
from forge_batch.plan import InputImage, Task, bind
from forge_batch.stage import Cost, Stage, StageParams
from forge_batch.stages import STAGES
from tests.fakes import FakeWish, no_work

GPU = "NVIDIA RTX PRO 6000 Blackwell"


class Work(StageParams):
    """Be the params of a stage whose cost is one of them."""

    backend: Literal["trellis2", "hunyuan3d", "none"] = Field(default="trellis2", description="Anything.")
    seconds: float = Field(default=10.0, description="Prior median.")


def stage_named(name: str) -> Stage[Work]:
    """Make a GPU stage whose prior median is a param, on either device."""
    return Stage(name, 1, "gpu", (IMAGES,), (MESH,), Work, lambda p: Cost(p.seconds, p.seconds), no_work)


STAGE = stage_named("generate")


def task(params: Work | None = None, stage: Stage[Work] = STAGE) -> Task:
    """Make a task of the fake stage."""
    return Task("thing", stage, params or Work(), 0, "key", {})


def took(seconds: float, params: Work | None = None, **fields: Any) -> TaskRecord:
    """Say that a task took so long on the GPU."""
    record: dict[str, Any] = {"gpu_seconds": seconds, "gpu": GPU, "params": (params or Work()).model_dump(), **fields}
    return TaskRecord("generate", "key", "done", seconds, **record)


def tasks_of(texture_size: int = 2048, atlases: int = 1) -> tuple[Task, ...]:
    """Make the tasks of an asset with default params."""
    by_name = {stage.name: stage for stage in STAGES}
    settings = {
        "place": by_name["place"].params(height_cm=50),
        "unwrap": by_name["unwrap"].params(texture_size=texture_size, atlases=atlases),
    }
    return bind(STAGES, FakeWish(settings), {"front": InputImage(Path("front.png"), "f0")})


def learned(records: Sequence[TaskRecord], **options: Any) -> Estimator:
    """Learn with the fake stage as the only one."""
    return Estimator.from_records(records, stages=(STAGE,), **options)


def test_without_history_the_median_is_the_documented_cost() -> None:
    """The prior p50 of every task is what its stage's cost says, and p90 lies above it."""
    estimator = Estimator()
    for one in tasks_of():
        assert estimator.cpu(one).p50 == pytest.approx(one.cost.cpu)
        assert estimator.gpu(one).p50 == pytest.approx(one.cost.gpu if one.device == "gpu" else 0.0)
        assert estimator.cpu(one).p90 > estimator.cpu(one).p50 > 0


def test_the_posterior_is_the_conjugate_one() -> None:
    """After one task of e^2 times the median, p50 lies at 1 / (1 + 0.25) of the way in logarithms, by hand."""
    family = 2 / 1.25  # the stage's factor moves first
    expected = (0.25 * family + 2) / 1.25
    seen = learned([took(10 * math.exp(2))]).gpu(task())
    assert math.log(seen.p50 / 10) == pytest.approx(expected)
    beta = 0.2**2 + 0.25 * (2 - family) ** 2 / (2 * 1.25)
    scale = math.sqrt(beta * 2.25 / (1.5 * 1.25))
    assert math.log(seen.p90 / seen.p50) == pytest.approx(1.637744 * scale, rel=1e-5)  # Student's t, 3 degrees, 90 %: a table


def test_history_wins_over_a_wrong_prior() -> None:
    """After 50 tasks the estimate is that of the tasks, however wrong the cost was."""
    rng = np.random.default_rng(1)
    records = [took(float(s)) for s in np.exp(rng.normal(math.log(70), 0.3, 50))]
    seen = learned(records).gpu(task())
    assert seen.p50 == pytest.approx(70, rel=0.1)
    assert seen.p90 == pytest.approx(70 * math.exp(1.2816 * 0.3), rel=0.15)


@pytest.mark.parametrize("spread", [0.05, 0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("wrong", [0.0, 0.5, 1.0])
def test_nine_of_ten_lie_under_p90(spread: float, wrong: float) -> None:
    """Held out one step ahead, 90 % +- 5 % of tasks lie under p90, whatever the true spread and the error of the priors."""
    rng = np.random.default_rng(round(1000 * spread + 10 * wrong))
    below = []
    for number in range(12):
        stage = stage_named(f"stage_{number}")
        median = 20 * math.exp(rng.normal(0, wrong))
        estimator = Estimator(GPU)
        for seconds in np.exp(rng.normal(math.log(median), spread, 150)):
            below.append(seconds < estimator.gpu(task(Work(seconds=20.0), stage)).p90)
            estimator.learn(took(float(seconds), Work(seconds=20.0)), stage)
    assert 0.85 <= np.mean(below) <= 0.95


def test_kinds_are_kept_apart_by_what_drives_the_cost() -> None:
    """Backend, cost and GPU model each make a kind of their own; what is learned of a GPU does not touch the CPU."""
    records = [took(100.0) for _ in range(30)]
    estimator = learned(records)
    assert estimator.gpu(task()).p50 == pytest.approx(100, rel=0.02)
    other = estimator.gpu(task(Work(backend="hunyuan3d")))
    assert other.p90 / other.p50 > 1.5 * estimator.gpu(task()).p90 / estimator.gpu(task()).p50
    assert learned(records, gpu_model="another").gpu(task()).p50 == pytest.approx(10)
    assert estimator.cpu(task()).p50 == pytest.approx(10)


def test_a_slow_machine_moves_all_params_of_a_stage() -> None:
    """When a stage takes thrice its cost, params that were never seen are expected to take thrice theirs."""
    estimator = learned([took(3 * s, Work(seconds=s)) for s in (5.0, 10.0, 20.0) for _ in range(10)])
    assert estimator.gpu(task(Work(seconds=40.0))).p50 == pytest.approx(120, rel=0.05)


def test_loading_is_not_the_tasks_own_time() -> None:
    """The start of a worker and the loading of a model are learned apart, and are not the task's."""
    first = [took(160.0, load_seconds=50.0, start_seconds=10.0) for _ in range(40)]
    next_ones = [took(100.0) for _ in range(40)]
    estimator = learned(first + next_ones)
    assert estimator.gpu(task()).p50 == pytest.approx(100, rel=0.02)
    assert estimator.switch("trellis2").p50 == pytest.approx(50, rel=0.02)
    assert estimator.cold_start().p50 == pytest.approx(10, rel=0.02)
    assert estimator.cold_start("trellis2").p50 == pytest.approx(60, rel=0.02)
    assert estimator.switch("") == NOTHING


def test_failed_and_foreign_records_teach_nothing() -> None:
    """A failed task, one of an unknown stage, and one whose params no longer exist leave the estimates alone."""
    records = [
        TaskRecord("generate", "a", "failed", 900.0, gpu_seconds=900.0, gpu=GPU, params=Work().model_dump()),
        TaskRecord("gone", "b", "done", 900.0, params={}),
        TaskRecord("generate", "c", "done", 900.0, gpu_seconds=900.0, gpu=GPU, params={"old": 1}),
    ]
    assert learned(records).gpu(task()).p50 == pytest.approx(10)


def test_a_total_has_the_quantiles_of_the_sum() -> None:
    """p50 and p90 of a sum of independent log-normals match a simulation within 3 %."""
    parts = [Seconds(10, 10 * math.exp(1.2816 * s)) for s in (0.1, 0.3, 0.5, 0.6)] + [Seconds(40, 60), Seconds(3, 9)]
    rng = np.random.default_rng(3)
    sums = sum(part.p50 * np.exp(rng.normal(0, part.sigma, 400_000)) for part in parts)
    seen = total(parts)
    assert seen.p50 == pytest.approx(np.quantile(sums, 0.5), rel=0.03)
    assert seen.p90 == pytest.approx(np.quantile(sums, 0.9), rel=0.03)


def test_a_total_of_one_kind_shares_its_error() -> None:
    """A hundred tasks of a kind that nobody measured do not average out: their common error stays."""
    alone, common = Seconds(10, 20), Seconds(10, 20, shared=0.8)
    rng = np.random.default_rng(4)
    sigma = common.sigma
    shift = rng.normal(0, math.sqrt(0.8) * sigma, (20_000, 1))
    sums = (10 * np.exp(shift + rng.normal(0, math.sqrt(0.2) * sigma, (20_000, 100)))).sum(axis=1)
    assert total([common] * 100).p90 == pytest.approx(np.quantile(sums, 0.9), rel=0.05)
    assert total([alone] * 100).p90 < 0.75 * total([common] * 100).p90
    assert total([]) == total([NOTHING]) == NOTHING


def test_disk_is_learned_by_slot() -> None:
    """Bytes start at the prior of their slot and follow what was written."""
    prior = Estimator().disk([task()])
    outputs = (Artifact("mesh", "mesh.npz", "", 100 * prior),)
    assert learned([took(1.0, outputs=outputs)] * 50).disk([task()]) == pytest.approx(100 * prior, rel=0.05)


def test_larger_textures_take_more_disk() -> None:
    """Maps are priced by the texture size that unwrap is told, and by how many there may be."""
    small, large = (Estimator().disk(tasks_of(texture_size=size)) for size in (1024, 4096))
    assert large > small + 2 * (4096**2 - 1024**2)
    assert Estimator().disk(tasks_of(1024, 4)) == Estimator().disk(tasks_of(2048))


def test_calibration_holds_what_was_foretold_against_what_was_taken() -> None:
    """Of four tasks foretold as 10 s and at most 20 s, which took 8, 10, 20 and 40 s, three of four are under p90.

    The p50 was off by 25 %, 0 %, 50 % and 75 %: by 37.5 % in the middle. Loading and starting are not the task's own seconds.
    """

    def past(seconds: float, **fields: Any) -> TaskRecord:
        return replace(TaskRecord("unwrap", str(seconds), "done", seconds, expected=(10.0, 20.0)), **fields)

    on_gpu = past(40.0, stage="bake_normal", gpu="H100", gpu_seconds=100.0, load_seconds=50.0, start_seconds=10.0)
    records = [past(8.0), past(10.0), past(20.0), on_gpu]
    assert calibration(records) == Calibration(4, 0.75, pytest.approx(0.375))
    nobody_foretold = [past(9.0, expected=None), past(900.0, stage="bake_normal"), past(900.0, state="failed")]
    assert calibration([*records, *nobody_foretold]) == calibration(records)
    assert calibration(nobody_foretold) is None
