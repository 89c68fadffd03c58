"""Pack an asset of two atlases for every engine, and find each face's own picture again."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from forge_batch.ops.fbx_reader import read_fbx
from forge_batch.ops.measure_shape import count_open_edges
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import SOLID, decode_textured
from forge_batch.ops.rig import Rig
from forge_batch.ops.sheet import joined
from forge_batch.ops.skinned_fbx import read_skinned_fbx
from forge_batch.ops.skinned_glb import decode_skinned_glb
from forge_batch.ops.topology import face_areas
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.names import Names, clashes
from forge_batch.packages.opened import open_files
from tests import winged_box
from tests.readers import validate_glb

RED, BLUE = (200, 40, 30), (30, 60, 210)
GLBS = {"ue5": "Winged_glTF/SM_Winged.glb", **dict.fromkeys(("godot4", "blender", "web"), "Winged/SM_Winged.glb")}
FBXS = {"ue5": "Winged/SM_Winged.fbx", "blender": "Winged/SM_Winged_LODs.fbx"}


def two_atlases() -> Asset:
    """Make the winged box with every third chart on a blue atlas and the rest on a red one."""
    lods = [winged_box.on_two_atlases(mesh) for mesh in winged_box.levels()]
    color = joined([np.full((64, 64, 3), one, np.uint8) for one in (RED, BLUE)])
    normal, orm = np.full((128, 128, 3), 32768, np.uint16), np.full((128, 128, 3), 128, np.uint8)
    return Asset("winged", lods, [1.0, 0.5, 0.25], winged_box.hulls(), color, normal, orm, atlases=2)


@pytest.fixture(scope="module")
def packed() -> dict[str, dict[str, bytes]]:
    """Give the files of each engine."""
    return {name: engine.files(two_atlases()) for name, engine in ENGINES.items()}


def red_share(mesh: Mesh) -> float:
    """Give the share of a level's surface whose uv lie on the first atlas, the left half of the sheet."""
    assert mesh.uv is not None
    area = face_areas(mesh)
    return float(area[mesh.uv[mesh.faces][..., 0].max(axis=1) < 0.5].sum() / area.sum())


SHARES = [red_share(mesh) for mesh in two_atlases().lods]


@pytest.mark.parametrize("engine", GLBS)
def test_every_part_of_a_glb_wires_its_own_pictures(packed: Mapping[str, Mapping[str, bytes]], engine: str) -> None:
    """Two parts, each with uv within its picture, and as much surface is red and blue as on the sheet."""
    scene = trimesh.load_scene(io.BytesIO(packed[engine][GLBS[engine]]), file_type="glb", process=False)
    parts = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry if not SOLID.search(node)]
    assert sorted(part.visual.material.name for part in parts) == ["M_Winged_01", "M_Winged_02"]
    shown = {}
    for part in parts:
        uv, picture = part.visual.uv, np.asarray(part.visual.material.baseColorTexture.convert("RGB"))
        assert uv.min() >= 0
        assert uv.max() <= 1
        assert picture.shape == (64, 64, 3)
        assert np.ptp(picture, axis=(0, 1)).max() <= 2  # WebP
        shown["red" if picture[0, 0, 0] > picture[0, 0, 2] else "blue"] = part.area
    assert shown["red"] / sum(shown.values()) == pytest.approx(SHARES[0], abs=1e-3)
    assert abs(SHARES[0] - 0.5) > 0.02


@pytest.mark.parametrize("engine", GLBS)
def test_glbs_of_two_atlases_pass_the_validator(packed: Mapping[str, Mapping[str, bytes]], engine: str, tmp_path: Path) -> None:
    """Khronos' validator finds no error and nothing to warn of."""
    path = tmp_path / "a.glb"
    path.write_bytes(packed[engine][GLBS[engine]])
    issues = validate_glb(path)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)


