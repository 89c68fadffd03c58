from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.ops.glb import Look, encode_glb
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.tangents import split_by_tangent
from tests import winged_box
from tests.ops.test_fbx import corners, signed_volume, with_row
from tests.ops.test_tangents import reference
from tests.readers import ask_blender, validate_glb

NAME, MATERIAL = "SM_Winged", "M_Winged"
COLORS = {"base_color": (200, 100, 10), "normal": (128, 128, 255), "orm": (255, 128, 0)}


def in_ue5_gltf_frame(mesh: Mesh) -> Mesh:
    """Write a house mesh as (z, y, -x), component by component: a quarter turn that brings the front to +X."""

    def turned(rows: np.ndarray | None) -> np.ndarray:
        assert rows is not None
        return np.ascontiguousarray(np.column_stack([rows[:, 2], rows[:, 1], -rows[:, 0], rows[:, 3:]]), np.float32)

    return replace(mesh, vertices=turned(mesh.vertices), normals=turned(mesh.normals), tangents=turned(mesh.tangents))


def winged() -> Mesh:
    """Make LOD0 in the frame of the ue5 package."""
    return in_ue5_gltf_frame(winged_box.levels()[0])


def textures() -> dict[str, bytes]:
    """Make a plain 16 x 16 PNG for each kind of texture."""
    return {kind: encode_png(np.full((16, 16, 3), color, np.uint8)) for kind, color in COLORS.items()}


class Glb:
    """Take a GLB apart with nothing but struct and json."""

    def __init__(self, data: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", data, 0)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.document: dict[str, Any] = json.loads(data[20 : 20 + size])
        size_of_blob, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0"
        assert 28 + size + size_of_blob == len(data)
        self.blob = data[28 + size :]

    def view(self, index: int) -> bytes:
        """Give the bytes of a buffer view."""
        view = self.document["bufferViews"][index]
        start = view.get("byteOffset", 0)
        return self.blob[start : start + view["byteLength"]]

    def array(self, index: int) -> np.ndarray:
        """Give an accessor's values, a row each."""
        accessor = self.document["accessors"][index]
        dtype = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        rows = np.frombuffer(self.view(accessor["bufferView"]), dtype).reshape(-1, width)
        assert len(rows) == accessor["count"]
        return rows

    @property
    def primitive(self) -> dict[str, Any]:
        """The one primitive of the one mesh."""
        ((primitive,),) = [mesh["primitives"] for mesh in self.document["meshes"]]
        return dict(primitive)

    def attribute(self, name: str) -> np.ndarray:
        """Give an attribute corner by corner."""
        faces = self.array(self.primitive["indices"]).ravel()
        return np.asarray(self.array(self.primitive["attributes"][name])[faces], np.float64)


def glb() -> Glb:
    """Write and take apart the winged box."""
    return Glb(encode_glb(NAME, winged(), [Look(MATERIAL, textures())]))


@pytest.mark.node
@pytest.mark.parametrize("kinds", [["base_color", "normal", "orm"], ["base_color"], ["orm"], []], ids="+".join)
def test_khronos_validator_finds_nothing(kinds: list[str], tmp_path: Path) -> None:
    """No error and no warning; with all textures no hint either, without some it notes that UVs or tangents serve no one."""
    path = tmp_path / "SM_Winged.glb"
    path.write_bytes(encode_glb(NAME, winged(), [Look(MATERIAL, {kind: textures()[kind] for kind in kinds})]))
    report = validate_glb(path)
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)
    notes = {message["code"] for message in report["issues"]["messages"]}
    assert notes <= (set() if len(kinds) == 3 else {"UNUSED_OBJECT", "UNUSED_MESH_TANGENT"})
    assert report["info"]["totalTriangleCount"] == 48
    assert report["info"]["materialCount"] == 1
    assert len(report["info"]["resources"]) == 1 + len(kinds)


@pytest.mark.node
@pytest.mark.parametrize("name", ["horse", "ammo_crate", "wood_barrel"])
def test_real_objects_pass_the_validator(name: str, tmp_path: Path) -> None:
    """Reference objects with our normals and tangents and their own UVs give no error and no warning."""
    mesh = split_by_tangent(reference(name))
    path = tmp_path / "SM_Real.glb"
    path.write_bytes(encode_glb("SM_Real", mesh, [Look("M_Real", textures())]))
    report = validate_glb(path)
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"][:3]
    assert report["info"]["totalTriangleCount"] == len(mesh.faces)


