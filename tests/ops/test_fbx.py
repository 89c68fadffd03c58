from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.ops.fbx import FbxScene, encode_fbx
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.tangents import split_by_tangent
from tests import winged_box
from tests.ops.test_tangents import reference
from tests.readers import ask_blender, ask_three, ask_ufbx

NAME = "SM_Winged"
LEVELS = ["SM_Winged", "SM_Winged_LOD1", "SM_Winged_LOD2"]
HULLS = ["UCX_SM_Winged_00", "UCX_SM_Winged_01"]
TRIANGLES = [48, 36, 12]
TEXTURES = {"DiffuseColor": "T_Winged_BC.png", "NormalMap": "T_Winged_N.png", "forge_batch|orm": "T_Winged_ORM.png"}
PREFIXES = ("UBX_", "UCX_", "MCDCX_", "USP_", "UCP_")


def in_file_frame(mesh: Mesh) -> Mesh:
    """Write a house mesh as (z, x, y) in centimetres, component by component."""

    def turned(rows: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.column_stack([rows[:, 2], rows[:, 0], rows[:, 1], rows[:, 3:]]), np.float32)

    return replace(
        mesh,
        vertices=turned(mesh.vertices) * np.float32(100),
        normals=None if mesh.normals is None else turned(mesh.normals),
        tangents=None if mesh.tangents is None else turned(mesh.tangents),
    )


def winged_scene() -> FbxScene:
    """Make the scene of three levels and two hulls that every reader gets."""
    return FbxScene(
        NAME,
        [in_file_frame(mesh) for mesh in winged_box.levels()],
        [1000.0, 3000.0],
        [in_file_frame(mesh) for mesh in winged_box.hulls()],
        {"M_Winged": TEXTURES},
    )


def three(path: Path) -> dict[str, Any]:
    """Ask three.js, which gives one default name to the material of meshes that have none."""
    found = ask_three(path)
    for mesh in found["meshes"]:
        mesh["materials"] = [name for name in mesh["materials"] if name != "__DEFAULT"]
    return found


def blender(path: Path, importer: str) -> dict[str, Any]:
    """Ask Blender, whose world is the file's frame in metres, and turn metres into centimetres."""
    found = ask_blender(path, importer)
    for mesh in found["meshes"]:
        mesh["positions"] = (np.array(mesh["positions"]) * 100).tolist()
    return found


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ufbx": ask_ufbx,
    "three": three,
    "blender_addon": lambda path: blender(path, "addon"),
    "blender_native": lambda path: blender(path, "native"),
}


@pytest.fixture(
    scope="module",
    params=[
        "ufbx",
        pytest.param("three", marks=pytest.mark.node),
        pytest.param("blender_addon", marks=pytest.mark.blender),
        pytest.param("blender_native", marks=pytest.mark.blender),
    ],
)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Write the scene once for each reader and give what the reader found, positions in cm, with +Z up and +X in front."""
    path = tmp_path_factory.mktemp("fbx") / "SM_Winged.fbx"
    path.write_bytes(encode_fbx(winged_scene()))
    return {**READERS[request.param](path), "reader": request.param}


def by_name(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the one mesh object of that name."""
    (mesh,) = [mesh for mesh in found["meshes"] if mesh["name"] == name]
    return dict(mesh)


def corners(mesh: Mesh, rows: np.ndarray | None) -> np.ndarray:
    """List a vertex attribute corner by corner."""
    assert rows is not None
    return np.asarray(rows[mesh.faces.ravel()], np.float64)


def signed_volume(positions: np.ndarray) -> float:
    """Give the volume round which triangles (3 f, 3) are wound, negative if they face inwards."""
    a, b, c = positions.reshape(-1, 3, 3).transpose(1, 0, 2)
    return float(np.einsum("fx,fx->", a, np.cross(b, c)) / 6)


def collision_target(hull: str, meshes: list[str]) -> str | None:
    """Find the mesh that Unreal's Interchange gives a hull to: the rest of its name, or that without its last `_part`."""
    if not hull.startswith(PREFIXES):
        return None
    rest = hull.partition("_")[2]
    return next((name for name in (rest, rest.rpartition("_")[0]) if name in meshes), None)


