from __future__ import annotations

import json
import re

import pytest

from tests.readers import NODE_MODULES, blender_python, needs_node

NODE = NODE_MODULES.parent


def test_npm_packages_are_pinned_exactly_and_by_hash() -> None:
    """package.json names exact versions; package-lock.json holds the same ones, and all with their hash and no address."""
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version) for version in wanted.values())
    packages = json.loads((NODE / "package-lock.json").read_text())["packages"]
    locked = {path.removeprefix("node_modules/"): entry for path, entry in packages.items() if path}
    assert {name: locked[name]["version"] for name in wanted} == wanted
    assert all("integrity" in entry and "resolved" not in entry for entry in locked.values())


def test_a_missing_package_skips_with_the_command_that_gets_it() -> None:
    """The reason says `npm ci`."""
    with pytest.raises(pytest.skip.Exception, match=r"npm ci|node is not installed"):
        needs_node("no-such-package")


@pytest.mark.parametrize(("python", "reason"), [("", "is not set"), ("/no/such/python", "cannot import bpy")])
def test_a_missing_blender_skips_with_what_to_install(python: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Python for bpy, or with one that has none, the reason names requirements/blender.txt."""
    monkeypatch.setenv("FORGE_BLENDER_PYTHON", python)
    with pytest.raises(pytest.skip.Exception, match=rf"{reason}.*requirements/blender\.txt"):
        blender_python()