@pytest.mark.parametrize("engine", FBXS)
def test_every_face_of_an_fbx_has_the_slot_of_its_atlas(packed: Mapping[str, Mapping[str, bytes]], engine: str) -> None:
    """Both slots are found in every level, each wired to files of its own, and as much surface on each as on the sheet."""
    fbx = read_fbx(packed[engine][FBXS[engine]], "a.fbx")
    assert (fbx.atlases, fbx.warnings) == (2, ())
    assert {part.materials for part in fbx.levels} == {("M_Winged_01", "M_Winged_02")}
    for number in ("01", "02"):
        assert fbx.textures[f"M_Winged_{number}"]["DiffuseColor"] == f"T_Winged_{number}_BC.png"
        assert fbx.textures[f"M_Winged_{number}"]["NormalMap"] == f"T_Winged_{number}_N.png"
        picture = np.asarray(Image.open(io.BytesIO(packed[engine][f"Winged/T_Winged_{number}_BC.png"])))
        assert (picture == {"01": RED, "02": BLUE}[number]).all()
    for part, share in zip(fbx.levels, SHARES, strict=True):
        assert red_share(part.mesh) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_package_of_two_atlases_comes_back_on_one_sheet(packed: Mapping[str, Mapping[str, bytes]], engine: str) -> None:
    """What checks and pictures look at is the sheet again: every face over its colour, and no gap where atlases meet."""
    report = json.dumps({"asset": "winged", "engine": engine, "atlases": 2}).encode()
    opened = open_files({**packed[engine], "report.json": report, "manifest.yaml": b""}, engine)
    mesh, color = opened.mesh, opened.maps.base_color
    assert mesh.uv is not None
    assert color is not None
    assert opened.atlases == 2
    assert red_share(mesh) == pytest.approx(SHARES[0], abs=1e-3)
    column, row = (mesh.uv[mesh.faces].mean(axis=1) * len(color)).astype(int).T
    red = mesh.uv[mesh.faces][..., 0].max(axis=1) < 0.5
    assert np.abs(color[row, column].astype(int) - np.where(red[:, None], RED, BLUE)).max() <= 3  # WebP
    assert count_open_edges(mesh) == 0
    if engine in GLBS:
        alone, maps, atlases = decode_textured(packed[engine][GLBS[engine]], "glb", "a.glb")
        assert atlases == 2
        assert red_share(alone) == pytest.approx(SHARES[0], abs=1e-3)
        assert (maps["base_color_map"] == color).all()


@pytest.mark.parametrize("engine", ["ue5", "unity_hdrp", "web"])
def test_a_character_of_two_atlases_keeps_its_weights(engine: str, tmp_path: Path) -> None:
    """Every vertex below the middle hangs on one joint and every other on the next, in each part and level of each file."""
    asset = two_atlases()
    mesh = asset.lods[0]
    joints = np.array([[0, 0, 0], [0, 0.25, 0]], np.float32)
    influences = (mesh.vertices[:, 1:2] > 0.2).astype(np.int32)
    rig = Rig(("root", "top"), joints, np.array([-1, 0], np.int32), influences, np.ones((len(mesh.vertices), 1), np.float32))
    files = ENGINES[engine].files(replace(asset, rig=rig, rigged=mesh, influences=4))
    model = next(name for name in files if "SK_Winged" in name)
    assert weights_fault(model, files[model], tmp_path) == ""


def weights_fault(name: str, data: bytes, folder: Path) -> str:
    """Say which vertices of a skinned file move with another joint than their height says."""
    path = folder / "file.fbx"
    path.write_bytes(data)
    mesh, rig = decode_skinned_glb(data, name) if name.endswith(".glb") else read_skinned_fbx(path, folder)
    centimetres = np.ptp(mesh.vertices) > 10  # Unreal's file, where Z is up
    height = mesh.vertices[:, 2] / 100.0 if centimetres else mesh.vertices[:, 1]
    strongest = np.take_along_axis(rig.influences, rig.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    wrong = (strongest == list(rig.names).index("top")) != (height > 0.2 + 1e-4)
    return f"{int(wrong.sum())} of {len(wrong)}" if wrong.any() else ""


def test_two_assets_may_not_want_the_name_of_one_atlas() -> None:
    """An asset called crate_01 takes the names of the first atlas of crate, where crate may have several."""
    style = "{type}_{asset}_{map}"
    other = Names("crate_01", style)
    assert clashes([Names("crate", style), other]) == []
    ((name, assets),) = clashes([Names("crate", style, atlases=2), other])
    assert name.startswith("M")
    assert assets == ["crate", "crate_01"]
