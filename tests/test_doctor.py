from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge_batch.backends.vendored.access import hub_account, readable
from forge_batch.backends.vendored.machine import Gpu, Machine, has_module, read_gpus
from forge_batch.backends.vendored.pins import VENDOR, Source
from forge_batch.cli import main
from forge_batch.doctor import Check, diagnose, doctor_json, doctor_text
from tests.model_hub import ModelHub, served

H200 = Gpu("NVIDIA H200", 150.0, 149.0, 90, "580.1")
SMALL = Gpu("NVIDIA T4", 15.8, 15.0, 75, "580.1")


def by_name(checks: list[Check]) -> dict[str, Check]:
    """Give the checks by name."""
    return {check.name: check for check in checks}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a vendor folder with the real pins and nothing fetched."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "vendor.toml").write_text((VENDOR / "vendor.toml").read_text())
    return folder


def test_cards_are_read_from_what_the_driver_prints() -> None:
    """Memory in GB and capability times ten come from nvidia-smi's words; a line of complaint is no card."""
    text = "NVIDIA RTX PRO 6000, 97887, 48000, 12.0, 580.65.06\nFailed to initialize NVML: Unknown Error\n"
    (card,) = read_gpus(text)
    assert (card.name, card.capability, card.driver) == ("NVIDIA RTX PRO 6000", 120, "580.65.06")
    assert card.memory_gb == pytest.approx(97887 * 1024**2 / 1e9, rel=1e-3)


def test_a_machine_without_anything_is_no_fault(root: Path, tmp_path: Path) -> None:
    """Nothing learned is here: each backend is `missing` with one command, hull works, and nothing is broken."""
    nobody = Machine(has_module=lambda _: False)
    checks = diagnose(tmp_path, online=False, machine=nobody, root=root)
    found = by_name(checks)
    assert doctor_json(checks)["ok"] is True
    assert found["backend hull"].state == found["backend humanoid"].state == "works"
    assert found["gpu"].state == "missing"
    trellis2 = found["backend trellis2"]
    assert trellis2.state == "missing"
    assert trellis2.command == "forge-batch vendor fetch trellis2"
    assert trellis2.found.startswith("package, weights, gpu: trellis2 cannot run here: its code (microsoft/TRELLIS.2)")


def test_a_small_card_is_said_with_both_figures(root: Path, tmp_path: Path) -> None:
    """TRELLIS.2 on 16 GB: what the card has and what is needed."""
    found = by_name(diagnose(tmp_path, online=False, machine=Machine((SMALL,)), root=root))
    assert "NVIDIA T4 has 16 GB of memory, 24 are needed" in found["backend trellis2"].found
    assert "memory" in found["backend trellis2"].found.split(":")[0].split(", ")


@pytest.mark.parametrize(("territory", "words"), [("DE", "does not hold in DE"), (None, "names no territory")])
def test_a_licence_that_does_not_hold_comes_first(root: Path, tmp_path: Path, territory: str | None, words: str) -> None:
    """hunyuan3d is a matter of licence in Germany, and where forge.yaml does not say where the project is."""
    if territory:
        (tmp_path / "forge.yaml").write_text(f"forge: 1\nproject: {{territory: {territory}}}\n")
    check = by_name(diagnose(tmp_path, online=False, machine=Machine((H200,)), root=root))["backend hunyuan3d"]
    assert check.found.startswith("licence: ")
    assert words in check.found


def test_a_licence_that_holds_leaves_the_rest(root: Path, tmp_path: Path) -> None:
    """In the US hunyuan3d lacks its code and weights, like any other."""
    (tmp_path / "forge.yaml").write_text("forge: 1\nproject: {territory: US}\n")
    check = by_name(diagnose(tmp_path, online=False, machine=Machine((H200,)), root=root))["backend hunyuan3d"]
    assert check.command == "forge-batch vendor fetch hunyuan3d"


def test_the_text_holds_every_check_and_its_command() -> None:
    """People read state, name, finding and what mends it; long findings are wrapped."""
    text = doctor_text([Check("gpu", "works", "one"), Check("disk", "broken", "word " * 40, "make room at /")])
    assert text.splitlines()[0] == "works    gpu: one"
    assert text.splitlines()[-1].strip() == "-> make room at /"
    assert max(map(len, text.splitlines())) <= 118


def test_the_command_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives one JSON document with `ok` and the checks; the exit code follows `ok`."""
    code = main(["doctor", "--offline", "--json", "--content", str(tmp_path)])
    document = json.loads(capsys.readouterr().out)
    assert code == (0 if document["ok"] else 1)
    assert {"python", "gpu", "backend hull", "backend trellis2"} <= {check["name"] for check in document["checks"]}


def test_the_hub_is_asked_for_account_and_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good token names its account, a gated model says where to ask, a refused token and a silent hub say so."""
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    gated = Source("ann/gated", "a" * 40, ("*",), gated=True)
    with served(ModelHub(repos={"ann/gated": ("a" * 40, {}), "ann/open": ("a" * 40, {})}, gated={"ann/gated"})) as hub:
        assert hub_account(hub.url).name == "ann"
        assert "accept its licence at https://huggingface.co/ann/gated" in readable(gated, hub.url)
        assert readable(Source("ann/open", "a" * 40, ("*",)), hub.url) == ""
        hub.account = None
        assert "refuses this token" in hub_account(hub.url).found
    assert "does not answer" in hub_account("http://127.0.0.1:9").found


def test_a_module_that_stands_in_for_another_is_not_asked_twice() -> None:
    """A missing parent is no error but a no."""
    assert has_module("json")
    assert not has_module("no_such_parent.child")
