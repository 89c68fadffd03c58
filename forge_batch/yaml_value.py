"""Hold what a YAML file says, every key and value with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from forge_batch.errors import Problem

MAX_DIGITS = 30

Scalar = str | int | float | bool | None

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Point into a file; line and column count from 1, and 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def problem(self, field: str, code: str, message: str, hint: str = "", severity: str = "error") -> Problem:
        """Report something wrong here."""
        return Problem(self.file, self.line, self.column, field, severity, code, message, hint)


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold a value of a mapping and where its key stands."""

    key: Place
    value: Value


@dataclass(frozen=True, slots=True)
class Value:
    """Hold a scalar, a list or a mapping and where it begins.

    `usable` is False where a problem has been reported already, so that nothing more is said about the same words.
    """

    place: Place
    content: Scalar | tuple[Value, ...] | dict[str, Entry]
    usable: bool = True

    def plain(self) -> Any:
        """Give the same as JSON-like data, without places."""
        if isinstance(self.content, dict):
            return {key: entry.value.plain() for key, entry in self.content.items()}
        if isinstance(self.content, tuple):
            return [value.plain() for value in self.content]
        return self.content


class NumberRefusedError(ValueError):
    """A plain scalar that is a number which no field can take."""


def resolve(text: str) -> Scalar:
    """Give the value of an unquoted scalar.

    Raises:
        NumberRefusedError: The number is infinite, not a number, or longer than any field can hold.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > MAX_DIGITS and (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        raise NumberRefusedError(f"a number of {len(text)} characters")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NOT_FINITE.fullmatch(text):
        raise NumberRefusedError(f"{text} is not a finite number")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise NumberRefusedError(f"{text} is too large for a number")
        return value
    return text


def describe(value: Value) -> str:
    """Name what stands in a file: a text in quotes, a number, a list, a mapping, nothing."""
    content = value.content
    if content is None:
        return "nothing"
    if isinstance(content, dict):
        return "a mapping"
    if isinstance(content, tuple):
        return "a list" if content else "an empty list"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, str):
        shown = content if len(content) <= 40 else content[:37] + "..."
        return '"' + "".join(char if char.isprintable() else " " for char in shown) + '"'
    return f"{content:.12g}" if isinstance(content, float) else f"{content}"
