from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.unity_hdrp import mask_map
from forge_batch.packages.web import LIMIT
from tests import winged_box
from tests.ops.test_fbx import corners, signed_volume
from tests.ops.test_glb import Glb
from tests.readers import ask_assimp, ask_blender, ask_three_glb, ask_ufbx, validate_glb

ORM = (200, 180, 30)
GRIP = (0.1, 0.2, 0.3)


@pytest.fixture(scope="module")
def asset() -> Asset:
    """Make the winged box with plain maps, a normal that leans up the picture, and a socket."""
    normal = np.full((16, 16, 3), (32768, 50000, 60000), np.uint16)
    color, orm = np.full((16, 16, 3), (200, 40, 40), np.uint8), np.full((16, 16, 3), ORM, np.uint8)
    levels, hulls = winged_box.levels(), winged_box.hulls()
    return Asset("winged", levels, [1.0, 0.5, 0.25], hulls, color, normal, orm, sockets={"Grip": GRIP})


def pixel(path: Path) -> tuple[int, ...] | int:
    """Give one pixel of a PNG, read by Pillow."""
    value: tuple[int, ...] | int = Image.open(path).getpixel((3, 3))  # type: ignore[assignment]
    return value


def test_every_engine_gets_its_own_files(asset: Asset) -> None:
    """What goes into the engine lies in one folder that can be dragged; Unreal's GLB, of the same name, in another."""
    color, normal = "Winged/T_Winged_BC.png", "Winged/T_Winged_N.png"
    fbx, glb = "Winged/SM_Winged.fbx", "Winged/SM_Winged.glb"
    apart = {f"Winged/T_Winged_{word}.png" for word in ("AO", "R", "M")}
    assert {name: set(engine.files(asset)) for name, engine in ENGINES.items()} == {
        "ue5": {fbx, color, normal, "Winged/T_Winged_ORM.png", "Winged_glTF/SM_Winged.glb"},
        "unity_hdrp": {fbx, "Winged/SM_Winged_Colliders.fbx", color, normal, "Winged/T_Winged_MODS.png"},
        "godot4": {glb},
        "blender": {glb, "Winged/SM_Winged_LODs.fbx", color, normal, *apart},
        "web": {glb},
    }


def test_holes_cut_by_alpha_reach_every_engine(asset: Asset, tmp_path: Path) -> None:
    """A base colour with alpha stays so in every file; GLBs say MASK at one half and two sides; opaque ones say neither."""
    clear = np.dstack([asset.base_color, np.full((16, 16), 255, np.uint8)])
    clear[:, 8:, 3] = 0
    for name, engine in ENGINES.items():
        opaque, masked = engine.files(asset), engine.files(replace(asset, base_color=clear))
        assert opaque.keys() == masked.keys()
        for file in (file for file in masked if file.endswith(".glb")):
            material, plain = (Glb(files[file]).document["materials"][0] for files in (masked, opaque))
            assert (material["alphaMode"], material["alphaCutoff"], material["doubleSided"]) == ("MASK", 0.5, True)
            assert plain.get("alphaMode", "OPAQUE") == "OPAQUE"
            assert not plain.get("doubleSided", False)
        for file in (file for file in masked if file.endswith("_BC.png")):
            (tmp_path / "color.png").write_bytes(masked[file])
            assert (pixel(tmp_path / "color.png"), cv2.imdecode(np.frombuffer(opaque[file], np.uint8), -1).shape[2]) == (
                (200, 40, 40, 255),
                3,
            )
        assert len(engine.steps(replace(asset, base_color=clear))) > len(engine.steps(asset)), name


def test_the_colour_under_clear_webp_is_kept(asset: Asset) -> None:
    """The web's texture is red beside the hole too, within what WebP loses: a mip level shows no dark fringe."""
    clear = np.dstack([asset.base_color, np.full((16, 16), 255, np.uint8)])
    clear[:, 8:, 3] = 0
    [data] = ENGINES["web"].files(replace(asset, base_color=clear)).values()
    scene = Glb(data)
    image = np.asarray(Image.open(io.BytesIO(scene.view(scene.document["images"][0]["bufferView"]))))
    assert image.shape[2] == 4
    assert set(np.unique(image[:, :7, 3])) == {255}
    assert set(np.unique(image[:, 9:, 3])) == {0}
    assert np.abs(image[..., :3].astype(int) - [200, 40, 40]).max() < 25