def test_every_object_is_found_under_its_name(found: dict[str, Any]) -> None:
    """There are three levels and two hulls, and mesh data bear the name of their object, from which Unreal names assets."""
    assert [mesh["name"] for mesh in found["meshes"]] == LEVELS + HULLS
    if found["reader"] != "three":  # three.js drops the names of mesh data
        assert [mesh["data_name"] for mesh in found["meshes"]] == LEVELS + HULLS


def test_levels_stand_in_one_group_in_their_order(found: dict[str, Any]) -> None:
    """The only group holds LOD0, LOD1, LOD2; hulls stand outside it."""
    assert found["groups"] == [{"name": "SM_Winged_LodGroup", "children": LEVELS}]
    assert [mesh["parent"] for mesh in found["meshes"]] == ["SM_Winged_LodGroup"] * 3 + [None] * 2


def test_triangles_are_counted_right(found: dict[str, Any]) -> None:
    """Levels have 48, 36 and 12 triangles, hulls 12 each."""
    assert [mesh["triangles"] for mesh in found["meshes"]] == [*TRIANGLES, 12, 12]


def test_the_unit_is_the_centimetre_and_the_fin_stands_at_its_height(found: dict[str, Any]) -> None:
    """Bounds in cm are those of the box by hand: nose to +X, wing to +Y, fin up to Z = 80, bottom at 0."""
    if "unit_metres" in found:
        assert found["unit_metres"] == 0.01
    positions = np.array(by_name(found, NAME)["positions"])
    low, high = winged_box.LOW, winged_box.HIGH
    np.testing.assert_allclose(positions.min(axis=0), [100 * low[2], 100 * low[0], 100 * low[1]], atol=1e-4)
    np.testing.assert_allclose(positions.max(axis=0), [100 * high[2], 100 * high[0], 100 * high[1]], atol=1e-4)


@pytest.mark.parametrize("level", range(3))
def test_positions_and_uv_of_every_corner_are_those_written(found: dict[str, Any], level: int) -> None:
    """Corner by corner positions agree to 1e-4 cm and UVs, with V up, to 1e-5; UVs have a set of their own."""
    mesh, read = winged_scene().lods[level], by_name(found, LEVELS[level])
    np.testing.assert_allclose(read["positions"], corners(mesh, mesh.vertices), atol=1e-4)
    np.testing.assert_allclose(np.array(read["uv"]) * [1, -1] + [0, 1], corners(mesh, mesh.uv), atol=1e-5)
    assert read.get("uv_sets", ["UVMap"]) == ["UVMap"]


@pytest.mark.parametrize("level", range(3))
def test_normals_of_every_corner_are_those_written(found: dict[str, Any], level: int) -> None:
    """Normals agree to 1e-5; Blender keeps them in 16 bits, there to 2e-4."""
    mesh, read = winged_scene().lods[level], by_name(found, LEVELS[level])
    tolerance = 2e-4 if found["reader"].startswith("blender") else 1e-5
    np.testing.assert_allclose(read["normals"], corners(mesh, mesh.normals), atol=tolerance)


@pytest.mark.parametrize("level", range(3))
def test_tangents_of_every_corner_are_those_written(found: dict[str, Any], level: int) -> None:
    """In ufbx tangents and binormals agree to 1e-5; Blender computes MikkTSpace from the file and finds the same."""
    if found["reader"] == "three":
        assert "tangents" not in by_name(found, LEVELS[level])  # three.js leaves them where they are
        return
    mesh, read = winged_scene().lods[level], by_name(found, LEVELS[level])
    tangents, normals = corners(mesh, mesh.tangents), corners(mesh, mesh.normals)
    assert {-1.0, 1.0} == set(tangents[:, 3])
    if found["reader"] == "ufbx":
        np.testing.assert_allclose(read["tangents"], tangents[:, :3], atol=1e-5)
        np.testing.assert_allclose(read["bitangents"], np.cross(normals, tangents[:, :3]) * tangents[:, 3:], atol=1e-5)
    else:
        np.testing.assert_allclose(read["tangents"], tangents[:, :3], atol=1e-3)
        np.testing.assert_array_equal(read["signs"], tangents[:, 3])


