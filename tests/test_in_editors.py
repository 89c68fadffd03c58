"""Write a manifest in an editor that knows the YAML language server, with the schema that `init` leaves beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge_batch.content.scaffold import SCHEMA, SCHEMA_LINE, init
from tests.fakes import LEAST
from tests.readers import ask_yaml_server

pytestmark = pytest.mark.node


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder as `init` makes it."""
    init(tmp_path)
    return tmp_path


def write(content: Path, text: str) -> Path:
    """Write a manifest that names the schema."""
    path = content / "manifests" / "crate.yaml"
    path.write_text(f"{SCHEMA_LINE}\n{text}")
    return path


def test_mistakes_are_marked_as_one_types(content: Path) -> None:
    """A misspelt key and a word that is not allowed are marked in their lines; a sound manifest has no mark."""
    bad = ask_yaml_server(write(content, f"{LEAST}decimate:\n  triangels: 7\nsymmetrize: radail\n"), 0, 0)
    assert {problem["line"] for problem in bad["problems"]} == {5, 6}
    assert any("triangels" in problem["message"] for problem in bad["problems"])
    assert ask_yaml_server(write(content, f"{LEAST}symmetrize: radial\nrig: off\n"), 0, 0)["problems"] == []


def test_keys_and_words_are_offered_and_explained(content: Path) -> None:
    """Under a stage its keys are offered, behind a key its words; pointing at a field shows what it means."""
    path = write(content, f"{LEAST}decimate:\n  \ngenerate:\n  quality: \n")
    assert set(ask_yaml_server(path, 4, 2)["completions"]) == {"enabled", "triangles", "method"}
    assert set(ask_yaml_server(path, 6, 11)["completions"]) == {"fast", "balanced", "hero"}
    assert "resolution 512, 1024 or 1536" in ask_yaml_server(path, 6, 4)["hover"]


def test_the_example_of_init_is_sound(content: Path) -> None:
    """The example that comes with a new folder has no mark."""
    example = (content / "manifests" / "my_crate.yaml.example").read_text()
    assert ask_yaml_server(write(content, example.removeprefix(SCHEMA_LINE)), 0, 0)["problems"] == []


def test_init_renews_the_schema_alone(content: Path) -> None:
    """A second `init` brings an outdated schema up to date and touches nothing else."""
    (content / SCHEMA).write_text("{}")
    (content / "forge.yaml").write_text("project: {territory: NO}\n")
    lines = init(content)
    assert lines[0] == f"renewed {content / SCHEMA}"
    assert all(line.startswith(("kept", "next")) for line in lines[1:])
    assert init(content)[0].startswith("kept")
    assert (content / "forge.yaml").read_text() == "project: {territory: NO}\n"
