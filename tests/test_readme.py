"""Hold the README to what it says."""

from __future__ import annotations

import re
from pathlib import Path

from forge_batch.manifest import parse_manifest
from forge_batch.plan_text import stage_table

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


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


def test_first_commands_are_run_and_test() -> None:
    """The README's first two commands are `make run` and `make test`."""
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["make run", "make test"]