def test_faces_look_outwards(found: dict[str, Any]) -> None:
    """The signed volume of each level and hull is positive and that of its boxes by hand, in cubic centimetres."""
    expected = [*winged_box.VOLUMES, 0.5 * 0.4 * 0.9, 0.7 * 0.04 * 0.3]
    volumes = [signed_volume(np.array(mesh["positions"])) for mesh in found["meshes"]]
    np.testing.assert_allclose(volumes, np.array(expected) * 1e6, rtol=1e-4)


def test_all_levels_share_one_material_slot(found: dict[str, Any]) -> None:
    """Each level has the one material, hulls have none."""
    assert [mesh["materials"] for mesh in found["meshes"]] == [["M_Winged"]] * 3 + [[]] * 2


def test_textures_hang_on_the_material(found: dict[str, Any]) -> None:
    """Base colour and normal reach the right inputs in every reader; ufbx keeps the packed map's reference as well."""
    expected = {
        "ufbx": TEXTURES,
        "three": {"map": "T_Winged_BC", "normalMap": "T_Winged_N"},
        "blender_addon": {"Base Color": "T_Winged_BC.png", "Normal": "T_Winged_N.png"},
        "blender_native": {"Base Color": "T_Winged_BC.png", "Normal": "T_Winged_N.png"},
    }
    assert found["textures"] == expected[found["reader"]]


def test_seams_stay_closed(found: dict[str, Any]) -> None:
    """Vertices split for UVs come back as one control point: 8 for each of the boxes."""
    if found["reader"] == "three":
        return  # three.js keeps no control points
    assert [mesh["control_points"] for mesh in found["meshes"]] == [32, 24, 8, 8, 8]


def test_levels_are_smooth_throughout(found: dict[str, Any]) -> None:
    """Levels are in a smoothing group, which spares Unreal's warning."""
    if found["reader"] == "three":
        return  # three.js reads no smoothing
    assert all(all(by_name(found, name)["smooth"]) for name in LEVELS)


def test_hulls_find_level_0_by_the_rule_of_unreal(found: dict[str, Any]) -> None:
    """Among the names a reader finds, each hull resolves to LOD0 and to nothing else."""
    names = [mesh["name"] for mesh in found["meshes"]]
    visible = [name for name in names if not name.startswith(PREFIXES)]
    assert [collision_target(name, visible) for name in names if name.startswith(PREFIXES)] == [NAME, NAME]


def test_the_parser_of_unreals_rule_knows_its_traps() -> None:
    """`UCX_SM_Crate_00_01` finds no `SM_Crate`, `UCX_SM_Crate_01` sticks to an `SM_Crate_01`, and case counts."""
    assert collision_target("UCX_SM_Crate_00", ["SM_Crate"]) == "SM_Crate"
    assert collision_target("UCX_SM_Crate_00_01", ["SM_Crate"]) is None
    assert collision_target("UCX_SM_Crate_01", ["SM_Crate", "SM_Crate_01"]) == "SM_Crate_01"
    assert collision_target("ucx_SM_Crate_00", ["SM_Crate"]) is None


def test_ufbx_finds_the_frame_the_thresholds_and_nothing_to_warn_of(tmp_path: Path) -> None:
    """Right-handed with Z up and -Y in front, untransformed nodes, distances in cm, triangles only and no warning."""
    path = tmp_path / "SM_Winged.fbx"
    path.write_bytes(encode_fbx(winged_scene()))
    read = ask_ufbx(path)
    assert read["axes"] == ["POSITIVE_X", "POSITIVE_Z", "NEGATIVE_Y"]
    assert read["warnings"] == []
    assert read["lods"] == [[0.0, 1000.0, 3000.0]]
    assert all(mesh["transform"] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1] for mesh in read["meshes"])
    assert all(mesh["polygons"] == mesh["triangles"] for mesh in read["meshes"])


