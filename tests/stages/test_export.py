from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from forge_batch.artifacts import (
    BASE_COLOR_MAP,
    CUTOUTS,
    GATES,
    HULLS,
    LODS,
    MANIFEST,
    MESH,
    NORMAL_MAP,
    ORM_MAP,
    PACKAGE_REPORT,
    PACKAGES,
    PREVIEW,
    SOURCE_MESH,
    Slot,
)
from forge_batch.check import check
from forge_batch.content.local import RECORD
from forge_batch.executors.contract import TaskSpec
from forge_batch.executors.run_task import run_task
from forge_batch.gates import Gate
from forge_batch.ops.image_file import write_png
from forge_batch.ops.mesh import Mesh, save_arrays, save_mesh, save_meshes
from forge_batch.ops.rig import Rig, save_rig
from forge_batch.ops.source import SourceMesh, save_source
from forge_batch.ops.surface_texture import masked_texture
from forge_batch.packages.names import packages_in
from forge_batch.stage import StageContext
from forge_batch.stages import bake_base_color
from forge_batch.stages.export import Params, stage, use_nanite
from tests import winged_box
from tests.bake_pairs import colored, flat_sheet, low_square
from tests.ops.test_glb import Glb
from tests.readers import ask_ufbx, ask_ufbx_skin, validate_glb

HEIGHT = 180.0
MODELS = {"OddThing/SM_OddThing.fbx", "OddThing_glTF/SM_OddThing.glb"}
TEXTURES = {f"OddThing/T_OddThing_{word}.png" for word in ("BC", "N", "ORM")}
PAPERS = {"LICENSES.txt", "manifest.yaml", "report.html", "report.json"}
HOSTILE = "</td><script>alert(1)</script>"
META = {"backend": "hull", "revision": "1", "licence": "MIT", "commercial": True, "territory": "worldwide", "seed": 7}


def placed(mesh: Mesh) -> Mesh:
    """Scale the winged box, 0.8 m high with its feet at 0, to the height of a person."""
    return replace(mesh, vertices=mesh.vertices * np.float32(HEIGHT / 80))


def everything(folder: Path) -> dict[str, Path]:
    """Write each slot the stage reads, and give their files by slot name."""
    lods = [placed(mesh) for mesh in winged_box.levels()]
    paths = {
        slot.name: folder / slot.filename
        for slot in (MESH, LODS, HULLS, NORMAL_MAP, BASE_COLOR_MAP, ORM_MAP, GATES, SOURCE_MESH, CUTOUTS, MANIFEST)
    }
    save_mesh(paths["mesh"], lods[0], {"texture_size": 64, "padding": 2})
    save_meshes(paths["lods"], {f"lod{k}": mesh for k, mesh in enumerate(lods)}, {"screen_sizes": [1.0, 0.5, 0.25]})
    save_meshes(paths["hulls"], {f"hull{k:02d}": placed(hull) for k, hull in enumerate(winged_box.hulls())})
    write_png(paths["normal_map"], np.full((64, 64, 3), (32768, 32768, 65535), np.uint16))
    write_png(paths["base_color_map"], np.full((64, 64, 3), (200, 40, 40), np.uint8))
    write_png(paths["orm_map"], np.full((64, 64, 3), (255, 180, 0), np.uint8))
    gates = [
        Gate("watertight", 0, 0, "edges", "pass", "open edges"),
        Gate("texel_density", None, 1, "px/m", "not_tested", HOSTILE),
    ]
    paths["gates"].write_text(json.dumps([gate.to_json() for gate in gates]))
    body = placed(winged_box.BODY)
    ones = np.ones(len(body.vertices), np.float32)
    save_source(paths["source_mesh"], SourceMesh(body, np.full((len(ones), 3), 0.5, np.float32), 0 * ones, ones, ones), META)
    cutout = np.zeros((32, 32, 4), np.uint8)
    cutout[4:28, 8:24] = (200, 40, 40, 255)
    save_arrays(paths["cutouts"], {"front": cutout}, {"methods": {"front": "alpha"}, "cameras": {}, "model": None})
    paths["manifest"].write_text("asset: odd_thing\nplace: {height_cm: 180}\n")
    return paths


