"""Hold the packages of a character to bending as its rig says, in every engine's own file and every reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.check import check
from forge_batch.ops.rig import Rig
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.skinned import level_rigs
from forge_batch.packages.zip_file import write_zip
from tests import poses, winged_box
from tests.ops.test_glb import Glb
from tests.readers import ask_ufbx, ask_ufbx_skin, validate_glb

JOINTS = {  # in house space, metres
    "root": (None, (0, 0, 0)),
    "Spine": ("root", (0, 0.2, 0)),
    "Neck": ("Spine", (0, 0.2, 0.4)),
    "LeftArm": ("Spine", (0.25, 0.2, 0.1)),
    "LeftHand": ("LeftArm", (0.6, 0.2, 0.1)),
    "Head": ("Spine", (0, 0.4, -0.2)),
}
MANNEQUIN = ["root", "spine_01", "neck_01", "upperarm_l", "hand_l", "head"]
POSES: list[poses.Turns] = [
    {"root": ("y", 90)},
    {"upperarm_l": ("x", 40), "hand_l": ("z", -75)},
    {"root": ("x", 20), "spine_01": ("y", -30), "neck_01": ("x", 55), "hand_l": ("x", 80), "head": ("z", 35)},
]


@pytest.fixture(scope="module")
def asset() -> Asset:
    """Make the winged box a character whose vertices six joints move, more of them the nearer."""
    lods = winged_box.levels()
    names = list(JOINTS)
    joints = np.array([place for _, place in JOINTS.values()], np.float32)
    parents = np.array([-1 if parent is None else names.index(parent) for parent, _ in JOINTS.values()], np.int32)
    weights = np.exp(-np.linalg.norm(lods[0].vertices[:, None] - joints[None], axis=2) / 0.12)
    weights /= weights.sum(axis=1, keepdims=True)
    every = np.broadcast_to(np.arange(6, dtype=np.int32), weights.shape)
    rig = Rig(names, joints, parents, every.copy(), weights.astype(np.float32))
    flat = np.full((16, 16, 3), 128, np.uint8)
    normal = np.full((16, 16, 3), 32768, np.uint16)
    sizes = [1.0, 0.5, 0.25]
    more: dict[str, Any] = {"influences": 4, "sockets": {"Grip": (0.6, 0.2, 0.15)}}
    return Asset("winged", lods, sizes, winged_box.hulls(), flat, normal, flat, rig=rig, rigged=lods[0], **more)


Bend = Callable[[Path, Rig], poses.Bent]
GLTF = ("SK_Winged.glb", poses.BLENDER, lambda path, rig: poses.by_blender(path, rig, POSES, poses.BLENDER, "gltf"))
THREE = ("SK_Winged.glb", poses.HOUSE, lambda path, rig: poses.by_three(path, rig, POSES, poses.HOUSE))
CASES: dict[str, tuple[str, np.ndarray, Bend]] = {
    "unity_hdrp ufbx": ("SK_Winged.fbx", poses.HOUSE, lambda path, rig: poses.by_ufbx(path, rig, POSES, poses.HOUSE)),
    "unity_hdrp three": ("SK_Winged.fbx", poses.BLENDER, lambda path, rig: poses.by_three(path, rig, POSES, poses.HOUSE)),
    "unity_hdrp blender": (
        "SK_Winged.fbx",
        poses.BLENDER,
        lambda path, rig: poses.by_blender(path, rig, POSES, poses.BLENDER, "native"),
    ),
    "godot4 three": THREE,
    "blender blender": GLTF,
    "blender ufbx": ("SK_Winged_LODs.fbx", poses.HOUSE, lambda path, rig: poses.by_ufbx(path, rig, POSES, poses.HOUSE)),
    "web three": THREE,
    "web blender": GLTF,
}


MARKS = {"ufbx": [], "three": [pytest.mark.node], "blender": [pytest.mark.blender]}


@pytest.mark.parametrize("case", [pytest.param(case, marks=MARKS[case.split()[1]]) for case in CASES])
def test_a_character_bends_alike_in_every_file(case: str, asset: Asset, folders: dict[str, Path]) -> None:
    """In three poses each corner goes where linear blend skinning says, to 0.01 mm, of all levels the file shows."""
    engine = case.split(maxsplit=1)[0]
    file, axes, bend = CASES[case]
    rigs = level_rigs(asset)
    found = bend(folders[engine] / file, rigs[0])
    coarse = ["SK_Winged_LOD1", "SK_Winged_LOD2"]
    names = {"unity_hdrp": ["SK_Winged_LOD0", *coarse]}
    levels = names.get(engine, ["SK_Winged", *(coarse if file.endswith("_LODs.fbx") else [])])
    assert all(set(pose) == set(levels) for pose in found)
    for level, name in enumerate(levels):
        meant = poses.expected(rigs[level], asset.lods[level], POSES)
        for pose, corners in zip(found, meant, strict=True):
            if engine == "web":  # Draco orders triangles anew and keeps 14 bits of a position
                gap = np.abs(pose[name][:, None] - (corners @ axes.T)[None]).max(axis=2)
                assert max(gap.min(axis=0).max(), gap.min(axis=1).max()) < 2e-4
            else:
                np.testing.assert_allclose(pose[name], corners @ axes.T, atol=1e-5, err_msg=name)


def test_every_engine_gets_one_skinned_model(folders: dict[str, Path]) -> None:
    """Unreal's package keeps the static mesh beside it; Unity's and the GLBs are named SK_ and hold nothing static."""
    models = {
        name: sorted(path.name for path in folder.iterdir() if path.suffix in {".fbx", ".glb"})
        for name, folder in folders.items()
    }
    glb = ["SK_Winged.glb"]
    assert models == {
        "ue5": ["SK_Winged.fbx", "SM_Winged.fbx", "SM_Winged.glb"],
        "unity_hdrp": ["SK_Winged.fbx", "SK_Winged_Colliders.fbx"],
        "godot4": glb,
        "blender": ["SK_Winged.glb", "SK_Winged_LODs.fbx"],
        "web": glb,
    }


@pytest.mark.node
@pytest.mark.parametrize("engine", ["godot4", "blender", "web"])
def test_skinned_glbs_pass_the_validator(engine: str, folders: dict[str, Path]) -> None:
    """No error, no warning: weights sum to 1, joints without weight are 0, skins stand at the top with their bones."""
    report = validate_glb(folders[engine] / "SK_Winged.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"]


def test_bones_bear_the_mannequins_names_everywhere(folders: dict[str, Path]) -> None:
    """Below `Armature` hangs `root`, and each joint has the name and the parent that the report says."""
    read = ask_ufbx_skin(folders["unity_hdrp"] / "SK_Winged.fbx")
    assert [node["name"] for node in read["nodes"] if node["kind"] == "BONE"] == MANNEQUIN
    for engine in ("godot4", "blender", "web"):
        document = Glb((folders[engine] / "SK_Winged.glb").read_bytes()).document
        (skin,) = document["skins"]
        assert [document["nodes"][joint]["name"] for joint in skin["joints"]] == MANNEQUIN
        armature = document["nodes"][skin["skeleton"]]
        assert (armature["name"], armature["children"]) == ("Armature", [skin["joints"][0]])


def test_sockets_of_a_character_hang_on_the_nearest_joint(folders: dict[str, Path]) -> None:
    """A grip 5 cm before the hand follows it in Unity's file, Blender's levels and all GLBs; for Unreal it is no bone."""
    for file in ("unity_hdrp/SK_Winged.fbx", "blender/SK_Winged_LODs.fbx"):
        engine, _, name = file.partition("/")
        (socket,) = [one for one in ask_ufbx(folders[engine] / name)["places"] if one["name"] == "SOCKET_Grip"]
        assert socket["parent"] == "hand_l"
        np.testing.assert_allclose(socket["place"], [0, 0, 0.05], atol=1e-6)
    assert "SOCKET_Grip" not in {node["name"] for node in ask_ufbx_skin(folders["ue5"] / "SK_Winged.fbx")["nodes"]}
    for engine in ("godot4", "blender", "web"):
        nodes = Glb((folders[engine] / "SK_Winged.glb").read_bytes()).document["nodes"]
        (hand,) = [node for node in nodes if node["name"] == "hand_l"]
        (socket,) = [nodes[index] for index in hand["children"]]
        assert socket["name"] == "SOCKET_Grip"
        np.testing.assert_allclose(socket["translation"], [0, 0, 0.05], atol=1e-6)


def packed(path: Path, engine: str, files: Mapping[str, bytes]) -> Path:
    """Write a package whose report says what holds."""
    width, height, depth = 110.0, 80.0, 125.0
    report = {
        "asset": "winged",
        "engine": engine,
        "files": {},
        "texture_size": 16,
        "triangles": [48, 36, 12],
        "size_cm": [(width, height, depth)[axis] for axis in ENGINES[engine].axes],
        "gates": [],
    }
    papers = {"report.json": json.dumps(report).encode(), "manifest.yaml": b"place: {height_cm: 80}\n"}
    write_zip(path, {**files, **papers})
    return path


def skin_gates(path: Path) -> list[tuple[str, str]]:
    """Give name and result of what `check` says of skins."""
    return [(gate.name, gate.result) for gate in check(path).gates if gate.name in {"rig_joints", "rig_weights", "rig_roots"}]


@pytest.mark.parametrize("engine", ["ue5", "blender", "web"])
def test_check_reads_the_skin_of_every_file(engine: str, asset: Asset, tmp_path: Path) -> None:
    """Joints, roots and weights are measured again in each file that has a skin, Draco's too."""
    found = skin_gates(packed(tmp_path / "a.zip", engine, ENGINES[engine].files(asset)))
    files = 2 if engine == "blender" else 1
    assert found == [(name, "pass") for name in ("rig_joints", "rig_roots", "rig_weights")] * files


def test_check_finds_weights_that_were_lost(asset: Asset, tmp_path: Path) -> None:
    """With one vertex' weights set to nothing in the finished GLB, one vertex is counted."""
    files = ENGINES["godot4"].files(asset)
    ((name, data),) = files.items()
    read = Glb(data)
    weights = read.array(read.document["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"])[0].tobytes()
    path = packed(tmp_path / "a.zip", "godot4", {name: data.replace(weights, bytes(16), 1)})
    (gate,) = [gate for gate in check(path).gates if gate.name == "rig_weights"]
    assert (gate.result, gate.value) == ("fail", 1)


def test_godot_gives_no_character_a_body_that_stands_still(folders: dict[str, Path]) -> None:
    """No node of the skinned GLB ends with -convcolonly."""
    names = [node["name"] for node in Glb((folders["godot4"] / "SK_Winged.glb").read_bytes()).document["nodes"]]
    assert not [name for name in names if name.endswith("colonly")]