def test_a_single_level_stands_without_a_group(tmp_path: Path) -> None:
    """One level and no hulls: one mesh at the root, no group."""
    path = tmp_path / "SM_Winged.fbx"
    path.write_bytes(encode_fbx(replace(winged_scene(), lods=winged_scene().lods[:1], thresholds=[], hulls=[])))
    read = ask_ufbx(path)
    assert [(mesh["name"], mesh["parent"]) for mesh in read["meshes"]] == [(NAME, None)]
    assert read["groups"] == []


def lit_scene() -> FbxScene:
    """Make the scene with a second UV set, which is the first one squeezed, and with two sockets."""
    scene = winged_scene()

    def lit(mesh: Mesh) -> Mesh:
        assert mesh.uv is not None
        return replace(mesh, lightmap_uv=np.ascontiguousarray(mesh.uv * np.float32([1, 0.5]) + np.float32([0, 0.25])))

    sockets = {"Grip": (10.0, -20.0, 30.0), "Top": (0.0, 0.0, 80.0)}
    return replace(scene, lods=[lit(mesh) for mesh in scene.lods], sockets=sockets)


LIT_READERS = [
    "ufbx",
    pytest.param("blender_addon", marks=pytest.mark.blender),
    pytest.param("blender_native", marks=pytest.mark.blender),
]


@pytest.mark.parametrize("reader", LIT_READERS)
def test_a_second_uv_set_comes_back_beside_the_first(reader: str, tmp_path: Path) -> None:
    """Every level has UVMap and LightMap in this order, each with its own coordinates; hulls have none."""
    path = tmp_path / "SM_Winged.fbx"
    path.write_bytes(encode_fbx(lit_scene()))
    read = READERS[reader](path)
    for name, mesh in zip(LEVELS, lit_scene().lods, strict=True):
        level = by_name(read, name)
        assert level["uv_sets"] == ["UVMap", "LightMap"]
        np.testing.assert_allclose(np.array(level["uv"]) * [1, -1] + [0, 1], corners(mesh, mesh.uv), atol=1e-5)
        np.testing.assert_allclose(np.array(level["second_uv"]) * [1, -1] + [0, 1], corners(mesh, mesh.lightmap_uv), atol=1e-5)
    assert by_name(read, HULLS[0])["uv_sets"] == []


@pytest.mark.parametrize("reader", LIT_READERS)
def test_sockets_hang_below_level_0_at_their_places(reader: str, tmp_path: Path) -> None:
    """Unreal drops a socket that is no descendant of the mesh: both are children of LOD0, at their places in centimetres."""
    path = tmp_path / "SM_Winged.fbx"
    path.write_bytes(encode_fbx(lit_scene()))
    scale = 1 if reader == "ufbx" else 100
    found = {one["name"]: one for one in READERS[reader](path)["places"] if one["name"].startswith("SOCKET_")}
    assert {name: one["parent"] for name, one in found.items()} == {"SOCKET_Grip": NAME, "SOCKET_Top": NAME}
    np.testing.assert_allclose(np.array(found["SOCKET_Grip"]["place"]) * scale, [10, -20, 30], atol=1e-4)
    np.testing.assert_allclose(np.array(found["SOCKET_Top"]["place"]) * scale, [0, 0, 80], atol=1e-4)


@pytest.mark.parametrize("name", ["horse", "ammo_crate", "wood_barrel"])
def test_real_objects_come_back_from_ufbx(name: str, tmp_path: Path) -> None:
    """Positions, normals, tangents and UVs of each corner of the reference objects agree to 1e-4 cm and 1e-5."""
    mesh = in_file_frame(split_by_tangent(reference(name)))
    path = tmp_path / "SM_Real.fbx"
    path.write_bytes(encode_fbx(FbxScene("SM_Real", [mesh], [], [], {"M_Real": {}})))
    (read,) = ask_ufbx(path)["meshes"]
    np.testing.assert_allclose(read["positions"], corners(mesh, mesh.vertices), atol=1e-4)
    np.testing.assert_allclose(read["normals"], corners(mesh, mesh.normals), atol=1e-5)
    np.testing.assert_allclose(read["tangents"], corners(mesh, mesh.tangents)[:, :3], atol=1e-5)
    np.testing.assert_allclose(np.array(read["uv"]) * [1, -1] + [0, 1], corners(mesh, mesh.uv), atol=1e-5)


