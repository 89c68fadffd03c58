from __future__ import annotations

import shutil
import stat
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from forge_batch.backends.humanoid import make_rig as embedded
from forge_batch.backends.rigger import info, make_rig, name_joints
from forge_batch.backends.vendored.machine import Gpu, Machine
from forge_batch.backends.vendored.origins import Folder
from forge_batch.backends.vendored.pins import package
from forge_batch.backends.vendored.rigger_boot import flash_attn_func
from forge_batch.backends.vendored.store import fetch
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.fbx_skin import SkinnedScene, encode_skinned_fbx
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.rig import Rig, rig_fault
from tests.figures import human
from tests.skinned_glb import encode_skinned_glb

UPSTREAM = Path(__file__).parents[1] / "rigger_upstream"
H200 = Machine((Gpu("NVIDIA H200", 150.0, 149.0, 90, "580.1"),))
PINS = """
[skintokens]
title = "a stand-in"
licence = "MIT"
gpu_gb = 14
disk_gb = 0
environment = ["numpy", "json"]
[skintokens.code]
repo = "VAST-AI-Research/SkinTokens"
host = "github"
revision = "273b691d35989d71cd17ff2895fdc735097b92d1"
take = ["*"]
[[skintokens.weights]]
repo = "VAST-AI/SkinTokens"
revision = "79736cad0fd84de384d5eede659b4ebd24effe33"
take = ["experiments/*"]
[[skintokens.weights]]
repo = "Qwen/Qwen3-0.6B"
revision = "c1899de289a04d12100db370d81485cdf75e47ca"
take = ["config.json"]
place = "models/Qwen3-0.6B"

[unirig]
title = "a stand-in"
licence = "MIT"
gpu_gb = 8
disk_gb = 0
environment = ["numpy"]
[unirig.code]
repo = "VAST-AI-Research/UniRig"
host = "github"
revision = "ed4acacd0867b0df60b4131a3e49b33d8224e37f"
take = ["*"]
[[unirig.weights]]
repo = "VAST-AI/UniRig"
revision = "36842e2b5947e9e60f89275b83208c8e74071c63"
take = ["skeleton/*", "skin/*"]
[[unirig.weights]]
repo = "facebook/opt-350m"
revision = "08ab08cc4b72ff5593870b5d527cf4230323703c"
take = ["config.json"]
place = "facebook/opt-350m"
"""
CHECKPOINTS = {
    "VAST-AI/SkinTokens": (
        "experiments/articulation_xl_quantization_256_token_4/grpo_1400.ckpt",
        "experiments/skin_vae_2_10_32768/last.ckpt",
    ),
    "VAST-AI/UniRig": ("skeleton/articulation-xl_quantization_256/model.ckpt", "skin/articulation-xl/model.ckpt"),
}
NAMES = ("skintokens", "unirig")


class Rigged(NamedTuple):
    """Be a person and the rig that a rigger is made to find: joints numbered, in an order of its own."""

    mesh: Mesh
    rig: Rig
    truth: Rig


@cache
def person() -> Rigged:
    """Rig a person with the embedded rigger, and take its names away; `root` is left out, as learned riggers have none."""
    mesh, _ = human()
    rig = embedded(mesh, lambda *_: None).rig
    truth = replace(rig, names=rig.names[1:], joints=rig.joints[1:], parents=np.maximum(rig.parents[1:] - 1, -1),
                    influences=np.maximum(rig.influences - 1, 0))  # fmt: skip
    return Rigged(mesh, replace(truth, names=tuple(f"bone_{index}" for index in range(len(truth.names)))), truth)


def as_glb(rig: Rig, mesh: Mesh) -> bytes:
    """Write what SkinTokens leaves."""
    return encode_skinned_glb(mesh, rig, b"something else")


