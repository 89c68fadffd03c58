"""The manifest language for programs and people: JSON Schema for editors, a reference table for the documentation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from forge_batch.field_errors import allowed, subschema
from forge_batch.image_sets import SUFFIXES
from forge_batch.layers import ALIAS, ALIASED, shorthand_words
from forge_batch.manifest_model import Manifest, ManifestDocument, stage_description
from forge_batch.migrations import VERSION
from forge_batch.presets import built_in_names
from forge_batch.stage import group_title
from forge_batch.stages import STAGES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXAMPLE: dict[str, Any] = {
    "forge": VERSION,
    "asset": "wooden_crate",
    "preset": "prop_UE5_standard",
    "place": {"height_cm": 60},
    "decimate": {"triangles": 6000},
    "symmetrize": "off",
}

_PATH = r"^(?!/|~|[A-Za-z]:)(?!(.*/)?\.\.?(/|$))(?!.*(//|\\|://))(?!.*/$)(?=.*\S)"
"""The form of a path below inbox/: `image_sets.path_fault` in one expression."""


def schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of a manifest as an author may write it.

    It takes what the loader takes, abbreviations included, except what only the content folder can tell: whether presets
    and images exist.
    """
    return copy.deepcopy(document())


@cache
def document() -> dict[str, Any]:
    """Give the one copy of `schema()` that everything here reads and nothing changes."""
    made = ManifestDocument.model_json_schema()
    properties = made["properties"]
    properties["preset"] = {
        **{key: value for key, value in properties["preset"].items() if key not in {"type", "minLength"}},
        "anyOf": [{"enum": built_in_names()}, {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,63}$"}],
    }
    _refine_images(properties["images"])
    for field in [*properties.values(), *(one for part in made["$defs"].values() for one in part["properties"].values())]:
        _give_examples(field)
    aliases = []
    required_anywhere = {}
    for stage in STAGES:
        words = shorthand_words(stage.params)
        field = properties[stage.name]
        reference = {"$ref": field.pop("$ref")}
        definition = made["$defs"][reference["$ref"].rpartition("/")[2]]
        field["description"] = stage_description(stage)
        written = {key: one["examples"][0] for key, one in definition["properties"].items() if key != "enabled"}
        field["examples"] = [dict(list(written.items())[:2]), *words[-1:]]
        field["anyOf"] = [reference, *([{"enum": words}] if words else []), {"type": "null"}]
        if missing := definition.pop("required", None):
            required_anywhere[stage.name] = missing
        if ALIASED in stage.name:
            alias = stage.name.replace(ALIASED, ALIAS)
            properties[alias] = {**field, "description": f"The same as {stage.name}.", "deprecated": True}
            aliases.append({"not": {"required": [alias, stage.name]}})
    sections = {name: {"type": "object", "required": keys} for name, keys in required_anywhere.items()}
    built_in = {"properties": {"preset": {"enum": built_in_names()}}}
    made["required"] = ["forge"]
    made["allOf"] = [*aliases, {"if": built_in, "then": {"required": list(sections), "properties": sections}}]
    made["title"] = "forge_batch manifest"
    made["description"] = "What is asked of one asset."
    made["examples"] = [EXAMPLE]
    return {"$schema": DIALECT, **made}


def _give_examples(field: dict[str, Any]) -> None:
    """Let every field show how it is written: its words, or its default where none were thought of."""
    if "$ref" not in field and "examples" not in field:
        field["examples"] = field.get("enum", [field.get("default")])


def _refine_images(images: dict[str, Any]) -> None:
    """Write out what the model leaves to the loader: the form of paths and the number of views."""
    text, views = images["anyOf"]
    text["pattern"] = _PATH
    views["minProperties"], views["maxProperties"] = 1, 4
    views["additionalProperties"] = {**views["additionalProperties"], "allOf": [{"pattern": _PATH}]}
    endings = "|".join(suffix.removeprefix(".") for suffix in SUFFIXES)
    views["additionalProperties"]["pattern"] = rf"\.({endings})$"


def reference_markdown() -> str:
    """Write the table of every field for docs/manifest.md: what it takes, its default, what it means."""
    fields = document()
    rows = ["### Top level", "", "| field | takes | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [_row(name, fields["properties"][name], fields) for name in Manifest.model_fields]
    for stage in STAGES:
        section = subschema(fields, [stage.name])
        says = stage_description(stage) if section.get("properties") else "No fields: it always runs, the same way."
        rows += ["", f"### {stage.name}", "", f"*{group_title(stage.group)}.* {says}", ""]
        words = [f"`{word}`" for word in shorthand_words(stage.params) if isinstance(word, str)]
        if words:
            rows += [f"`{stage.name}:` also takes {' or '.join(words)} by itself.", ""]
        if not section.get("properties"):
            rows.pop()
            continue
        rows += ["| field | takes | default | meaning |", "| --- | --- | --- | --- |"]
        rows += [_row(name, field, fields, f"{stage.name}.{name}") for name, field in section["properties"].items()]
    return "\n".join(rows) + "\n"


_DEFAULTS = {"asset": "the file's name", "images": "the asset's name"}
_REQUIRED = ("forge", "place.height_cm")
_TAKES = {
    "asset": "a name: a-z, 0-9 and _, at most 48, a letter first",
    "preset": "the name of a preset",
    "images": "the name of a folder in inbox/, or a path below inbox/ for each view",
}


def _row(name: str, field: Mapping[str, Any], fields: dict[str, Any], path: str = "") -> str:
    default = _DEFAULTS.get(path or name) or field.get("x-default") or _default(path or name, field)
    takes = _TAKES.get(path or name) or allowed(field, fields)
    meaning = field.get("description", "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", takes, default, meaning)) + " |"


def _default(path: str, field: Mapping[str, Any]) -> str:
    if path in _REQUIRED:
        return "**required**"
    default = field.get("default")
    return f"`{_text(default)}`" if default not in ({}, "", None) or "anyOf" in field else "empty"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    return f"{value}"
