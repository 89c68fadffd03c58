from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.errors import ContentError
from forge_batch.quota import PROFILES, UNLIMITED, Allowance, Ledger, LedgerEntry, Reading, remaining

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRO, SEED = PROFILES["zerogpu-pro"], PROFILES["seed"]
HOUR = timedelta(hours=1)


def spent(*windows: tuple[datetime, float]) -> list[LedgerEntry]:
    """Be a ledger of settled windows: when, and seconds."""
    entries = []
    for number, (at, seconds) in enumerate(windows):
        entries += [LedgerEntry("reserve", str(number), at, 2 * seconds), LedgerEntry("settle", str(number), at, seconds)]
    return entries


def test_what_was_spent_is_off_until_the_reset() -> None:
    """ZeroGPU's allowance comes back 24 hours after the first use, not after the last."""
    entries = spent((NOON, 400), (NOON + 20 * HOUR, 600))
    left = remaining(PRO, entries, NOON + 21 * HOUR)
    assert (left.seconds, left.resets_at, left.source, left.whole) == (1400, NOON + 24 * HOUR, "ledger", 2400)
    assert remaining(PRO, entries, NOON + 24 * HOUR).seconds == 2400
    assert remaining(PRO, entries, NOON + 24 * HOUR).resets_at is None


def test_the_next_period_opens_with_the_next_use() -> None:
    """After a pause the 24 hours are counted from the next use."""
    entries = spent((NOON, 400), (NOON + 30 * HOUR, 500))
    left = remaining(PRO, entries, NOON + 50 * HOUR)
    assert (left.seconds, left.resets_at) == (1900, NOON + 54 * HOUR)


def test_a_calendar_day_ends_at_midnight() -> None:
    """The seed profile has 1,500 s a calendar day, UTC."""
    entries = spent((NOON, 400))
    left = remaining(SEED, entries, NOON + HOUR)
    assert (left.seconds, left.resets_at) == (1100, datetime(2026, 3, 2, tzinfo=UTC))
    assert remaining(SEED, entries, NOON + 12 * HOUR).seconds == 1500


def test_a_reserve_counts_in_full_until_it_is_settled() -> None:
    """A window that a crash cut off costs what was reserved for it."""
    entries = [LedgerEntry("reserve", "a", NOON, 300)]
    assert remaining(SEED, entries, NOON + HOUR).seconds == 1200
    assert remaining(SEED, [*entries, LedgerEntry("settle", "a", NOON, 100)], NOON + HOUR).seconds == 1400


def test_nobody_counts_an_unlimited_allowance() -> None:
    """Without an allowance there is no number of seconds, and no reset."""
    left = remaining(UNLIMITED, spent((NOON, 9999)), NOON)
    assert (left.seconds, left.resets_at, left.whole) == (None, None, None)


def test_the_platform_knows_better() -> None:
    """A reading replaces the ledger; only windows that may have been running when it was read are taken off."""
    reading = Reading(2400, 1800, NOON + 20 * HOUR, 0, NOON)
    before = spent((NOON - HOUR, 50))
    running = [LedgerEntry("reserve", "x", NOON - timedelta(seconds=30), 200)]
    crashed = [LedgerEntry("reserve", "y", NOON - 3 * HOUR, 700)]
    left = remaining(PRO, [*before, *crashed], NOON, reading)
    assert (left.seconds, left.resets_at, left.source) == (1800, NOON + 20 * HOUR, "platform")
    assert remaining(PRO, [*before, *crashed, *running], NOON, reading).seconds == 1600
    assert remaining(PRO, spent((NOON + HOUR, 100)), NOON + 2 * HOUR, reading).seconds == 1700


def test_paid_seconds_need_leave() -> None:
    """Beyond the allowance nothing is left, unless the settings allow it, and then only so much."""
    over = spent((NOON, 2500))
    assert remaining(PRO, over, NOON).seconds == 0
    assert remaining(PRO, over, NOON, allow_paid_seconds=300).seconds == 200
    reading = Reading(2400, 0, NOON + HOUR, 100, NOON)
    assert remaining(PRO, [], NOON, reading).seconds == 0
    assert remaining(PRO, [], NOON, reading, allow_paid_seconds=300).seconds == 200


