"""Lay manifests over presets over project settings, and remember where each value came from.

Layers are mappings of `yaml_file.Value`, so every value carries its file and line through the merge: a problem is reported
where the offending words stand, be it in a preset, and the origin of a value is the place of the value that won.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from forge_batch.errors import Problem
from forge_batch.presets import BUILT_IN
from forge_batch.stage import StageParams, Switchable
from forge_batch.yaml_value import Entry, Place, Value, describe

ALIAS, ALIASED = "albedo", "base_color"
_SWITCH_WORDS = {"on": True, "off": False}


def shorthand_words(params: type[StageParams]) -> list[str | bool]:
    """List what may stand for a stage's whole mapping: on and off, or the words of its `mode`."""
    if issubclass(params, Switchable):
        return [True, False, "on", "off"]
    if "mode" in params.model_fields:
        words = list(get_args(params.model_fields["mode"].annotation))
        return [*words, False] if "off" in words else words
    return []


def expand(layer: Value, stages: Mapping[str, type[StageParams]]) -> tuple[Value, list[Problem]]:
    """Write out what a layer abbreviates: `rig: off`, `symmetrize: radial`, an empty section, `albedo` for `base_color`.

    Args:
        layer: One mapping of manifest fields.
        stages: Params class by stage name.

    Returns:
        The same layer with every stage as a mapping, and a problem for each abbreviation that a stage does not have.
    """
    assert isinstance(layer.content, dict)
    entries: dict[str, Entry] = {}
    names: dict[str, str] = {}
    problems: list[Problem] = []
    for written, entry in layer.content.items():
        key = written.replace(ALIAS, ALIASED)
        if key not in stages:
            key = written
        if key in entries:
            message = f'"{written}" stands here besides "{names[key]}", and both mean the same'
            problems.append(entry.key.problem(key, "duplicate_key", message, "keep one of them"))
            continue
        if key in stages and not isinstance(entry.value.content, dict):
            entries[key], found = _expand_stage(key, entry, stages[key])
            problems += found
        else:
            entries[key] = entry
        names[key] = written
    return replace(layer, content=entries), problems


def _expand_stage(name: str, entry: Entry, params: type[StageParams]) -> tuple[Entry, list[Problem]]:
    word, place = entry.value.content, entry.value.place
    if word is None:
        return replace(entry, value=replace(entry.value, content={})), []
    if issubclass(params, Switchable):
        enabled = word if isinstance(word, bool) else _SWITCH_WORDS.get(word) if isinstance(word, str) else None
        if enabled is not None:
            return _section(entry, "enabled", enabled), []
        allowed = "write on, off, or its options below it, indented"
    elif "mode" in params.model_fields and word is not True and not isinstance(word, (int, float, tuple)):
        return _section(entry, "mode", word), []
    elif "mode" in params.model_fields and word is False:
        return _section(entry, "mode", "off"), []
    elif word == "off" or (isinstance(word, bool) and not word):
        problem = place.problem(
            name, "stage_required", f"{name} cannot be left out", f"remove the line, or write options of {name}"
        )
        return replace(entry, value=Value(place, {}, usable=False)), [problem]
    else:
        allowed = "write its options below it, indented"
    found = place.problem(name, "wrong_type", f"found {describe(entry.value)} where options of {name} belong", allowed)
    return replace(entry, value=Value(place, {}, usable=False)), [found] if entry.value.usable else []


def _section(entry: Entry, key: str, word: Any) -> Entry:
    place = entry.value.place
    value = Value(place, {key: Entry(place, Value(place, word, usable=entry.value.usable))})
    return replace(entry, value=value)


def merge(lower: Value, upper: Value) -> Value:
    """Lay one value over another: mappings key by key, anything else whole."""
    if not (isinstance(lower.content, dict) and isinstance(upper.content, dict)):
        return upper
    entries = dict(lower.content)
    for key, entry in upper.content.items():
        below = entries.get(key)
        value = merge(below.value, entry.value) if below else entry.value
        entries[key] = Entry(entry.key, value)
    return Value(upper.place, entries, upper.usable and lower.usable)


def origins(resolved: Mapping[str, Any], merged: Value) -> dict[str, str]:
    """Say for every value of a resolved manifest where it came from.

    Returns:
        By dotted field: `manifests/crate.yaml:7`, `preset prop_UE5_hero`, `preset mine (presets/mine.yaml:4)`,
        `forge.yaml:3` or `default`.
    """
    return {field: origin(place) for field, place in _leaves(resolved, merged)}


def places(resolved: Mapping[str, Any], merged: Value, file: str) -> dict[str, Place]:
    """Give by dotted field where a file writes it, for those values of a resolved manifest that come from that file."""
    return {field: place for field, place in _leaves(resolved, merged) if place and place.line and place.file == file}


def origin(place: Place | None) -> str:
    """Say where a value came from."""
    if place is None or (place.line == 0 and not place.file.startswith(BUILT_IN)):
        return "default"
    if place.file.startswith(BUILT_IN):
        return f"preset {place.file.removeprefix(BUILT_IN)}"
    where = f"{place.file}:{place.line}"
    if place.file.startswith("presets/"):
        name = place.file.removeprefix("presets/").rpartition(".")[0]
        return f"preset {name} ({where})"
    return where


def _leaves(resolved: Mapping[str, Any], merged: Value | None, prefix: str = "") -> Iterator[tuple[str, Place | None]]:
    entries = merged.content if merged is not None and isinstance(merged.content, dict) else {}
    for key, data in resolved.items():
        value = entries[key].value if key in entries else None
        if isinstance(data, dict) and data:
            yield from _leaves(data, value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value.place if value else None
