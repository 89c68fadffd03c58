"""Read manifests: from the text an author typed to a Manifest, or to every problem in it at once.

Precedence, from the lowest: the stages' defaults, forge.yaml, the preset and those it extends, the manifest.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forge_batch.advice import advise
from forge_batch.errors import ManifestError, Problem
from forge_batch.field_errors import problems_of
from forge_batch.image_sets import ImageSet, find_images, images_form
from forge_batch.layers import expand, merge, origins, places
from forge_batch.manifest_model import Manifest, ManifestDocument, as_yaml, clean_name, manifest_model, name_fault, title
from forge_batch.manifest_schema import document, reference_markdown, schema
from forge_batch.migrations import MIGRATIONS, Migration, migrate
from forge_batch.name_clashes import without_clashes
from forge_batch.presets import DEFAULT, Presets
from forge_batch.project import ProjectFile, read_project
from forge_batch.stage import StageParams, Switchable
from forge_batch.stages import STAGES
from forge_batch.yaml_file import parse_yaml, read_yaml
from forge_batch.yaml_value import Entry, Place, Value, describe

__all__ = [
    "Manifest",
    "Manifests",
    "as_yaml",
    "clean_name",
    "load_manifest",
    "load_manifests",
    "manifest_model",
    "name_fault",
    "parse_manifest",
    "reference_markdown",
    "schema",
    "title",
]

SUFFIXES = (".yaml", ".yml")
_STAGES: dict[str, type[StageParams]] = {stage.name: stage.params for stage in STAGES}


@dataclass(frozen=True)
class Manifests:
    """Hold what a content folder asks for: the sound manifests, sorted by asset, and what is wrong with the others."""

    manifests: list[Manifest] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def load_manifest(path: Path, content: Path) -> Manifest:
    """Read one manifest and look for its images.

    Args:
        path: The file; it need not lie in the content folder.
        content: The folder that holds `inbox/`, `presets/` and `forge.yaml`.

    Raises:
        ManifestError: Holds every problem found, in the order of the file.
    """
    return _Reading(content).load(path)


def load_manifests(content: Path) -> Manifests:
    """Read every manifest of a content folder; a bad one costs only its own asset.

    Two manifests that ask for one asset are both refused, since nothing says which is meant. Names that differ by
    underscores alone are one asset too: engines ignore case, and `my_crate` and `mycrate` become MyCrate and Mycrate.
    """
    paths, problems = _manifest_files(content)
    try:
        reading = _Reading(content)
    except ManifestError as error:
        return Manifests([], sorted({*problems, *error.problems}))
    manifests = []
    for path in paths:
        try:
            manifests.append(reading.load(path))
        except ManifestError as error:
            problems += error.problems
    unique, doubles = _without_doubles(manifests)
    unique, shared = without_clashes(unique)
    problems += [*doubles, *shared]
    for manifest in unique:
        problems += manifest.warnings
    return Manifests(sorted(unique, key=lambda manifest: manifest.asset), sorted(set(problems)))


def parse_manifest(
    data: bytes | str, content: Path | None = None, file: str = "manifest.yaml", migrations: Sequence[Migration] = MIGRATIONS
) -> Manifest:
    """Read one manifest from memory. Images are not looked for.

    Args:
        data: The file's bytes or text.
        content: Folder whose `presets/` and `forge.yaml` count; None knows the built-in presets alone.
        file: What problems call the file; its stem is the default asset name.
        migrations: Steps from earlier versions of the language.

    Raises:
        ManifestError: Holds every problem found.
    """
    tree, problems = parse_yaml(data.encode(errors="replace") if isinstance(data, str) else data, file)
    return _Reading(content, look=False, migrations=migrations).manifest(tree, problems, file)


def _manifest_files(content: Path) -> tuple[list[Path], list[Problem]]:
    """List the manifests of a content folder, and what lies among them that will not be read."""
    folder = content / "manifests"
    paths, problems = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        place = Place(f"manifests/{path.name}")
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if any(inner.suffix.lower() in SUFFIXES for inner in path.iterdir()):
                hint = "move them to manifests/ itself"
                problems.append(place.problem("", "not_read", "manifests in a subfolder are not read", hint, "warning"))
        elif path.suffix.lower() in SUFFIXES:
            real = os.path.realpath(path)
            if not real.startswith(os.path.realpath(content).rstrip(os.sep) + os.sep):
                problems.append(place.problem("", "bad_path", "a link that leaves the content folder", "copy the file here"))
            elif path.is_file():
                paths.append(path)
            else:
                problems.append(place.problem("", "unreadable", "this is not a file", "remove it"))
    return paths, problems


def _without_doubles(manifests: Iterable[Manifest]) -> tuple[list[Manifest], list[Problem]]:
    groups: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        groups[title(manifest.asset).casefold()].append(manifest)
    unique, problems = [], []
    for group in groups.values():
        if len(group) == 1:
            unique += group
            continue
        for manifest in group:
            others = [other for other in group if other is not manifest]
            named = ", ".join(f"{other.file} (asset {other.asset})" for other in others[:5])
            message = f'"{manifest.asset}" is also what {named} asks for'
            hint = f"give one of them another name; both would be {title(manifest.asset)} in the engine"
            place = Place(manifest.file, *manifest.asset_place)
            problems.append(place.problem("asset", "duplicate_asset", message, hint))
    return unique, problems


class _Reading:
    """Keep what the manifests of one content folder share while they are read.

    Raises:
        ManifestError: forge.yaml is not what it should be.
    """

    def __init__(self, content: Path | None, *, look: bool = True, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self.content = content
        self.inbox_of = content if look else None
        self.migrations = migrations
        self.presets = Presets(content, migrations)
        self.laid: dict[str, Value] = {}
        self.project = read_project(content) if content else ProjectFile()

    def load(self, path: Path) -> Manifest:
        assert self.content is not None
        file = _label(path, self.content)
        tree, problems = read_yaml(path, file)
        return self.manifest(tree, problems, file)

    def manifest(self, tree: Value | None, problems: list[Problem], file: str) -> Manifest:
        """Build a Manifest from what a file holds; ManifestError with all that is wrong."""
        if tree is None:
            raise ManifestError(sorted(problems))
        if not isinstance(tree.content, dict):
            found = f"found {describe(tree)} where the keys of a manifest belong"
            problems = [*problems, tree.place.problem("", "wrong_type", found, "begin with: forge: 1")]
            raise ManifestError(sorted(problems))
        tree, aged = migrate(tree, self.migrations)
        if any(problem.severity == "error" for problem in aged):
            raise ManifestError(aged)
        tree, found_here = expand(tree, _STAGES)
        merged, found_below = self._merge(tree)
        problems = [*problems, *aged, *found_here, *found_below]
        merged, found_here = _fill_names(merged, tree, file)
        problems += found_here
        data = _whole_numbers(merged.plain())
        try:
            manifest = ManifestDocument.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            problems += [problem for problem in problems_of(error, merged, document()) if not _said(problem, problems)]
        images = _entry(merged, "images")
        sound = images is not None and images.value.usable and not any(found.field.startswith("images") for found in problems)
        looked = ImageSet()
        if images is not None and sound and self.inbox_of is not None:
            looked = find_images(images.value, self.inbox_of)
            problems += looked.problems
        if any(problem.severity == "error" for problem in problems):
            raise ManifestError(sorted(set(problems)))
        return self._annotate(manifest, merged, file, problems).seen(looked.paths)

    def _annotate(self, manifest: Manifest, merged: Value, file: str, warnings: Sequence[Problem]) -> Manifest:
        """Attach what a Manifest knows besides its values: the file, places, origins and warnings."""
        asset, images = _entry(merged, "asset"), _entry(merged, "images")
        assert asset is not None
        assert images is not None
        place = asset.value.place
        resolved = manifest.resolved()
        where = origins(resolved, merged)
        for key, source in (("asset", "the file's name"), ("images", "the asset's name")):
            where |= {key: source} if where.get(key) == "default" else {}
        for name, params in _STAGES.items():
            where |= _implied(name, params, where, resolved[name])
        written = places(resolved, merged, file)
        advice = advise(resolved, self.project.project, lambda field: written.get(field, Place(file)))
        warnings = [*warnings, *_idle_options(manifest, merged, file), *advice]
        return manifest.read_from(file, (place.line, place.column), images.value, where, written, warnings)

    def _merge(self, tree: Value) -> tuple[Value, list[Problem]]:
        """Lay the manifest over its presets and the project's settings."""
        named = _entry(tree, "preset")
        name, place = DEFAULT, tree.place
        if named is not None and isinstance(named.value.content, str):
            name, place = named.value.content, named.value.place
        below, problems = self._below(name, place)
        return merge(below, tree), problems

    def _below(self, name: str, place: Place) -> tuple[Value, list[Problem]]:
        """Lay a preset over those it extends and over the project's settings; once for all manifests that name it."""
        if name in self.laid:
            return self.laid[name], []
        layers, problems = self.presets.chain(name, place)
        nowhere = Place("")
        below = Value(nowhere, {stage: Entry(nowhere, Value(nowhere, {})) for stage in _STAGES})
        for layer in [self.project.layer, *layers]:
            expanded, found = expand(layer, _STAGES)
            problems += found
            below = merge(below, expanded)
        if not problems:
            self.laid[name] = below
        return below, problems


