from __future__ import annotations

from pathlib import Path

import pytest

from forge_batch.advice import licence_fault
from forge_batch.backends.contract import BackendInfo
from forge_batch.errors import ManifestError
from forge_batch.manifest import parse_manifest
from forge_batch.presets import built_in_names
from forge_batch.project import Project

LEAST = "forge: 1\nplace: {height_cm: 60}\n"
RESEARCH = BackendInfo("toy", "1", "Some Research License", commercial=False, territory="worldwide")


def warnings(text: str, folder: Path, project: str = "") -> list[str]:
    """Give the advice on a manifest in a content folder with this forge.yaml: warnings, or the errors that refuse it."""
    (folder / "forge.yaml").write_text(project)
    try:
        found = parse_manifest(LEAST + text, folder, "crate.yaml").warnings
    except ManifestError as error:
        found = tuple(error.problems)
    return [str(problem) for problem in found]


def test_a_licence_that_does_not_hold_where_the_project_is_refuses_the_manifest(tmp_path: Path) -> None:
    """Hunyuan3D in Germany: which licence, why not, what to write, at the place of the word."""
    (line,) = warnings("generate: {backend: hunyuan3d}\n", tmp_path, "project: {commercial: true, territory: DE}\n")
    assert line == (
        "crate.yaml:3:21: error: generate.backend: hunyuan3d is under the Tencent Hunyuan 3D Community License, which does "
        "not hold in DE: not in the EU, the UK and South Korea, neither the model nor its results; write hull or "
        "trellis2, or correct project: in forge.yaml"
    )


@pytest.mark.parametrize(
    ("backend", "project", "count"),
    [
        ("hunyuan3d", "project: {territory: US}", 0),
        ("hunyuan3d", "project: {territory: GB}", 1),
        ("hunyuan3d", "project: {territory: KR}", 1),
        ("hunyuan3d", "", 1),  # nobody said where the project is
        ("trellis2", "project: {commercial: true, territory: DE}", 0),
        ("hull", "project: {commercial: true}", 0),
    ],
)
def test_licences_are_held_against_the_project(backend: str, project: str, count: int, tmp_path: Path) -> None:
    """Only a generator with excluded countries asks where the project is; free ones say nothing."""
    assert len(warnings(f"generate: {{backend: {backend}}}\n", tmp_path, project)) == count


def test_research_only_is_no_use_to_who_sells() -> None:
    """A licence for research is fine for a hobby, and named to a commercial project."""
    assert licence_fault(RESEARCH, Project()) == ""
    sold = Project.model_validate({"project": {"commercial": True}})
    assert "forbids commercial use" in licence_fault(RESEARCH, sold)


def test_more_triangles_than_the_texture_has_room_for_are_warned_of(tmp_path: Path) -> None:
    """100,000 triangles on 512 pixels: 0.6 x 512 x 512 / 100,000 is less than two texels each."""
    (line,) = warnings("decimate: {triangles: 100000}\nunwrap: {texture_size: 512}\n", tmp_path)
    assert line == (
        "crate.yaml:3:23: warning: decimate.triangles: 100000 triangles on a texture of 512 pixels leave 2 texels a triangle; "
        "write unwrap: {texture_size: 1024}, or decimate: {triangles: 9000}"
    )


@pytest.mark.parametrize("preset", built_in_names())
def test_no_preset_is_warned_of(preset: str, tmp_path: Path) -> None:
    """What the presets ask for fits, by their own numbers."""
    assert warnings(f"preset: {preset}\n", tmp_path) == []