@pytest.mark.node
def test_the_validator_would_find_a_flaw(tmp_path: Path) -> None:
    """A normal without length, put into the finished file, is reported: the validator is really asked."""
    data = encode_glb(NAME, winged(), [Look(MATERIAL, {})])
    read = Glb(data)
    normal = read.array(read.primitive["attributes"]["NORMAL"])[0].tobytes()
    path = tmp_path / "SM_Winged.glb"
    path.write_bytes(data.replace(normal, bytes(12), 1))
    assert "ACCESSOR_VECTOR3_NON_UNIT" in {message["code"] for message in validate_glb(path)["issues"]["messages"]}


def test_attributes_of_every_corner_are_those_written() -> None:
    """POSITION and TEXCOORD_0 are exact, NORMAL and TANGENT agree to 1e-6, and both tangent signs occur."""
    mesh, read = winged(), glb()
    assert set(read.primitive["attributes"]) == {"POSITION", "NORMAL", "TANGENT", "TEXCOORD_0"}
    np.testing.assert_array_equal(read.attribute("POSITION"), corners(mesh, mesh.vertices))
    np.testing.assert_array_equal(read.attribute("TEXCOORD_0"), corners(mesh, mesh.uv))
    np.testing.assert_allclose(read.attribute("NORMAL"), corners(mesh, mesh.normals), atol=1e-6)
    np.testing.assert_allclose(read.attribute("TANGENT"), corners(mesh, mesh.tangents), atol=1e-6)
    assert set(read.attribute("TANGENT")[:, 3]) == {-1.0, 1.0}


def test_bounds_are_those_of_the_box_in_metres() -> None:
    """POSITION's min and max are by hand: nose to +X, fin up to Y = 0.8, wing to -Z."""
    read = glb()
    accessor = read.document["accessors"][read.primitive["attributes"]["POSITION"]]
    low, high = winged_box.LOW, winged_box.HIGH
    np.testing.assert_allclose(accessor["min"], [low[2], low[1], -high[0]], atol=1e-6)
    np.testing.assert_allclose(accessor["max"], [high[2], high[1], -low[0]], atol=1e-6)


def test_faces_look_outwards() -> None:
    """The signed volume is that of the boxes by hand, in cubic metres."""
    assert signed_volume(glb().attribute("POSITION")) == pytest.approx(winged_box.VOLUMES[0], rel=1e-5)


def test_names_are_those_given() -> None:
    """Node, mesh and material bear the names that Unreal makes assets of, and the node stands untransformed in the scene."""
    document = glb().document
    assert document["nodes"] == [{"name": NAME, "mesh": 0}]
    assert document["scenes"][document["scene"]]["nodes"] == [0]
    assert [mesh["name"] for mesh in document["meshes"]] == [NAME]
    assert [material["name"] for material in document["materials"]] == [MATERIAL]


def test_occlusion_and_metallic_roughness_share_one_image() -> None:
    """There are three images with the bytes given, the ORM texture is used twice, and the factors leave all as they are."""
    read = glb()
    (material,) = read.document["materials"]
    pbr = material["pbrMetallicRoughness"]
    assert pbr["metallicRoughnessTexture"]["index"] == material["occlusionTexture"]["index"]
    uses = {"base_color": pbr["baseColorTexture"], "normal": material["normalTexture"], "orm": material["occlusionTexture"]}
    assert len(read.document["images"]) == 3
    for kind, use in uses.items():
        image = read.document["images"][read.document["textures"][use["index"]]["source"]]
        assert read.view(image["bufferView"]) == textures()[kind]
        assert use.get("texCoord", 0) == 0
    assert pbr.get("metallicFactor", 1) == 1
    assert pbr.get("roughnessFactor", 1) == 1
    assert pbr.get("baseColorFactor", [1, 1, 1, 1]) == [1, 1, 1, 1]


