from __future__ import annotations

from pathlib import Path

import pytest

from forge_batch.errors import ManifestError
from forge_batch.project import Project, load_project


def project_of(folder: Path, text: str) -> Project:
    """Read a forge.yaml with this text."""
    (folder / "forge.yaml").write_text(text, encoding="utf-8")
    return load_project(folder)


def test_a_folder_without_settings_has_the_defaults(tmp_path: Path) -> None:
    """Nothing is sold and no GPU seconds are counted unless forge.yaml says so."""
    assert load_project(tmp_path) == Project()
    assert not load_project(tmp_path).commercial


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "project:\nexport:\n"])
def test_settings_that_say_nothing_are_the_defaults(tmp_path: Path, text: str) -> None:
    """An empty file and empty sections are fine."""
    assert project_of(tmp_path, text) == Project()


def test_settings_are_read(tmp_path: Path) -> None:
    """Every setting arrives."""
    project = project_of(
        tmp_path, "project: {commercial: true, territory: NO}\nallowance: pro\nexport: {engines: [ue5], naming: epic}\n"
    )
    assert (project.commercial, project.territory, project.allowance) == (True, "NO", "pro")
    assert (project.export.engines, project.export.naming) == (["ue5"], "epic")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("project: {comercial: true}\n", 'forge.yaml:1:11: error: project.comercial: there is no key "comercial" here'),
        ("project: {commercial: yes}\n", 'forge.yaml:1:23: error: project.commercial: found the text "yes"'),
        (
            "project: {territory: Germany}\n",
            'forge.yaml:1:22: error: project.territory: "Germany" has a form that is not allowed',
        ),
        ("allowance: por\n", 'forge.yaml:1:12: error: allowance: "por" is not one of the allowed values; did you mean "pro"?'),
        ("- a\n", "forge.yaml:1:1: error: forge.yaml is a mapping of keys"),
        ("project: &a {}\n", 'forge.yaml:1:10: error: project: "&a" is a YAML anchor'),
        ("forge: 2\n", "forge.yaml:1:8: error: forge: 2 is not one of the allowed values"),
    ],
)
def test_each_mistake_is_reported_at_its_place(tmp_path: Path, text: str, line: str) -> None:
    """forge.yaml gets messages of the same quality as a manifest."""
    with pytest.raises(ManifestError) as caught:
        project_of(tmp_path, text)
    assert str(caught.value).startswith(line)
