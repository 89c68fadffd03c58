"""Hold the README to what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forge_batch.manifest import parse_manifest
from forge_batch.plan_text import stage_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_stage_table_is_the_one_the_stages_give() -> None:
    """The README's table of stages equals what the stages say of themselves."""
    table = README.split("<!-- stages -->\n")[1].split("<!-- /stages -->")[0]
    assert table == stage_table()


def test_example_manifest_is_accepted() -> None:
    """The README's manifest loads, and means what its comments say."""
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example
    resolved = parse_manifest(example[1], file="teddy_bear.yaml").resolved()
    assert resolved["place"]["height_cm"] == 45
    assert resolved["decimate"]["triangles"] == 10000


@pytest.mark.slow
def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    """The commands, copied from the page and run one after another in a copy of the example content, all end with 0."""
    for name in ("inbox", "manifests", "forge.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    block = README.split("## The commands")[1].split("```sh\n")[1].split("```")[0]
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        program, *words = shlex.split(line)
        assert program == ".venv/bin/forge-batch"
        done = subprocess.run(
            [sys.executable, "-m", "forge_batch.cli", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout or "run" in words, line


def test_first_commands_are_run_and_test() -> None:
    """The README's first commands are `make run` and `make test`, and the page comes next."""
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["make run", "make test", "make page"]
