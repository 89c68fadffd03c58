from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from forge_batch.artifacts import IMAGES, Slot
from forge_batch.estimate import NOTHING, Estimator, Seconds
from forge_batch.forecast import Turn, forecast
from forge_batch.plan import plan as plan_asset
from forge_batch.quota import PROFILES, UNLIMITED, Remaining, remaining
from forge_batch.windows import ORDER, GpuPlan, GpuTask, Window, pack, weights
from tests.fakes import FakeWish, fake_stage, job_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRO = PROFILES["zerogpu-pro"]
MODELS = {"": ("bake_normal", 0), "trellis2": ("generate", 30), "hunyuan3d": ("generate", 20), "unirig": ("rig", 12)}
START = Seconds(4.0, 6.0)


def task(asset: str, seconds: float, model: str = "", vram: float = 0.0) -> GpuTask:
    """Make a task whose p90 is that many seconds."""
    stage, load = MODELS[model]
    return GpuTask(asset, f"{asset}/{stage}", stage, model, Seconds(seconds / 1.5, seconds), Seconds(load / 2, load), vram)


def asset(name: str, *runs: Sequence[GpuTask], days: float = 0.0, priority: int = 50, deadline: date | None = None) -> GpuPlan:
    """Make an asset that waits for `days`."""
    return GpuPlan(name, tuple(tuple(run) for run in runs), NOW - timedelta(days=days), priority, deadline)


def one(name: str, seconds: float, model: str = "", **options: float) -> GpuPlan:
    """Make an asset with a single task."""
    return asset(name, [task(name, seconds, model)], **options)


def in_order(models: Iterable[str]) -> list[str]:
    """Sort models by the stage that uses them."""
    return sorted(models, key=lambda model: ORDER[MODELS[model][0]])


@st.composite
def queues(draw: st.DrawFn, most: int = 12) -> list[GpuPlan]:
    """Draw assets with one to three runs of one to three tasks, of all models, sizes and ages."""
    plans = []
    for number in range(draw(st.integers(0, most))):
        name = f"a{number}"
        runs = []
        for _ in range(draw(st.integers(1, 3))):
            models = in_order(draw(st.sampled_from([{"trellis2"}, {"hunyuan3d"}, {""}, {"", "unirig"}, {"", "trellis2"}])))
            vram = draw(st.sampled_from([0.0, 0.0, 60.0]))
            runs.append([task(name, draw(st.integers(1, 400)), model, vram) for model in models])
        plans.append(asset(name, *runs, days=draw(st.integers(0, 20)), priority=draw(st.integers(0, 100))))
    return plans


def cost(window: Window) -> float:
    """Add up p90 of what a GPU does in a window, task by task, loading a model whenever it is not the loaded one."""
    seconds, loaded = START.p90, ""
    for one_task in window.tasks:
        if one_task.model and one_task.model != loaded:
            seconds, loaded = seconds + one_task.load.p90, one_task.model
        seconds += one_task.seconds.p90
    return seconds if window.tasks else 0.0


@given(queues(), st.integers(0, 2400), st.sampled_from([UNLIMITED, PRO]))
def test_a_window_never_exceeds_what_remains(plans: list[GpuPlan], seconds: int, allowance: object) -> None:
    """All parts of a window together, loads included, cost at most what is left; a whole card costs twice."""
    window = pack(plans, seconds, NOW, START, allowance)
    assert cost(window) <= window.seconds <= window.limit
    assert window.limit * allowance.factor(window.size) <= seconds
    assert window.deadline == NOW + timedelta(seconds=window.limit)


@given(queues(), st.integers(0, 2400))
def test_a_window_holds_next_runs_whole_and_in_order(plans: list[GpuPlan], seconds: int) -> None:
    """Of every asset all tasks of its next run are in a window or none, once each, in the asset's order."""
    window = pack(plans, seconds, NOW, START)
    by_asset = {plan.asset: [one_task for one_task in window.tasks if one_task.asset == plan.asset] for plan in plans}
    assert sum(len(tasks) for tasks in by_asset.values()) == len(window.tasks)
    for plan in plans:
        assert by_asset[plan.asset] in ([], list(plan.runs[0]))


@given(queues())
def test_without_an_allowance_everything_of_one_size_goes(plans: list[GpuPlan]) -> None:
    """Where nobody counts, all next runs that fit one size of window are taken."""
    window = pack(plans, None, NOW, START)
    assert set(window.assets) == {plan.asset for plan in plans if plan.size == window.size}