def export(inputs: Mapping[str, Path], folder: Path) -> dict[str, bytes]:
    """Run the stage and give the files of its package."""
    folder.mkdir()
    licence = folder.parent / "LICENSE.txt"
    licence.write_text("Author: Somebody\n")
    stage.run(StageContext("odd_thing", Params(), 0, {"license": licence}, inputs, folder))
    assert {path.name for path in folder.iterdir()} == {slot.filename for slot in (PACKAGES["ue5"], PREVIEW, PACKAGE_REPORT)}
    with zipfile.ZipFile(folder / PACKAGES["ue5"].filename) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def without(inputs: Mapping[str, Path], *slots: Slot) -> dict[str, Path]:
    """Leave slots unfilled."""
    return {name: path for name, path in inputs.items() if name not in {slot.name for slot in slots}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the inputs once."""
    return everything(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def package(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Make the full package once."""
    return export(inputs, tmp_path_factory.mktemp("export") / "task")


def test_a_package_holds_models_textures_and_papers(package: dict[str, bytes]) -> None:
    """Nothing is missing and nothing else is in it; the manifest is the very file that was resolved."""
    assert package.keys() == MODELS | TEXTURES | PAPERS | {"forge_import.json"}
    assert package["manifest.yaml"] == b"asset: odd_thing\nplace: {height_cm: 180}\n"


@pytest.mark.node
def test_a_leaf_of_a_texture_with_alpha_becomes_a_masked_package(inputs: dict[str, Path], tmp_path: Path) -> None:
    """From a quad under a picture of a round leaf on clear black to the zip: alpha in both models' maps, none of it dark."""
    row, column = np.mgrid[:64, :64]
    leaf = np.where(((row - 31.5) ** 2 + (column - 31.5) ** 2 < 28**2)[..., None], (40, 160, 60, 255), 0).astype(np.uint8)
    plate = flat_sheet()
    uv = ((plate.vertices[:, :2] * [1, -1] + 1) / 2)[plate.faces].astype(np.float32)
    paths = {slot: tmp_path / slot.filename for slot in (MESH, SOURCE_MESH)}
    save_mesh(paths[MESH], low_square(), {"texture_size": 64, "padding": 2})
    save_source(paths[SOURCE_MESH], replace(colored(plate), texture=masked_texture(uv, leaf)), META)
    (tmp_path / "bake").mkdir()
    named = {slot.name: path for slot, path in paths.items()}
    bake_base_color.stage.run(StageContext("odd_thing", bake_base_color.Params(), 0, {}, named, tmp_path / "bake"))
    baked = {**named, "base_color_map": tmp_path / "bake" / BASE_COLOR_MAP.filename}
    files = export({**without(inputs, LODS, HULLS), **baked}, tmp_path / "task")
    assert json.loads(files["forge_import.json"])["material"]["masked"] is True
    image = np.asarray(Image.open(io.BytesIO(files["OddThing/T_OddThing_BC.png"])))
    assert (image[..., :3] == (40, 160, 60)).all()
    assert (image[..., 3] >= 128).mean() == pytest.approx(np.pi * 28**2 / 64**2, abs=0.01)
    (tmp_path / "SM_OddThing.glb").write_bytes(files["OddThing_glTF/SM_OddThing.glb"])
    assert validate_glb(tmp_path / "SM_OddThing.glb")["issues"]["numErrors"] == 0
    assert Glb(files["OddThing_glTF/SM_OddThing.glb"]).document["materials"][0]["alphaMode"] == "MASK"
    assert "Opacity Mask" in files["report.html"].decode()
    shown = np.asarray(Image.open(tmp_path / "task" / PREVIEW.filename).convert("RGB")).astype(int)
    assert ((shown[..., 1] > 100) & (shown[..., 0] < 80)).any()


def test_a_person_of_180_cm_is_180_cm_in_the_fbx_and_stands_on_the_ground(package: dict[str, bytes], tmp_path: Path) -> None:
    """Ufbx finds 48, 36 and 12 triangles, two hulls, Z from 0 to 180 in centimetres, and the report says the same size."""
    path = tmp_path / "SM_OddThing.fbx"
    path.write_bytes(package["OddThing/SM_OddThing.fbx"])
    read = ask_ufbx(path)
    assert read["unit_metres"] == 0.01
    assert [mesh["triangles"] for mesh in read["meshes"]] == [48, 36, 12, 12, 12]
    points = np.array(read["meshes"][0]["positions"])
    assert points[:, 2].min() == pytest.approx(0, abs=1e-4)
    assert points[:, 2].max() == pytest.approx(HEIGHT, abs=1e-3)
    size = json.loads(package["report.json"])["size_cm"]
    np.testing.assert_allclose(size, np.ptp(points, axis=0), atol=0.01)


@pytest.mark.node
def test_the_glb_passes_the_validator(package: dict[str, bytes], tmp_path: Path) -> None:
    """No error, no warning, LOD0's 48 triangles and one material."""
    path = tmp_path / "SM_OddThing.glb"
    path.write_bytes(package["OddThing_glTF/SM_OddThing.glb"])
    report = validate_glb(path)
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)
    assert (report["info"]["totalTriangleCount"], report["info"]["materialCount"]) == (48, 1)