def test_unity_reads_metres_with_y_up_and_the_front_on_z(folders: dict[str, Path]) -> None:
    """Ufbx finds the metre and house coordinates, untransformed; Unity only negates X, so the nose stays at Z = 0.8."""
    read = ask_ufbx(folders["unity_hdrp"] / "SM_Winged.fbx")
    assert (read["unit_metres"], read["axes"]) == (1.0, ["POSITIVE_X", "POSITIVE_Y", "POSITIVE_Z"])
    assert read["warnings"] == []
    assert all(mesh["transform"] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1] for mesh in read["meshes"])
    points = np.array(read["meshes"][0]["positions"])
    house = winged_box.levels()[0]
    np.testing.assert_allclose(points, corners(house, house.vertices), atol=1e-6)


def test_unity_builds_its_lod_group_from_suffixes(folders: dict[str, Path]) -> None:
    """Levels stand side by side as _LOD0, _LOD1, _LOD2; no mesh for collision is among them to be seen."""
    read = ask_ufbx(folders["unity_hdrp"] / "SM_Winged.fbx")
    assert [(mesh["name"], mesh["parent"]) for mesh in read["meshes"]] == [(f"SM_Winged_LOD{k}", None) for k in range(3)]
    assert [mesh["triangles"] for mesh in read["meshes"]] == [48, 36, 12]
    assert read["groups"] == [{"name": "SOCKET_Grip", "children": []}]
    assert read["textures"] == {"DiffuseColor": "T_Winged_BC.png", "NormalMap": "T_Winged_N.png"}


def test_unitys_colliders_are_a_file_of_their_own(folders: dict[str, Path]) -> None:
    """Two hulls, outwards, as large as their boxes, in metres."""
    read = ask_ufbx(folders["unity_hdrp"] / "SM_Winged_Colliders.fbx")
    assert [mesh["name"] for mesh in read["meshes"]] == ["SM_Winged_Collider_00", "SM_Winged_Collider_01"]
    volumes = [signed_volume(np.array(mesh["positions"])) for mesh in read["meshes"]]
    np.testing.assert_allclose(volumes, [0.5 * 0.4 * 0.9, 0.7 * 0.04 * 0.3], rtol=1e-5)


@pytest.mark.blender
@pytest.mark.parametrize("importer", ["addon", "native"])
def test_blender_reads_unitys_file_at_its_size(folders: dict[str, Path], importer: str) -> None:
    """Blender turns Y up into Z up: the fin is at 0.8 m, the nose at -Y = 0.8 m, nothing is scaled."""
    read = ask_blender(folders["unity_hdrp"] / "SM_Winged.fbx", importer)
    (level,) = [mesh for mesh in read["meshes"] if mesh["name"] == "SM_Winged_LOD0"]
    points = np.array(level["positions"])
    np.testing.assert_allclose(points.min(axis=0), [-0.25, -0.8, 0.0], atol=1e-5)
    np.testing.assert_allclose(points.max(axis=0), [0.85, 0.45, 0.8], atol=1e-5)


def test_a_sheet_shows_both_its_sides(asset: Asset) -> None:
    """Every GLB of a sheet has a double-sided material, and where an engine must be told by hand the steps say so."""
    for name, engine in ENGINES.items():
        for sheet in (True, False):
            one = replace(asset, two_sided=sheet)
            glbs = [data for file, data in engine.files(one).items() if file.endswith(".glb")]
            sides = [material.get("doubleSided", False) for data in glbs for material in Glb(data).document["materials"][:1]]
            assert sides == [sheet] * len(glbs), name
            assert ("sheet" in engine.steps(one)) == sheet


def test_unitys_mask_map_holds_metallic_occlusion_detail_and_smoothness(folders: dict[str, Path]) -> None:
    """Of occlusion 200, roughness 180 and metallic 30 it makes (30, 200, 255, 75)."""
    assert pixel(folders["unity_hdrp"] / "T_Winged_MODS.png") == (30, 200, 255, 75)
    assert mask_map(np.array([[[0, 0, 255]]], np.uint8)).tolist() == [[[255, 0, 255, 255]]]


@pytest.mark.parametrize(("engine", "green"), [("ue5", 255 - 195), ("unity_hdrp", 195), ("blender", 195)])
def test_green_of_normal_maps_is_each_engines_own(folders: dict[str, Path], engine: str, green: int) -> None:
    """A normal that leans up the picture has green 195 in OpenGL, 60 in DirectX, which Unreal wants; dither adds a step."""
    np.testing.assert_allclose(pixel(folders[engine] / "T_Winged_N.png"), (128, green, 233), atol=1)


