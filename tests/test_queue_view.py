"""Turn facts into rows and sentences; every expected word is written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.control import Control, asked
from forge_batch.header_view import bar, burn_down, header
from forge_batch.live import Doing, Live
from forge_batch.queue_view import STATES, Facts, Queue, Wish, counts, rows, select
from forge_batch.quota import DAY, PROFILES, LedgerEntry, charges, remaining

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = NOW.timestamp()
STAGES = ("remove_background", "generate", "repair", "export")


def facts(asset: str, **more: object) -> Facts:
    """Make an asset with four stages of ten seconds each."""
    return Facts(asset, "prop", **{"stages": STAGES, "next_stage": STAGES[0], "left": 40.0, "estimated": 40.0, **more})  # type: ignore[arg-type]


def queue(*some: Facts, **more: object) -> Queue:
    """Make a queue of one worker, its runner alive."""
    live = more.pop("live", Live("idle", heartbeat=T))
    return Queue({one.asset: one for one in some}, live, loaded=True, **more)  # type: ignore[arg-type]


def test_each_state_has_its_row() -> None:
    """Made, at work, failed, cancelled and queued assets say so, and why; what moves stands first."""
    control = Control().after(asked("cancel", "me", NOW, "held"))
    live = Live("working", T, since=T, doing={"busy": Doing("repair", 0.5, "", T)})
    found = rows(
        queue(
            facts("made", made=5.0, package="x.zip"), facts("busy", done=2), facts("bad", failure="no luck"), facts("held"),
            facts("later"), live=live, control=control,
        ),
        NOW,
    )  # fmt: skip
    assert [(row.asset, row.state) for row in found] == [
        ("busy", "working"), ("later", "queued"), ("held", "held"), ("bad", "failed"), ("made", "done"),
    ]  # fmt: skip
    busy, later, held, bad, made = found
    assert (busy.number, busy.fraction) == (3, 0.625)  # repair is the third stage; 2.5 of 4 are done
    assert later.why == "1 asset is before it"
    assert later.finish == NOW + timedelta(seconds=80)  # one worker: 40 s of the one at work, then its own
    assert held.why == "cancelled by me"
    assert bad.why == "no luck"
    assert (made.fraction, made.finish) == (1.0, None)


def test_two_workers_halve_the_wait() -> None:
    """With two workers the third of three equal assets is done after two of its kind."""
    found = rows(queue(facts("a"), facts("b"), facts("c"), workers=2), NOW)
    assert [row.finish for row in found] == [NOW + timedelta(seconds=s) for s in (40, 40, 80)]


def test_a_dead_runner_finishes_nothing() -> None:
    """After two silent beats nobody is at work, nothing has a finish, and the header says that it died."""
    live = Live("working", T - 11, beat=5.0, doing={"a": Doing("repair")})
    one = queue(facts("a"), live=live)
    (row,) = found = rows(one, NOW)
    assert (row.state, row.finish) == ("queued", None)
    top = header(one, found, NOW)
    assert top.alive == "dead"
    assert top.doing.startswith("The runner died: no sign of life for 11 s.")
    assert header(queue(facts("a"), live=Live("working", T - 9, beat=5.0)), found, NOW).alive == "alive"


@pytest.mark.parametrize(
    ("live", "words", "expected"),
    [
        (Live(), (), "No runner has been here yet; 1 asset waits for one."),
        (Live("ended", T), (), "No runner is at work; 1 asset waits for one."),
        (Live("idle", T), (), "Waits for the next look at the folder; 1 asset waits."),
        (Live("idle", T, wait="the allowance is spent"), (), "Waits: the allowance is spent."),
        (Live("idle", T, error="the disk is full"), (), "The last run stopped: the disk is full"),
        (Live("paused", T), ("pause",), "Paused by me since 12:00 on 01 Mar."),
        (Live("working", T), (), "At work: plans what to do next."),
        (Live("working", T, doing={"a": Doing("bake_normal", 0.0)}), (), "Works on a (bake normal, 0%)."),
    ],
)
def test_the_header_says_it_in_one_sentence(
    live: Live, words: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each state of the runner there is one sentence for a person."""
    control = Control().after(*(asked(word, "me", NOW) for word in words))  # type: ignore[arg-type]
    one = queue(facts("a"), live=live, control=control)
    assert header(one, rows(one, NOW), NOW).doing.replace(f"{NOW.astimezone():%H:%M}", "12:00") == expected