def test_without_an_orm_map_the_surface_is_no_metal() -> None:
    """Where glTF says nothing a surface is metallic 1; without a map ours says 0."""
    (material,) = Glb(encode_glb(NAME, winged(), [Look(MATERIAL, {})])).document["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0


@pytest.mark.parametrize(("vertices", "component"), [(65535, 5123), (65536, 5125)])
def test_indices_are_as_wide_as_they_must_be(vertices: int, component: int) -> None:
    """Up to index 65534 two bytes do (65535 means a restart), from then on four; no index is cut short."""
    mesh = winged()
    rest = np.arange(vertices - len(mesh.vertices)) % len(mesh.vertices)
    many = {
        key: np.concatenate([value, value[rest]]) for key, value in vars(mesh).items() if key != "faces" and value is not None
    }
    faces = np.concatenate([mesh.faces, [[0, 1, vertices - 1]]]).astype(np.int32)
    read = Glb(encode_glb(NAME, Mesh(faces=faces, **many), [Look(MATERIAL, {})]))
    assert read.document["accessors"][read.primitive["indices"]]["componentType"] == component
    np.testing.assert_array_equal(read.array(read.primitive["indices"]).reshape(-1, 3), faces)


@pytest.mark.blender
def test_blender_reads_the_same(tmp_path: Path) -> None:
    """Name, triangles, positions, normals, UVs, material and textures; Blender's world is glTF's turned to Z up."""
    path = tmp_path / "SM_Winged.glb"
    path.write_bytes(encode_glb(NAME, winged(), [Look(MATERIAL, textures())]))
    found = ask_blender(path, "gltf")
    (read,) = found["meshes"]
    house = winged_box.levels()[0]
    assert (read["name"], read["data_name"], read["triangles"]) == (NAME, NAME, 48)
    assert read["materials"] == [MATERIAL]
    for key, rows, tolerance in (("positions", house.vertices, 1e-6), ("normals", house.normals, 2e-4)):
        np.testing.assert_allclose(read[key], corners(house, rows)[:, [2, 0, 1]], atol=tolerance)
    np.testing.assert_allclose(np.array(read["uv"]) * [1, -1] + [0, 1], corners(house, house.uv), atol=1e-6)
    tangents = corners(house, house.tangents)
    np.testing.assert_allclose(read["tangents"], tangents[:, [2, 0, 1]], atol=1e-3)
    np.testing.assert_array_equal(read["signs"], tangents[:, 3])
    assert found["textures"] == {"Base Color": "base_color", "Normal": "normal", "Metallic": "orm", "Roughness": "orm"}


def test_the_same_mesh_gives_the_same_bytes() -> None:
    """Two meshes made alike are one file, byte by byte, in whichever order textures are handed over."""
    turned_round = dict(reversed(textures().items()))
    assert encode_glb(NAME, winged(), [Look(MATERIAL, textures())]) == encode_glb(
        NAME, winged(), [Look(MATERIAL, turned_round)]
    )


FLAWS: dict[str, tuple[Callable[[Mesh], dict[str, Any]], str]] = {
    "no tangents": (lambda m: {"tangents": None}, "needs uv, normals and tangents"),
    "no faces": (lambda m: {"faces": np.zeros((0, 3), np.int32)}, "has no faces"),
    "faces of one point": (lambda m: {"faces": np.zeros((1, 3), np.int32)}, "no face with an area"),
    "infinite vertex": (lambda m: {"vertices": with_row(m.vertices, np.inf)}, "vertices that are not finite"),
    "nan normal": (lambda m: {"normals": with_row(m.normals, np.nan)}, "normals that are not finite"),
    "normal without length": (lambda m: {"normals": with_row(m.normals, 0)}, "1 normals without unit length"),
    "tangent without length": (lambda m: {"tangents": with_row(m.tangents, [0, 0, 0, 1])}, "1 tangents without unit length"),
    "tangent without sign": (
        lambda m: {"tangents": np.float32([1, 1, 1, 0]) * (m.tangents if m.tangents is not None else 0)},
        "signs",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_degenerate_mesh_is_refused(flaw: str) -> None:
    """What a glTF may not hold raises ValueError and says what is wrong."""
    spoil, message = FLAWS[flaw]
    with pytest.raises(ValueError, match=message):
        encode_glb(NAME, replace(winged(), **spoil(winged())), [Look(MATERIAL, {})])
