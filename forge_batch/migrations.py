"""Read what was written for an earlier version of the manifest language, and say what became of it.

A new version comes with one Migration from the version before: a function from a file's keys to the keys that mean the same
now. Authors lose nothing by an update; a warning tells what was read differently and what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from forge_batch.errors import Problem
from forge_batch.yaml_value import Entry, Value

VERSION = 1
"""The version of the manifest language that this program writes."""


@dataclass(frozen=True)
class Migration:
    """Lead from one version of the language to the next.

    Attributes:
        version: The version that it reads.
        change: What the author is told, such as `decimate.target is now called decimate.triangles`.
        apply: Give the keys of a manifest or preset as the next version wants them; places stay those of the file.
    """

    version: int
    change: str
    apply: Callable[[Value], Value]


MIGRATIONS: tuple[Migration, ...] = ()
"""Every step since the first version, in order; there is none before version 1."""


def migrate(tree: Value, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[Value, list[Problem]]:
    """Bring a file's keys to the present version.

    Args:
        tree: A mapping with or without the key `forge`; without it, or with something that is no version, it stays as it is.
        migrations: The steps that exist.

    Returns:
        The mapping, and a warning for each step taken, or the error that a later program is needed.
    """
    assert isinstance(tree.content, dict)
    entry = tree.content.get("forge")
    if entry is None or isinstance(entry.value.content, bool) or not isinstance(entry.value.content, int):
        return tree, []
    place, version = entry.value.place, entry.value.content
    if version > VERSION:
        message = f"version {version} of the manifest language is newer than this program, which knows {VERSION}"
        hint = f"update forge-batch, or write forge: {VERSION}"
        return tree, [place.problem("forge", "later_version", message, hint)]
    problems = []
    for step in migrations:
        if step.version == version:
            tree, version = step.apply(tree), version + 1
            message = f"version {step.version} of the manifest language is old; it was read as version {version}: {step.change}"
            hint = f"write forge: {version} and change it, or take over what this prints: forge-batch explain"
            problems.append(place.problem("forge", "migrated", message, hint, "warning"))
    return _with_version(tree, entry, version), problems


def _with_version(tree: Value, entry: Entry, version: int) -> Value:
    assert isinstance(tree.content, dict)
    return replace(tree, content={**tree.content, "forge": replace(entry, value=replace(entry.value, content=version))})
