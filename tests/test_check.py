"""Hold `check` to finding what is wrong with files that exist."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from forge_batch.check import check
from forge_batch.errors import ContentError, StageError
from forge_batch.ops.glb import Look, encode_glb
from forge_batch.packages.zip_file import write_zip
from tests import winged_box
from tests.shapes import box

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