def test_textures_are_8_bit_rgb_with_directx_green(package: dict[str, bytes]) -> None:
    """Each is 64 x 64 RGB; base colour and ORM are unchanged, the flat normal has green 127 instead of 128."""
    found = {name: Image.open(io.BytesIO(package[name])) for name in TEXTURES}
    assert {(image.mode, image.size) for image in found.values()} == {("RGB", (64, 64))}
    assert found["OddThing/T_OddThing_BC.png"].getpixel((9, 9)) == (200, 40, 40)
    assert found["OddThing/T_OddThing_ORM.png"].getpixel((9, 9)) == (255, 180, 0)
    assert found["OddThing/T_OddThing_N.png"].getpixel((9, 9)) == (128, 127, 255)


def test_the_same_inputs_give_the_same_bytes(inputs: dict[str, Path], tmp_path: Path) -> None:
    """Two runs in different folders write equal packages, previews and reports."""
    for name in ("one", "two"):
        export(inputs, tmp_path / name)
    for slot in (PACKAGES["ue5"], PREVIEW, PACKAGE_REPORT):
        assert (tmp_path / "one" / slot.filename).read_bytes() == (tmp_path / "two" / slot.filename).read_bytes()


def test_each_engine_gets_a_package_of_its_own(inputs: dict[str, Path], tmp_path: Path) -> None:
    """The stage writes one zip for each engine asked for and no other; each report names its engine, its axes and its files."""
    made: dict[str, dict[str, bytes]] = {}
    params = Params(engines=["blender", "unity_hdrp", "godot4", "web"], naming="allar")
    stage.run(StageContext("odd_thing", params, 0, {}, inputs, tmp_path))
    packages = {slot.filename: engine for engine, slot in PACKAGES.items()}
    for path in sorted(tmp_path.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            made[packages[path.name]] = {name: archive.read(name) for name in archive.namelist()}
    assert made.keys() == {"unity_hdrp", "godot4", "blender", "web"}
    width, height, depth = (float(side) for side in np.ptp(placed(winged_box.levels()[0]).vertices, axis=0) * 100)
    expected = {"blender": [width, depth, height]}
    for engine, files in made.items():
        report = json.loads(files["report.json"])
        assert report["engine"] == engine
        np.testing.assert_allclose(report["size_cm"], expected.get(engine, [width, height, depth]), atol=0.01)
        assert report["files"].keys() == files.keys() - {"report.json", "report.html"}
        assert files.keys() >= PAPERS
        assert any(name.startswith("OddThing/S_OddThing.") for name in files)
    assert json.loads((tmp_path / PACKAGE_REPORT.filename).read_text())["engine"] == "blender"


def test_sockets_of_the_manifest_land_where_unreal_counts_them(inputs: dict[str, Path], tmp_path: Path) -> None:
    """[X, Y, Z] = [40, -25, 90] is X 40, Y -25, Z 90 in Unreal, of the FBX (Y negated) and of the GLB (X, Z, Y) x 100 alike.

    For Godot the same place is 0.25 m to the thing's left (+X), 0.9 up and 0.4 in front (+Z).
    """
    params = Params(engines=["ue5", "godot4"], sockets={"Grip": [40, -25, 90]})
    stage.run(StageContext("odd_thing", params, 0, {}, inputs, tmp_path))
    with zipfile.ZipFile(tmp_path / PACKAGES["ue5"].filename) as archive:
        archive.extractall(tmp_path / "ue5")
    (socket,) = [one for one in ask_ufbx(tmp_path / "ue5/OddThing/SM_OddThing.fbx")["places"] if one["name"] == "SOCKET_Grip"]
    assert socket["parent"] == "SM_OddThing"
    np.testing.assert_allclose(np.array(socket["place"]) * [1, -1, 1], [40, -25, 90], atol=1e-4)

    def glb_place(data: bytes) -> list[float]:
        (node,) = [node for node in Glb(data).document["nodes"] if node["name"] == "SOCKET_Grip"]
        return list(node["translation"])

    x, y, z = glb_place((tmp_path / "ue5/OddThing_glTF/SM_OddThing.glb").read_bytes())
    np.testing.assert_allclose([100 * x, 100 * z, 100 * y], [40, -25, 90], atol=1e-4)
    with zipfile.ZipFile(tmp_path / PACKAGES["godot4"].filename) as archive:
        np.testing.assert_allclose(glb_place(archive.read("OddThing/SM_OddThing.glb")), [0.25, 0.9, 0.4], atol=1e-6)


@pytest.mark.node
def test_a_lightmap_on_request_is_a_second_uv_set_in_every_model(inputs: dict[str, Path], tmp_path: Path) -> None:
    """FBX levels have LightMap, GLBs TEXCOORD_1 and still no error or warning; without the request neither has."""
    for resolution, sets, key in ((128, ["UVMap", "LightMap"], True), (None, ["UVMap"], False)):
        folder = tmp_path / str(resolution)
        folder.mkdir()
        stage.run(StageContext("odd_thing", Params(lightmap_resolution=resolution), 0, {}, inputs, folder))
        with zipfile.ZipFile(folder / PACKAGES["ue5"].filename) as archive:
            archive.extractall(folder)
        assert [mesh["uv_sets"] for mesh in ask_ufbx(folder / "OddThing/SM_OddThing.fbx")["meshes"]][:3] == [sets] * 3
        glb = Glb((folder / "OddThing_glTF/SM_OddThing.glb").read_bytes())
        assert ("TEXCOORD_1" in glb.document["meshes"][0]["primitives"][0]["attributes"]) is key
        issues = validate_glb(folder / "OddThing_glTF/SM_OddThing.glb")["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)


def test_the_record_of_an_export_names_the_packages(inputs: dict[str, Path], tmp_path: Path) -> None:
    """Run as a task, its record lists the files of both engines, from which the names that are published follow."""
    params = Params(engines=["web", "ue5"]).model_dump(mode="json")
    names = {name: f"in/{path.name}" for name, path in inputs.items()}
    (tmp_path / "in").symlink_to(next(iter(inputs.values())).parent)
    record = run_task(TaskSpec("odd_thing", "export", params, 0, "key", names, {}, tmp_path), lambda _, __: None)
    assert record.state == "done", record.failure
    assert packages_in("odd_thing", record) == {
        "export_OddThing_UE5.zip": "package_ue5.zip",
        "export_OddThing_WEB.zip": "package_web.zip",
    }
    assert {artifact.path for artifact in record.outputs} == {path.name for path in (tmp_path / "key").iterdir()} - {RECORD}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"engines": ["ue5", "web", "ue5"]}, "ue5 stands there twice"),
        ({"naming": "SM_{Asset}_{map}"}, "must hold {type} once"),
        ({"sockets": {"Grip": [0, 0, 1], "GRIP": [0, 0, 2]}}, "Grip and GRIP differ in capitals alone"),
        ({"sockets": {"Grip": [0, 0]}}, "at least 3 items"),
        ({"sockets": {"1st grip": [0, 0, 0]}}, "pattern"),
        ({"lightmap_resolution": 100}, "should be 64, 128"),
    ],
)
def test_params_that_make_no_sense_are_refused(field: dict[str, Any], words: str) -> None:
    """An engine named twice, a pattern that names two files alike, sockets without three numbers or a name of their own."""
    with pytest.raises(ValidationError, match=re.escape(words)):
        Params(**field)