def test_blender_gets_occlusion_roughness_and_metallic_apart(folders: dict[str, Path]) -> None:
    """Three grey images hold the three channels."""
    assert tuple(pixel(folders["blender"] / f"T_Winged_{word}.png") for word in ("AO", "R", "M")) == ORM


def test_sixteen_bits_of_the_normal_map_come_through(asset: Asset) -> None:
    """With normal_bits 16 the files hold the 16-bit values, green negated for Unreal; with 8 they are rounded."""
    deep = Asset(**{**vars(asset), "normal_bits": 16})
    for engine, green in (("ue5", 65535 - 50000), ("unity_hdrp", 50000), ("blender", 50000)):
        data = ENGINES[engine].files(deep)["Winged/T_Winged_N.png"]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert image.dtype == np.uint16
        assert image[0, 0].tolist() == [60000, green, 32768]  # OpenCV's order is BGR


@pytest.mark.node
@pytest.mark.parametrize("engine", ["ue5", "godot4", "blender", "web"])
def test_every_glb_passes_the_validator(folders: dict[str, Path], engine: str) -> None:
    """No error, no warning."""
    report = validate_glb(folders[engine] / "SM_Winged.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)


def test_godot_finds_bodies_by_their_names(folders: dict[str, Path]) -> None:
    """Beside the mesh stand two nodes that end with -convcolonly, of a plain material; the socket hangs on the mesh."""
    document = Glb((folders["godot4"] / "SM_Winged.glb").read_bytes()).document
    nodes = document["nodes"]
    roots = [nodes[index]["name"] for index in document["scenes"][0]["nodes"]]
    assert roots == ["SM_Winged", "SM_Winged_00-convcolonly", "SM_Winged_01-convcolonly"]
    (socket,) = [nodes[index] for index in nodes[0]["children"]]
    assert socket["name"] == "SOCKET_Grip"
    np.testing.assert_allclose(socket["translation"], GRIP, atol=1e-6)
    hulls = [mesh["primitives"][0]["material"] for mesh in document["meshes"][1:]]
    assert [document["materials"][index]["name"] for index in hulls] == ["Collision"] * 2


def test_blender_gets_levels_and_hulls_in_an_fbx(folders: dict[str, Path]) -> None:
    """In metres and house axes: three levels in a group, the finest named as the GLB's mesh, two hulls beside it."""
    read = ask_ufbx(folders["blender"] / "SM_Winged_LODs.fbx")
    assert (read["unit_metres"], read["warnings"]) == (1.0, [])
    levels = ["SM_Winged", "SM_Winged_LOD1", "SM_Winged_LOD2"]
    assert read["groups"][0] == {"name": "SM_Winged_LodGroup", "children": levels}
    assert [mesh["name"] for mesh in read["meshes"]] == [*levels, "UCX_SM_Winged_00", "UCX_SM_Winged_01"]
    np.testing.assert_allclose(np.array(read["meshes"][0]["positions"]).max(axis=0), winged_box.HIGH, atol=1e-6)


@pytest.mark.blender
@pytest.mark.parametrize(("engine", "tolerance"), [("godot4", 1e-6), ("blender", 1e-6), ("web", 1e-4)])
def test_blender_finds_the_house_frame_in_every_glb(folders: dict[str, Path], engine: str, tolerance: float) -> None:
    """Nose on Blender's front (-Y), fin up, wing on +X, 48 triangles, faces outwards, maps wired; Draco errs by 0.1 mm."""
    read = ask_blender(folders[engine] / "SM_Winged.glb", "gltf")
    (level,) = [mesh for mesh in read["meshes"] if mesh["name"] == "SM_Winged"]
    points = np.array(level["positions"])
    assert level["triangles"] == 48
    np.testing.assert_allclose(points.min(axis=0), [-0.25, -0.8, 0.0], atol=tolerance)
    np.testing.assert_allclose(points.max(axis=0), [0.85, 0.45, 0.8], atol=tolerance)
    assert signed_volume(points) == pytest.approx(winged_box.VOLUMES[0], rel=1e-3)
    assert read["textures"] == {
        "Base Color": "T_Winged_BC",
        "Metallic": "T_Winged_ORM",
        "Roughness": "T_Winged_ORM",
        "Normal": "T_Winged_N",
    }


@pytest.mark.blender
def test_draco_keeps_uv_and_normals(folders: dict[str, Path]) -> None:
    """As a set of corners, uv agree to 1/4096 and normals to half a degree with those of the unpacked GLB."""
    packed = ask_blender(folders["web"] / "SM_Winged.glb", "gltf")["meshes"][0]
    plain = ask_blender(folders["blender"] / "SM_Winged.glb", "gltf")["meshes"][0]

    def rows(mesh: dict[str, list[list[float]]]) -> np.ndarray:
        return np.hstack([np.array(mesh[key]) for key in ("positions", "uv", "normals")])

    one, two = rows(packed), rows(plain)
    distance = np.abs(one[:, None, :5] - two[None, :, :5]).max(axis=2)
    match = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 3e-4
    assert (one[:, 5:] * two[match, 5:]).sum(axis=1).min() > np.cos(np.radians(0.5))


def test_the_web_file_stays_below_two_mebibytes_whatever_the_textures(asset: Asset) -> None:
    """With 2048-pixel maps of noise, which no coder can pack, textures shrink until the file is small enough."""
    noise = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), np.uint8)
    noisy = Asset(**{**vars(asset), "base_color": noise, "orm": noise, "normal": noise.astype(np.uint16) * 257})
    (data,) = ENGINES["web"].files(noisy).values()
    assert len(data) <= LIMIT
    read = Glb(data)
    sizes = [Image.open(io.BytesIO(read.view(image["bufferView"]))).size for image in read.document["images"]]
    assert len(sizes) == 3
    assert max(max(size) for size in sizes) < 2048