def test_the_same_scene_gives_the_same_bytes() -> None:
    """Two scenes made alike are one file, byte by byte; a moved vertex is another."""
    scene = winged_scene()
    assert encode_fbx(scene) == encode_fbx(winged_scene())
    moved = replace(scene.lods[0], vertices=scene.lods[0].vertices + np.float32(1))
    assert encode_fbx(scene) != encode_fbx(replace(scene, lods=[moved, *scene.lods[1:]]))


def broken(scene: FbxScene, **arrays: Any) -> FbxScene:
    """Replace arrays of LOD0."""
    return replace(scene, lods=[replace(scene.lods[0], **arrays), *scene.lods[1:]])


def with_row(rows: np.ndarray | None, value: Any) -> np.ndarray:
    """Put a value into the second row of a copy."""
    assert rows is not None
    copy = rows.copy()
    copy[1] = value
    return copy


FLAWS: dict[str, tuple[Callable[[FbxScene], FbxScene], str]] = {
    "no level": (lambda s: replace(s, lods=[], thresholds=[]), "at least one level"),
    "thresholds": (lambda s: replace(s, thresholds=[1000.0]), "3 levels need 2 thresholds"),
    "falling thresholds": (lambda s: replace(s, thresholds=[3000.0, 1000.0]), "must be positive and grow"),
    "endless threshold": (lambda s: replace(s, thresholds=[1000.0, np.inf]), "must be positive and grow"),
    "no uv": (lambda s: broken(s, uv=None), "needs uv, normals and tangents"),
    "no faces": (lambda s: broken(s, faces=np.zeros((0, 3), np.int32)), "has no faces"),
    "faces of one point": (lambda s: broken(s, faces=np.zeros((1, 3), np.int32)), "no face with an area"),
    "face out of range": (lambda s: broken(s, faces=np.array([[0, 1, 9999]], np.int32)), "vertices it does not have"),
    "nan vertex": (lambda s: broken(s, vertices=with_row(s.lods[0].vertices, np.nan)), "vertices that are not finite"),
    "nan uv": (lambda s: broken(s, uv=with_row(s.lods[0].uv, np.nan)), "uv that are not finite"),
    "normal without length": (lambda s: broken(s, normals=with_row(s.lods[0].normals, 0)), "1 normals without unit length"),
    "tangent without length": (lambda s: broken(s, tangents=with_row(s.lods[0].tangents, [0, 0, 0, 1])), "1 tangents without"),
    "tangent without sign": (
        lambda s: broken(s, tangents=with_row(s.lods[0].tangents, [*s.lods[0].tangents[1, :3], 0])),
        "tangent signs",
    ),
    "tangent along normal": (
        lambda s: broken(s, tangents=with_row(s.lods[0].tangents, [*s.lods[0].normals[1], 1])),
        "parallel",
    ),
    "flat hull": (lambda s: replace(s, hulls=[flattened(s.hulls[0])]), "hull 0 of SM_Winged encloses no volume"),
    "hull inside out": (
        lambda s: replace(s, hulls=[replace(s.hulls[0], faces=np.ascontiguousarray(s.hulls[0].faces[:, ::-1]))]),
        "inside out",
    ),
}


def flattened(mesh: Mesh) -> Mesh:
    """Press a mesh flat."""
    return replace(mesh, vertices=mesh.vertices * np.float32([1, 1, 0]))


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_degenerate_scene_is_refused(flaw: str) -> None:
    """What would become NaN or an empty mesh in a reader raises ValueError and says what is wrong."""
    spoil, message = FLAWS[flaw]
    with pytest.raises(ValueError, match=message):
        encode_fbx(spoil(winged_scene()))
