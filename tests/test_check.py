"""Hold `check` to finding what is wrong with files that exist."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forge_batch.check import check
from forge_batch.errors import ContentError, StageError
from forge_batch.ops.glb import Look, encode_glb
from forge_batch.packages.zip_file import write_zip
from tests import winged_box
from tests.asset_defects import bones
from tests.shapes import box
from tests.skinned_glb import encode_skinned_glb

CRATE = winged_box.finished(box((1.0, 1.0, 1.0), (0.0, 0.5, 0.0)))


def package(path: Path, **changes: object) -> Path:
    """Write a package of the crate whose report says what holds, but for the changes."""
    glb = encode_glb("SM_Crate", CRATE, [Look("M_Crate", {})])
    report = {
        "asset": "crate",
        "engine": "ue5",
        "files": {"SM_Crate.glb": {"sha256": hashlib.sha256(glb).hexdigest()}},
        "texture_size": 0,
        "triangles": [len(CRATE.faces)],
        "size_cm": [100.0, 100.0, 100.0],
        "gates": [],
        **changes,
    }
    manifest = b"place: {height_cm: 100, pivot: bottom_center}\nunwrap: {padding: 1}\n"
    write_zip(path, {"SM_Crate.glb": glb, "report.json": json.dumps(report).encode(), "manifest.yaml": manifest})
    return path


def failed(path: Path) -> set[str]:
    """Give the names of the gates that fail."""
    return {gate.name for gate in check(path).gates if gate.result == "fail"}


def test_a_sound_package_passes(tmp_path: Path) -> None:
    """A package that is as it was packed fails no gate."""
    assert failed(package(tmp_path / "crate.zip")) == set()


def test_another_size_than_reported_is_found(tmp_path: Path) -> None:
    """A GLB that is 2 % larger than the report says fails."""
    assert failed(package(tmp_path / "crate.zip", size_cm=[98.0, 100.0, 100.0])) == {"size"}


def test_a_lost_triangle_is_found(tmp_path: Path) -> None:
    """A GLB with another number of triangles than the report says fails."""
    assert failed(package(tmp_path / "crate.zip", triangles=[13])) == {"triangles"}


def test_a_file_changed_after_packing_is_found(tmp_path: Path) -> None:
    """A file whose hash is not the listed one is named."""
    path = package(tmp_path / "crate.zip", files={"SM_Crate.glb": {"sha256": "0" * 64}, "T_Crate_N.png": {"sha256": "0" * 64}})
    (gate,) = [gate for gate in check(path).gates if gate.name == "files"]
    assert (gate.result, gate.value, gate.note) == ("fail", 2, "missing or changed: SM_Crate.glb, T_Crate_N.png")


def test_a_model_without_its_maps_is_found(tmp_path: Path) -> None:
    """A GLB whose material wires nothing fails where the report speaks of textures."""
    assert failed(package(tmp_path / "crate.zip", texture_size=512)) == {"glb_maps"}


def test_a_hole_is_found_in_any_mesh(tmp_path: Path) -> None:
    """A box without one triangle has three open edges."""
    lines = [f"v {x} {y} {z}" for x, y, z in CRATE.vertices] + [f"f {a} {b} {c}" for a, b, c in CRATE.faces[1:] + 1]
    (tmp_path / "open.obj").write_text("\n".join(lines))
    values = {gate.name: gate.value for gate in check(tmp_path / "open.obj").gates}
    assert values["watertight"] == 3


@pytest.mark.parametrize(("name", "error"), [("a.txt", ContentError), ("a.zip", ContentError), ("a.glb", StageError)])
def test_other_files_are_refused(tmp_path: Path, name: str, error: type[Exception]) -> None:
    """What is no package and no mesh is refused with what to give instead."""
    (tmp_path / name).write_bytes(np.arange(100, dtype=np.uint8).tobytes())
    with pytest.raises(error):
        check(tmp_path / name)


def test_a_zip_without_report_is_refused(tmp_path: Path) -> None:
    """A zip that is no package of ours says so."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ContentError, match=r"no readable report\.json"):
        check(tmp_path / "a.zip")


def ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write a binary PLY as it is given, sound or not."""
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    path.write_bytes("\n".join(lines).encode() + b"\n" + vertices.astype("<f4").tobytes() + rows.tobytes())
    return path


BOX = box()
NAN = np.where(np.arange(8)[:, None] == 0, np.nan, BOX.vertices)
LOST = int((BOX.faces == 0).any(axis=1).sum())
UNUSABLE = {
    "a corner that is not there": (
        BOX.vertices,
        np.where(BOX.faces == 0, 99, BOX.faces),
        "a face names vertex 99, there are 8",
    ),
    "no face": (BOX.vertices, BOX.faces[:0], "holds no triangles"),
    "faces without area": (BOX.vertices, np.repeat(BOX.faces[:, :1], 3, axis=1), "none of 12 faces has any area"),
    "all in one point": (0 * BOX.vertices, BOX.faces, "none of 12 faces has any area"),
    "no number": (np.nan * BOX.vertices, BOX.faces, "12 of 12 faces have corners that are not finite"),
    "infinite": (np.inf * np.ones((8, 3)), BOX.faces, "12 of 12 faces have corners that are not finite"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_mesh_of_which_nothing_can_be_measured_is_refused(what: str, tmp_path: Path) -> None:
    """The error says what was found, with its number, and what to do."""
    vertices, faces, words = UNUSABLE[what]
    with pytest.raises(StageError, match=words) as caught:
        check(ply(tmp_path / "a.ply", vertices, faces))
    assert caught.value.hint


def test_a_corner_that_is_no_number_is_found_and_the_rest_is_measured(tmp_path: Path) -> None:
    """A box with one vertex of NaN fails at its faces, and the rest of it is open."""
    values = {gate.name: (gate.value, gate.result) for gate in check(ply(tmp_path / "a.ply", NAN, BOX.faces)).gates}
    assert values["finite"] == (LOST, "fail")
    assert values["watertight"][1] == "fail"


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_size_is_no_defect(scale: float, tmp_path: Path) -> None:
    """A box of a nanometre and one of a million kilometres are as sound as one of a metre."""
    assert check(ply(tmp_path / "a.ply", BOX.vertices * scale, BOX.faces)).ok


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.glb", b"", "it is empty"),
        ("a.glb", b"hello, world", "it does not begin as one"),
        ("a.glb", encode_glb("SM_Crate", CRATE, [Look("M_Crate", {})])[:500], "it ends after 500 of"),
        ("a.fbx", b"", "it is empty"),
        ("a.fbx", b"hello, world", "Unsupported version"),
        ("a.gltf", b"{}", "glTF as text"),
    ],
)
def test_a_broken_file_is_told_from_another_kind(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    """What is empty, cut off or no such file at all is each said in words."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises((StageError, ContentError), match=words):
        check(tmp_path / name)


def test_the_skin_of_a_file_that_stands_alone_is_measured(tmp_path: Path) -> None:
    """A skinned GLB of somebody else's has its joints counted, and lost weight fails."""
    rig = bones(BOX)
    light = replace(rig, weights=rig.weights * np.float32(0.9))
    found = []
    for name, one in (("a.glb", rig), ("b.glb", light)):
        (tmp_path / name).write_bytes(encode_skinned_glb(BOX, one))
        found.append({gate.name: gate.result for gate in check(tmp_path / name).gates})
    assert [gates["rig_joints"] for gates in found] == ["pass", "pass"]
    assert [gates["rig_weights"] for gates in found] == ["pass", "fail"]
