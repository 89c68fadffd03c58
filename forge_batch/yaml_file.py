"""Read YAML the careful way: every key and value with its place, and nothing in it that could run, loop or grow.

A manifest is data typed by a person. So the scalars are those of YAML 1.2's core schema, read narrowly: `true` and
`false` are the only booleans, and `no`, `on`, `2024-01-01`, `010`, `0x1F` and `1_000` stay text (YAML 1.1 would turn them
into False, True, a date, 8, 31 and 1000). Anchors, aliases, merge keys, foreign tags, duplicate keys and several
documents are refused by name. The parser's events are walked in a loop, never by recursion, and the walk ends at the first
limit that is passed, so that neither deep nor wide input costs more than the limits allow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forge_batch.errors import Problem
from forge_batch.yaml_value import Entry, NumberRefusedError, Place, Value, resolve

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_VALUES = 10_000
MAX_PROBLEMS = 50

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The scanner written in C where PyYAML has it: 1 MiB of text takes it 10 ms, the one in Python 0.7 to 1.0 s."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_CORE = "tag:yaml.org,2002:"
_TAGS = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}

# What the parser says, in order of how much it tells, and what the author is told.
_SYNTAX = (
    (
        "mapping values are not allowed",
        'a ":" where no key can stand',
        'put text that holds ": " in quotes; if this is meant as a key, give it the indentation of its neighbours',
    ),
    (
        "cannot start any token",
        "a value cannot begin with this character",
        'put the whole value in quotes: "..."',
    ),
    ("expected ':'", 'a key without ":" after it', "write key: value"),
    ("expected ',' or ']'", 'a list opened with "[" is not closed', 'put "," between its values and "]" at its end'),
    ("expected ',' or '}'", 'a mapping opened with "{" is not closed', 'put "," between its keys and "}" at its end'),
    ("unexpected end of stream", "a quoted text is not closed", "put the same quote at its end"),
    (
        "unknown escape character",
        'an unknown "\\" sequence in double quotes',
        "write \\\\ for a backslash, or use single quotes",
    ),
    ("expected '-'", "the list ends where another value was expected", 'begin every value of a list with "- " in one column'),
    ("expected key", "the indentation does not fit the lines above", "let all keys of one section begin in the same column"),
    ("<block end>", "the indentation does not fit the lines above", "let all keys of one section begin in the same column"),
    ("directive", "a line that begins with % is a YAML directive", "remove the line"),
    ("<document start>", "something stands after the end of the document", "remove it, or check the brackets before it"),
)


class _StopReading(Exception):
    """Ends the walk: what follows cannot be understood, or a limit is passed."""


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    place: Place
    entries: dict[str, Entry] | None
    values: list[Value]
    usable: bool
    key: tuple[str, Place] | None = None
    discard: bool = False


def read_yaml(path: Path, file: str) -> tuple[Value | None, list[Problem]]:
    """Read a file of at most 1 MiB; `file` is what problems call it. See `parse_yaml`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return None, [Place(file).problem("", "unreadable", f"the file cannot be read: {reason}")]
    return parse_yaml(data, file)


def parse_yaml(data: bytes, file: str) -> tuple[Value | None, list[Problem]]:
    """Turn the bytes of one YAML document into values with places.

    Args:
        data: UTF-8, with or without a byte order mark, with any kind of line end.
        file: What problems call the file.

    Returns:
        The root and every problem found, in the order of the file. The root is None where the text ends before anything
        can be made of it; a root beside problems is whole but for the values that are not `usable`.
    """
    if len(data) > MAX_BYTES:
        found = f"the file is larger than {MAX_BYTES // 1024} KiB"
        return None, [Place(file).problem("", "too_large", found, "a manifest is a page of text: split it")]
    try:
        text = decode(data)
    except UnicodeDecodeError as error:
        return None, [_not_utf8(data, error, file)]
    if bad := _UNPRINTABLE.search(text):
        place = _place_of(text, bad.start(), file)
        name = "a NUL byte" if bad[0] == "\0" else f"the unprintable character U+{ord(bad[0]):04X}"
        return None, [place.problem("", "unprintable_character", f"found {name}", "remove it and save the file as UTF-8 text")]
    reader = _Reader(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.feed(event)
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_syntax_problem(error, text, file))
        return None, reader.problems
    except _StopReading:
        return None, reader.problems
    if reader.root is None:
        reader.problems.append(Place(file).problem("", "empty_file", "the file is empty", "write at least: forge: 1"))
    return reader.root, reader.problems


def decode(data: bytes) -> str:
    """Give the text of a file, without its byte order mark; UnicodeDecodeError if it is not UTF-8."""
    return data.decode("utf-8-sig")


def lines_of(text: str) -> list[str]:
    """Split a text into lines as places count them."""
    return _LINE_BREAK.split(text)


def _place_of(text: str, index: int, file: str) -> Place:
    before = lines_of(text[:index])
    return Place(file, len(before), len(before[-1]) + 1)


