"""Show problems to people and to programs: text with the offending line, GitHub annotations, JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from forge_batch.errors import Problem
from forge_batch.yaml_file import MAX_BYTES, lines_of

MAX_SHOWN = 160
Format = Literal["text", "json", "github"]


def print_problems(problems: Iterable[Problem], form: Format, root: Path, manifests: int) -> None:
    """Print every problem to stdout, by file and line, and in text a line that counts them.

    Args:
        problems: What was found.
        form: `text` for people, `json` for programs, `github` for annotations.
        root: The content folder, from which files are shown.
        manifests: How many manifests were read.
    """
    sys.stdout.write(all_problems(problems, form, root, manifests) + "\n")


def all_problems(problems: Iterable[Problem], form: Format, root: Path, manifests: int) -> str:
    """Write what `print_problems` prints."""
    ordered = sorted(problems)
    counts = Counter(problem.severity for problem in ordered)
    if form == "json":
        document = {"ok": not counts["error"], "manifests": manifests, "problems": problems_json(ordered)}
        return json.dumps(document, indent=2, ensure_ascii=False)
    if form == "github":
        return "\n".join(github_annotation(problem) for problem in ordered)
    rows = [problems_text(ordered, root)] if ordered else []
    found = [f"{counts[kind]} {kind}{'s' * (counts[kind] > 1)}" for kind in ("error", "warning") if counts[kind]]
    rows.append(f"{manifests} manifest{'s' * (manifests != 1)}: {', '.join(found) or 'no problems'}")
    return "\n".join(rows)


def problems_text(problems: Iterable[Problem], root: Path) -> str:
    """Show problems to people, by file and line, each with its line of the file."""
    ordered = sorted(problems)
    sources = {file: _source(root / file) for file in {problem.file for problem in ordered}}
    return "\n".join(render_problem(problem, sources[problem.file]) for problem in ordered)


def _source(path: Path) -> str:
    """Give the text of a file as far as it can be shown; empty if it is not a readable file."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


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