def test_the_recipe_says_what_unreal_is_to_make_of_it(package: dict[str, bytes]) -> None:
    """forge_import.json names files that are there, the size along Unreal's axes, screen sizes, hulls, settings of maps."""
    recipe = json.loads(package["forge_import.json"])
    assert recipe["destination"] == "/Game/Forge/OddThing"
    mesh, file = recipe["mesh"], "OddThing/SM_OddThing.fbx"
    assert (mesh["file"], mesh["name"], mesh["hulls"], mesh["nanite"]) == (file, "SM_OddThing", 2, False)
    assert (mesh["triangles"], mesh["screen_sizes"]) == ([48, 36, 12], [1.0, 0.5, 0.25])
    assert mesh["size_cm"] == json.loads(package["report.json"])["size_cm"]
    assert {one["file"]: (one["compression"], one["srgb"]) for one in recipe["textures"].values()} == {
        "OddThing/T_OddThing_BC.png": ("TC_DEFAULT", True),
        "OddThing/T_OddThing_N.png": ("TC_NORMALMAP", False),
        "OddThing/T_OddThing_ORM.png": ("TC_MASKS", False),
    }
    assert recipe["manifest_sha256"] == hashlib.sha256(package["manifest.yaml"]).hexdigest()


@pytest.mark.parametrize(("wanted", "triangles", "expected"), [
    ("auto", 19_999, False), ("auto", 20_000, True), ("on", 12, True), ("off", 1_000_000, False)
])  # fmt: skip
def test_nanite_is_for_dense_meshes_unless_the_author_says_otherwise(wanted: str, triangles: int, expected: bool) -> None:
    """Auto switches it on from 20,000 triangles."""
    assert use_nanite(wanted, triangles) is expected


