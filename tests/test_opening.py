from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.estimate import Seconds
from forge_batch.opening import HOLD, LAST_CALL, ripe, worth_opening
from forge_batch.quota import PROFILES, UNLIMITED, Remaining, remaining
from forge_batch.windows import GpuPlan, GpuTask, pack

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRO = PROFILES["zerogpu-pro"]
HOUR = timedelta(hours=1)
FULL = Remaining(2400, None, "ledger", 2400)


def one(name: str, seconds: float, model: str = "", hours: float = 0.0, deadline: date | None = None) -> GpuPlan:
    """Make an asset with one task whose p90 is that, ready for so many hours; every model takes 20 s to load."""
    task = GpuTask(name, name, "generate", model, Seconds(seconds / 1.5, seconds), Seconds(10, 20))
    since = NOW - hours * HOUR
    return GpuPlan(name, ((task,),), since, deadline=deadline, ready=since)


def names(plans: Sequence[GpuPlan]) -> set[str]:
    """Name assets."""
    return {plan.asset for plan in plans}


MANY = [one(f"m{number}", 100, "trellis2") for number in range(25)]


def test_a_load_for_little_work_waits_for_more_of_it() -> None:
    """While others fill the allowance, ten tasks of 40 s do not load a model for 20 s; thirteen do: 20 is below 4 % of 540."""
    assert names(ripe([*MANY, one("rare", 40, "unirig")], FULL, NOW)) == names(MANY)
    few, enough = ([one(f"r{number}", 40, "unirig") for number in range(count)] for count in (10, 13))
    assert names(ripe([*MANY, *few], FULL, NOW)) == names(MANY)
    assert names(ripe([*MANY, *enough], FULL, NOW)) == names([*MANY, *enough])


@pytest.mark.parametrize(
    "rare",
    [
        one("rare", 40, "unirig", hours=24),
        one("rare", 40, "unirig", deadline=date(2026, 3, 4)),
        one("rare", 40, ""),
    ],
)
def test_it_does_not_wait_for_ever(rare: GpuPlan) -> None:
    """After a day, near its deadline, or if nothing must be loaded, a task goes with the next window."""
    assert "rare" in names(ripe([*MANY, rare], FULL, NOW))


def test_nothing_waits_while_seconds_would_be_left_over() -> None:
    """Where the others do not fill what is left, all may go; so they may where nobody counts."""
    plans = [*MANY[:5], one("rare", 40, "unirig")]
    assert names(ripe(plans, FULL, NOW)) == names(plans)
    assert names(ripe([*MANY, plans[-1]], remaining(UNLIMITED, [], NOW), NOW)) == names([*MANY, plans[-1]])


def test_a_long_task_waits_for_a_fuller_allowance() -> None:
    """With 300 s left, 200 s of p90 could be cut off; 130 s could not. Near the reset what is left is lost anyway."""
    plans = [one("long", 200), one("short", 130)]
    left = Remaining(300, NOW + 10 * HOUR, "platform", 2400)
    assert names(ripe(plans, left, NOW, allowance=PRO)) == {"short"}
    assert names(ripe(plans, left, NOW + 10 * HOUR - LAST_CALL, allowance=PRO)) == {"long", "short"}
    assert names(ripe(plans, FULL, NOW, allowance=PRO)) == {"long", "short"}


def test_what_needs_nearly_a_whole_allowance_has_its_chance() -> None:
    """A task of 2,000 s may start as soon as nine tenths of the allowance are there, though twice its p90 never are."""
    left = Remaining(2200, NOW + 20 * HOUR, "platform", 2400)
    assert names(ripe([one("huge", 2000)], left, NOW, allowance=PRO)) == {"huge"}
    assert ripe([one("huge", 2000)], Remaining(2100, NOW + 20 * HOUR, "platform", 2400), NOW, allowance=PRO) == []


@given(st.lists(st.tuples(st.integers(1, 1200), st.sampled_from(["", "trellis2", "unirig", "diffusion"])), max_size=40))
def test_nothing_is_held_back_from_a_fresh_allowance_longer_than_a_day(queue: list[tuple[int, str]]) -> None:
    """Whatever else waits, an asset that is ready for a day may go into the first window of an allowance."""
    hours = HOLD / HOUR
    plans = [one(f"a{number}", seconds, model, hours) for number, (seconds, model) in enumerate(queue)]
    assert names(ripe(plans, FULL, NOW, allowance=PRO)) == names(plans)


def test_a_window_with_little_in_it_waits_for_more() -> None:
    """A load of 20 s for 100 s of work is not worth it, for 600 s it is; after the patience, or near the reset, it is."""
    start, patience = Seconds(1, 2), HOUR
    later = NOW + 10 * HOUR
    few, many = [one("a", 100, "trellis2")], [one(f"a{number}", 100, "trellis2") for number in range(6)]
    assert not worth_opening(pack(few, 2000, NOW, start), few, NOW, later, patience)
    assert worth_opening(pack(many, 2000, NOW, start), many, NOW, later, patience)
    assert worth_opening(pack(few, 2000, NOW, start), few, NOW + HOUR, later, patience)
    assert worth_opening(pack(few, 2000, NOW, start), few, NOW, NOW + HOUR, patience)
    assert not worth_opening(pack([], 2000, NOW, start), [], NOW, NOW + HOUR, patience)


def test_the_first_window_of_an_allowance_does_not_wait() -> None:
    """Nothing of it is spent yet, so nothing says when it comes back: its day begins with this window."""
    few = [one("a", 100, "trellis2")]
    assert worth_opening(pack(few, 2400, NOW), few, NOW, None, HOUR)
