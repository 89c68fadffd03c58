from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from forge_batch.cli import main
from forge_batch.estimate import Estimator, Seconds, total
from forge_batch.jobs import Failure, Job, TaskRecord
from forge_batch.plan import InputImage, Plan, plan
from forge_batch.retry_price import Odds, Retry, retries
from forge_batch.stages import STAGES
from tests.fakes import LEAST, FakeWish, content_folder

BY_NAME = {stage.name: stage for stage in STAGES}
PICTURES = {"front": InputImage(Path("front.png"), "f0")}


def planned(**generate: Any) -> Plan:
    """Plan a thing with these options of `generate`."""
    params = {"place": BY_NAME["place"].params(height_cm=50), "generate": BY_NAME["generate"].params(**generate)}
    return plan(STAGES, FakeWish(params), PICTURES, Job("thing"), ())


def outcome(stage: str, number: int, code: str = "") -> TaskRecord:
    """Be the outcome of a task."""
    failure = Failure(code, "no") if code else None
    return TaskRecord(stage, f"{stage}{number}", "failed" if code else "done", 1.0, failure=failure)


def test_chances_begin_with_the_prior_and_follow_the_history() -> None:
    """A failed gate has 10 % before anything is known, and (5 x 0.1 + 2) / (5 + 5) = 25 % after two failures of five."""
    assert (Odds.from_records([]).gate, Odds.from_records([]).memory) == (0.1, 0.02)
    gates = [outcome("inspect", n, "gate" if n < 2 else "") for n in range(5)]
    odds = Odds.from_records([*gates, outcome("generate", 0, "memory"), outcome("generate", 1, "bug")])
    assert odds.gate == pytest.approx(0.25)
    assert odds.memory == pytest.approx((5 * 0.02 + 1) / (5 + 2))
    assert odds.learned_from == 5


def test_a_further_attempt_is_made_only_if_all_before_failed() -> None:
    """With a chance of one half and two seeds left, an attempt of 100 s adds 50 + 25 s on average."""
    assert Retry("gate", 0.5, 2, Seconds(100.0, 100.0)).expected == pytest.approx(75.0)


def test_another_seed_costs_what_the_asset_costs_and_a_lower_resolution_one_generate() -> None:
    """The price of an attempt is that of all GPU stages for a seed, and of `generate` at 1024 for one at 1536."""
    seen = planned(backend="trellis2", resolution=1536)
    estimator = Estimator()
    seed, lower = retries(seen, estimator, Odds(), 2, lower=True)
    assert (seed.reason, seed.chance, seed.times) == ("gate", 0.1, 2)
    assert seed.gpu == total(estimator.gpu(task) for task in seen.tasks)
    at_1024 = next(task for task in planned(backend="trellis2", resolution=1024).tasks if task.stage.name == "generate")
    assert (lower.reason, lower.times, lower.gpu) == ("memory", 1, total([estimator.gpu(at_1024)]))


def test_what_is_not_tried_again_is_not_priced() -> None:
    """Without leave there is no other seed, without something learned neither, and a lowered resolution is lowered once."""
    learned = planned(backend="trellis2", resolution=1536)
    assert [one.reason for one in retries(learned, Estimator(), Odds(), 0, lower=True)] == ["memory"]
    assert retries(learned, Estimator(), Odds(), 0, lower=False) == ()
    assert retries(planned(backend="hull"), Estimator(), Odds(), 3, lower=True) == ()


def test_plan_and_validate_show_what_retries_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text has a column and says where the chance is from; the JSON has both per asset; without leave there is no seed."""
    root = content_folder(tmp_path, "crate", manifest=LEAST + "generate: {backend: trellis2, resolution: 512}\n")
    (root / "forge.yaml").write_text("retry: {seeds: 2}\n")
    assert main(["plan", "--content", str(root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (asset,) = document["assets"]
    (retry,) = asset["retries"]
    assert (retry["reason"], retry["chance"], retry["times"], retry["gpu"]) == ("gate", 0.1, 2, asset["gpu"])
    assert retry["expected_gpu_seconds"] == document["total"]["retry_gpu_seconds"] > 0.11 * asset["gpu"]["p50"]
    assert main(["validate", "--price", "--content", str(root)]) == 0
    text = capsys.readouterr().out
    shown = re.search(r"\+(\d+) s", text)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(retry["expected_gpu_seconds"], abs=0.51)
    assert "in 10% a quality gate fails, and the next seed is tried" in text
    (root / "forge.yaml").write_text("")
    assert main(["plan", "--content", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["assets"][0]["retries"] == []
