"""Run the geometry stages one after the other, as the plan would, on a shape and a source made here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from forge_batch.artifacts import HULLS, LODS, MESH, SOURCE_MESH
from forge_batch.errors import StageError
from forge_batch.ops.components import face_components
from forge_batch.ops.mesh import Mesh, load_mesh, load_meshes, load_meta, save_mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.solid import make_solid
from forge_batch.ops.source import SourceMesh, load_source, save_source
from forge_batch.ops.topology import face_areas, measure_topology, signed_volume
from forge_batch.ops.weld import welded
from forge_batch.stage import Metrics, Stage, StageContext
from forge_batch.stages import build_collision, build_lods, clean, decimate, place, repair, symmetrize, unwrap
from tests.shapes import blob, box, join


def _run(stage: Stage[Any], folder: Path, inputs: dict[str, Path], **params: Any) -> Metrics:
    out = folder / stage.name
    out.mkdir(exist_ok=True)
    metrics = stage.run(StageContext("thing", stage.params(**params), 7, {}, dict(inputs), out))
    assert sorted(path.name for path in out.iterdir()) == sorted(slot.filename for slot in stage.outputs)
    inputs.update({slot.name: out / slot.filename for slot in stage.outputs})
    return metrics


def _inputs(folder: Path, mesh: Mesh) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    save_mesh(folder / "mesh.npz", mesh)
    solid = make_solid(mesh, 1e-6, 5.0).mesh
    one = np.ones(len(solid.vertices), np.float32)
    normals = vertex_normals(solid.vertices, solid.faces)
    source = SourceMesh(Mesh(solid.vertices, solid.faces, normals=normals), np.tile(one[:, None], 3), one, one, one)
    save_source(folder / "source_mesh.npz", source, {"backend": "test"})
    return {"mesh": folder / "mesh.npz", "source_mesh": folder / "source_mesh.npz"}


def _chain(folder: Path) -> dict[str, Path]:
    inputs = _inputs(folder, join(blob(60), box((0.02, 0.02, 0.02), (3, 0, 0)), box((0.1, 0.1, 0.1), (0, 0.1, 0))))
    assert _run(repair.stage, folder, inputs)["hidden_parts_removed"] == 1
    assert _run(clean.stage, folder, inputs)["floaters_removed"] == 1
    assert _run(decimate.stage, folder, inputs, triangles=1500)["triangles"] <= 1500
    assert _run(symmetrize.stage, folder, inputs, mode="bilateral_x", tolerance=0.5)["triangles"] <= 1500
    _run(place.stage, folder, inputs, height_cm=40, yaw_degrees=30)
    _run(unwrap.stage, folder, inputs, texture_size=512)
    _run(build_lods.stage, folder, inputs, ratios=[0.7])
    _run(build_collision.stage, folder, inputs)
    return inputs


def test_the_chain_ends_in_what_the_package_needs(tmp_path: Path) -> None:
    """Closed LODs within budget at the real size, falling screen sizes, few small hulls; twice the same bytes."""
    files = _chain(tmp_path / "one")
    mesh = load_mesh(files[MESH.name])
    assert mesh.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    assert np.ptp(mesh.vertices[:, 1]) == pytest.approx(0.4, rel=1e-6)
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    assert set(load_meta(files[MESH.name])) == {"texture_size", "padding", "texel_density", "charts"}
    lods, meta = load_meshes(files[LODS.name])
    assert list(lods) == ["lod0", "lod1"]
    assert meta["triangles"] == [len(lod.faces) for lod in lods.values()]
    assert meta["screen_sizes"][0] == 1.0 > meta["screen_sizes"][1]
    assert all(measure_topology(welded(lod).faces).closed for lod in lods.values())
    hulls, _ = load_meshes(files[HULLS.name])
    assert 1 <= len(hulls) <= 16
    assert all(len(hull.vertices) <= 32 and measure_topology(hull.faces).closed for hull in hulls.values())
    assert np.ptp(load_source(files[SOURCE_MESH.name]).mesh.vertices[:, 1]) == pytest.approx(0.4, rel=0.1)
    again = _chain(tmp_path / "two")
    assert {name: path.read_bytes() for name, path in files.items()} == {
        name: path.read_bytes() for name, path in again.items()
    }


def test_a_sheet_is_refused_unless_it_is_declared(tmp_path: Path) -> None:
    """An open box fails with its open edges when nothing may close it, passes as `open`, and becomes a solid anew."""
    half = Mesh(box().vertices, box().faces[2:])
    with pytest.raises(StageError, match="4 boundary edges in 1 holes"):
        _run(repair.stage, tmp_path, _inputs(tmp_path, half), close_holes=0.01, rebuild=False)
    assert _run(repair.stage, tmp_path, _inputs(tmp_path, half), open=True)["boundary_edges"] == 4
    assert _run(repair.stage, tmp_path, _inputs(tmp_path, half), close_holes=4)["holes_closed"] == 1
    assert _run(repair.stage, tmp_path, _inputs(tmp_path, half), close_holes=0.01)["rebuilt"]


def _nearly_closed(bent: float) -> Mesh:
    """Give a box with a hole of 0.2 by 0.2 in its front, one corner of whose rim stands out by so much."""
    whole = box()
    lid = (whole.vertices[whole.faces][:, :, 2] > 0).all(axis=1)
    rim = np.array([(x, y, 0.5) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], np.float32)
    corner = [int(np.argmin(np.linalg.norm(whole.vertices - np.array([x, y, 1]), axis=1))) for x, y, _ in rim]
    frame = [f for k in range(4) for f in ((corner[k], corner[k - 3], 8 + k), (corner[k - 3], 8 + (k + 1) % 4, 8 + k))]
    rim = rim * np.array([0.2, 0.2, 1], np.float32)
    rim[0, 2] += bent
    return Mesh(np.concatenate([whole.vertices, rim]), np.concatenate([whole.faces[~lid], np.array(frame, np.int32)]))


def test_what_was_cut_off_is_closed_flat(tmp_path: Path) -> None:
    """A hollow that can hardly be looked into is a solid with a piece missing: its plane rim is closed, however long."""
    made = _run(repair.stage, tmp_path, _inputs(tmp_path, _nearly_closed(0.0)), close_holes=0.3)
    assert (made["holes_closed"], made["boundary_edges"]) == (1, 0)
    assert "cut off" in made["rebuilt"]
    assert signed_volume(load_mesh(tmp_path / repair.stage.name / MESH.filename)) == pytest.approx(1.0, rel=1e-4)


def test_a_hole_too_wide_to_close_is_named_with_what_would_close_it(tmp_path: Path) -> None:
    """Where the rim of such a hollow is no plane it is refused, not delivered as a shell; the advice makes it a solid."""
    cut = _nearly_closed(0.25)
    with pytest.raises(StageError, match=r"in 1 holes \(the longest rim is 0\.\d+ of the diagonal\)") as caught:
        _run(repair.stage, tmp_path, _inputs(tmp_path / "a", cut), close_holes=0.3)
    advice = float(re.search(r"repair: {close_holes: ([\d.]+)}", caught.value.hint)[1])
    assert _run(repair.stage, tmp_path, _inputs(tmp_path / "b", cut), close_holes=advice)["boundary_edges"] == 0


def _leaf(turn: float, at: float) -> Mesh:
    """Give a square sheet of 288 triangles without thickness, leaning and a little bent."""
    u, v = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 13), indexing="ij")
    points = np.stack([u + at, v * np.cos(turn) + at, v * np.sin(turn) + 0.1 * at * u**2], axis=-1).reshape(-1, 3)
    i = np.arange(169).reshape(13, 13)
    a, b, c, d = (part.ravel() for part in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return Mesh(points.astype(np.float32), faces.astype(np.int32))


def test_sheets_are_finished_as_sheets_where_they_are_declared(tmp_path: Path) -> None:
    """Leaves, one flat and some faces turned, keep their number, their area and their rims; LODs and hulls within budget."""
    leaves = join(_leaf(1.0, 0.0), _leaf(0.4, 1.5), _leaf(2.0, -1.5))
    turned = np.random.default_rng(0).random(len(leaves.faces)) < 0.3
    inputs = _inputs(tmp_path, Mesh(leaves.vertices, np.where(turned[:, None], leaves.faces[:, ::-1], leaves.faces)))
    assert _run(repair.stage, tmp_path, inputs, open=True)["boundary_edges"] == 3 * 48
    _run(clean.stage, tmp_path, inputs)
    assert _run(decimate.stage, tmp_path, inputs, triangles=300)["triangles"] <= 300
    made = load_mesh(inputs["mesh"])
    assert int(face_components(made.faces).max()) + 1 == 3
    assert face_areas(made).sum() == pytest.approx(face_areas(leaves).sum(), rel=0.01)
    assert np.ptp(made.vertices, axis=0) == pytest.approx(np.ptp(leaves.vertices, axis=0), rel=0.01)
    assert measure_topology(made.faces)[1:] == (0, 0, 0)
    _run(place.stage, tmp_path, inputs, height_cm=40)
    _run(unwrap.stage, tmp_path, inputs, texture_size=512)
    assert _run(build_lods.stage, tmp_path, inputs, ratios=[0.5])["triangles"][1] < 300
    hulls = _run(build_collision.stage, tmp_path, inputs)
    assert hulls["triangles"] <= hulls["triangle_budget"]
    assert hulls["volume_ratio"] is None


def test_overlapping_parts_become_one(tmp_path: Path) -> None:
    """Two boxes through each other have the volume of both less what they share, in one part; switched off, they stay two."""
    crossed = join(box((3, 1, 1)), box((1, 3, 1)))
    metrics = _run(repair.stage, tmp_path, _inputs(tmp_path, crossed))
    made = load_mesh(tmp_path / "repair" / "mesh.npz")
    assert metrics["parts_united"]
    assert signed_volume(made) == pytest.approx(3 + 3 - 1, rel=1e-4)
    assert face_components(made.faces).max() == 0
    assert _run(repair.stage, tmp_path, _inputs(tmp_path, crossed), unite=False)["faces_after"] == 24


def test_meshfix_is_used_only_where_it_loses_little(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On a clean box it does nothing and says nothing; of two boxes through each other it may not remove one."""
    assert _run(repair.stage, tmp_path, _inputs(tmp_path, box()), method="pymeshfix")["meshfix_refused"] == ""
    crossed = join(box((3, 1, 1)), box((1, 3, 1)))
    metrics = _run(repair.stage, tmp_path, _inputs(tmp_path, crossed), method="pymeshfix", unite=False)
    assert metrics["faces_after"] == 24 or metrics["meshfix_refused"] == ""
    assert capfd.readouterr().out == ""


