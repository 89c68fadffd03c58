"""Show problems to people and to programs: text with the offending line, GitHub annotations, JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from forge_batch.errors import Problem
from forge_batch.yaml_file import lines_of

MAX_SHOWN = 160


def render_problem(problem: Problem, source_text: str = "") -> str:
    """Write one problem as an author reads it.

    Args:
        problem: What was found.
        source_text: The text of the problem's file; empty if there is none to show.

    Returns:
        `file:line:column: severity: field: message`, then the offending line with a caret under the place, then what to
        write instead. Long lines are cut around the caret; tabs count as one column.
    """
    place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    parts = [place, problem.severity, problem.field, problem.message]
    rows = [": ".join(part for part in parts if part)]
    lines = lines_of(source_text.removeprefix("\ufeff"))
    if source_text and 0 < problem.line <= len(lines):
        line = "".join(char if char.isprintable() else " " for char in lines[problem.line - 1])
        column = min(problem.column, len(line) + 1) - 1
        start = max(0, column - MAX_SHOWN // 2) if len(line) > MAX_SHOWN else 0
        number = f"{problem.line:>5} | "
        rows.append(number + line[start : start + MAX_SHOWN].rstrip())
        rows.append(" " * (len(number) - 2) + "| " + " " * (column - start) + "^")
    if problem.hint:
        rows.append(f"      = {problem.hint}")
    return "\n".join(rows)


def github_annotation(problem: Problem) -> str:
    """Write one problem as a workflow command that GitHub shows beside the line of the file."""
    place = f"file={_escape(problem.file, ':,')}"
    if problem.line:
        place += f",line={problem.line},col={problem.column}"
    title = _escape(problem.field or problem.code, ":,")
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return f"::{problem.severity} {place},title={title}::{_escape(text)}"


def problems_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Give problems as JSON data, in the order of files and lines."""
    return [asdict(problem) for problem in sorted(problems)]


def _escape(text: str, more: str = "") -> str:
    """Escape as workflow commands ask: percent, line ends and, in properties, the separators."""
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
