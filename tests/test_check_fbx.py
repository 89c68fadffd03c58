"""Hold `check` to finding what is wrong with FBX files, alone and in packages."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from forge_batch.check import check
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.fbx import encode_fbx, encode_hulls
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.zip_file import write_zip
from tests import winged_box
from tests.ops.test_fbx import winged_scene

OWN = {"fbx_warnings", "data_names", "stray_hulls", "lods_fall", "tangents", "collision_vertices", "collision_convexity"}


def results(path: Path) -> dict[str, str]:
    """Give each gate's result; of gates of one name the last."""
    return {gate.name: gate.result for gate in check(path).gates}


def written(folder: Path, data: bytes, name: str = "SM_Winged.fbx") -> Path:
    """Write a file and give its path."""
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_sound_file_passes_what_an_fbx_alone_is_held_to(tmp_path: Path) -> None:
    """Names, levels, hulls and tangents pass; the size of a centimetre does not disturb the measure of the mesh."""
    found = results(written(tmp_path, encode_fbx(winged_scene())))
    assert {name: found[name] for name in OWN} == dict.fromkeys(OWN, "pass")
    assert found["watertight"] == "pass"


def test_a_hull_that_finds_no_mesh_is_named(tmp_path: Path) -> None:
    """One letter changed in a hull's name, and Unreal would show it as a mesh."""
    data = encode_fbx(winged_scene()).replace(b"UCX_SM_Winged_01", b"UCX_SM_Wanged_01")
    (gate,) = [gate for gate in check(written(tmp_path, data)).gates if gate.name == "stray_hulls"]
    assert (gate.result, gate.value) == ("fail", 1)
    assert "UCX_SM_Wanged_01" in gate.note


def test_a_group_of_equal_levels_is_found(tmp_path: Path) -> None:
    """A level with as many triangles as the one before saves nothing and is named."""
    scene = winged_scene()
    data = encode_fbx(replace(scene, lods=[scene.lods[0], scene.lods[0], scene.lods[1]]))
    (gate,) = [gate for gate in check(written(tmp_path, data)).gates if gate.name == "lods_fall"]
    assert (gate.result, gate.value) == ("fail", 1)
    assert "SM_Winged_LOD1" in gate.note


def test_missing_tangents_are_a_warning(tmp_path: Path) -> None:
    """Without the layer of tangents each of three levels is counted; the engine would make its own."""
    data = encode_fbx(winged_scene()).replace(b"LayerElementTangent", b"LayerElementNothing")
    (gate,) = [gate for gate in check(written(tmp_path, data)).gates if gate.name == "tangents"]
    assert (gate.result, gate.value) == ("warn", 3)


def test_a_hole_is_found_in_the_finest_level(tmp_path: Path) -> None:
    """A level without one of its triangles has three open edges, whatever the other levels are."""
    scene = winged_scene()
    open_level = replace(scene.lods[0], faces=scene.lods[0].faces[1:])
    data = encode_fbx(replace(scene, lods=[open_level, *scene.lods[1:]]))
    (gate,) = [gate for gate in check(written(tmp_path, data)).gates if gate.name == "watertight"]
    assert (gate.result, gate.value) == ("fail", 3)


def test_hulls_alone_are_stray_if_unreal_would_look_for_a_mesh(tmp_path: Path) -> None:
    """UCX hulls without any mesh fail; Unity's colliders, which no rule looks at, do not."""
    scene = winged_scene()
    alone = written(tmp_path, encode_hulls("UCX_SM_Winged", scene.hulls, scene.frame), "a.fbx")
    assert results(alone)["stray_hulls"] == "fail"
    unity = written(tmp_path, encode_hulls("SM_Winged_Collider", scene.hulls, scene.frame), "b.fbx")
    assert set(results(unity).values()) == {"pass"}


@pytest.mark.parametrize("data", [b"", b"not an fbx at all", encode_fbx(winged_scene())[:2000]])
def test_what_is_no_fbx_is_refused(data: bytes, tmp_path: Path) -> None:
    """Empty, foreign and cut files end in one line that names the file."""
    with pytest.raises(StageError, match=r"SM_Winged\.fbx is not an FBX that ufbx can read"):
        check(written(tmp_path, data))


