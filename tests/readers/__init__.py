"""Ask programs that are not ours what they find in a file, and skip the test where such a program is missing.

The only place that decides on such skips. With FORGE_NO_SKIPS=1 in the environment tests/conftest.py fails them instead.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

READERS = Path(__file__).parent
NODE_MODULES = READERS.parent / "node" / "node_modules"


def needs_node(package: str) -> None:
    """Skip the test where node or the npm package is missing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (NODE_MODULES / package).is_dir():
        pytest.skip(f"tests/node/node_modules has no {package}: run `npm ci` in tests/node")


def blender_python() -> str:
    """Give the Python that has bpy, or skip the test."""
    python = os.environ.get("FORGE_BLENDER_PYTHON", "")
    if not python:
        pytest.skip("FORGE_BLENDER_PYTHON is not set: name a Python 3.11 with bpy 5.0.1 (requirements/blender.txt)")
    if not _has_bpy(python):
        pytest.skip(f"FORGE_BLENDER_PYTHON: {python} cannot import bpy: install requirements/blender.txt into it")
    return python


@functools.cache
def _has_bpy(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", "import bpy"], check=False, capture_output=True, timeout=120).returncode == 0
    except OSError:
        return False


def ask_ufbx(path: Path) -> dict[str, Any]:
    """Read an FBX file with ufbx."""
    pytest.importorskip("ufbx", reason="ufbx is not installed: it is in the dev group of pyproject.toml")
    return _ask([sys.executable, str(READERS / "read_ufbx.py"), str(path)])


def ask_three(path: Path) -> dict[str, Any]:
    """Read an FBX file with three.js."""
    needs_node("three")
    return _ask(["node", str(READERS / "read_three.mjs"), str(NODE_MODULES), str(path)])


def ask_ufbx_skin(path: Path) -> dict[str, Any]:
    """Read the skeleton and skins of an FBX file with ufbx."""
    pytest.importorskip("ufbx", reason="ufbx is not installed: it is in the dev group of pyproject.toml")
    return _ask([sys.executable, str(READERS / "read_ufbx_skin.py"), str(path)])


def ask_three_skin(path: Path, poses: Path) -> dict[str, Any]:
    """Bend the skeleton of an FBX file with three.js."""
    needs_node("three")
    return _ask(["node", str(READERS / "read_three_skin.mjs"), str(NODE_MODULES), str(path), str(poses)])


def ask_three_glb_skin(path: Path, poses: Path) -> dict[str, Any]:
    """Bend the skeleton of a GLB file with three.js."""
    needs_node("three")
    return _ask(["node", str(READERS / "read_three_glb_skin.mjs"), str(NODE_MODULES), str(path), str(poses)])


def ask_blender_skin(path: Path, poses: Path, importer: str) -> dict[str, Any]:
    """Bend the skeleton of an FBX (importer `addon` or `native`) or GLB file (`gltf`) with Blender."""
    script = str(READERS / "read_blender_skin.py")
    return _ask([blender_python(), script, str(path), str(poses), "--importer", importer])


def ask_three_glb(path: Path) -> dict[str, Any]:
    """Read a GLB file with three.js, Draco with Google's decoder."""
    needs_node("three")
    return _ask(["node", str(READERS / "read_three_glb.mjs"), str(NODE_MODULES), str(path)])


def ask_assimp(path: Path) -> dict[str, Any]:
    """Read an FBX or GLB file with assimp, in the file's own frame and unit."""
    pytest.importorskip("assimp_py", reason="assimp-py is not installed: it is in the dev group of pyproject.toml")
    return _ask([sys.executable, str(READERS / "read_assimp.py"), str(path)])


def ask_blender(path: Path, importer: str) -> dict[str, Any]:
    """Read an FBX (importer `addon` or `native`) or GLB file (`gltf`) with Blender."""
    return _ask([blender_python(), str(READERS / "read_blender.py"), str(path), "--importer", importer])


def validate_glb(path: Path) -> dict[str, Any]:
    """Give the report of Khronos' glTF validator."""
    needs_node("gltf-validator")
    return _ask(["node", str(READERS / "validate_glb.mjs"), str(NODE_MODULES), str(path)])


def ask_yaml_server(path: Path, line: int, column: int) -> dict[str, Any]:
    """Ask the language server of editors for a file's problems, and what it offers and explains at a place (from 0)."""
    needs_node("yaml-language-server")
    return _ask(["node", str(READERS / "ask_yaml_server.mjs"), str(NODE_MODULES), str(path), str(line), str(column)])


def _ask(command: list[str]) -> dict[str, Any]:
    """Run a reader and parse its one JSON document."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, f"{Path(command[1]).name} ended with {done.returncode}: {done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def chromium() -> str:
    """Give the path of chromium, or skip the test."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    return path