@pytest.mark.parametrize(("names", "bones"), [("mannequin", ["root", "pelvis", "wing"]), ("keep", ["root", "Hips", "wing"])])
def test_a_rig_becomes_a_skinned_mesh_beside_the_static_one(
    names: str, bones: list[str], inputs: dict[str, Path], tmp_path: Path
) -> None:
    """SK_<Asset>.fbx has three levels on root, Hips and wing; the report says which joint has no name of the Mannequin's."""
    vertices = len(placed(winged_box.levels()[0]).vertices)
    weights = np.full((vertices, 2), 0.5, np.float32)
    joints = np.array([[0, 0.9, 0], [1.2, 0.45, 0.2]], np.float32)
    influences = np.tile(np.array([[0, 1]], np.int32), (vertices, 1))
    about = {"backend": "unirig", "revision": "ed4a", "licence": "MIT", "territory": "worldwide", "confidence": {"wing": 0.4}}
    save_rig(tmp_path / "rig.npz", Rig(["Hips", "wing"], joints, np.array([-1, 0], np.int32), influences, weights), about)
    (tmp_path / "out").mkdir()
    rigged = {**inputs, "rig": tmp_path / "rig.npz"}
    stage.run(StageContext("odd_thing", Params(bone_names=names), 0, {}, rigged, tmp_path / "out"))
    with zipfile.ZipFile(tmp_path / "out" / PACKAGES["ue5"].filename) as archive:
        archive.extractall(tmp_path)
    read = ask_ufbx_skin(tmp_path / "OddThing/SK_OddThing.fbx")
    assert [node["name"] for node in read["nodes"] if node["kind"] == "BONE"] == bones
    assert [mesh["name"] for mesh in read["meshes"]] == ["SK_OddThing", "SK_OddThing_LOD1", "SK_OddThing_LOD2"]
    places = {node["name"]: np.array(node["to_parent"])[:, 3] for node in read["nodes"] if node["kind"] == "BONE"}
    np.testing.assert_allclose(places[bones[1]], [0, 0, 90], atol=1e-4)  # 0.9 m above the ground, in cm and Z up
    np.testing.assert_allclose(places["wing"], [20, 120, -45], atol=1e-4)
    skeleton = json.loads((tmp_path / "report.json").read_text())["skeleton"]
    assert (skeleton["bones"], skeleton["made_by"], skeleton["confidence"]) == (3, "unirig ed4a", {"wing": 0.4})
    assert "Rig              unirig (ed4a), MIT, worldwide" in (tmp_path / "LICENSES.txt").read_text()
    judged = [gate for gate in check(tmp_path / "out" / PACKAGES["ue5"].filename).gates if "SK_OddThing" in gate.note]
    measured = dict.fromkeys(
        ("triangles", "size", "rig_joints", "rig_roots", "rig_weights", "rig_influences", "rig_leaf_bones"), "pass"
    )
    assert {gate.name: gate.result for gate in judged} == {**measured, "rig_names": "warn", "rig_stretch": "not_tested"}
    if names == "mannequin":
        assert (skeleton["matched"], skeleton["unmatched"]) == ({"root": "root", "Hips": "pelvis"}, ["wing"])
        assert "Not matched: wing" in (tmp_path / "report.html").read_text()