def package(path: Path, engine: str, changes: Mapping[str, object]) -> Path:
    """Write an engine's package of the winged box whose report says what holds, but for the changes."""
    asset = Asset("winged", winged_box.levels(), [1.0, 0.5, 0.25], winged_box.hulls(), None, None, None)
    files = ENGINES[engine].files(asset)
    sides = [110.0, 80.0, 125.0]  # of the winged box by hand: width, height, depth
    report = {
        "asset": "winged",
        "engine": engine,
        "files": {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()},
        "texture_size": 0,
        "triangles": [48, 36, 12],
        "size_cm": [sides[axis] for axis in ENGINES[engine].axes],
        "gates": [],
        **changes,
    }
    manifest = b"place: {height_cm: 80, pivot: bottom_center}\n"
    write_zip(path, {**files, "report.json": json.dumps(report).encode(), "manifest.yaml": manifest})
    return path


@pytest.mark.parametrize("engine", list(ENGINES))
def test_every_engines_package_agrees_with_its_report(engine: str, tmp_path: Path) -> None:
    """Files, triangles and size of each model are read again and are as the report says."""
    found = [
        gate for gate in check(package(tmp_path / "a.zip", engine, {})).gates if gate.name in {"files", "triangles", "size"}
    ]
    models = {"ue5": 2, "blender": 2}.get(engine, 1)
    assert len(found) == 1 + 2 * models
    assert [gate.note for gate in found if gate.result != "pass"] == []


@pytest.mark.parametrize("engine", list(ENGINES))
def test_axes_that_are_swapped_are_found(engine: str, tmp_path: Path) -> None:
    """A report whose X and Y are exchanged disagrees with every model, for each engine."""
    x, y, z = (([110.0, 80.0, 125.0])[axis] for axis in ENGINES[engine].axes)
    path = package(tmp_path / "a.zip", engine, {"size_cm": [y, x, z]})
    assert all(gate.result == "fail" for gate in check(path).gates if gate.name == "size")


def test_a_lost_level_is_found(tmp_path: Path) -> None:
    """A report that speaks of other counts for LOD1 and LOD2 disagrees with the FBX."""
    path = package(tmp_path / "a.zip", "unity_hdrp", {"triangles": [48, 40, 12]})
    assert results(path)["triangles"] == "fail"


def test_a_broken_picture_is_found(tmp_path: Path) -> None:
    """A PNG that is cut after its signature is named."""
    path = package(tmp_path / "a.zip", "godot4", {})
    good = bytes.fromhex("89504e470d0a1a0a")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("T_Winged_BC.png", good)
    (gate,) = [gate for gate in check(path).gates if gate.name == "images"]
    assert (gate.result, gate.value) == ("fail", 1)
    assert "T_Winged_BC.png cannot be read" in gate.note


def test_without_its_reader_a_file_is_refused_and_a_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ufbx is not installed, an FBX ends with the command that gets it; a package's is not tested, and never passed."""
    path, file = package(tmp_path / "a.zip", "ue5", {}), written(tmp_path, encode_fbx(winged_scene()))
    monkeypatch.setitem(sys.modules, "ufbx", None)
    with pytest.raises(BackendUnavailable, match="reading FBX needs ufbx") as error:
        check(file)
    assert error.value.hint == "pip install forge-batch[check]"
    (gate,) = [gate for gate in check(path).gates if gate.name == "fbx"]
    assert (gate.result, gate.note) == ("not_tested", "Winged/SM_Winged.fbx: pip install forge-batch[check] to have it read")


def test_objects_beside_each_other_are_one_model(tmp_path: Path) -> None:
    """Two objects whose names say no level are joined, not taken for levels: their triangles count together."""
    scene = winged_scene()
    data = encode_fbx(replace(scene, hulls=[]))
    both = data.replace(b"SM_Winged_LOD1", b"SM_Winged_Lid1").replace(b"SM_Winged_LOD2", b"SM_Winged_Lid2")
    values = {gate.name: gate.value for gate in check(written(tmp_path, both)).gates}
    assert values["budget"] == sum(len(lod.faces) for lod in scene.lods)
    assert values["lods_fall"] == 0
