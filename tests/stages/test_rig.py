from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.artifacts import MESH, RIG
from forge_batch.cli import main
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.gate_limits import RIG_GATES
from forge_batch.ops.mesh import Mesh, save_mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.render import Maps, render
from forge_batch.ops.rig import load_rig, load_rig_facts, rig_fault
from forge_batch.stage import StageContext
from forge_batch.stages.rig import Params, stage
from tests import shapes
from tests.figures import human
from tests.readers import ask_ufbx_skin


def context(mesh: Mesh, folder: Path) -> StageContext[Params]:
    """Give the stage a mesh."""
    (folder / "out").mkdir(exist_ok=True)
    save_mesh(folder / MESH.filename, mesh)
    return StageContext("person", Params(enabled=True), 0, {}, {MESH.name: folder / MESH.filename}, folder / "out")


def test_a_person_is_rigged(tmp_path: Path) -> None:
    """The slot holds a sound rig of 23 joints, what made it, and a confidence for each joint; twice gives the same bytes."""
    mesh, _ = human()
    metrics = stage.run(context(mesh, tmp_path))
    rig, facts = load_rig(tmp_path / "out" / RIG.filename), load_rig_facts(tmp_path / "out" / RIG.filename)
    assert rig_fault(rig, len(mesh.vertices)) is None
    assert (metrics["joints"], metrics["influences"]) == (23, 4)
    assert (facts["backend"], facts["licence"], facts["commercial"]) == ("humanoid", "MIT", True)
    assert set(facts["confidence"]) == set(rig.names)
    assert 0.6 < metrics["confidence_mean"] < 1
    first = (tmp_path / "out" / RIG.filename).read_bytes()
    stage.run(context(mesh, tmp_path))
    assert (tmp_path / "out" / RIG.filename).read_bytes() == first


@pytest.mark.parametrize("backend", ["skintokens", "unirig"])
def test_a_learned_rigger_that_is_not_here_is_said_to_be(backend: str, tmp_path: Path) -> None:
    """The error names code, weights and environment, and the hint is the command that fetches it."""
    asked = replace(context(human()[0], tmp_path), params=Params(enabled=True, backend=backend))
    with pytest.raises(BackendUnavailable, match=f"{backend} cannot run here: its code .* its environment") as caught:
        stage.run(asked)
    assert caught.value.hint == f"forge-batch vendor fetch {backend}"


def test_each_rigger_has_a_key_of_its_own() -> None:
    """Backend and pinned revision are part of the task's key, and only the learned ones cost GPU seconds."""
    every = [Params(enabled=True, backend=backend) for backend in ("humanoid", "skintokens", "unirig")]
    assert [stage.revision(one) for one in every] == ["humanoid", "skintokens 273b691d3598", "unirig ed4acacd0867"]
    assert [stage.cost(one).gpu > 0 for one in every] == [False, True, True]


def test_what_is_no_figure_fails_and_leaves_nothing(tmp_path: Path) -> None:
    """A box is refused with what to write instead, and no file is written."""
    with pytest.raises(StageError, match="no two legs") as caught:
        stage.run(context(shapes.box(), tmp_path))
    assert "rig: off" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []


CHARACTER = """forge: 1
preset: character_UE5_npc
kind: character
images: person
place: {height_cm: 167}
generate: {quality: fast}
decimate: {triangles: 3000, method: preview}
unwrap: {texture_size: 512}
bake_normal: off
bake_material: off
bake_occlusion: off
inspect: {strict: false}
rig: on
"""


@pytest.mark.slow
def test_pictures_of_a_person_become_a_skinned_character(tmp_path: Path) -> None:
    """From four pictures one run makes SK_Person.fbx with three levels on the Mannequin's bones, and its gates pass."""
    folder = tmp_path / "inbox" / "person"
    folder.mkdir(parents=True)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "person.yaml").write_text(CHARACTER)
    mesh, _ = human()
    smooth = Mesh(mesh.vertices, mesh.faces, normals=vertex_normals(mesh.vertices, mesh.faces))
    for view, azimuth in (("front", 0.0), ("right", 90.0), ("back", 180.0), ("left", 270.0)):
        picture = render(smooth, Maps(None, None, None), azimuth, 0.0, 512, azimuth - 30.0)
        Image.fromarray(picture).save(folder / f"{view}.png")
    assert main(["run", "--content", str(tmp_path)]) == 0
    with zipfile.ZipFile(tmp_path / "exports" / "person" / "export_Person_UE5.zip") as archive:
        archive.extractall(tmp_path / "package")
    read = ask_ufbx_skin(tmp_path / "package/Person/SK_Person.fbx")
    bones = {node["name"]: node for node in read["nodes"] if node["kind"] == "BONE"}
    assert len(bones) == 23
    assert [bone["parent"] for bone in bones.values() if bone["name"] == "root"] == ["Armature"]
    assert {"pelvis", "spine_03", "head", "hand_l", "ball_r"} <= set(bones)
    assert [level["name"] for level in read["meshes"]] == ["SK_Person", "SK_Person_LOD1", "SK_Person_LOD2"]
    assert max(level["most"] for level in read["meshes"]) <= 4
    for level in read["meshes"]:
        total = np.zeros(len(level["points"]))
        for cluster in level["clusters"]:
            np.add.at(total, cluster["vertices"], cluster["weights"])
        np.testing.assert_allclose(total, 1.0, atol=1e-6)
    report = json.loads((tmp_path / "package" / "report.json").read_text())
    assert report["skeleton"]["unmatched"] == []
    gates = {gate["name"]: gate["result"] for gate in report["gates"] if gate["name"].startswith("rig_")}
    assert gates == dict.fromkeys(sorted(RIG_GATES), "pass")
    assert "In a walk" in (tmp_path / "package" / "report.html").read_text()