def test_waiting_for_the_allowance_names_until_when() -> None:
    """An asset with GPU work waits with the platform's reason and time; one without is queued."""
    live = Live("working", T, wait="the allowance is spent", until=T + 3600)
    a, b = sorted(rows(queue(facts("a", gpu_left=10.0), facts("b"), live=live), NOW), key=lambda row: row.asset)
    assert a.state == "waiting"
    assert a.why == f"the allowance is spent, until {(NOW + timedelta(hours=1)).astimezone():%H:%M}"
    assert a.finish == NOW + timedelta(seconds=3640)
    assert b.state == "queued"


def test_the_allowance_is_split() -> None:
    """2400 s: one window took 300, one of 200 is open; 1900 are left, and all comes back 24 h after the first."""
    entries = [
        LedgerEntry("reserve", "a", NOW - timedelta(hours=2), 400), LedgerEntry("settle", "a", NOW - timedelta(hours=1), 300),
        LedgerEntry("reserve", "b", NOW, 200),
    ]  # fmt: skip
    pro = PROFILES["zerogpu-pro"]
    one = queue(allowance=pro, left=remaining(pro, entries, NOW), charges=tuple(charges(entries)))
    found = bar(one, NOW)
    assert (found.whole, found.used, found.reserved, found.left) == (2400, 300, 200, 1900)
    assert found.resets == NOW - timedelta(hours=2) + DAY
    said = "1900 of 2400 GPU seconds left, 300 s used, 200 s reserved, all of it again in 22.0 h; paid overrun off"
    assert said in found.line(NOW)
    assert burn_down(one, NOW)[-1] == (NOW, 1900.0)


def test_a_page_holds_what_matches() -> None:
    """Words must all be found; states filter; a page beyond the last is the last."""
    some = [facts(f"crate_{number:03}") for number in range(100)] + [facts("lamp", failure="a hole")]
    found = rows(queue(*some), NOW)
    assert [row.asset for row in select(found, Wish("hole lamp")).rows] == ["lamp"]
    assert select(found, Wish(states=frozenset({"failed"}))).found == 1
    last = select(found, Wish("crate", page=99))
    assert (last.number, last.pages, last.found, len(last.rows)) == (4, 4, 100, 10)
    assert select(found, Wish(sort="name", page=1)).rows[0].asset == "crate_000"
    assert counts(found) == {**dict.fromkeys(STATES, 0), "queued": 100, "failed": 1}


@given(
    st.lists(st.integers(0, 3), max_size=90),
    st.integers(-5, 9),
    st.sampled_from(["turn", "name", "finish", "estimate", "newest", "?"]),
)
def test_pages_lose_nothing(kinds: list[int], page: int, sort: str) -> None:
    """Whatever the sort, the pages together hold each asset once."""
    ways: list[dict[str, object]] = [{}, {"made": 3.0}, {"failure": "x"}, {"left": 5.0, "estimated": 9.0}]
    found = rows(queue(*(facts(f"a{number}", **ways[kind]) for number, kind in enumerate(kinds))), NOW)
    pages = select(found, Wish(sort=sort, page=page)).pages
    seen = [row.asset for number in range(1, pages + 1) for row in select(found, Wish(sort=sort, page=number)).rows]
    assert sorted(seen) == sorted(f"a{number}" for number in range(len(kinds)))