def as_fbx(rig: Rig, mesh: Mesh) -> bytes:
    """Write what UniRig leaves: in a cube from -1 to 1, and Z up as Blender has it."""
    centre, half = (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2, np.ptp(mesh.vertices, axis=0).max() / 2

    def placed(points: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(((points - centre) / half)[:, [0, 2, 1]] * np.float32([1, -1, 1]), np.float32)

    points = placed(mesh.vertices)
    normals = vertex_normals(points, mesh.faces)
    side = np.cross(normals, np.where(np.abs(normals[:, :1]) < 0.9, np.float32([1, 0, 0]), np.float32([0, 1, 0])))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    tangents = np.column_stack([side, np.ones(len(points))]).astype(np.float32)
    body = Mesh(points, mesh.faces, np.zeros((len(points), 2), np.float32), normals, tangents)
    own = replace(rig, joints=placed(rig.joints))
    return encode_skinned_fbx(SkinnedScene("body", [body], [own], [], {"M": {}}))


class World(NamedTuple):
    """Be a vendor folder with both riggers in it."""

    root: Path

    def run(self, name: str, seed: int = 3, timeout: float = 60.0) -> Rig:
        """Rig the person; give the rig alone."""
        return make_rig(name, person().mesh, seed, lambda *_: None, self.root, H200, timeout).rig

    def fault(self, name: str, word: str) -> None:
        """Let the program fail; what was fetched is recorded anew, so that only the program is at fault."""
        self._change(name, "fault.txt", word.encode())

    def result(self, name: str, data: bytes) -> None:
        """Let the program leave this."""
        self._change(name, "result.glb" if name == "skintokens" else "result.fbx", data)

    def _change(self, name: str, file: str, data: bytes) -> None:
        one = package(name, self.root)
        assert one.code
        mirror = self.root.parent / "mirror"
        (mirror / one.code.repo / file).write_bytes(data)
        shutil.rmtree(self.root / name / "code")
        (self.root / name / "record.json").unlink()
        fetch(one, Folder(mirror), lambda _: None, self.root)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Fetch both stand-ins, and make their environments: an interpreter that is ours under another path."""
    root, mirror = tmp_path / "vendor", tmp_path / "mirror"
    root.mkdir()
    (root / "vendor.toml").write_text(PINS)
    for repo in ("VAST-AI-Research/SkinTokens", "VAST-AI-Research/UniRig"):
        shutil.copytree(UPSTREAM, mirror / repo, ignore=shutil.ignore_patterns("__pycache__"))
        (mirror / repo / "result.glb").write_bytes(as_glb(person().rig, person().mesh))
        (mirror / repo / "result.fbx").write_bytes(as_fbx(person().rig, person().mesh))
    for repo, files in CHECKPOINTS.items():
        for file in files:
            (mirror / repo / file).parent.mkdir(parents=True, exist_ok=True)
            (mirror / repo / file).write_bytes(b"weights")
    for repo in ("Qwen/Qwen3-0.6B", "facebook/opt-350m"):
        (mirror / repo).mkdir(parents=True)
        (mirror / repo / "config.json").write_text("{}")
    for name in NAMES:
        fetch(package(name, root), Folder(mirror), lambda _: None, root)
        python = root / name / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return World(root)


def share(rig: Rig, joint: str) -> np.ndarray:
    """Give how much a joint moves each vertex."""
    return np.asarray((rig.weights * (rig.influences == rig.names.index(joint))).sum(axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_gives_our_mesh_a_rig(name: str, world: World) -> None:
    """Weights come back for every vertex of ours, joints in our place and scale, to a millimetre and 2 % of weight."""
    mesh, _, truth = person()
    rig = world.run(name)
    assert rig_fault(rig, len(mesh.vertices)) is None
    for index, joint in enumerate(truth.names):
        assert joint in rig.names
        np.testing.assert_allclose(rig.joints[rig.names.index(joint)], truth.joints[index], atol=1e-3)
        np.testing.assert_allclose(share(rig, joint), share(truth, joint), atol=0.02)


def test_numbered_joints_get_the_mannequins_names(world: World) -> None:
    """All 22 joints that stood under numbers are found again by where they stand, the sure ones surer than the guessed."""
    made = make_rig("skintokens", person().mesh, 0, lambda *_: None, world.root, H200)
    assert set(made.rig.names) == set(person().truth.names)
    assert made.facts["matched_joints"] == 22
    assert made.confidence["thigh_l"] > made.confidence["spine_02"] > 0.4


def test_joints_that_are_no_mannequins_keep_their_names() -> None:
    """A tail of three joints on a person stays as it was called, with no confidence, and nothing takes a name twice."""
    mesh, rig, _ = person()
    hip = rig.joints[0]
    tail = np.stack([hip + np.float32([0, 0, -0.3 * step]) for step in (1, 2, 3)])
    count = len(rig.names)
    tailed = replace(
        rig,
        names=(*rig.names, "bone_a", "bone_b", "bone_c"),
        joints=np.concatenate([rig.joints, tail]).astype(np.float32),
        parents=np.concatenate([rig.parents, [0, count, count + 1]]).astype(np.int32),
    )
    named, sure, matched = name_joints(tailed, mesh)
    assert named.names[-3:] == ("bone_a", "bone_b", "bone_c")
    assert [sure[name] for name in named.names[-3:]] == [0, 0, 0]
    assert matched == 22
    assert len(set(named.names)) == len(named.names)


def test_plain_names_are_taken_at_their_word() -> None:
    """Joints called as other programs call them get the Mannequin's names without a look at the shape."""
    mesh, _, truth = person()
    words = {"pelvis": "Hips", "thigh_l": "LeftUpLeg", "calf_l": "LeftLeg", "head": "Head"}
    called = replace(truth, names=tuple(words.get(name, name) for name in truth.names))
    named, sure, matched = name_joints(called, mesh)
    assert named.names == truth.names
    assert (matched, sure["calf_l"]) == (22, 0.9)


FAULTS = [
    ("no file", StageError, "left no .*the last it said: .*context is incorrect"),
    ("crash", StageError, "failed with status 1: RuntimeError: CUDA error"),
    ("memory", StageError, "ran out of GPU memory .* GB are needed"),
    (
        "another file",
        StageError,
        "FileNotFoundError: VAST-AI/UniRig/skin/skeleton/model.ckpt is none of the files",
    ),
    ("import", BackendUnavailable, "cannot run: ModuleNotFoundError: No module named 'spconv'"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("word", "error", "message"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_program_that_fails_is_said_to(name: str, word: str, error: type[Exception], message: str, world: World) -> None:
    """Status 0 without a file, a crash, no memory, a file that nobody pinned and a missing library have words of their own."""
    world.fault(name, word)
    if word == "no file" and name == "unirig":
        message = message.replace("left no ", "left no skin.fbx")
    with pytest.raises(error, match=message):
        world.run(name)


def test_a_program_that_hangs_is_ended(world: World) -> None:
    """After the time it has it is gone, and so is what it ran in."""
    world.fault("skintokens", "hang")
    start = time.monotonic()
    with pytest.raises(StageError, match=r"did not end within 6 s"):
        world.run("skintokens", timeout=6)
    assert time.monotonic() - start < 30
    # without /proc the list is empty, and the time alone is tested
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, str(world.root).encode())] == []


def _mentions(path: Path, words: bytes) -> bool:
    try:
        return words in path.read_bytes()
    except OSError:
        return False


def spoilt(**changes: object) -> bytes:
    """Write a result of SkinTokens that is not sound."""
    mesh, rig, _ = person()
    return as_glb(replace(rig, **changes), mesh)  # type: ignore[arg-type]


def one_joint() -> bytes:
    """Write a skeleton of one joint that moves all."""
    mesh, rig, _ = person()
    ones = np.ones((len(mesh.vertices), 1), np.float32)
    zeros = np.zeros((len(mesh.vertices), 1), np.int32)
    return as_glb(Rig(("bone_0",), rig.joints[:1], np.array([-1], np.int32), zeros, ones), mesh)


def unsure() -> bytes:
    """Write weights of which some are no number."""
    weights = person().rig.weights.copy()
    weights[7] = np.nan
    return spoilt(weights=weights)


def other_shape() -> bytes:
    """Write the rig on a person pressed flat."""
    mesh, rig, _ = person()
    return as_glb(rig, Mesh(mesh.vertices * np.float32([1, 1, 5]), mesh.faces))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"not a GLB at all", "not a readable GLB"),
        (lambda: encode_skinned_glb(person().mesh, None), "holds no skin"),
        (one_joint, "one joint, which bends nothing"),
        (unsure, "no numbers"),
        (lambda: spoilt(weights=person().rig.weights * np.float32(0.5)), "weights that do not sum to 1"),
        (lambda: spoilt(weights=np.zeros_like(person().rig.weights)), "weights that do not sum to 1"),
        (other_shape, "another shape: its surface is"),
        (lambda: as_glb(person().rig, person().mesh)[:-2000], "not a sound GLB|not a readable GLB"),
    ],
    ids=["no GLB", "no skin", "one joint", "NaN", "half weights", "no weights", "another shape", "cut off"],
)
def test_a_result_that_no_engine_could_use_is_refused(make: object, message: str, world: World) -> None:
    """Whatever the program says of itself, its file is looked at."""
    world.result("skintokens", make())  # type: ignore[operator]
    with pytest.raises(StageError, match=message):
        world.run("skintokens")


