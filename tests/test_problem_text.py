from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge_batch.errors import Problem
from forge_batch.problem_text import all_problems, github_annotation, print_problems, render_problem

PROBLEM = Problem("manifests/a.yaml", 2, 3, "place.height_cm", "error", "out_of_range", "-5 is too small", "write 60")


def test_a_problem_shows_its_line_with_a_caret_under_the_place() -> None:
    """Place, what was found, the line, a caret below the column, what to write."""
    assert render_problem(PROBLEM, "forge: 1\nx height\n") == (
        "manifests/a.yaml:2:3: error: place.height_cm: -5 is too small\n    2 | x height\n      |   ^\n      = write 60"
    )


def test_a_problem_without_a_place_shows_the_file_alone() -> None:
    """Line 0 means the file as a whole, and nothing of it is shown."""
    problem = Problem("manifests/a.yaml", 0, 0, "", "error", "empty_file", "the file is empty")
    assert render_problem(problem, "text") == "manifests/a.yaml: error: the file is empty"


def test_a_long_line_is_cut_around_the_caret() -> None:
    """However long the line, what is shown fits a screen and the caret stands under the right character."""
    text = "a" * 500 + "X" + "b" * 500
    shown = render_problem(Problem("f", 1, 501, "", "error", "c", "m"), text).split("\n")
    assert shown[1][shown[2].index("^")] == "X"
    assert max(map(len, shown)) < 180


def test_a_place_beyond_the_text_is_no_trouble() -> None:
    """A file that changed since it was read is shown as far as it goes."""
    assert render_problem(PROBLEM, "forge: 1").count("\n") == 1


def test_terminal_control_characters_are_not_passed_on() -> None:
    """A manifest cannot recolour or clear the reader's terminal."""
    shown = render_problem(Problem("f", 1, 1, "", "error", "c", "m"), "a\x1b[2Jb\x07")
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_annotations_escape_what_github_would_read_as_syntax() -> None:
    """Percent signs, line ends, colons and commas arrive as text."""
    problem = Problem("a,b:c.yaml", 2, 3, "x", "warning", "c", "50 % of\ntwo", "do: it")
    assert github_annotation(problem) == "::warning file=a%2Cb%3Ac.yaml,line=2,col=3,title=x::50 %25 of%0Atwo; do: it"


def test_json_names_every_part_of_a_problem(tmp_path: Path) -> None:
    """The JSON form is one document with the fields that programs rely on."""
    document = json.loads(all_problems([PROBLEM], "json", tmp_path, 3))
    assert document == {
        "ok": False,
        "manifests": 3,
        "problems": [
            {
                "file": "manifests/a.yaml",
                "line": 2,
                "column": 3,
                "field": "place.height_cm",
                "severity": "error",
                "code": "out_of_range",
                "message": "-5 is too small",
                "hint": "write 60",
            }
        ],
    }


def test_the_text_form_shows_files_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems come by file and line, the lines from the content folder, a count at the end."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text("forge: 1\n  hello\n")
    warning = Problem("forge.yaml", 1, 1, "", "warning", "c", "hm")
    print_problems([PROBLEM, warning], "text", tmp_path, 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "forge.yaml:1:1: warning: hm"
    assert lines[2] == "    2 |   hello"
    assert lines[-1] == "2 manifests: 1 error, 1 warning"


def test_nothing_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    """A clean folder gets one line in text, none as annotations, and ok in JSON."""
    assert all_problems([], "text", tmp_path, 1) == "1 manifest: no problems"
    assert all_problems([], "github", tmp_path, 1) == ""
    assert json.loads(all_problems([], "json", tmp_path, 1))["ok"] is True
