"""Hold the adapters to upstream's real code, with random weights: FORGE_UPSTREAM names a folder of OWNER/NAME/ checkouts."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forge_batch.backends.rigger import PROGRAMS
from forge_batch.backends.vendored.hunyuan3d_files import MODELS
from forge_batch.backends.vendored.pins import VENDOR, load_pins
from forge_batch.backends.vendored.signatures import differences
from forge_batch.backends.vendored.tree import file_hash, files_of, tree_digest

ROOT = Path(__file__).parents[2]
UPSTREAM = Path(os.environ.get("FORGE_UPSTREAM", "")).absolute()
PINNED = [one for one in load_pins(VENDOR).values() if one.code and (UPSTREAM / one.code.repo).is_dir()]


def drive(name: str, work: Path) -> dict[str, Any]:
    """Run an adapter in a process of its own and give what each phase found."""
    command = [sys.executable, "-m", "tests.upstream_run", name, str(UPSTREAM), str(work)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    return {line["phase"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("one", PINNED, ids=lambda one: one.name)
def test_the_pinned_trees_and_signatures_are_upstreams(one: Any) -> None:
    """The digest in vendor.toml is that of the files at the commit, and every recorded signature stands in them."""
    folder = UPSTREAM / one.code.repo
    files = {name: {"sha256": file_hash(folder / name)} for name in files_of(folder) if one.code.wants(name)}
    assert not one.code.tree or tree_digest(files) == one.code.tree
    assert differences(folder, one.signatures) == []


@pytest.mark.parametrize("one", [one for one in PINNED if one.name in PROGRAMS], ids=lambda one: one.name)
def test_the_riggers_know_every_option_that_they_are_given(one: Any) -> None:
    """Each program that is started has a parser with these options, and no other option is required."""
    for words in PROGRAMS[one.name](7)[0]:
        script = f"{words[1].replace('.', '/')}.py" if words[0] == "-m" else words[0]
        calls = [
            node
            for node in ast.walk(ast.parse((UPSTREAM / one.code.repo / script).read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
        ]
        known = {ast.literal_eval(call.args[0]): {key.arg: key.value for key in call.keywords} for call in calls}
        required = {name for name, keys in known.items() if "required" in keys and ast.literal_eval(keys["required"])}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert required <= given <= set(known)


def test_trellis2_runs_through_its_own_code_at_every_resolution(tmp_path: Path) -> None:
    """Fetched, assembled and loaded without the network; a mesh and clamped colours come of it; a lost tensor is found."""
    found = drive("trellis2", tmp_path)
    assert [found[size]["resolution"] for size in ("512", "1024", "1536")] == [512, 1024, 1536]
    for result in (found["512"], found["1024"], found["1536"], found["paint"]):
        assert result["voxels"] > 100
        assert 0 <= result["colors"][0] <= result["colors"][1] <= 1 + 1e-6
    assert found["1024"]["faces"] > found["512"]["faces"] > 100
    assert found["twice"]["same"]
    assert found["paint"]["kept"]
    assert found["load"]["low_vram"] is False
    assert "1 tensors are missing" in found["keys"]["broken"]


def test_every_model_of_hunyuan3d_runs_through_its_own_code(tmp_path: Path) -> None:
    """Each of the seven makes a centred shape; no surface fails the asset; a lost tensor is found in every format."""
    found = drive("hunyuan3d", tmp_path)
    for name in MODELS:
        assert (found[name]["model"], found[name]["random"]) == (name, "")
        assert found[name]["faces"] > 1000
        assert found[name]["off_centre"] < 0.02
        assert found[name]["decoder"] == ("FlashVDMVolumeDecoding" if "turbo" in name else "VanillaVolumeDecoder")
    assert found["nothing"]["error"] == (
        "StageError: hunyuan3d found no surface in what it made: try another seed, or another picture of it"
    )
    assert len(found["keys"]["broken"]) == 3
    assert all("1 tensors are missing" in text for text in found["keys"]["broken"])
