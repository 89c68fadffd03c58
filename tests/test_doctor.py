from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from forge_batch.backends.vendored.access import hub_account, readable
from forge_batch.backends.vendored.machine import Gpu, Machine, has_module, read_gpus
from forge_batch.backends.vendored.pins import VENDOR, Source, load_pins
from forge_batch.cli import main
from forge_batch.doctor import Check, diagnose, doctor_json, doctor_text
from tests.backends.vendored.test_architectures import fat
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
    """A good token names its account; a gated model, a missing one and a wrong revision each say what to do."""
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    gated = Source("ann/gated", "a" * 40, ("*",), gated=True)
    with served(ModelHub(repos={"ann/gated": ("a" * 40, {}), "ann/open": ("a" * 40, {})}, gated={"ann/gated"})) as hub:
        assert hub_account(hub.url).name == "ann"
        page = "accept its licence at https://huggingface.co/ann/gated, then set HF_TOKEN to a token of that account"
        assert readable(gated, hub.url) == ("gated", page)
        assert readable(Source("ann/open", "a" * 40, ("*",)), hub.url) is None
        wrong = readable(Source("ann/open", "b" * 40, ("*",)), hub.url)
        assert wrong == (f"it has no revision {'b' * 40}", "correct its revision in vendor.toml")
        assert (readable(Source("ann/nothing", "a" * 40, ("*",)), hub.url) or ("",))[0] == "it is private, or not there"
        hub.account = None
        assert "refuses this token" in hub_account(hub.url).found
    assert "does not answer" in hub_account("http://127.0.0.1:9").found


def test_every_model_is_asked_for_at_its_pinned_revision(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gated one is named with its page, one that moved is named with the pin, and the rest are counted."""
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    pins = {source.repo: source.revision for one in load_pins(root).values() for source in one.weights}
    repos = {repo: (revision, {"x": b""}) for repo, revision in pins.items()}
    repos["facebook/opt-350m"] = ("d" * 40, {"x": b""})
    dino = "facebook/dinov3-vitl16-pretrain-lvd1689m"
    with served(ModelHub(repos=repos, gated={dino})) as hub:
        checks = by_name(diagnose(tmp_path, online=True, machine=Machine(), root=root, endpoint=hub.url))
    assert checks["hub account"].found == "token of ann"
    assert (checks[f"access to {dino}"].state, checks[f"access to {dino}"].found) == ("missing", "gated")
    assert f"https://huggingface.co/{dino}" in checks[f"access to {dino}"].command
    assert checks["access to facebook/opt-350m"].command == "correct its revision in vendor.toml"
    assert checks["models"].found == f"{len(pins) - 2} of {len(pins)} can be read as pinned"
    silent = by_name(diagnose(tmp_path, online=True, machine=Machine(), root=root, endpoint="http://127.0.0.1:9"))
    assert "does not answer" in silent["hub account"].found
    assert "models" not in silent


def installed(folder: Path, name: str, data: bytes) -> None:
    """Put a package with one compiled library where Python finds it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "_C.so").write_bytes(data)


def test_wheels_are_held_against_this_card_and_those_of_deployment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code for both works; for the other card alone it is broken here; for this card alone it works and names the other."""
    site = tmp_path / "site"
    installed(site, "flex_gemm", fat((2, 90, b"c"), (2, 120, b"c")))
    installed(site, "cumesh", fat((2, 120, b"c")))
    installed(site, "o_voxel", fat((2, 90, b"c")))
    installed(site, "nvdiffrast", b"no code")
    monkeypatch.syspath_prepend(site)
    here = {"flex_gemm", "cumesh", "o_voxel", "nvdiffrast"}
    checks = by_name(diagnose(tmp_path, online=False, machine=Machine((H200,), here.__contains__), root=root))
    said = {name: (checks[f"{name} wheel"].state, checks[f"{name} wheel"].found.split(", ", 1)[1]) for name in here}
    assert said == {
        "flex_gemm": ("works", "built for sm_90, sm_120"),
        "cumesh": ("broken", "built for sm_120; not for sm_90"),
        "o_voxel": ("works", "built for sm_90; not for sm_120"),
        "nvdiffrast": ("missing", "holds no GPU code"),
    }
    assert checks["flex_gemm wheel"].command == ""
    assert checks["cumesh wheel"].command == "sh vendor/build_wheels.sh cumesh"
    assert checks["nvdiffrast wheel"].command.endswith("git+https://github.com/NVlabs/nvdiffrast@v0.4.0")
    assert (checks["flash_attn wheel"].state, checks["flash_attn wheel"].command) == (
        "missing", "sh vendor/build_wheels.sh flash_attn",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("version", "code", "driver", "state", "words"),
    [
        ("cuda: str | None = '13.0'", (90, 120), "580.65.06", "works", "built with CUDA 13.0 for sm_90, sm_120"),
        ("cuda: str | None = '13.0'", (90,), "535.10", "broken", "the driver 535.10 is too old for it"),
        ("cuda = '12.6'", (80, 86), "580.1", "broken", "not for NVIDIA H200 (sm_90)"),
        ("cuda: str | None = None", (), "580.1", "broken", "built without CUDA"),
    ],
)
def test_torch_is_held_against_driver_and_card(
    version: str, code: tuple[int, ...], driver: str, state: str, words: str, root: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What torch was built for is read from its files, without importing it."""
    folder = tmp_path / "site" / "torch"
    (folder / "lib").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (folder / "version.py").write_text(version)
    (folder / "lib/libtorch_cuda.so").write_bytes(fat(*((2, one, b"c") for one in code)))
    card = Gpu("NVIDIA H200", 150.0, 149.0, 90, driver)
    for name in [name for name in sys.modules if name == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "site")
    checks = by_name(diagnose(tmp_path, online=False, machine=Machine((card,), {"torch"}.__contains__), root=root))
    assert checks["cuda"].state == state
    assert words in checks["cuda"].found
    assert bool(checks["cuda"].command) is (state == "broken")
    assert checks["warp"].command == "pip install 'forge-batch[gpu]'"


def test_a_full_disk_is_broken(root: Path, tmp_path: Path) -> None:
    """Less than 5 GB free at the content folder or at the vendor folder stops a batch; the place is named."""
    checks = by_name(diagnose(tmp_path / "not/made/yet", online=False, machine=Machine(), root=root))
    free = shutil.disk_usage(tmp_path).free / 1e9
    for name in ("disk, content folder", "disk, vendor folder"):
        assert checks[name].state == ("works" if free >= 5 else "broken")
        assert checks[name].found == f"{free:.0f} GB free at {tmp_path if 'content' in name else root}"


def test_a_module_that_stands_in_for_another_is_not_asked_twice() -> None:
    """A missing parent is no error but a no."""
    assert has_module("json")
    assert not has_module("no_such_parent.child")
