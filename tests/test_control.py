"""Ask the runner for things, and see what holds then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.control import KEPT, PATH, WORDS, Action, Control, asked, load_control
from forge_batch.errors import ContentError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(*words: str) -> Control:
    """Ask for things one after another: `word`, `word asset`, `word asset value`."""
    control = Control()
    for number, text in enumerate(words):
        word, asset, value = (*text.split(), "", "")[:3]
        control = control.after(asked(word, "me", NOW + timedelta(seconds=number), asset, int(value) if value else None))  # type: ignore[arg-type]
    return control


def test_what_is_asked_last_holds() -> None:
    """Pause, hold, retry and priority follow from the last word about each."""
    assert after("pause").paused is not None
    assert after("pause", "resume").paused is None
    assert set(after("cancel crate", "cancel lamp", "release crate").held) == {"lamp"}
    assert after("retry crate").retry == {"crate"}
    assert after("retry crate", "taken_up crate").retry == frozenset()
    assert after("cancel crate", "retry crate").held == {}
    assert after("priority crate 80", "priority crate 20").priorities == {"crate": 20}


@pytest.mark.parametrize(
    ("word", "asset", "value"),
    [
        ("stop", "", None),
        ("retry", "", None),
        ("pause", "crate", None),
        ("priority", "crate", None),
        ("priority", "crate", 101),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, asset: str, value: int | None) -> None:
    """An unknown word, a missing asset and a priority out of range are ContentErrors."""
    with pytest.raises(ContentError):
        asked(word, "me", NOW, asset, value)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from("abc"), st.integers(0, 100)), max_size=3 * KEPT))
def test_forgetting_changes_nothing(words: list[tuple[str, str, int]]) -> None:
    """However much was asked for, what is kept says the same as the whole, and is bounded."""
    control, whole = Control(), Control()
    for word, asset, value in words:
        about = asset if word in {"retry", "cancel", "release", "priority", "taken_up"} else ""
        action = Action("2026-03-01T12:00:00+00:00", "me", word, about, value if word == "priority" else None)  # type: ignore[arg-type]
        control, whole = control.after(action), Control((*whole.actions, action))
    assert (control.paused, control.held.keys()) == (whole.paused, whole.held.keys())
    assert (control.retry, control.priorities) == (whole.retry, whole.priorities)
    assert len(control.actions) <= KEPT + 20


def test_it_is_read_back(tmp_path: Path) -> None:
    """The file gives back what was written; without one nothing is asked for; a damaged one is an error that names it."""
    assert load_control(tmp_path) == Control()
    path = tmp_path / PATH
    path.parent.mkdir()
    path.write_bytes(after("pause", "priority crate 80").to_json())
    assert load_control(tmp_path) == after("pause", "priority crate 80")
    path.write_text('{"actions": [{"at": "", "by": "", "word": "rm"}]}')
    with pytest.raises(ContentError, match=r"control\.json cannot be read"):
        load_control(tmp_path)
