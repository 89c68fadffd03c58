from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from forge_batch.ops.fbx_skin import SkinnedScene, encode_skinned_fbx
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, carried_over, limited, posed, with_root
from tests import winged_box
from tests.ops.test_fbx import corners, in_file_frame
from tests.readers import ask_blender_skin, ask_three, ask_three_skin, ask_ufbx, ask_ufbx_skin

NAME = "SK_Winged"
LEVELS = ["SK_Winged", "SK_Winged_LOD1", "SK_Winged_LOD2"]
JOINTS = {  # of the winged box in centimetres and Z up: x to the nose, y to the wing's tip, z to the fin's
    "root": (None, (0, 0, 0)),
    "spine_01": ("root", (0, 0, 20)),
    "neck_01": ("spine_01", (40, 0, 20)),
    "upperarm_l": ("spine_01", (10, 25, 20)),
    "hand_l": ("upperarm_l", (10, 60, 20)),
    "head": ("spine_01", (-20, 0, 40)),
}
NAMES = list(JOINTS)
TURNS: dict[str, dict[str, tuple[str, float]]] = {
    "a turn of all": {"root": ("z", 90)},
    "a bent arm": {"upperarm_l": ("x", 40), "hand_l": ("x", -75)},
    "everything at once": {
        "root": ("y", 20),
        "spine_01": ("z", -30),
        "neck_01": ("y", 55),
        "hand_l": ("y", 80),
        "head": ("x", 35),
    },
}


def rig_of(mesh: Mesh, influences: int = 4) -> Rig:
    """Give weights that fall with the distance to each joint, the strongest few of each vertex."""
    joints = np.array([place for _, place in JOINTS.values()], np.float32)
    parents = np.array([-1 if parent is None else NAMES.index(parent) for parent, _ in JOINTS.values()], np.int32)
    distance = np.linalg.norm(mesh.vertices[:, None] - joints[None], axis=2)
    weights = np.exp(-distance / 12)
    weights /= weights.sum(axis=1, keepdims=True)
    every = np.broadcast_to(np.arange(len(joints), dtype=np.int32), weights.shape)
    return limited(Rig(NAMES, joints, parents, every.copy(), weights.astype(np.float32)), influences)


def scene() -> SkinnedScene:
    """Make the character of three levels that every reader gets."""
    lods = [in_file_frame(mesh) for mesh in winged_box.levels()]
    rig = rig_of(lods[0])
    return SkinnedScene(
        NAME,
        lods,
        [rig, *(carried_over(rig, lods[0], coarse) for coarse in lods[1:])],
        [1000.0, 3000.0],
        {"M_Winged": {"DiffuseColor": "T_Winged_BC.png"}},
    )


def rotations(pose: str) -> list[Rotation]:
    """Give the turn of each joint, in the axes of its parent."""
    turns = TURNS[pose]
    return [Rotation.from_euler(*turns[name], degrees=True) if name in turns else Rotation.identity() for name in NAMES]


def expected(pose: str, level: int) -> np.ndarray:
    """Give where each corner of a level goes."""
    made = scene()
    matrices = np.array([turn.as_matrix() for turn in rotations(pose)])
    return corners(made.lods[level], posed(made.rigs[level], made.lods[level].vertices, matrices))