def _label(path: Path, content: Path) -> str:
    try:
        return path.absolute().relative_to(content.absolute()).as_posix()
    except ValueError:
        return str(path)


def _entry(tree: Value, key: str) -> Entry | None:
    return tree.content.get(key) if isinstance(tree.content, dict) else None


def _fill_names(merged: Value, tree: Value, file: str) -> tuple[Value, list[Problem]]:
    """Fill in the asset's name from the file's, and the image set from the asset's; check the form of both."""
    assert isinstance(merged.content, dict)
    entries, problems = dict(merged.content), []
    place = Place(file)
    if "asset" not in entries:
        stem = Path(file).stem
        if fault := name_fault(stem):
            message = f"the file's name makes a bad asset name: {fault[0]}"
            hint = f"rename the file to {clean_name(stem)}.yaml, or write asset: {clean_name(stem)}"
            problems.append(tree.place.problem("asset", "invalid_value", message, hint))
        entries["asset"] = Entry(place, Value(place, stem, usable=fault is None))
    asset = entries["asset"].value
    if asset.usable and not isinstance(asset.content, str):
        proposed = f"write {clean_name(describe(asset))}"
        problems.append(asset.place.problem("asset", "wrong_type", f"found {describe(asset)}, which is not a name", proposed))
        asset = replace(asset, usable=False)
        entries["asset"] = replace(entries["asset"], value=asset)
    if "images" not in entries:
        sound = isinstance(asset.content, str) and name_fault(asset.content) is None
        entries["images"] = Entry(place, Value(place, asset.content if sound else "unknown", usable=sound))
        if not sound:  # said already; without a name there is no folder to look for
            return replace(merged, content=entries), problems
    return replace(merged, content=entries), [*problems, *images_form(entries["images"].value)]


