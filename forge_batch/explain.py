"""Say what a manifest or a preset comes down to: every value, where it came from, and how it differs from another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from forge_batch.errors import ContentError, ManifestError
from forge_batch.field_errors import nearest
from forge_batch.jobs import Job
from forge_batch.manifest import load_manifests, parse_manifest
from forge_batch.manifest_model import ManifestDumper
from forge_batch.packages.names import REJECTED, packages_in
from forge_batch.plain_text import table
from forge_batch.presets import Presets
from forge_batch.stage import GROUPS, group_title
from forge_batch.stages import STAGES

NOT_IN_PRESETS = ("forge", "asset", "preset", "images", "seed", "priority", "deadline", "notes")
TO_BE_WRITTEN = "every manifest writes its own"
_HEIGHT = "place.height_cm"


@dataclass(frozen=True)
class Explanation:
    """Hold what a name stands for.

    Attributes:
        name: The asset's or preset's name.
        what: `asset` or `preset`.
        values: Values as a manifest has them, nested.
        origins: By dotted field: `file:line`, `preset NAME (file:line)`, the word that implies it, or `default`.
    """

    name: str
    what: str
    values: Mapping[str, Any]
    origins: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            self.what: self.name,
            "values": [
                {"field": field, "group": _group(field), "value": value, "origin": self.origins[field]}
                for field, value in leaves(self.values)
            ],
        }


def explain(content: Path, name: str) -> Explanation:
    """Find an asset, or else a preset, and resolve it.

    Raises:
        ManifestError: It is there but wrong; holds every problem.
        ContentError: Neither an asset nor a preset has that name; the hint names the nearest.
    """
    loaded = load_manifests(content)
    for manifest in loaded.manifests:
        if manifest.asset == name:
            return Explanation(name, "asset", manifest.resolved(), manifest.origins)
    broken = [problem for problem in loaded.problems if Path(problem.file).stem == name and problem.severity == "error"]
    if broken:
        raise ManifestError(broken)
    presets = Presets(content).names()
    if name not in presets:
        assets = [manifest.asset for manifest in loaded.manifests]
        near = nearest(name, [*assets, *presets])
        guess = f"did you mean {near}? " if near else ""
        hint = f"{guess}assets: {', '.join(assets) or 'none'}; presets: {', '.join(presets)}"
        raise ContentError(f'no asset and no preset is called "{name[:40]}"', hint)
    return explain_preset(name, content)


def explain_preset(name: str, content: Path | None = None) -> Explanation:
    """Resolve what a preset sets; what belongs to one asset is left out.

    Raises:
        ManifestError: The preset, or one that it extends, is wrong.
    """
    least = f"forge: 1\nasset: thing\npreset: {name}\n"
    try:
        manifest = parse_manifest(least, content, "")
        height = True
    except ManifestError as error:
        if [problem.field for problem in error.problems] != [_HEIGHT]:
            raise
        manifest = parse_manifest(f"{least}place: {{height_cm: 1}}\n", content, "")
        height = False
    values = {key: value for key, value in manifest.resolved().items() if key not in NOT_IN_PRESETS}
    origins = dict(manifest.origins)
    if not height:
        values["place"] = {**values["place"], "height_cm": None}
        origins[_HEIGHT] = TO_BE_WRITTEN
    return Explanation(name, "preset", values, origins)


def last_run(home: Path, asset: str) -> list[str]:
    """Say how the last run of an asset failed and which package of it is kept, a line each; nothing where it did not fail.

    Args:
        home: The folder that holds what the runner owns.
        asset: Its name.
    """
    try:
        job = Job.from_json(json.loads((home / "state" / "jobs" / f"{asset}.json").read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    kept = [f"kept as exports/{asset}/{name}" for name in _rejected(job)]
    return [f"failed: {' '.join(str(job.failure).split())}", *kept] if job.failure else []


def _rejected(job: Job) -> list[str]:
    """Name the packages that lie in exports/ as rejected."""
    record = job.records.get(job.rejected)
    return list(packages_in(job.asset, record, REJECTED)) if record else []


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value by its dotted field."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def explanation_text(explanation: Explanation) -> str:
    """Write the whole as YAML that reads back to the same, with each value's origin in a comment.

    A preset comes out as a preset: `forge-batch explain NAME > presets/mine.yaml` begins one of your own.
    """
    rows: list[tuple[str, str]] = []
    section: tuple[str, ...] = ()
    group = ""
    for field, value in sorted(leaves(explanation.values), key=lambda leaf: ("", *GROUPS).index(_group(leaf[0]))):
        *path, key = field.split(".")
        if _group(field) != group:
            group = _group(field)
            rows += [("", ""), (f"# {group_title(group)}", "")]
        if tuple(path) != section:
            section = tuple(path)
            rows += [("  " * (len(path) - 1) + f"{path[-1]}:", "")] if path else []
        written = f"# {key}:" if explanation.origins[field] == TO_BE_WRITTEN else f"{key}: {_written(value)}"
        rows.append(("  " * len(path) + written, explanation.origins[field]))
    width = min(48, max(len(text) for text, _ in rows)) + 2
    lines = [f"{text.ljust(width)}# {origin}" if origin else text for text, origin in rows]
    return "\n".join([f"# {explanation.what} {explanation.name}", *lines])


def difference_text(one: Explanation, other: Explanation) -> str:
    """List the fields whose values differ, by group, with both origins."""
    rows = [
        [field, _short(left), one.origins.get(field, ""), _short(right), other.origins.get(field, "")]
        for field, left, right in differences(one, other)
    ]
    if not rows:
        return f"{one.name} and {other.name} ask for the same"
    lines = []
    for group in ("", *GROUPS):
        part = [row for row in rows if _group(row[0]) == group]
        if part:
            heading = group_title(group) if group else "The asset"
            lines += [heading, table(["field", one.name, "from", other.name, "from"], part), ""]
    return "\n".join(lines).rstrip()


def difference_json(one: Explanation, other: Explanation) -> dict[str, Any]:
    """Give the same as data."""
    return {
        "left": {one.what: one.name},
        "right": {other.what: other.name},
        "differences": [
            {
                "field": field,
                "group": _group(field),
                "left": {"value": left, "origin": one.origins.get(field)},
                "right": {"value": right, "origin": other.origins.get(field)},
            }
            for field, left, right in differences(one, other)
        ],
    }


def differences(one: Explanation, other: Explanation) -> list[tuple[str, Any, Any]]:
    """Give field and both values wherever they differ; between an asset and a preset, only what a preset can say."""
    left, right = dict(leaves(one.values)), dict(leaves(other.values))
    fields = [field for field in {**left, **right} if field.split(".")[0] not in {"asset", "forge"}]
    if one.what != other.what:
        fields = [field for field in fields if field in left and field in right]
        fields = [field for field in fields if TO_BE_WRITTEN not in {one.origins[field], other.origins[field]}]
    return [(field, left.get(field), right.get(field)) for field in fields if left.get(field) != right.get(field)]


_GROUP_OF = {stage.name: stage.group for stage in STAGES}


def _group(field: str) -> str:
    """Give the group of a field's stage; empty for what belongs to the asset as a whole."""
    return _GROUP_OF.get(field.split(".", maxsplit=1)[0], "")


def _written(value: Any) -> str:
    """Write a value in one line of YAML; whole numbers without a point."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    text: str = yaml.dump([whole], Dumper=ManifestDumper, default_flow_style=True, allow_unicode=True, width=100_000)
    return text.strip()[1:-1]


def _short(value: Any) -> str:
    text = "-" if value is None else _written(value)
    return text if len(text) <= 32 else text[:29] + "..."