def moves(pose: str) -> dict[str, np.ndarray]:
    """Give the matrix by which each joint moves what hangs on it, in the file's frame, joint by joint."""
    world: dict[str, np.ndarray] = {}
    result = {}
    for (name, (parent, place)), turn in zip(JOINTS.items(), rotations(pose), strict=True):
        local = np.eye(4)
        local[:3, :3] = turn.as_matrix()
        local[:3, 3] = np.array(place) - (np.array(JOINTS[parent][1]) if parent else 0)
        world[name] = local if parent is None else world[parent] @ local
        back = np.eye(4)
        back[:3, 3] = -np.array(place)
        result[name] = world[name] @ back
    return result


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the character once."""
    file = tmp_path_factory.mktemp("skin") / "SK_Winged.fbx"
    file.write_bytes(encode_skinned_fbx(scene()))
    return file


def by_ufbx(path: Path) -> list[dict[str, np.ndarray]]:
    """Bend with what ufbx read: its control points, weights and matrices."""
    read = ask_ufbx_skin(path)
    local = {node["name"]: np.vstack([node["to_parent"], [0, 0, 0, 1]]) for node in read["nodes"]}
    parents = {node["name"]: node["parent"] for node in read["nodes"]}
    result = []
    for pose in TURNS:
        turns = dict(zip(NAMES, rotations(pose), strict=True))

        def world(name: str, turns: dict[str, Rotation] = turns) -> np.ndarray:
            turned = local[name].copy()
            if name in turns:
                turned[:3, :3] = turned[:3, :3] @ turns[name].as_matrix()
            parent = parents[name]
            return turned if parent is None else world(parent) @ turned

        found = {}
        for mesh in read["meshes"]:
            points = np.column_stack([mesh["points"], np.ones(len(mesh["points"]))])
            moved = np.zeros((len(points), 3))
            for cluster in mesh["clusters"]:
                matrix = (world(cluster["bone"]) @ np.vstack([cluster["geometry_to_bone"], [0, 0, 0, 1]]))[:3]
                moved[cluster["vertices"]] += (points[cluster["vertices"]] @ matrix.T) * np.array(cluster["weights"])[:, None]
            found[mesh["name"]] = moved[mesh["corners"]]
        result.append(found)
    return result


def by_three(path: Path) -> list[dict[str, np.ndarray]]:
    """Bend in three.js, by quaternions."""
    poses = path.with_suffix(".quaternions.json")
    turns = [{name: turn.as_quat().tolist() for name, turn in zip(NAMES, rotations(pose), strict=True)} for pose in TURNS]
    poses.write_text(json.dumps(turns))
    return [{name: np.array(rows) for name, rows in pose.items()} for pose in ask_three_skin(path, poses)["poses"]]


def by_blender(path: Path, importer: str) -> list[dict[str, np.ndarray]]:
    """Bend in Blender, by matrices in metres."""
    poses = path.with_suffix(".matrices.json")
    to_metres = np.diag([0.01, 0.01, 0.01, 1.0])
    turns = [
        {name: (to_metres @ move @ np.linalg.inv(to_metres)).tolist() for name, move in moves(pose).items()} for pose in TURNS
    ]
    poses.write_text(json.dumps(turns))
    found = ask_blender_skin(path, poses, importer)["poses"]
    return [{name: np.array(rows) * 100 for name, rows in pose.items()} for pose in found]


READERS: dict[str, Callable[[Path], list[dict[str, np.ndarray]]]] = {
    "ufbx": by_ufbx,
    "three": by_three,
    "blender_addon": lambda path: by_blender(path, "addon"),
    "blender_native": lambda path: by_blender(path, "native"),
}


@pytest.mark.parametrize(
    "reader",
    [
        "ufbx",
        pytest.param("three", marks=pytest.mark.node),
        pytest.param("blender_addon", marks=pytest.mark.blender),
        pytest.param("blender_native", marks=pytest.mark.blender),
    ],
)
def test_three_poses_bend_every_level_alike(reader: str, path: Path) -> None:
    """In each of three poses each corner of each level goes where linear blend skinning says, to 0.001 cm (Blender 0.01)."""
    tolerance = 0.01 if reader.startswith("blender") else 0.001
    found = READERS[reader](path)
    for pose, bent in zip(TURNS, found, strict=True):
        assert set(bent) == set(LEVELS)
        for level, name in enumerate(LEVELS):
            np.testing.assert_allclose(bent[name], expected(pose, level), atol=tolerance, err_msg=f"{pose}, {name}")


def test_poses_of_the_test_move_things() -> None:
    """No pose leaves the corners where they were: a reader that ignores the skin fails."""
    rest = corners(scene().lods[0], scene().lods[0].vertices)
    for pose in TURNS:
        assert np.abs(expected(pose, 0) - rest).max() > 10


def test_the_skeleton_is_found_under_its_names(path: Path) -> None:
    """Ufbx finds an empty `Armature`, `root` below it, each bone below its parent at its place, unturned, and no leaf bone."""
    read = ask_ufbx_skin(path)
    nodes = {node["name"]: node for node in read["nodes"]}
    assert read["warnings"] == []
    assert (nodes["Armature"]["kind"], nodes["Armature"]["parent"]) == ("EMPTY", None)
    bones = [node for node in read["nodes"] if node["kind"] == "BONE"]
    assert [bone["name"] for bone in bones if bone["parent"] == "Armature"] == ["root"]
    assert {bone["name"]: bone["parent"] for bone in bones if bone["name"] != "root"} == {
        name: parent for name, (parent, _) in JOINTS.items() if parent
    }
    for bone in bones:
        matrix = np.array(bone["to_parent"])
        parent, place = JOINTS[bone["name"]]
        np.testing.assert_allclose(matrix[:, :3], np.eye(3), atol=1e-9)
        np.testing.assert_allclose(matrix[:, 3], np.array(place) - (np.array(JOINTS[parent][1]) if parent else 0), atol=1e-5)


def test_weights_sum_to_one_over_at_most_four_joints(path: Path) -> None:
    """For each control point of each level, and the bind pose is there."""
    read = ask_ufbx_skin(path)
    assert read["bind_poses"] == [True]
    for mesh in read["meshes"]:
        total = np.zeros(len(mesh["points"]))
        for cluster in mesh["clusters"]:
            np.add.at(total, cluster["vertices"], cluster["weights"])
        np.testing.assert_allclose(total, 1.0, atol=1e-6)
        assert mesh["most"] <= 4


def test_levels_of_a_character_stand_in_their_group(path: Path) -> None:
    """LOD0, LOD1 and LOD2 stand in this order in the one LOD group, with the material, and with tangents."""
    read = ask_ufbx(path)
    assert [group for group in read["groups"] if group["name"].endswith("_LodGroup")] == [
        {"name": "SK_Winged_LodGroup", "children": LEVELS}
    ]
    assert read["lods"] == [[0.0, 1000.0, 3000.0]]
    assert [(mesh["name"], mesh["materials"]) for mesh in read["meshes"]] == [(name, ["M_Winged"]) for name in LEVELS]
    assert all(len(mesh["tangents"]) == len(mesh["positions"]) for mesh in read["meshes"])


@pytest.mark.node
def test_three_reads_the_skinned_mesh_as_it_stands(path: Path) -> None:
    """Unbent, the corners of LOD0 are those written."""
    (mesh,) = [mesh for mesh in ask_three(path)["meshes"] if mesh["name"] == NAME]
    np.testing.assert_allclose(mesh["positions"], corners(scene().lods[0], scene().lods[0].vertices), atol=1e-4)


def test_the_same_character_gives_the_same_bytes() -> None:
    """Written twice it is one file."""
    assert encode_skinned_fbx(scene()) == encode_skinned_fbx(scene())


def broken(**changes: Any) -> SkinnedScene:
    """Change LOD0's rig."""
    made = scene()
    return replace(made, rigs=[replace(made.rigs[0], **changes), *made.rigs[1:]])