def test_the_report_can_be_checked_against_the_package(package: dict[str, bytes]) -> None:
    """It gives size and sha256 of every other file but its own page, the manifest's hash, who made it, and the gates."""
    report = json.loads(package["report.json"])
    assert report["files"].keys() == package.keys() - {"report.json", "report.html"}
    for name, facts in report["files"].items():
        assert facts == {"bytes": len(package[name]), "sha256": hashlib.sha256(package[name]).hexdigest()}
    assert report["manifest_sha256"] == hashlib.sha256(package["manifest.yaml"]).hexdigest()
    assert report["generator"] == META
    assert report["triangles"] == [48, 36, 12]
    assert [gate["result"] for gate in report["gates"]] == ["pass", "not_tested"]


def test_the_page_shows_hostile_text_as_text(package: dict[str, bytes]) -> None:
    """A gate's note that holds markup is escaped, and the page says that one gate was not tested."""
    page = package["report.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "1 pass, 1 not tested" in page


def test_licences_quote_those_of_the_images(package: dict[str, bytes]) -> None:
    """LICENSES.txt says that the asset may be sold, and holds the images' licence."""
    text = package["LICENSES.txt"].decode()
    assert "may be sold" in text
    assert "Author: Somebody" in text


def test_a_package_does_without_what_was_switched_off(inputs: dict[str, Path], tmp_path: Path) -> None:
    """Without LODs, hulls, maps and gates there is one mesh, no texture, and the page admits that nothing was measured."""
    bare = without(inputs, LODS, HULLS, NORMAL_MAP, BASE_COLOR_MAP, ORM_MAP, GATES)
    package = export(bare, tmp_path / "task")
    assert package.keys() == MODELS | PAPERS | {"forge_import.json"}
    path = tmp_path / "SM_OddThing.fbx"
    path.write_bytes(package["OddThing/SM_OddThing.fbx"])
    read = ask_ufbx(path)
    assert [mesh["name"] for mesh in read["meshes"]] == ["SM_OddThing"]
    assert read["textures"] == {}
    assert "no quality gate was measured" in package["report.html"].decode()