def test_an_asymmetric_thing_is_refused_with_its_asymmetry(tmp_path: Path) -> None:
    """The error names the mode and the percentage measured."""
    inputs = _inputs(tmp_path, make_solid(blob(40), 1e-6, 1.0).mesh)
    with pytest.raises(StageError, match=r"not bilateral_x: the surface lies \d+\.\d % of its diagonal"):
        _run(symmetrize.stage, tmp_path, inputs, mode="bilateral_x", tolerance=0.001)


@pytest.mark.parametrize("method", ["box", "convex"])
def test_simple_hulls_are_one(tmp_path: Path, method: str) -> None:
    """Box and convex give one hull; of a box it is the box."""
    metrics = _run(build_collision.stage, tmp_path, _inputs(tmp_path, box((1, 2, 3))), method=method)
    assert (metrics["hulls"], metrics["max_vertices"], metrics["volume_ratio"]) == (1, 8, 1.0)


def test_ratios_must_fall() -> None:
    """LOD ratios that rise are refused by the params."""
    with pytest.raises(ValidationError, match="smaller than the one before"):
        build_lods.Params(ratios=[0.25, 0.5])


def test_several_atlases_are_one_sheet_to_what_comes_after(tmp_path: Path) -> None:
    """A density that needs two pages of 512 gives a sheet of 1024, of which LODs keep each face on its page, and closed."""
    files = _inputs(tmp_path, blob(20))
    made = _run(unwrap.stage, tmp_path, files, texture_size=512, texel_density=160, atlases=4)
    meta = load_meta(files[MESH.name])
    assert (made["atlases"], meta["atlases"], meta["texture_size"], meta["padding"]) == (2, 2, 1024, 8)
    assert 0.2 < made["utilisation"] < 0.8  # of the two, not of the sheet
    _run(build_lods.stage, tmp_path, files, ratios=[0.3])
    for lod in load_meshes(files[LODS.name])[0].values():
        assert lod.uv is not None
        assert lod.uv[:, 1].max() < 0.5  # below lie the two pages that it did not take
        column = lod.uv[:, 0] > 0.5
        assert (column[lod.faces] == column[lod.faces[:, :1]]).all()
        assert measure_topology(welded(lod).faces).closed


