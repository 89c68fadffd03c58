from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge_batch.advice import licence_fault
from forge_batch.backends.contract import BackendInfo
from forge_batch.content.local import LocalContent
from forge_batch.intake import take_in
from forge_batch.manifest import parse_manifest
from forge_batch.presets import built_in_names
from forge_batch.project import Project
from forge_batch.runner import run
from tests.fakes import FakeExecutor, Recorder, content_folder

INBOX = Path(__file__).parents[1] / "inbox"
LEAST = "forge: 1\nplace: {height_cm: 60}\n"
RESEARCH = BackendInfo("toy", "1", "Some Research License", commercial=False, territory="worldwide")


def warnings(text: str, folder: Path, project: str = "") -> list[str]:
    """Give the warnings of a manifest in a content folder with this forge.yaml."""
    (folder / "forge.yaml").write_text(project)
    return [str(problem) for problem in parse_manifest(LEAST + text, folder, "crate.yaml").warnings]


def test_a_licence_that_does_not_hold_where_the_project_is_is_warned_of(tmp_path: Path) -> None:
    """Hunyuan3D in Germany: which licence, why not, what to write, at the place of the word."""
    (line,) = warnings("generate: {backend: hunyuan3d}\n", tmp_path, "project: {commercial: true, territory: DE}\n")
    assert line == (
        "crate.yaml:3:21: warning: generate.backend: hunyuan3d is under the Tencent Hunyuan 3D Community License, which does "
        "not hold in DE: not in the EU, the UK and South Korea, neither the model nor its results; write hull or "
        "trellis2, or correct project: in forge.yaml"
    )


def test_a_rasteriser_for_research_is_no_part_of_a_commercial_project(tmp_path: Path) -> None:
    """A bake that names nvdiffrast is warned of, at its word; a project that sells nothing may use it."""
    text = "bake_normal: {raster: nvdiffrast}\n"
    (line,) = warnings(text, tmp_path, "project: {commercial: true}\n")
    assert line == (
        "crate.yaml:3:23: warning: bake_normal.raster: nvdiffrast is licensed for research and evaluation only, and forge.yaml "
        "says commercial: true; write own, which gives the same coverage, or correct project: in forge.yaml"
    )
    assert warnings(text, tmp_path, "project: {commercial: false}\n") == []


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


def test_a_generator_that_is_forbidden_is_never_run(tmp_path: Path) -> None:
    """The asset fails with the licence's reason before a task starts, its plan costs nothing, and the others are made."""
    content_folder(tmp_path, "box", "lamp")
    (tmp_path / "forge.yaml").write_text("project: {territory: DE}\n")
    (tmp_path / "manifests" / "lamp.yaml").write_text(LEAST + "generate: {backend: hunyuan3d}\n")
    executor = FakeExecutor()
    report = run(LocalContent(tmp_path), executor, Recorder())
    assert [(asset.asset, asset.state) for asset in report.assets] == [("box", "done"), ("lamp", "failed")]
    assert executor.stages("lamp") == []
    assert "does not hold in DE" in str(report.assets[1].failure)
    (tmp_path / "forge.yaml").write_text("project: {territory: US}\n")
    run(LocalContent(tmp_path), executor, Recorder())
    assert "export" in executor.stages("lamp")


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


def density(tmp_path: Path, text: str) -> list[str]:
    """Give what is said of a horse of 160 cm, four views, with this manifest."""
    for name in ("inbox/horse", "manifests"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copytree(INBOX / "horse", tmp_path / "inbox" / "horse", dirs_exist_ok=True)
    (tmp_path / "manifests" / "horse.yaml").write_text(f"forge: 1\nplace: {{height_cm: 160}}\n{text}")
    return [str(problem) for problem in take_in(tmp_path).problems]


def test_a_density_that_the_texture_cannot_hold_is_warned_of(tmp_path: Path) -> None:
    """A horse 1.6 m high is 2.1 m long and 0.47 m wide: 2 (0.75 + 3.35 + 0.98) = 10.2 m2 of box, of which at least 0.35 is
    horse; at 1,000 pixels per metre that needs 1000 sqrt(3.6 / 0.6) = 2,440 pixels.
    """
    (line,) = density(tmp_path, "unwrap:\n  texture_size: 1024\n  texel_density: 1000\n")
    assert line.startswith(
        "manifests/horse.yaml:5:18: warning: unwrap.texel_density: 1000 pixels per metre need a texture of at"
    )
    assert 2300 < float(line.split("at least ")[1].split()[0]) < 2600


def test_atlases_may_hold_what_one_texture_does_not(tmp_path: Path) -> None:
    """Three of 1024 hold 700 pixels per metre of that horse, which need 1,700 pixels; not 1,000, which need 2,440."""
    text = "unwrap: {{texture_size: 1024, atlases: 3, texel_density: {}}}\n"
    assert density(tmp_path, text.format(700)) == []
    (line,) = density(tmp_path / "again", text.format(1000))
    assert ", and there are 3 of 1024; write about" in line
    assert "unwrap.texture_size or unwrap.atlases, or" in line


def test_atlases_that_no_density_asks_for_are_warned_of(tmp_path: Path) -> None:
    """Charts are scaled to fill one texture, so the second would never be made."""
    (line,) = warnings("unwrap: {atlases: 2}\n", tmp_path)
    assert line.startswith("crate.yaml:3:19: warning: unwrap.atlases: without unwrap.texel_density")


def test_a_density_that_leaves_the_texture_empty_is_warned_of(tmp_path: Path) -> None:
    """At 20 pixels per metre the same horse covers a corner of its page."""
    (line,) = density(tmp_path, "unwrap: {texture_size: 2048, texel_density: 20}\n")
    assert "20 pixels per metre fill less than" in line


def test_a_density_that_fits_is_not_warned_of(tmp_path: Path) -> None:
    """What the hint proposes is itself fine."""
    (line,) = density(tmp_path, "unwrap: {texture_size: 1024, texel_density: 1000}\n")
    proposed = line.split("write about ")[1].split(",")[0]
    assert density(tmp_path / "again", f"unwrap: {{texture_size: 1024, texel_density: {proposed}}}\n") == []