def test_an_fbx_without_a_skin_is_refused(world: World) -> None:
    """UniRig's file is looked at likewise."""
    world.result("unirig", b"Kaydara FBX Binary  \x00 and then nothing")
    with pytest.raises(StageError, match=r"not an FBX that ufbx can read|holds no skin"):
        world.run("unirig")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_named_with_what_mends_it(name: str, world: World) -> None:
    """Code, weights, environment, a module in it and the GPU: each is named, and the command is that for the first."""
    with pytest.raises(BackendUnavailable, match=r"no NVIDIA GPU"):
        make_rig(name, person().mesh, 0, lambda *_: None, world.root, Machine())
    pins = (world.root / "vendor.toml").read_text()
    (world.root / "vendor.toml").write_text(pins.replace('"numpy"', '"numpy", "spconv_of_nowhere"'))
    with pytest.raises(BackendUnavailable, match=r"spconv_of_nowhere cannot be imported in .*env") as caught:
        world.run(name)
    assert caught.value.hint == f"sh vendor/make_environment.sh {name}"
    shutil.rmtree(world.root / name / "env")
    with pytest.raises(BackendUnavailable, match=r"its environment .*env was not made") as caught:
        world.run(name)
    assert caught.value.hint == f"sh vendor/make_environment.sh {name}"
    shutil.rmtree(world.root / name)
    with pytest.raises(BackendUnavailable, match=r"its code .* was not fetched; weights .* were not fetched") as caught:
        world.run(name)
    assert caught.value.hint == f"forge-batch vendor fetch {name}"