@given(st.integers(0, 5000), st.sampled_from(["large", "xlarge"]), st.sampled_from([1.0, 1.5, 2.0]))
def test_a_longest_window_is_never_refused(left: int, size: str, factor: float) -> None:
    """What the platform compares with what is left, and what it may charge, never exceeds it."""
    allowance = Allowance("x", 2400, "first_use", xlarge=2.0, request_factor=factor)
    seconds = allowance.longest(left, size)
    sent = allowance.declared(seconds, size) * (factor if size == "large" else 1) * allowance.factor(size)
    assert sent <= left
    assert seconds * allowance.factor(size) <= left
    assert seconds * allowance.factor(size) >= left - 2 * factor


Steps = st.lists(st.tuples(st.integers(1, 900), st.floats(0, 1), st.integers(0, 20 * 3600), st.booleans()), max_size=25)


@given(Steps, st.sampled_from(["seed", "zerogpu-pro"]))
def test_never_over_the_allowance(steps: list[tuple[int, float, int, bool]], name: str) -> None:
    """Whoever asks before each window and sometimes crashes within one never spends more than a period's allowance."""
    allowance = PROFILES[name]
    entries: list[LedgerEntry] = []
    truth: list[tuple[datetime, float]] = []
    now = NOON
    for number, (wanted, share, pause, crash) in enumerate(steps):
        seconds = min(wanted, remaining(allowance, entries, now).seconds or 0)
        if seconds > 0:
            entries.append(LedgerEntry("reserve", str(number), now, seconds))
            truth.append((now, seconds * share))
            if not crash:
                entries.append(LedgerEntry("settle", str(number), now, seconds * share))
        now += timedelta(seconds=pause)
    whole = allowance.seconds or 0
    if name == "seed":
        days = {at.date() for at, _ in truth}
        assert all(sum(s for at, s in truth if at.date() == day) <= whole for day in days)
    start = None
    for at, _ in truth if name != "seed" else []:
        if start is None or at >= start + 24 * HOUR:
            start = at
            assert sum(s for when, s in truth if start <= when < start + 24 * HOUR) <= whole


def test_the_ledger_reads_back_what_it_was_told(tmp_path: Path) -> None:
    """Entries come back in order, with their times."""
    ledger = Ledger(tmp_path / "state" / "ledger.jsonl")
    assert ledger.entries() == []
    window = ledger.reserve(120, NOON)
    ledger.settle(window, 95.5, NOON + HOUR)
    assert ledger.entries() == [
        LedgerEntry("reserve", window, NOON, 120),
        LedgerEntry("settle", window, NOON + HOUR, 95.5),
    ]


@given(st.data())
def test_a_crash_at_any_byte_counts_too_much_and_never_too_little(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut the file anywhere in its last line, go on writing, and at least what was really spent is counted."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.jsonl")
    first = ledger.reserve(300, NOON)
    ledger.settle(first, 200, NOON)
    second = ledger.reserve(100, NOON)
    ledger.settle(second, 40, NOON)
    raw = ledger.path.read_bytes()
    last_line = raw.rstrip(b"\n").rfind(b"\n") + 1
    ledger.path.write_bytes(raw[: data.draw(st.integers(last_line, len(raw)))])
    assert remaining(SEED, ledger.entries(), NOON).seconds in {1500 - 300, 1500 - 240}
    third = ledger.reserve(50, NOON)
    assert remaining(SEED, ledger.entries(), NOON).seconds in {1500 - 350, 1500 - 290}
    assert [entry.window for entry in ledger.entries() if entry.kind == "reserve"] == [first, second, third]


@pytest.mark.parametrize(
    "line", ["{}", "nonsense", '{"kind": "refund", "window": "a", "at": "2026-01-01T00:00:00Z", "seconds": 1}']
)
def test_a_broken_line_in_the_middle_stops_everything(tmp_path: Path, line: str) -> None:
    """Where nobody knows what was spent, nothing is read, and nothing is added."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.reserve(1, NOON)
    ledger.path.write_text(line + "\n" + ledger.path.read_text())
    with pytest.raises(ContentError, match=r"ledger\.jsonl:1 cannot be read"):
        ledger.entries()
    with pytest.raises(ContentError, match=r"ledger\.jsonl:1 cannot be read"):
        ledger.reserve(1, NOON)


def test_a_ledger_that_cannot_be_written_stops_the_window(tmp_path: Path) -> None:
    """A reserve that is not on the disk is an error, so that its window never starts."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ContentError, match="cannot"):
        Ledger(tmp_path / "state" / "ledger.jsonl").reserve(1, NOON)
