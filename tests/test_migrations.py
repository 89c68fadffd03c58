from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from forge_batch.errors import ManifestError
from forge_batch.manifest import parse_manifest
from forge_batch.migrations import MIGRATIONS, VERSION, Migration
from forge_batch.yaml_value import Value


def rename_target(tree: Value) -> Value:
    """Read `reduce: {...}` as `decimate: {...}`."""
    assert isinstance(tree.content, dict)
    return replace(tree, content={"decimate" if key == "reduce" else key: entry for key, entry in tree.content.items()})


OLD = (Migration(0, "reduce is now called decimate", rename_target),)
"""A version of the language that never was, with the one step from it to the first."""


def test_an_old_manifest_is_read_and_its_author_told() -> None:
    """What an earlier version calls otherwise arrives under its present name, with a warning at the version's place."""
    manifest = parse_manifest("forge: 0\nplace: {height_cm: 60}\nreduce: {triangles: 777}\n", file="a.yaml", migrations=OLD)
    assert manifest.resolved()["decimate"]["triangles"] == 777
    assert manifest.resolved()["forge"] == VERSION
    assert manifest.origins["decimate.triangles"] == "a.yaml:3"
    (warning,) = manifest.warnings
    assert str(warning) == (
        "a.yaml:1:8: warning: forge: version 0 of the manifest language is old; it was read as version 1: reduce is now called "
        "decimate; write forge: 1 and change it, or take over what this prints: forge-batch explain"
    )


def test_a_mistake_in_an_old_manifest_keeps_its_place() -> None:
    """A migrated value that is wrong is reported where the author wrote it."""
    with pytest.raises(ManifestError) as caught:
        parse_manifest("forge: 0\nplace: {height_cm: 60}\nreduce: {triangles: many}\n", file="a.yaml", migrations=OLD)
    assert [(problem.line, problem.column, problem.code) for problem in caught.value.problems if problem.line == 3] == [
        (3, 21, "wrong_type")
    ]


def test_an_old_preset_is_migrated_too(tmp_path: Path) -> None:
    """A user's preset of an earlier version holds for manifests of this one."""
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.yaml").write_text("forge: 0\nreduce: {triangles: 777}\n")
    manifest = parse_manifest("forge: 1\npreset: mine\nplace: {height_cm: 60}\n", tmp_path, migrations=OLD)
    assert manifest.resolved()["decimate"]["triangles"] == 777
    assert [(problem.file, problem.code) for problem in manifest.warnings] == [("presets/mine.yaml", "migrated")]


@pytest.mark.parametrize("version", ["0", "2", "banana"])
def test_a_version_that_is_not_known_is_refused(version: str, tmp_path: Path) -> None:
    """A version without a migration, a later one and a word are errors, in manifests and in presets."""
    with pytest.raises(ManifestError, match="forge"):
        parse_manifest(f"forge: {version}\nplace: {{height_cm: 60}}\n")
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.yaml").write_text(f"forge: {version}\n")
    with pytest.raises(ManifestError, match=re.escape("presets/mine.yaml:1:8: error: forge")):
        parse_manifest("forge: 1\npreset: mine\nplace: {height_cm: 60}\n", tmp_path)


def test_the_steps_lead_to_the_present_version() -> None:
    """Each version before this one that can be read has one step, and the last ends at this version."""
    assert [step.version for step in MIGRATIONS] == list(range(VERSION - len(MIGRATIONS), VERSION))
