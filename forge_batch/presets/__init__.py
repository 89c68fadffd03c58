"""Presets: partial manifests by name, the ones that come with the product and those of a content folder.

A preset holds any of a manifest's stages, plus `kind`, plus `extends`, the name of the preset it builds on. YAML like the
manifests; JSON is read too, being a part of YAML.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from forge_batch.errors import Problem
from forge_batch.migrations import MIGRATIONS, VERSION, Migration, migrate
from forge_batch.yaml_file import read_yaml
from forge_batch.yaml_value import Entry, Place, Value, describe

FOLDER = Path(__file__).parent
DEFAULT = "prop_UE5_standard"
MAX_CHAIN = 8
BUILT_IN = "preset:"
"""How places inside a built-in preset name their file."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SUFFIXES = (".yaml", ".yml", ".json")
_OWN_KEYS = ("forge", "description", "extends")
_NOT_HERE = ("asset", "images", "preset", "notes", "seed", "priority", "deadline")


def built_in_names() -> list[str]:
    """List the presets that come with the product."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@dataclass
class Presets:
    """Find presets by name, and read each file once.

    Args:
        content: The content folder whose `presets/` is looked into; None knows only the built-in ones.
        migrations: Steps from earlier versions of the language.
    """

    content: Path | None = None
    migrations: Sequence[Migration] = MIGRATIONS
    _read: dict[str, tuple[Value | None, list[Problem]]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """List every preset a manifest may name."""
        folder = self.content / "presets" if self.content else None
        own = {path.stem for path in folder.iterdir() if path.suffix in _SUFFIXES} if folder and folder.is_dir() else set()
        return sorted(own | set(built_in_names()))

    def chain(self, name: str, place: Place, where: str = "preset") -> tuple[list[Value], list[Problem]]:
        """Give a preset and those it extends, the most basic first.

        Args:
            name: The preset's name.
            place: Where it is named; a name that leads nowhere is reported there.
            where: The field that names it.

        Returns:
            Mappings of manifest fields, and the problems found in them.
        """
        layers: list[Value] = []
        problems: list[Problem] = []
        seen: list[str] = []
        following: str | None = name
        while following is not None:
            seen.append(following)
            if seen.count(following) > 1 or len(seen) > MAX_CHAIN:
                problems.append(place.problem(where, "preset_circle", f"presets extend each other: {' -> '.join(seen)}"))
                break
            layer, found = self._one(following, place, where)
            problems += found
            if layer is None or not isinstance(layer.content, dict):
                break
            layers.insert(0, Value(layer.place, {k: e for k, e in layer.content.items() if k not in _OWN_KEYS}))
            extends = layer.content.get("extends")
            following = None
            if extends is not None and isinstance(extends.value.content, str):
                following, place, where = extends.value.content, extends.value.place, "extends"
        return layers, problems

    def _one(self, name: str, place: Place, where: str) -> tuple[Value | None, list[Problem]]:
        if name not in self._read:
            path, file = self._find(name)
            if path is not None:
                root, problems = read_yaml(path, file)
                if root is not None and isinstance(root.content, dict):
                    root, aged = migrate(root, self.migrations)
                    problems = [*problems, *aged]
                self._read[name] = _check(root, problems)
        if name in self._read:
            return self._read[name]
        names = self.names()
        near = difflib.get_close_matches(name[:64], names, 1, 0.5)
        guess = f'did you mean "{near[0]}"? ' if near else ""
        shown = name if len(name) <= 40 else name[:37] + "..."
        found = place.problem(where, "unknown_preset", f'there is no preset "{shown}"', f"{guess}presets: {', '.join(names)}")
        return None, [found]

    def _find(self, name: str) -> tuple[Path | None, str]:
        if not _NAME.fullmatch(name):
            return None, ""
        built_in = FOLDER / f"{name}.yaml"
        if built_in.is_file():
            return built_in, BUILT_IN + name
        if self.content is not None:
            folder = self.content / "presets"
            for suffix in _SUFFIXES:
                path = folder / (name + suffix)
                if path.is_file() and path.resolve().is_relative_to(self.content.resolve()):
                    return path, f"presets/{path.name}"
        return None, ""


def _check(root: Value | None, problems: list[Problem]) -> tuple[Value | None, list[Problem]]:
    """Refuse what only a manifest can say."""
    if root is None or not isinstance(root.content, dict):
        if root is not None:
            problems = [
                *problems,
                root.place.problem("", "wrong_type", "a preset is a mapping of keys", "write stages as in a manifest"),
            ]
        return None, problems
    kept: dict[str, Entry] = {}
    for key, entry in root.content.items():
        if key in _NOT_HERE:
            found = entry.key.problem(
                key, "not_in_preset", f'"{key}" belongs to one asset, not to a preset', "move it to the manifest"
            )
            problems = [*problems, found]
        elif key == "forge" and entry.value.plain() != VERSION:
            found = entry.value.place.problem(
                key, "not_allowed", f"{describe(entry.value)} is no version of the manifest language", f"write forge: {VERSION}"
            )
            problems = [*problems, found]
        elif key == "extends" and not isinstance(entry.value.content, str):
            found = entry.value.place.problem(
                key, "wrong_type", "extends names one other preset", f"for example: extends: {DEFAULT}"
            )
            problems = [*problems, found]
        else:
            kept[key] = entry
    return replace(root, content=kept), problems
