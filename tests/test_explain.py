from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge_batch import presets
from forge_batch.cli import main
from forge_batch.errors import ContentError, ManifestError
from forge_batch.explain import differences, explain, explain_preset, explanation_text
from forge_batch.manifest import load_manifests, parse_manifest
from tests.fakes import content_folder

MINE = "extends: prop_UE5_hero\nplace: {pivot: center}\ndecimate:\n  triangles: 4000\n"
CRATE = "forge: 1\npreset: mine\nplace: {height_cm: 60}\nunwrap:\n  padding: 4\n"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder with one asset on a preset of its own."""
    root = content_folder(tmp_path, "crate", manifest=CRATE)
    (root / "presets").mkdir()
    (root / "presets" / "mine.yaml").write_text(MINE)
    return root


def origins(text: str) -> dict[str, str]:
    """Read the comments of an explanation by the last word of the field; a later field of one name replaces the earlier."""
    rows = [line.split("  # ", 1) for line in text.splitlines() if "  # " in line]
    return {left.strip().split(":")[0]: right.strip() for left, right in rows}


def test_every_value_has_its_origin(content: Path) -> None:
    """The manifest, the user's preset, the preset that it extends, a word that implies the value, a default."""
    found = origins(explanation_text(explain(content, "crate")))
    assert found["padding"] == "manifests/crate.yaml:5"
    assert found["triangles"] == "preset mine (presets/mine.yaml:4)"
    assert found["max_hulls"] == "preset prop_UE5_hero"
    assert found["shape_steps"] == "generate.quality: hero"
    assert found["seed"] == "default"
    assert found["asset"] == "the file's name"


def test_an_explanation_is_the_manifest_written_out(content: Path) -> None:
    """What is printed loads, and asks for the same."""
    text = explanation_text(explain(content, "crate"))
    (manifest,) = load_manifests(content).manifests
    assert parse_manifest(text, content, "manifests/crate.yaml").resolved() == manifest.resolved()


@pytest.mark.parametrize("name", presets.built_in_names())
def test_an_explained_preset_is_a_preset(name: str, content: Path) -> None:
    """What is printed of a preset can be saved as a preset of one's own and stands for the same."""
    (content / "presets" / "own.yaml").write_text(explanation_text(explain_preset(name)))
    assert differences(explain(content, "own"), explain(content, name)) == []


def test_the_difference_of_two_presets_is_what_the_second_says_otherwise(content: Path) -> None:
    """Against the preset it extends, a preset differs in just what it writes."""
    found = differences(explain(content, "prop_UE5_hero"), explain(content, "mine"))
    assert found == [("decimate.triangles", 30000, 4000), ("place.pivot", "bottom_center", "center")]


def test_an_asset_can_be_held_against_a_preset(content: Path) -> None:
    """Between an asset and a preset only what a preset can say counts; the height, which no preset knows, does not."""
    assert [field for field, _, _ in differences(explain(content, "mine"), explain(content, "crate"))] == ["unwrap.padding"]


def test_an_unknown_name_gets_the_nearest(content: Path) -> None:
    """A misspelt asset is not met with silence."""
    with pytest.raises(ContentError) as caught:
        explain(content, "craet")
    assert caught.value.hint.startswith('did you mean "crate"? assets: crate; presets: ')


def test_a_broken_asset_is_explained_by_its_problems(content: Path) -> None:
    """The problems of a manifest that cannot be resolved are what there is to say."""
    (content / "manifests" / "crate.yaml").write_text("forge: 1\nplace: {height_cm: tall}\n")
    with pytest.raises(ManifestError, match="height_cm"):
        explain(content, "crate")


def test_the_command_prints_text_and_json(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`explain` prints one asset, or the difference of two; with --json one document."""
    assert main(["explain", "crate", "--content", str(content)]) == 0
    assert capsys.readouterr().out.startswith("# asset crate\nforge: 1")
    assert main(["explain", "mine", "prop_UE5_hero", "--content", str(content)]) == 0
    assert "decimate.triangles  4000" in capsys.readouterr().out
    assert main(["explain", "crate", "--json", "--content", str(content)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"field": "unwrap.padding", "group": "post_processing", "value": 4, "origin": "manifests/crate.yaml:5"} in document[
        "values"
    ]
    assert main(["explain", "mine", "prop_UE5_hero", "--json", "--content", str(content)]) == 0
    assert [one["field"] for one in json.loads(capsys.readouterr().out)["differences"]] == ["decimate.triangles", "place.pivot"]
    assert main(["explain", "nobody", "--content", str(content)]) == 1