def random_queue(rng: np.random.Generator) -> list[GpuPlan]:
    """Make a queue of up to 12 assets, some of which need several models."""
    plans = []
    for number in range(int(rng.integers(1, 13))):
        name = f"a{number}"
        models = in_order(rng.choice(sorted(MODELS), size=int(rng.integers(1, 4)), replace=False))
        tasks = [task(name, float(np.ceil(rng.lognormal(3.5, 0.8))), model) for model in models]
        plans.append(asset(name, tasks, days=float(rng.integers(0, 15)), priority=int(rng.integers(0, 11)) * 10))
    return plans


def optimum(plans: Sequence[GpuPlan], seconds: int) -> float:
    """Let CP-SAT find the greatest sum of weights that fits."""
    model = cp_model.CpModel()
    worth = weights(plans, NOW)
    take = [model.new_bool_var(plan.asset) for plan in plans]
    loads: dict[tuple[str, str], tuple[cp_model.IntVar, int]] = {}
    for plan, taken in zip(plans, take, strict=True):
        for one_task in plan.runs[0]:
            if one_task.model:
                key = (one_task.stage, one_task.model)
                loads.setdefault(key, (model.new_bool_var(one_task.model), math.ceil(one_task.load.p90)))
                model.add_implication(taken, loads[key][0])
    sizes = [math.ceil(sum(one_task.seconds.p90 for one_task in plan.runs[0])) for plan in plans]
    used = sum(size * taken for size, taken in zip(sizes, take, strict=True))
    model.add(used + sum(need * var for var, need in loads.values()) <= seconds - math.ceil(START.p90))
    model.maximize(sum(round(weight * 2**35) * taken for weight, taken in zip(worth, take, strict=True)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    return solver.objective_value / 2**35


@pytest.mark.parametrize("seed", range(20))
def test_at_most_two_percent_below_the_optimum(seed: int) -> None:
    """Over 200 random queues of up to 12 assets, the packed weight is at least 98 % of what CP-SAT finds."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        plans = random_queue(rng)
        seconds = int(rng.integers(30, 700))
        window = pack(plans, seconds, NOW, START)
        worth = dict(zip((plan.asset for plan in plans), weights(plans, NOW), strict=True))
        assert sum(worth[name] for name in window.assets) >= 0.98 * optimum(plans, seconds)


def test_more_than_ten_thousand_seconds_are_packed_nearly_as_well() -> None:
    """With a coarse table the packer still comes within 2 % of CP-SAT."""
    rng = np.random.default_rng(7)
    sizes = np.ceil(rng.lognormal(7.0, 0.8, 60)).tolist()
    plans = [one(f"a{n}", size, "trellis2", days=float(rng.integers(0, 8))) for n, size in enumerate(sizes)]
    worth = dict(zip((plan.asset for plan in plans), weights(plans, NOW), strict=True))
    window = pack(plans, 30_000, NOW, START)
    assert cost(window) <= window.seconds <= 30_000
    assert sum(worth[name] for name in window.assets) >= 0.98 * optimum(plans, 30_000)


def test_loads_are_paid_inside_the_window() -> None:
    """Two assets of one model fit where two of different models do not."""
    plans = [one("a", 50, "trellis2"), one("b", 50, "trellis2"), one("c", 45, "hunyuan3d")]
    window = pack(plans, 136, NOW, START)
    assert (window.assets, window.models, window.seconds) == (("a", "b"), ("trellis2",), 6 + 30 + 100)


def test_each_model_is_loaded_once() -> None:
    """Tasks of one model stand together, whatever the order of the assets."""
    plans = [one("a", 9, "trellis2"), one("b", 9, "hunyuan3d"), one("c", 9, "trellis2"), one("d", 9, "hunyuan3d")]
    assert [one_task.model for one_task in pack(plans, None, NOW).tasks] == ["hunyuan3d"] * 2 + ["trellis2"] * 2


def test_a_tie_goes_to_fewer_loads_then_to_the_older_asset() -> None:
    """Of equal weights the set that loads fewer models is taken; of equal sets that of the older asset."""
    bake, generate = one("b", 80), one("a", 40, "trellis2")
    assert pack([generate, bake], 86, NOW, START).assets == ("b",)
    old = replace(one("old", 80, priority=40), since=NOW - timedelta(days=2))  # 2 days of waiting are 10 points of priority
    assert pack([bake, old], 86, NOW, START).assets == ("old",)
    assert pack([old, bake], 86, NOW, START).assets == ("old",)


def test_priority_age_and_deadline_make_an_asset_urgent() -> None:
    """Weight doubles with 10 points, with 2 days of waiting, and with each of the last 7 days before the deadline."""
    plans = [
        one("plain", 1),
        one("important", 1, priority=60),
        one("old", 1, days=2),
        one("tomorrow", 1, deadline=date(2026, 3, 2)),
        one("late", 1, deadline=date(2026, 2, 1)),
        one("far", 1, deadline=date(2026, 6, 1)),
    ]
    seen = weights(plans, NOW)
    assert [value / seen[0] for value in seen] == pytest.approx([1, 2, 2, 2**5.5, 2**7, 1])


def test_a_dear_asset_weighs_more_but_less_than_it_costs() -> None:
    """Four times the seconds are 4^0.3 = 1.5 times the weight, so that cheap ones go first and dear ones not last of all."""
    cheap, dear = weights([one("cheap", 20), one("dear", 80)], NOW)
    assert dear / cheap == pytest.approx(4**0.3)


def test_nothing_waits_for_ever() -> None:
    """An asset that fills a whole allowance has its turn within two weeks, though small ones come every day without end."""
    large = one("large", 2380)
    queue = [large]
    for day in range(20):
        now = NOW + timedelta(days=day)
        queue += [replace(one(f"s{day}_{number}", 60), since=now) for number in range(40)]
        window = pack(queue, 2400, now, START)
        if "large" in window.assets:
            break
        queue = [plan for plan in queue if plan.asset not in window.assets]
    assert day <= 14


def test_a_task_that_needs_a_whole_card_gets_a_window_of_that_size() -> None:
    """More than 48 GB go to xlarge, which costs twice: 100 s of it need 200 s."""
    big = asset("big", [task("big", 94, "", vram=63.0)])
    assert pack([big], 199, NOW, START, PRO).tasks == ()
    window = pack([big], 200, NOW, START, PRO)
    assert (window.size, window.seconds) == ("xlarge", 100)


def test_runs_are_what_is_ready_together() -> None:
    """GPU tasks with nothing but GPU tasks between them are one run; CPU work between them parts two."""
    a, b, c, d, e = (Slot(name, ".npz") for name in "abcde")
    package = Slot("package", ".zip")
    stages = [
        fake_stage("generate", [IMAGES], [a], device="gpu", gpu=1.0),
        fake_stage("unwrap", [a], [b]),
        fake_stage("bake_normal", [b], [c], device="gpu", gpu=1.0),
        fake_stage("inpaint", [c], [d], device="gpu", gpu=1.0),
        fake_stage("pack_channels", [d], [e]),
        fake_stage("rig", [a, b], [Slot("f", ".npz")], device="gpu", gpu=1.0),
        fake_stage("export", [e], [package]),
    ]
    pending = plan_asset(stages, FakeWish(), {}, job_of(()), ())
    assert [[one_task.stage.name for one_task in run] for run in pending.gpu_runs] == [
        ["generate"],
        ["bake_normal", "inpaint", "rig"],
    ]
    rest = plan_asset(stages, FakeWish(), {}, job_of(pending.tasks[:2]), {one_task.key for one_task in pending.tasks[:2]})
    assert [[one_task.stage.name for one_task in run] for run in rest.gpu_runs] == [["bake_normal", "inpaint", "rig"]]
    priced = GpuPlan.of(rest, Estimator(), NOW)
    assert [one_task.seconds.p50 for one_task in priced.runs[0]] == pytest.approx([1.0, 1.0, 1.0])


def test_a_task_that_was_cut_off_is_given_twice_the_time() -> None:
    """What did not end within 100 s is planned with a p90 of 200 s, or of what an allowance holds; others as before."""
    c, d = (Slot(name, ".npz") for name in "cd")
    stages = [
        fake_stage("bake_normal", [IMAGES], [c], device="gpu", gpu=1.0),
        fake_stage("rig", [IMAGES], [d], device="gpu", gpu=1.0),
        fake_stage("export", [c, d], [Slot("package", ".zip")]),
    ]
    pending = plan_asset(stages, FakeWish(), {}, job_of(()), ())
    priced = GpuPlan.of(pending, Estimator(), NOW)
    ((first, second),) = priced.cut_off(pending.tasks[0].key, 100.0).runs
    assert (first.seconds.p50, first.seconds.p90) == (140.0, 200.0)
    assert second.seconds == Estimator().gpu(pending.tasks[1])
    assert priced.cut_off(pending.tasks[0].key, 100.0, most=150.0).runs[0][0].seconds.p90 == 150.0
    assert priced.without({first.key}).runs == ((second,),)
    assert priced.without({first.key, second.key}).runs == ()


FULL = Remaining(2400, None, "ledger", 2400)


def test_a_forecast_names_window_and_day() -> None:
    """Of four assets with a p90 of 1,500 s one a day fits into 2,400 s; the short second run follows the first."""
    plans = [asset(name, [task(name, 1000 * 1.5)]) for name in "abcd"]
    plans[0] = asset("a", [task("a", 1500)], [task("a", 15)], days=9)
    seen = forecast(plans, PRO, FULL, NOW)
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    assert seen.turns["a"] == (Turn(1, first), Turn(2, first))
    assert [seen.turns[name][-1].day for name in "bcd"] == [second, date(2026, 3, 3), date(2026, 3, 4)]
    assert (seen.windows, seen.days, seen.too_large) == (5, 3, {})


def test_a_forecast_says_what_will_be_in_each_window() -> None:
    """Windows are told in order, each with its tasks, none before the last one ended; together they hold every task once."""
    plans = [one(name, 900) for name in "abcd"]
    told = forecast(plans, PRO, remaining(PRO, [], NOW), NOW, START)
    assert [planned.window for planned in told.planned] == list(range(1, told.windows + 1))
    assert sorted(task for planned in told.planned for task in planned.tasks) == [(name, "bake_normal") for name in "abcd"]
    assert told.planned[0].opens == NOW
    for before, after in pairwise(told.planned):
        assert after.opens >= before.opens + timedelta(seconds=before.seconds)
    assert told.planned[-1].opens >= NOW + timedelta(days=1), "the allowance holds two of them a day"


def test_a_forecast_says_what_will_never_fit() -> None:
    """A run that needs more than a whole allowance has no turn, and holds up no other."""
    seen = forecast([one("huge", 5000), one("small", 30)], PRO, FULL, NOW)
    assert seen.too_large == {"huge": 5000}
    assert (seen.turns["huge"], len(seen.turns["small"])) == ((), 1)


def test_a_forecast_waits_for_the_reset() -> None:
    """With nothing left, the first window falls on the day of the reset."""
    left = Remaining(0, NOW + timedelta(hours=15), "platform", 2400)
    assert forecast([one("a", 100)], PRO, left, NOW).turns["a"] == (Turn(1, date(2026, 3, 2)),)


@pytest.mark.parametrize("seconds", [10, 5000, 500_000])
def test_without_an_allowance_it_is_today(seconds: int) -> None:
    """Where nobody counts, all runs are today."""
    plans = [asset("a", [task("a", seconds)], [task("a", seconds, "unirig")]), one("b", seconds)]
    seen = forecast(plans, UNLIMITED, remaining(UNLIMITED, [], NOW), NOW, START)
    assert seen.days == 0
    assert [turn.day for turns in seen.turns.values() for turn in turns] == [date(2026, 3, 1)] * 3


@settings(max_examples=40)
@given(queues(8), st.integers(0, 2400), st.sampled_from(["seed", "zerogpu-pro", "zerogpu-free"]))
def test_a_forecast_gives_every_run_one_turn_in_order(plans: list[GpuPlan], seconds: int, name: str) -> None:
    """Every asset has a turn for each run, in ascending windows and days, unless one of its runs fits no allowance."""
    allowance = PROFILES[name]
    left = Remaining(min(seconds, allowance.seconds or 0), NOW + timedelta(hours=3), "ledger", allowance.seconds)
    seen = forecast(plans, allowance, left, NOW, START)
    for plan in plans:
        turns = seen.turns[plan.asset]
        assert len(turns) == len(plan.runs) or plan.asset in seen.too_large
        assert list(turns) == sorted(turns, key=lambda turn: (turn.window, turn.day))
        assert len({turn.window for turn in turns}) == len(turns)


def test_the_bakes_of_an_asset_stand_side_by_side() -> None:
    """Two assets' four bakes each: one asset after the other, so that each scene is built once; the longer one first."""
    bakes = ("bake_normal", "bake_base_color", "bake_material", "bake_occlusion")
    long = {"bake_normal": 3.0, "bake_occlusion": 9.0}
    plans = [
        asset(name, [GpuTask(name, f"{name}-{bake}", bake, "", Seconds(1, more * long.get(bake, 2.0))) for bake in bakes])
        for name, more in (("a", 1), ("b", 2))
    ]
    window = pack(plans, 1_000, NOW)
    assert [task.key for task, _ in window.line] == [f"{name}-{bake}" for name in "ba" for bake in bakes]


def test_an_empty_queue_makes_an_empty_window() -> None:
    """Nothing to do is not an error."""
    assert pack([], 100, NOW, NOTHING).tasks == ()
    assert pack([asset("done")], None, NOW, NOTHING).tasks == ()
    assert forecast([asset("done")], PRO, FULL, NOW).turns == {"done": ()}