def test_what_is_not_asked_for_leaves_keys_as_they_were() -> None:
    """One atlas is not spoken of in what decides a task's outcome; more are."""
    assert "atlases" not in unwrap.Params(atlases=1).made_from()
    assert unwrap.Params(atlases=2).made_from() == {**unwrap.Params().made_from(), "atlases": 2}


@pytest.mark.parametrize(("mode", "copies"), [("bilateral_x", 2), ("radial", 8)])
def test_copies_may_share_their_texels(tmp_path: Path, mode: str, copies: int) -> None:
    """Placed and turned, the mesh stays closed, every point of the page serves all copies, and density rises."""
    inputs = _inputs(tmp_path, make_solid(blob(16), 1e-6, 1.0).mesh)
    own = dict(inputs)
    for uv, files in (("own", own), ("shared", inputs)):
        folder = tmp_path / uv
        folder.mkdir()
        _run(symmetrize.stage, folder, files, mode=mode, tolerance=0.5, count=max(2, copies // 2), uv=uv)
        _run(place.stage, folder, files, height_cm=40, yaw_degrees=30)
        density = _run(unwrap.stage, folder, files, texture_size=512)["texel_density"]
        if uv == "own":
            least = density
    assert density > 1.2 * least  # the root of 2 or of 8, less what packing loses
    mesh = load_mesh(inputs[MESH.name])
    assert measure_topology(welded(mesh).faces).closed
    assert mesh.uv is not None
    assert mesh.tangents is not None
    rows = np.sort(mesh.uv[mesh.faces], axis=1).reshape(len(mesh.faces), -1)
    assert set(np.unique(rows, axis=0, return_counts=True)[1]) == {copies}
    signs = np.sign(mesh.tangents[mesh.faces[:, 0], 3])
    assert abs(signs.sum()) < 0.02 * len(signs)
