from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from forge_batch.errors import ManifestError
from forge_batch.project import AllowanceName, Project, load_project
from forge_batch.quota import PROFILES


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
        tmp_path, "project: {commercial: true, territory: NO}\nallowance: zerogpu-pro\nexport: {engines: [ue5], naming: epic}\n"
    )
    assert (project.commercial, project.territory, project.allowance) == (True, "NO", "zerogpu-pro")
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
        (
            "allowance: zerogpu-por\n",
            'forge.yaml:1:12: error: allowance: "zerogpu-por" is not one of the allowed values; did you mean "zerogpu-pro"?',
        ),
        (
            "allowance: custom\n",
            "forge.yaml:1:1: error: allowance: custom and custom_allowance go together and one of them is missing; write ",
        ),
        (
            "allowance: custom\ncustom_allowance: {reset: noon}\n",
            'forge.yaml:2:19: error: custom_allowance.seconds: the key "seconds" is missing; write seconds: ',
        ),
        ("allow_paid_seconds: -5\n", "forge.yaml:1:21: error: allow_paid_seconds: -5 is too small"),
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


@pytest.mark.parametrize(
    ("text", "seconds", "reset"),
    [
        ("", None, "never"),
        ("allowance: none\n", None, "never"),
        ("allowance: seed\n", 1500, "midnight"),
        ("allowance: zerogpu-pro\n", 2400, "first_use"),
        ("allowance: custom\ncustom_allowance: {seconds: 90, reset: first_use}\n", 90, "first_use"),
    ],
)
def test_the_allowance_is_a_profile(tmp_path: Path, text: str, seconds: int | None, reset: str) -> None:
    """A word, or seconds and a time of one's own, become the seconds to count and when they come back."""
    profile = project_of(tmp_path, text).profile
    assert (profile.seconds, profile.reset) == (seconds, reset)


def test_every_profile_has_its_word() -> None:
    """What quota.py knows can be written in forge.yaml."""
    assert set(get_args(AllowanceName)) == {*PROFILES, "none", "custom"}