@pytest.mark.parametrize(
    ("flawed", "words"),
    [
        (lambda: replace(scene(), thresholds=[1000.0]), "each but the first a threshold"),
        (lambda: broken(names=[*NAMES[:-1], "root"]), "a name of their own"),
        (lambda: broken(parents=np.array([1, -1, 1, 1, 3, 1], np.int32)), "must come before it"),
        (lambda: broken(weights=scene().rigs[0].weights * np.float32(0.9)), "do not sum to 1"),
        (lambda: broken(weights=-scene().rigs[0].weights), "not negative"),
        (lambda: broken(influences=scene().rigs[0].influences + np.int32(6)), "name joints that there are not"),
        (lambda: broken(influences=scene().rigs[0].influences[1:], weights=scene().rigs[0].weights[1:]), "need a row"),
        (lambda: broken(names=[*NAMES[:-1], "skull"]), "other joints than level 0"),
    ],
)
def test_a_rig_that_no_engine_could_use_is_refused(flawed: Callable[[], SkinnedScene], words: str) -> None:
    """Levels, names, order of joints and weights are looked at before a byte is written."""
    with pytest.raises(ValueError, match=words):
        encode_skinned_fbx(flawed())


def test_a_root_is_added_where_there_is_none() -> None:
    """A skeleton that begins at its hips gets `root` at the origin above them; one that has it stays."""
    rig = Rig(
        ["hips", "root"],
        np.array([[0, 0, 90], [0, 0, 120]], np.float32),
        np.array([-1, 0], np.int32),
        np.array([[0, 1]], np.int32),
        np.array([[0.5, 0.5]], np.float32),
    )
    rooted = with_root(rig)
    assert list(rooted.names) == ["root", "hips", "root_1"]
    assert rooted.parents.tolist() == [-1, 0, 1]
    assert rooted.joints.tolist() == [[0, 0, 0], [0, 0, 90], [0, 0, 120]]
    assert rooted.influences.tolist() == [[1, 2]]
    assert with_root(rooted) is rooted