@pytest.mark.parametrize(("heads", "causal"), [(2, False), (4, True)])
def test_attention_by_torch_is_the_formula(heads: int, causal: bool) -> None:
    """What stands in for flash_attn gives softmax(q k / sqrt(d)) v over heads, masked if causal, keys shared among queries."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    draw = torch.Generator().manual_seed(1)
    q = torch.randn((1, 5, heads, 8), generator=draw)
    k, v = (torch.randn((1, 5, 2, 8), generator=draw) for _ in "kv")
    found = flash_attn_func(q, k, v, causal=causal)
    assert found.shape == q.shape
    for head in range(heads):
        key, value = (x[0, :, head * 2 // heads].double().numpy() for x in (k, v))
        scores = q[0, :, head].double().numpy() @ key.T / np.sqrt(8)
        scores[np.triu_indices(5, 1)] = -np.inf if causal else scores[np.triu_indices(5, 1)]
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[0, :, head].numpy(), weights @ value, atol=1e-5)


def test_its_revision_and_licence_are_the_pinned_ones() -> None:
    """What stands in packages is read from vendor.toml."""
    found = info("skintokens")
    assert (found.name, found.revision, found.commercial) == ("skintokens", "273b691d3598", True)
    assert "GPL-3.0" in info("unirig").licence
