"""Hold the files that a Space is built from to what they must say."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_readme_begins_with_the_spaces_header() -> None:
    """README.md opens with YAML that asks for the Gradio that is locked, for Python 3.12 and for logging in."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["sdk"] == "gradio"
    assert header["app_file"] == "app.py"
    assert header["python_version"] == "3.12"
    assert header["hf_oauth"] is True
    assert f"\ngradio=={header['sdk_version']} " in (ROOT / "requirements" / "page.txt").read_text()


def test_requirements_are_those_of_the_lock() -> None:
    """requirements.txt equals what requirements/space.py writes, and names none of what the platform brings."""
    spec = importlib.util.spec_from_file_location("space", ROOT / "requirements" / "space.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "requirements.txt").read_text()
    assert text == module.requirements()
    names = {line.split("==")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names.isdisjoint({"gradio", "gradio-client", "spaces"})
    assert {"numpy", "pymeshlab", "huggingface-hub", "prometheus-client"} <= names


def test_app_is_short() -> None:
    """app.py has less than 40 lines: there is no logic in it."""
    assert len((ROOT / "app.py").read_text().splitlines()) < 40


def test_system_packages_are_named() -> None:
    """packages.txt names the libraries that PyMeshLab links and a Space's image lacks."""
    assert (ROOT / "packages.txt").read_text().split() == ["libgl1", "libopengl0"]


def test_the_page_is_an_extra() -> None:
    """A plain installation brings no Gradio."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not any("gradio" in one for one in project["dependencies"])
    assert any(one.startswith("gradio[oauth]") for one in project["optional-dependencies"]["page"])