def _whole_numbers(data: Any) -> Any:
    """Write 1e4 and 60.0 as whole numbers, which fields of either kind take."""
    if isinstance(data, dict):
        return {key: _whole_numbers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_whole_numbers(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _said(problem: Problem, problems: Iterable[Problem]) -> bool:
    """Tell whether `images` was reported already, in better words than the field's type has."""
    return problem.field.startswith("images") and any(said.field.startswith("images") for said in problems)


def _implied(stage: str, params: type[StageParams], where: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Say of fields that nobody wrote which word stands for them."""
    return {
        f"{stage}.{name}": f"{stage}.{field}: {values[field]}"
        for field, words in params.implied.items()
        for name in words[values[field]]
        if where[f"{stage}.{name}"] == "default"
    }


def _idle_options(manifest: Manifest, merged: Value, file: str) -> list[Problem]:
    """Warn of options that the author wrote for a stage that does not run."""
    problems = []
    for stage in STAGES:
        section = _entry(merged, stage.name)
        if manifest.on(stage) or section is None or not isinstance(section.value.content, dict):
            continue
        switch = "enabled" if issubclass(stage.params, Switchable) else "mode"
        for key, entry in section.value.content.items():
            if key != switch and entry.key.file == file and entry.key.line:
                message = f"this does nothing, since {stage.name} is off"
                hint = f"write {switch}: true beside it, or remove it" if switch == "enabled" else "set its mode, or remove it"
                problems.append(entry.key.problem(f"{stage.name}.{key}", "stage_is_off", message, hint, "warning"))
    return problems