def _not_utf8(data: bytes, error: UnicodeDecodeError, file: str) -> Problem:
    hint = "save the file as UTF-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Place(file).problem("", "not_utf8", "the file is UTF-16, not UTF-8", hint)
    place = _place_of(data[: error.start].decode("utf-8-sig", "replace"), error.start, file)
    found = f"byte 0x{data[error.start]:02X} is not UTF-8"
    return place.problem("", "not_utf8", found, f"{hint} (it may have been saved as Windows-1252 or Latin-1)")


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    said = error.problem or error.context or ""
    for number, content in enumerate(lines_of(text)[: line + 1]):
        indentation = content[: len(content) - len(content.lstrip())]
        if "\t" in indentation and (number == line or content.strip()):
            place = Place(file, number + 1, indentation.index("\t") + 1)
            return place.problem("", "tab_indentation", "a tab in the indentation", "indent with spaces, two for each level")
    begins = ("while parsing a flow", "while scanning a simple key", "while scanning a quoted", "while scanning a double")
    if (error.context or "").startswith(begins) and error.context_mark and "escape" not in said:
        line, column = error.context_mark.line, error.context_mark.column
    place = Place(file, line + 1, column + 1)
    for words, message, hint in _SYNTAX:
        if words in said:
            return place.problem("", "syntax", message, hint)
    return place.problem("", "syntax", f"this is not YAML: {said}", "check quotes, brackets and indentation here")


@dataclass(slots=True)
class _Reader:
    """Build values from the parser's events, one at a time."""

    file: str
    root: Value | None = None
    problems: list[Problem] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    values: int = 0
    documents: int = 0

    def feed(self, event: Any) -> None:
        place = Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.stop(place, "several_documents", "a second document begins here", "put each asset into a file of its own")
        elif isinstance(event, yaml.AliasEvent):
            self.report(
                place, "alias", f'"*{event.anchor}" is a YAML alias', "write the value out; shared values belong in a preset"
            )
            self.add(Value(place, None, usable=False))
        elif isinstance(event, yaml.ScalarEvent):
            self.check_node(event, place)
            self.add(self.scalar(event, place), text=event.value)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.check_node(event, place)
            if len(self.open) >= MAX_DEPTH:
                self.stop(place, "too_deep", f"values are nested more than {MAX_DEPTH} deep", "a manifest needs three levels")
            entries: dict[str, Entry] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
            self.open.append(_Open(place, entries, [], _core(event.tag)))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            done = self.open.pop()
            self.add(Value(done.place, tuple(done.values) if done.entries is None else done.entries, done.usable))

    def report(self, place: Place, code: str, message: str, hint: str) -> None:
        keys = [frame.key[0] for frame in self.open if frame.key is not None]
        self.problems.append(place.problem(".".join(_short(key) for key in keys), code, message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _StopReading

    def stop(self, place: Place, code: str, message: str, hint: str) -> None:
        self.report(place, code, message, hint)
        raise _StopReading

    def check_node(self, event: Any, place: Place) -> None:
        """Count a value and refuse what its prefix asks for."""
        self.values += 1
        if self.values > MAX_VALUES:
            self.stop(place, "too_many_values", f"more than {MAX_VALUES} values", "a manifest describes one asset: split it")
        if event.anchor is not None:
            self.report(place, "anchor", f'"&{event.anchor}" is a YAML anchor', "remove it; shared values belong in a preset")
        if not _core(event.tag):
            tag = event.tag.replace(_CORE, "!!")
            self.report(
                place,
                "tag",
                f'the tag "{_short(tag)}" is not allowed',
                "remove it and write plain text, numbers, lists or keys",
            )

    def scalar(self, event: yaml.ScalarEvent, place: Place) -> Value:
        if not _core(event.tag):
            return Value(place, event.value, usable=False)
        plain = not event.style if event.tag is None else event.tag not in {f"{_CORE}str", "!"}
        if not plain:
            return Value(place, event.value)
        try:
            return Value(place, resolve(event.value))
        except NumberRefusedError as error:
            self.report(place, "not_a_number", str(error), "write an ordinary number, such as 60")
            return Value(place, None, usable=False)

    def add(self, value: Value, text: str | None = None) -> None:
        """Put a finished value where it belongs; `text` is what was written, if it is a scalar."""
        if not self.open:
            self.root = value
            return
        top = self.open[-1]
        if top.entries is None:
            top.values.append(value)
        elif top.key is None:
            top.discard = not self.usable_key(top.entries, value, text)
            top.key = (text or "", value.place)
        else:
            key, place = top.key
            if not top.discard:
                top.entries[key] = Entry(place, value)
            top.key = None

    def usable_key(self, entries: dict[str, Entry], value: Value, text: str | None) -> bool:
        place = value.place
        if text is None or not value.usable:
            if value.usable:
                self.report(place, "complex_key", "a list or mapping used as a key", "keys are single words")
        elif text == "<<":
            self.report(place, "merge_key", '"<<" is a YAML merge key', "write the keys out; shared values belong in a preset")
        elif text in entries:
            first = entries[text].key.line
            self.report(
                place, "duplicate_key", f'the key "{_short(text)}" stands here again, first in line {first}', "keep one of them"
            )
        else:
            return True
        return False


def _core(tag: str | None) -> bool:
    """Tell whether a tag asks for nothing but a plain kind of data."""
    return tag is None or tag == "!" or tag in _TAGS


def _short(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