def test_the_same_asset_gives_every_engine_the_same_bytes(asset: Asset) -> None:
    """Draco, WebP, PNG, FBX and GLB are all written twice alike."""
    for engine in ENGINES.values():
        assert engine.files(asset) == engine.files(asset)


def test_a_bare_asset_can_be_packed_for_every_engine(asset: Asset) -> None:
    """Without maps, hulls and further levels each engine gets the one mesh."""
    bare = Asset("winged", asset.lods[:1], [1.0], [], None, None, None)
    for name, engine in ENGINES.items():
        assert {Path(file).stem for file in engine.files(bare)} == {"SM_Winged"}, name


@pytest.mark.node
@pytest.mark.parametrize(("engine", "tolerance"), [("godot4", 1e-6), ("blender", 1e-6), ("web", 1e-4)])
def test_three_finds_every_glb_in_the_house_frame(folders: dict[str, Path], engine: str, tolerance: float) -> None:
    """Bounds, outwards faces, tangents on every corner and the material's name; Draco is unpacked by Google's own decoder."""
    read = ask_three_glb(folders[engine] / "SM_Winged.glb")
    (level,) = [mesh for mesh in read["meshes"] if mesh["name"] == "SM_Winged"]
    points = np.array(level["positions"])
    assert (level["triangles"], level["parent"], level["materials"]) == (48, None, ["M_Winged"])
    np.testing.assert_allclose(points.min(axis=0), winged_box.LOW, atol=tolerance)
    np.testing.assert_allclose(points.max(axis=0), winged_box.HIGH, atol=tolerance)
    assert signed_volume(points) == pytest.approx(winged_box.VOLUMES[0], rel=1e-3)
    tangents = np.array(level["tangents"])
    assert tangents.shape == (144, 4)
    assert set(tangents[:, 3]) == {-1.0, 1.0}
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "file", "high"),
    [
        ("ue5", "SM_Winged.fbx", [80.0, 85.0, 80.0]),
        ("ue5", "SM_Winged.glb", [0.8, 0.8, 0.25]),
        ("unity_hdrp", "SM_Winged.fbx", [0.85, 0.8, 0.8]),
        ("godot4", "SM_Winged.glb", [0.85, 0.8, 0.8]),
        ("blender", "SM_Winged.glb", [0.85, 0.8, 0.8]),
    ],
)
def test_assimp_reads_the_files_in_their_own_frames(
    folders: dict[str, Path], engine: str, file: str, high: list[float]
) -> None:
    """LOD0 has 48 triangles, one UV set, and reaches as far as each file's frame says."""
    mesh = ask_assimp(folders[engine] / file)["meshes"][0]
    assert (mesh["triangles"], mesh["uv_sets"]) == (48, 1)
    np.testing.assert_allclose(np.array(mesh["positions"]).max(axis=0), high, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mesh["normals"], axis=1), 1.0, atol=1e-5)
