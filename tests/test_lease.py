from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.content.cache_budget import evicted
from forge_batch.content.lease import Lease, with_runner

NOW = 1_800_000_000.0


def held(by: str = "one", beat: float = 600.0) -> Lease:
    """Give a lease that was claimed just now."""
    return Lease().claimed(by, "n1", NOW, beat, ["crate"], "sha")


def test_a_lease_keeps_others_out_for_three_heartbeats() -> None:
    """Another runner waits until the third heartbeat has been missed, and not a second longer."""
    lease = held()
    assert lease.keeps_out("two", "n2", NOW)
    assert lease.keeps_out("two", "n2", NOW + 1799)
    assert not lease.keeps_out("two", "n2", NOW + 1800)
    assert lease.beaten(NOW + 600).keeps_out("two", "n2", NOW + 2399)


def test_a_lease_keeps_its_holder_in() -> None:
    """The holder goes on, and so does the same runner after it was restarted; an idle lease keeps nobody out."""
    assert not held().keeps_out("two", "n1", NOW)
    assert not held().keeps_out("one", "n2", NOW)
    assert not held().released().keeps_out("two", "n2", NOW)
    assert not Lease().keeps_out("two", "n2", NOW)


def test_a_heartbeat_from_the_future_is_a_heartbeat() -> None:
    """A holder whose clock is ahead is alive."""
    assert held().beaten(NOW + 500).keeps_out("two", "n2", NOW)


def test_a_lease_is_read_back() -> None:
    """What is written is read, to the second."""
    lease = held().beaten(NOW)
    assert Lease.from_json(lease.to_json()) == lease


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", json.dumps({"runner": 1}).encode()]))
def test_a_damaged_lease_is_nobodys(data: bytes) -> None:
    """Whatever stands in the file, nothing breaks and nobody is kept out for ever."""
    assert not Lease.from_json(data).keeps_out("two", "n2", NOW)


@given(st.integers(3, 80), st.floats(0, 120), st.lists(st.floats(0, 300), max_size=200))
def test_there_are_never_more_commits_than_allowed(per_hour: int, floor: float, gaps: list[float]) -> None:
    """A runner that waits as it is told stays within the hour's commits, keeps the floor, and can always end its window."""
    lease, now = Lease(), NOW
    times: list[float] = []
    for number, gap in enumerate(gaps):
        now += gap
        now += lease.wait(now, floor, per_hour, spare=1 if number % 2 == 0 else 0) + 0.1
        lease = lease.beaten(now)
        times.append(now)
    for index, when in enumerate(times):
        assert sum(when - 3599 < other <= when for other in times) <= per_hour
        if index:
            assert when - times[index - 1] >= floor - 0.2


def test_a_window_that_begins_leaves_a_commit_for_its_end() -> None:
    """With 60 an hour and 59 made, a window may not begin, but one may end."""
    lease = Lease()
    for number in range(59):
        lease = lease.beaten(NOW + number)
    assert lease.wait(NOW + 100, 0, 60, spare=1) == pytest.approx(3500)
    assert lease.wait(NOW + 100, 0, 60) == 0


def test_the_status_says_who_the_runner_is() -> None:
    """STATUS.md and status.json gain the runner, its heartbeat and what it works on."""
    lease = held()
    text = with_runner("state/STATUS.md", b"# Status\n", lease).decode()
    assert text.startswith("# Status\n\n## Runner\n\n`one` is at work on crate since 2027-01-15T08:00:00Z.")
    document = json.loads(with_runner("state/status.json", b'{"assets": []}', lease))
    assert document["assets"] == []
    assert (document["runner"]["runner"], document["runner"]["state"], document["runner"]["assets"]) == (
        "one",
        "working",
        ["crate"],
    )


def test_the_least_recently_used_goes_first() -> None:
    """Entries are dropped by the time of their last use until the rest fits; one never used goes before all."""
    sizes = {"a": 10, "b": 10, "c": 10, "d": 10}
    assert evicted(sizes, {"a": 3.0, "b": 1.0, "c": 2.0}, (), 40) == []
    assert evicted(sizes, {"a": 3.0, "b": 1.0, "c": 2.0}, (), 39) == ["d"]
    assert evicted(sizes, {"a": 3.0, "b": 1.0, "c": 2.0}, (), 15) == ["d", "b", "c"]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 50)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 9)),
    st.sets(st.sampled_from("abcdefgh")),
    st.integers(0, 200),
)
def test_what_a_queued_asset_needs_is_never_evicted(
    sizes: dict[str, int], used: dict[str, float], needed: set[str], budget: int
) -> None:
    """Needed entries stay; the rest fits the budget, or nothing that could go is left; nothing goes without need."""
    dropped = evicted(sizes, used, needed, budget)
    kept = {key: size for key, size in sizes.items() if key not in dropped}
    assert not needed & set(dropped)
    assert sum(kept.values()) <= budget or set(kept) <= needed
    if dropped:
        assert sum(kept.values()) + sizes[dropped[-1]] > budget
