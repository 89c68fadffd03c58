"""Say in plain words what is wrong with a field: where, what was found, what to write instead.

pydantic finds the errors; the words come from the field's own JSON Schema, so that a message names the allowed range
without anyone having written it down twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from forge_batch.errors import Problem
from forge_batch.yaml_file import MAX_PROBLEMS
from forge_batch.yaml_value import Place, Value, describe

Schema = Mapping[str, Any]

_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"}
_TYPES = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false", "null": "null"}


def problems_of(error: ValidationError, tree: Value, schema: Schema) -> list[Problem]:
    """Translate what pydantic found.

    Args:
        error: From validating `tree.plain()`.
        tree: The values with their places.
        schema: JSON Schema of the whole model, with its `$defs`.

    Returns:
        One problem for each field at fault, in the order of the file, at most `MAX_PROBLEMS`.
    """
    found: dict[str, tuple[Place, Mapping[str, Any], _Spot]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        spot = _Spot(tree, detail["loc"])
        if spot.usable:
            found.setdefault(spot.field, (spot.place, dict(detail), spot))
    for field in [field for field, (_, detail, _) in found.items() if detail["type"].startswith("too_")]:
        if any(other.startswith(f"{field}.") for other in found):
            del found[field]  # the list is short only because of the values that are reported themselves
    first = sorted(found.values(), key=lambda entry: (entry[0].file, entry[0].line, entry[0].column))[:MAX_PROBLEMS]
    return [_problem(detail, spot, schema) for _, detail, spot in first]


class _Spot:
    """Where in the tree an error lies, as near as the tree knows it."""

    def __init__(self, tree: Value, loc: Sequence[int | str]) -> None:
        self.value: Value | None = tree
        self.place = tree.place
        self.path: list[int | str] = []
        self.usable = tree.usable
        for number, part in enumerate(loc):
            content = self.value.content if self.value else None
            if isinstance(content, dict) and part in content:
                entry = content[str(part)]
                self.value, self.key = entry.value, entry.key
            elif isinstance(content, tuple) and isinstance(part, int) and part < len(content):
                self.value = content[part]
                self.key = self.value.place
            elif number == len(loc) - 1 and isinstance(content, dict):
                self.value = None  # a key that is not there; a preset is not to blame for it
                self.place = self.place if self.place.file == tree.place.file else tree.place
                self.path.append(part)
                break
            elif part == "[key]":
                self.place = self.key  # the key itself is at fault, not what it holds
                continue
            else:
                continue  # the name of a union's member, not of a field
            self.path.append(part)
            if self.value.place.line:  # a section that stands nowhere is reported where its parent stands
                self.place = self.value.place
            self.usable = self.usable and self.value.usable
        self.field = ".".join(str(part)[:80] for part in self.path)


def _problem(detail: Mapping[str, Any], spot: _Spot, schema: Schema) -> Problem:
    kind = detail["type"]
    field = subschema(schema, spot.path)
    name = str(spot.path[-1]) if spot.path else ""
    if kind == "missing" or spot.value is None:
        says = field.get("description", "")
        says = f" ({says[:1].lower()}{says[1:].rstrip('.')})" if says else ""
        section = ".".join(str(part) for part in spot.path[:-1])
        example = f"write {name}: {allowed(field, schema)}{says}" + (f" under {section}:" if section else "")
        return spot.place.problem(spot.field, "missing_key", f'the key "{name}" is missing', example)
    if kind == "extra_forbidden":
        return spot.key.problem(spot.field, "unknown_key", f'there is no key "{_cut(name)}" here', _nearest_key(spot, schema))
    return spot.place.problem(spot.field, *_value_words(detail, spot.value, field, schema))


def _value_words(detail: Mapping[str, Any], value: Value, field: Schema, schema: Schema) -> tuple[str, str, str]:
    """Give code, message and hint for a value that is there but cannot be taken."""
    kind, found = detail["type"], describe(value)
    hint = f"write {allowed(field, schema)}" + _default(field)
    if kind in {"literal_error", "enum"}:
        code, message = "not_allowed", f"{found} is not one of the allowed values"
        hint = _word_hint(value.content, field.get("enum", [field.get("const")]), hint)
    elif kind in _RANGES:
        limit = next((word for word in ("ge", "gt", "le", "lt") if word in detail.get("ctx", {})), "")
        how = {"ge": "too small", "gt": "too small", "le": "too large", "lt": "too large"}.get(limit, "not allowed")
        code, message = "out_of_range", f"{found} is {how}"
    elif kind in {"too_short", "too_long", "string_too_short", "string_too_long"}:
        size = len(value.content) if isinstance(value.content, (str, tuple, dict)) else 0
        what = f"a text of {size} characters" if isinstance(value.content, str) else f"a list of {size} values"
        code, message = "wrong_length", f"{what} is too {'short' if kind.endswith('short') else 'long'}"
    elif kind in {"value_error", "assertion_error"}:
        # validators raise ValueError("what was found; what to write instead")
        message, _, advice = detail["msg"].partition(", ")[2].partition("; ")
        code, hint = "invalid_value", advice or hint
    elif kind == "string_pattern_mismatch":
        code, message = "invalid_value", f"{found} has a form that is not allowed"
    else:
        found = f"the text {found}" if isinstance(value.content, str) else found
        code, message, hint = "wrong_type", f"found {found}", hint + _type_advice(value, field)
    return code, message, hint


def _word_hint(word: Any, words: Sequence[Any], hint: str) -> str:
    if isinstance(word, str) and word in map(str, words):
        return f"{hint}, without quotes"
    near = nearest(word, words)
    question = f"did you mean {near}?" if isinstance(word, str) else f"the nearest is {near};"
    return f"{question} {hint}" if near else hint


def _type_advice(value: Value, field: Schema) -> str:
    if isinstance(value.content, str) and field.get("type") in {"integer", "number"}:
        text = value.content.strip().replace("_", "").replace(",", "").replace(" ", "")
        digits = text.lstrip("+-").lstrip("0") or "0"
        if text and digits.replace(".", "", 1).isascii() and digits.replace(".", "", 1).isdigit():
            sign = "-" if text.startswith("-") else ""
            return f": {sign}{digits[:30]}, without quotes or separators"
    if isinstance(value.content, (int, float)) and field.get("type") == "string":
        return f': put it in quotes, "{describe(value)}"'
    if isinstance(value.content, str) and field.get("type") == "boolean":
        return ", without quotes"
    return ""


def _nearest_key(spot: _Spot, schema: Schema) -> str:
    """Name the nearest key of this section, and the section where a key of exactly this name stands."""
    parent = subschema(schema, spot.path[:-1])
    keys = [key for key, field in parent.get("properties", {}).items() if not field.get("deprecated")]
    name = str(spot.path[-1])
    homes = [
        f"{section}.{name}" if section else name
        for section in ("", *schema["properties"])
        if name in subschema(schema, [section] if section else []).get("properties", {})
    ]
    near = nearest(name, keys)
    guess = f"did you mean {near}?" if near else f"did you mean {' or '.join(homes[:3])}?" if homes else ""
    if guess and len(keys) > 12:
        return guess
    listed = f"allowed here: {', '.join(keys)}" if keys else "nothing can be set here"
    return f"{guess} {listed}".strip()


def nearest(word: Any, words: Sequence[Any]) -> str:
    """Give the allowed word, or number, that is nearest to what was written; empty if none is near."""
    if isinstance(word, (int, float)) and not isinstance(word, bool):
        numbers = [number for number in words if isinstance(number, (int, float))]
        return str(min(numbers, key=lambda number: abs(number - word))) if numbers else ""
    if not isinstance(word, str) or len(word) > 64:
        return ""
    lower = {str(other).lower(): str(other) for other in words if isinstance(other, str)}
    near = difflib.get_close_matches(word.lower(), lower, 1, 0.6)
    return f'"{lower[near[0]]}"' if near else ""


def subschema(schema: Schema, path: Sequence[int | str]) -> Schema:
    """Find the part of a JSON Schema that speaks of a field; empty if there is none."""
    here = _follow(schema, schema)
    for part in path:
        if isinstance(part, int):
            here = here.get("items", {})
        elif part in here.get("properties", {}):
            here = here["properties"][part]
        else:
            more = here.get("additionalProperties", {})
            here = more if isinstance(more, dict) else {}
        here = _follow(here, schema)
    return here


def _follow(here: Schema, schema: Schema) -> Schema:
    """Step through references, and from a choice to its one member that is a mapping."""
    for _ in range(8):
        if "$ref" in here:
            target: Schema = schema.get("$defs", {}).get(here["$ref"].rpartition("/")[2], {})
            here = {**target, **{key: value for key, value in here.items() if key != "$ref"}}
            continue
        members = [_follow(member, schema) for member in here.get("anyOf", [])]
        mappings = [member for member in members if member.get("type") == "object"]
        if len(mappings) != 1:
            break
        here = {**mappings[0], **{key: value for key, value in here.items() if key != "anyOf"}}
    return here


def allowed(field: Schema, schema: Schema) -> str:
    """Put what a field takes into words: `a whole number from 100 to 500000`."""
    if "$ref" in field:
        field = _follow(field, schema)
    kind, words = field.get("type", ""), field.get("enum", [field["const"]] if "const" in field else [])
    if "anyOf" in field:
        text = " or ".join(dict.fromkeys(allowed(member, schema) for member in field["anyOf"]))
    elif words:
        text = _word(words[0]) if len(words) == 1 else f"one of {', '.join(map(_word, words))}"
    elif kind == "array":
        text = _count("a list", field, "Items") + f", each {allowed(field.get('items', {}), schema)}"
    elif kind == "object":
        inner = field.get("additionalProperties")
        text = f"a mapping of names, each with {allowed(inner, schema)}" if isinstance(inner, dict) else "a mapping of keys"
    elif field.get("format") == "date":
        text = "a date as year-month-day"
    elif kind == "string":
        text = _count("a text", field, "Length", "characters")
    else:
        text = _TYPES.get(kind, "another value") + _range(field)
    return text


def _range(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    words = []
    if low is not None and high is not None:
        words.append(f"from {_word(low)} to {_word(high)}")
    else:
        words += [f"{_word(low)} or more"] if low is not None else []
        words += [f"above {_word(above)}"] if above is not None else []
        words += [f"at most {_word(high)}"] if high is not None else []
        words += [f"below {_word(below)}"] if below is not None else []
    return " " + " and ".join(words) if words else ""


def _count(what: str, field: Schema, ending: str, unit: str = "values") -> str:
    low, high = field.get(f"min{ending}"), field.get(f"max{ending}")
    if low and high:
        return f"{what} of {low} to {high} {unit}" if low != high else f"{what} of {low} {unit}"
    if low or high:
        return f"{what} of at least {low} {unit}" if low else f"{what} of at most {high} {unit}"
    return what


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or isinstance(default, (dict, list)) or default == "":
        return ""
    return f" (default {_word(default)})"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
