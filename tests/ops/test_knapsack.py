from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from forge_batch.ops.knapsack import GAP, Item, fill, upper_bound

NEEDS = {"a": 5, "b": 3, "c": 0}
ITEMS = st.lists(
    st.builds(
        lambda size, worth, needs: Item(size, worth, {need: NEEDS[need] for need in needs}),
        st.integers(0, 20),
        st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 100.0]),
        st.sets(st.sampled_from(sorted(NEEDS))),
    ),
    max_size=9,
)


def room_of(items: list[Item], taken: tuple[int, ...]) -> int:
    """Add up what a choice takes, each need once."""
    needs = {need for number in taken for need in items[number].needs}
    return sum(items[number].size for number in taken) + sum(NEEDS[need] for need in needs)


@settings(max_examples=300)
@given(ITEMS, st.integers(0, 80))
def test_no_choice_is_worth_more(items: list[Item], room: int) -> None:
    """Of all subsets that fit, none is worth more than the gap above the one that is taken, nor more than the bound."""
    numbers = range(len(items))
    choices = [taken for count in range(len(items) + 1) for taken in combinations(numbers, count)]
    best = max(sum(items[number].worth for number in taken) for taken in choices if room_of(items, taken) <= room)
    taken = fill(items, room)
    assert room_of(items, tuple(taken)) <= room
    assert sum(items[number].worth for number in taken) >= best * (1 - GAP) - 1e-9
    assert upper_bound(items, room) >= best - 1e-9
    assert taken == sorted(set(taken))


def test_equals_are_settled_by_needs_and_order() -> None:
    """Of equally good choices the one with fewer needs is taken, then the earlier items."""
    assert fill([Item(5, 1.0, {"a": 5}), Item(10, 1.0, {})], 10) == [1]
    assert fill([Item(10, 1.0, {}), Item(10, 1.0, {})], 10) == [0]


def test_without_a_limit_all_is_taken() -> None:
    """No room to keep to means no choice to make."""
    assert fill([Item(10, 1.0, {"a": 5})] * 3, None) == [0, 1, 2]


def test_a_large_room_is_filled_by_the_better_of_two_ways() -> None:
    """Where the table is coarse, things that fill the room to the last unit are still found by the greedy choice."""
    assert len(fill([Item(1, 1.0, {})] * 2000 + [Item(97_999, 5000.0, {}), Item(97_999, 1.0, {})], 99_999)) == 2001
