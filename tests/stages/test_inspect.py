"""Plant defects in a sound asset and see that each is found, and that the sound one passes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
import yaml
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
    NORMAL_ERROR_MAP,
    NORMAL_MAP,
    OCCLUSION_MAP,
    ORM_MAP,
    RIG,
    SOURCE_MESH,
)
from forge_batch.backends.humanoid import make_rig
from forge_batch.errors import GateFailed
from forge_batch.gates import judge
from forge_batch.manifest import parse_manifest
from forge_batch.ops.camera import Camera
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.gate_limits import KIND_BOUNDS, LIMITS, RIG_GATES
from forge_batch.ops.gate_pictures import PICTURES, draw_gate
from forge_batch.ops.image_file import write_png
from forge_batch.ops.measure_asset import GROUPS, measure_skeleton
from forge_batch.ops.measure_placement import measure_placement
from forge_batch.ops.mesh import Mesh, save_arrays, save_mesh, save_meshes
from forge_batch.ops.rig import Rig, save_rig
from forge_batch.ops.source import Projection, SourceMesh, save_source
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.ops.zbuffer import frame_view, silhouette
from forge_batch.packages.mannequin import mannequin_names
from forge_batch.stage import StageContext
from forge_batch.stages import inspect
from forge_batch.stages.inspect import Params, stage
from tests.asset_defects import (
    DEFECTS,
    RIG_DEFECTS,
    bones,
    flip_one,
    leaning,
    scaled,
    shrunk,
    wishing,
    with_faces,
    with_mesh,
)
from tests.figures import human

RADIUS = 0.5
TEXELS = 512


def _ball(cells: int, gap: float = 16.0 / TEXELS) -> Mesh:
    """A ball of 1 m standing on the origin: six sides of a cube, each a chart of its own in a 3 x 2 page."""
    angle = np.linspace(-np.pi / 4, np.pi / 4, cells + 1)
    a, b = np.meshgrid(np.tan(angle), np.tan(angle), indexing="ij")
    grid = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    quads = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    points, uvs, faces = [], [], []
    for side in range(6):
        axis, sign = side // 2, 1.0 - 2.0 * (side % 2)
        cube = np.stack([np.full_like(a, sign), a * sign, b], axis=-1).reshape(-1, 3)
        points.append(np.roll(cube, axis, axis=1))
        column, row = side % 3, side // 3
        u = (column + gap + (1 - 2 * gap) * (angle[:, None] / (np.pi / 2) + 0.5) + 0 * b) / 3
        v = (row + gap + (1 - 2 * gap) * (0.5 - angle[None, :] / (np.pi / 2)) + 0 * a) / 2
        uvs.append(np.stack([u, v], axis=-1).reshape(-1, 2))
        faces.append(triangles + side * (cells + 1) ** 2)
    unit = np.concatenate(points)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).round(6).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    vertices = (unit * RADIUS + [0, RADIUS, 0]).astype(np.float32).round(6) + np.float32(0)
    return Mesh(vertices, np.concatenate(faces).astype(np.int32), np.concatenate(uvs).astype(np.float32), unit)


MANIFEST_OF_BALL: dict[str, Any] = {
    "decimate": {"enabled": True, "triangles": 7000},
    "place": {"height_cm": 100.0, "pivot": "bottom_center", "yaw_degrees": 0.0},
    "repair": {"enabled": True, "open": False},
    "symmetrize": {"mode": "off"},
    "unwrap": {"texture_size": 512, "padding": 8, "texel_density": None},
    "bake_normal": {"enabled": True, "cage": 0.02},
    "build_collision": {"enabled": True, "method": "convex_decomposition", "max_hulls": 16, "max_vertices": 32},
}


@pytest.fixture(scope="module")
def sound() -> Finished:
    """A ball, twice as fine as its LOD0, with exact maps, and a picture of its front."""
    fine = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    points = (fine.vertices + np.array([0, RADIUS, 0])).astype(np.float32)
    high = Mesh(points, fine.faces.astype(np.int32), normals=(fine.vertices / RADIUS).astype(np.float32))
    count = len(points)
    grey, one = np.full((count, 3), 0.3, np.float32), np.ones(count, np.float32)
    bounds = np.stack([points.min(axis=0), points.max(axis=0)])
    cutout = np.zeros((256, 256, 4), np.uint8)
    cutout[..., 3] = 255 * silhouette(points, high.faces, 0.0, 0.0, 256, bounds)
    metre = 128 / frame_view(bounds, 0.0, 0.0).half  # pixels
    front = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, RADIUS], [0.0, 0.0, -1.0, 2.0]])
    camera = Camera(front, np.array([metre, metre]), np.array([128.0, 128.0]), (256, 256), True)
    projection = Projection(np.ascontiguousarray(cutout[..., :3]), camera, 0 * one)
    noise = np.random.default_rng(5).integers(100, 160, (TEXELS, TEXELS, 1)).astype(np.uint8)
    levels = [split_by_tangent(_ball(cells)) for cells in (24, 17, 12)]
    orm = np.broadcast_to(np.array([255, 150, 0], np.uint8), (TEXELS, TEXELS, 3)).copy()
    return Finished(
        mesh=levels[0],
        source=SourceMesh(high, grey, 0 * one, 0.6 * one, one, (projection,)),
        lods=levels,
        screen_sizes=[1.0, 0.3, 0.1],
        hulls=[_hull()],
        maps={
            "normal_map": np.broadcast_to(np.array([32768, 32768, 65535], np.uint16), (TEXELS, TEXELS, 3)).copy(),
            "normal_error_map": np.zeros((TEXELS, TEXELS), np.uint8),
            "base_color_map": np.repeat(noise, 3, axis=2),
            "orm_map": orm,
            "occlusion_map": np.ascontiguousarray(orm[..., 0]),
        },
        cutouts={"front": cutout},
        manifest=MANIFEST_OF_BALL,
    )


def _hull(scale: float = 1.0) -> Mesh:
    """An icosahedron round the ball, or one of another size about the same middle."""
    shape = trimesh.creation.icosphere(subdivisions=0, radius=RADIUS * 1.2 * scale)
    return Mesh((shape.vertices + np.array([0, RADIUS, 0])).astype(np.float32), shape.faces.astype(np.int32))


def _context(asset: Finished, folder: Path, params: Params, rig: Rig | None = None) -> StageContext[Params]:
    folder.mkdir(exist_ok=True, parents=True)
    save_mesh(folder / MESH.filename, asset.mesh)
    save_source(folder / SOURCE_MESH.filename, asset.source)
    levels = {f"lod{level}": lod for level, lod in enumerate(asset.lods)}
    save_meshes(folder / LODS.filename, levels, {"screen_sizes": asset.screen_sizes})
    save_meshes(folder / HULLS.filename, {f"hull{number:02}": hull for number, hull in enumerate(asset.hulls)})
    for slot in (NORMAL_MAP, NORMAL_ERROR_MAP, BASE_COLOR_MAP, ORM_MAP, OCCLUSION_MAP):
        write_png(folder / slot.filename, asset.maps[slot.name])
    save_arrays(folder / CUTOUTS.filename, dict(asset.cutouts))
    (folder / MANIFEST.filename).write_text(yaml.safe_dump(dict(asset.manifest)))
    inputs = {slot.name: folder / slot.filename for slot in stage.inputs if slot.name != RIG.name}
    if rig:
        save_rig(folder / RIG.filename, rig)
        inputs[RIG.name] = folder / RIG.filename
    return StageContext("ball", params, 0, {}, inputs, folder)


def _results(asset: Finished, folder: Path, rig: Rig | None = None) -> dict[str, dict[str, Any]]:
    stage.run(_context(asset, folder, Params(strict=False), rig))
    return {gate["name"]: gate for gate in json.loads((folder / GATES.filename).read_text())}


def test_a_sound_asset_passes_every_gate(sound: Finished, tmp_path: Path) -> None:
    """Nothing fails, nothing is warned of, and only what the asset has not is left untested; twice gives the same bytes."""
    gates = _results(sound, tmp_path)
    assert {name: (gate["value"], gate["limit"]) for name, gate in gates.items() if gate["result"] in {"warn", "fail"}} == {}
    assert {name for name, gate in gates.items() if gate["result"] == "not_tested"} == {"density_error", "normal_map_green"}
    assert list(gates) == [name for name in LIMITS if name not in RIG_GATES]
    first = (tmp_path / GATES.filename).read_bytes()
    stage.run(_context(sound, tmp_path, Params()))
    assert (tmp_path / GATES.filename).read_bytes() == first


@pytest.fixture(scope="module")
def group_of(sound: Finished) -> dict[str, Callable[[Finished], Values]]:
    """Which group measures a gate: a defect needs only that one to be run."""
    return {name: measure for measure in GROUPS for name in measure(sound)}


BY_NAME = {defect.name: defect for defect in DEFECTS}


@pytest.mark.parametrize("defect", BY_NAME)
def test_a_planted_defect_is_found(defect: str, sound: Finished, group_of: dict[str, Callable[[Finished], Values]]) -> None:
    """Each defect breaks the gate that is there for it; that the sound asset passes it is the test above."""
    planted = BY_NAME[defect]
    measured = group_of[planted.gate](planted.plant(sound))[planted.gate]
    assert judge(planted.gate, measured).result == planted.result


def test_a_strict_manifest_refuses_with_every_number(sound: Finished, tmp_path: Path) -> None:
    """The message lists each failed gate with value, limit and meaning in one line; the gates file is there all the same."""
    spoilt = wishing(flip_one(sound), "place", height_cm=103.0)
    with pytest.raises(GateFailed) as caught:
        stage.run(_context(spoilt, tmp_path, Params()))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("2 quality gates failed: winding is 3, allowed at most 0 edges (edges whose two faces disagree")
    assert "height is 2.91262, allowed at most 1 % (height against place.height_cm)" in line
    assert "inspect.strict: false" in caught.value.hint
    assert len(json.loads((tmp_path / GATES.filename).read_text())) == len(LIMITS) - len(RIG_GATES)


def test_a_manifest_may_move_a_limit(sound: Finished, tmp_path: Path) -> None:
    """The same hole passes where the manifest allows three open edges."""
    spoilt = with_faces(sound, lambda faces: np.delete(faces, 100, axis=0))
    metrics = stage.run(_context(spoilt, tmp_path, Params(limits={"watertight": 3})))
    assert metrics["failed"] == []


def test_an_unknown_limit_is_refused() -> None:
    """A misspelt gate is an error that lists the gates."""
    with pytest.raises(ValidationError, match=r'no gate "watertigth"; did you mean "watertight"[?] gates: budget, watertight'):
        Params(limits={"watertigth": 3})


def test_a_surface_declared_open_may_be_open(sound: Finished, tmp_path: Path) -> None:
    """With repair.open the hole is reported and passes, and what needs a closed surface is not tested."""
    spoilt = wishing(with_faces(sound, lambda faces: np.delete(faces, 100, axis=0)), "repair", open=True)
    gates = _results(spoilt, tmp_path)
    assert (gates["watertight"]["value"], gates["watertight"]["result"]) == (3, "pass")
    assert gates["inverted_parts"]["result"] == gates["collision_volume"]["result"] == "not_tested"


def test_an_asset_without_extras_is_judged_on_what_it_has(sound: Finished, tmp_path: Path) -> None:
    """Without LODs, hulls and maps those gates are not tested, which is not called passed."""
    context = _context(sound, tmp_path, Params())
    needed = {slot.name for slot in stage.inputs if slot.required}
    bare = replace(context, inputs={name: path for name, path in context.inputs.items() if name in needed})
    stage.run(bare)
    gates = {gate["name"]: gate["result"] for gate in json.loads((tmp_path / GATES.filename).read_text())}
    untested = {"lod1_pixels", "silhouette_lod2", "collision_hulls", "normal_map_mean", "occlusion_present", "texture_sizes"}
    assert {gates[name] for name in untested} == {"not_tested"}
    assert gates["silhouette_lod0"] == gates["watertight"] == gates["uv_overlap"] == "pass"


def test_a_rough_hull_on_purpose_only_reports_its_volume(sound: Finished, tmp_path: Path) -> None:
    """A box round the ball has 1.9 times its volume, and passes where the manifest asks for a box."""
    box = trimesh.creation.box(extents=(1, 1, 1))
    hull = Mesh((box.vertices + np.array([0, 0.5, 0])).astype(np.float32), box.faces.astype(np.int32))
    boxed = replace(sound, hulls=[hull])
    assert _results(boxed, tmp_path)["collision_volume"]["result"] == "warn"
    gate = _results(wishing(boxed, "build_collision", method="box"), tmp_path)["collision_volume"]
    assert gate["result"] == "pass"
    assert gate["value"] == pytest.approx(6 / np.pi, rel=0.01)


def test_a_sound_rig_passes_its_gates(sound: Finished, tmp_path: Path) -> None:
    """With a rig its gates are judged too; the walk is not tested on what has no limbs."""
    gates = _results(sound, tmp_path, bones(sound.mesh))
    assert list(gates) == list(LIMITS)
    found = {name: (gates[name]["value"], gates[name]["result"]) for name in RIG_GATES}
    assert found == {
        "rig_joints": (3, "pass"),
        "rig_roots": (1, "pass"),
        "rig_names": (0, "pass"),
        "rig_weights": (0, "pass"),
        "rig_influences": (2, "pass"),
        "rig_leaf_bones": (0, "pass"),
        "rig_stretch": (None, "not_tested"),
    }


@pytest.mark.parametrize("gate", [gate for gate in RIG_DEFECTS if gate != "rig_stretch"])
def test_a_spoilt_rig_is_found(gate: str, sound: Finished) -> None:
    """A lone joint, a second root, an unknown name, lost weight, nine influences and an idle joint are each found."""
    spoil, result = RIG_DEFECTS[gate]
    rig = spoil(bones(sound.mesh))
    values = measure_skeleton(sound, rig, sound.mesh, mannequin_names(rig.names).unmatched)
    assert judge(gate, values[gate]).result == result


def test_influences_that_packing_cuts_only_warn(sound: Finished, tmp_path: Path) -> None:
    """More influences than asked for are no failure before packing: the package keeps the strongest."""
    gate = _results(sound, tmp_path, RIG_DEFECTS["rig_influences"][0](bones(sound.mesh)))["rig_influences"]
    assert (gate["value"], gate["result"]) == (9, "warn")


def test_skin_that_follows_the_wrong_leg_is_found() -> None:
    """Of a person's skin p99 stretches by less than 1.4 in a walk; bound to the other side's joints, it fails."""
    mesh = human()[0]
    rig = make_rig(mesh, lambda *_: None).rig
    asset = Finished(mesh, manifest={"kind": "character"})
    found = [measure_skeleton(asset, one, mesh, [])["rig_stretch"] for one in (rig, RIG_DEFECTS["rig_stretch"][0](rig))]
    assert [judge("rig_stretch", one).result for one in found] == ["pass", "fail"]
    assert found[0].value < 1.4


def test_a_manifest_says_how_many_influences_may_be_packed(sound: Finished) -> None:
    """Two joints that move a vertex fail where the manifest asks for one."""
    asset = wishing(sound, "export", influences=1)
    assert (
        judge("rig_influences", measure_skeleton(asset, bones(sound.mesh), sound.mesh, [])["rig_influences"]).result == "fail"
    )


def test_green_that_is_right_passes(sound: Finished, tmp_path: Path, group_of: dict[str, Callable[[Finished], Values]]) -> None:
    """A map that leans as the source does passes, and by as much as the other convention would be wrong."""
    asset = inspect.load(_context(leaning(sound, 1.0), tmp_path, Params()))
    gate = judge("normal_map_green", group_of["normal_map_green"](asset)["normal_map_green"])
    assert gate.result == "pass"
    assert gate.value == pytest.approx(-2 * np.degrees(np.arctan(0.1)), abs=0.5)


def test_every_gate_has_a_planted_defect() -> None:
    """What can fail is seen to fail, and what fails or warns by its limit's own word is asked to."""
    assert {defect.gate for defect in DEFECTS} | set(RIG_DEFECTS) == set(LIMITS)
    softer = {"front_axis"}  # a failure only where another heading fits better
    assert {d.gate for d in DEFECTS if d.result != LIMITS[d.gate].breach} == softer


def test_a_thing_that_looks_aside_fails_and_one_of_another_shape_warns(sound: Finished) -> None:
    """A board turned by a quarter fails with the turn that would be right; a ball that no heading makes a board warns."""
    board = _boxed(sound, (1.0, 1.0, 0.2))
    seen = silhouette(board.mesh.vertices, board.mesh.faces, 90.0, 0.0, 256, _bounds(board.mesh))
    aside = replace(board, cutouts={"front": np.dstack([np.zeros((256, 256, 3), np.uint8), 255 * seen.astype(np.uint8)])})
    gate = judge("front_axis", measure_placement(aside)["front_axis"])
    assert gate.result == "fail"
    assert re.search(r"turned by (90|270) degrees it would be (1\.000|0\.9[89])", gate.note)
    ball = replace(sound, cutouts={"front": _cross()})
    assert judge("front_axis", measure_placement(ball)["front_axis"]).result == "warn"


def _cross() -> np.ndarray:
    cutout = np.zeros((256, 256, 4), np.uint8)
    cutout[120:136, 28:228, 3] = cutout[28:228, 120:136, 3] = 255
    return cutout


def _bounds(mesh: Mesh) -> np.ndarray:
    return np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])


def _boxed(asset: Finished, size: tuple[float, float, float]) -> Finished:
    """Give the ball's asset another shape: wider than deep, so that its box's outline tells its heading."""
    return with_mesh(replace(asset, cutouts={}), _leaf_shaped(scaled(asset.mesh, size)))


def _leaf_shaped(mesh: Mesh) -> Mesh:
    """Cut half of the width away above the middle, so that the outline is no ellipse from the front alone."""
    points = mesh.vertices.copy()
    above = points[:, 1] > 0.5
    points[above, 0] = np.minimum(points[above, 0], 0.0)
    return replace(mesh, vertices=points)


def test_a_kind_has_bounds_of_its_own(sound: Finished, tmp_path: Path) -> None:
    """An outline that fails a prop passes what stands ten metres away; a preset's or manifest's word goes before both."""
    asset = inspect.load(_context(shrunk(sound, 1), tmp_path, Params()))
    measured = Measured(0.98)
    assert judge("silhouette_lod1", measured).result == "fail"
    assert judge("silhouette_lod1", measured, kind="environment").result == "pass"
    assert judge("silhouette_lod1", measured, {"silhouette_lod1": 0.99}, "environment").result == "fail"
    assert asset.kind == "prop"
    assert {gate for bounds in KIND_BOUNDS.values() for gate in bounds} <= set(LIMITS)


RED = (
    "a hole",
    "a flipped face",
    "a fin",
    "all faces inwards",
    "a floater",
    "a shell inside",
    "an open LOD",
    "overlapping charts",
    "crowded charts",
    "a mirrored chart",
    "a LOD whose charts overlap",
    "a base colour without padding",
    "an ORM map without padding",
    "a hull beside",
    "backward normals",
    "another thing in the front picture",
    "a source that shrank",
)
"""Defects that their gate's picture marks in red, or blue where something is missing."""


def _marks(png: bytes | None) -> int:
    """Count the pixels of the colours that mark what is wrong: red, and the blue of what is missing."""
    assert png is not None
    assert len(png) <= 200_000
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int), 2, 0)
    return int(((red > 130) & (green < red / 2) & (blue < red / 2) | (blue > 200) & (red < 100)).sum())


@pytest.mark.parametrize("defect", RED)
def test_a_picture_shows_where_a_defect_is(defect: str, sound: Finished) -> None:
    """What marks the defect in colour marks little in the sound asset, and the same defect gives the same bytes."""
    planted = BY_NAME[defect]
    spoilt = planted.plant(sound)
    png = draw_gate(planted.gate, spoilt, planted.gate)
    assert _marks(png) > 10 + 5 * _marks(draw_gate(planted.gate, sound, planted.gate))
    assert png == draw_gate(planted.gate, spoilt, planted.gate)


def test_every_picture_can_be_drawn(sound: Finished) -> None:
    """Each of the table makes a small PNG of an asset that has everything, and of one that has nothing makes none or one."""
    maps = {name: sound.maps[name] for name in ("base_color_map", "orm_map")}
    bare = Finished(sound.mesh, maps=maps)
    assert set(PICTURES) <= set(LIMITS)
    drawn = {BY_NAME[defect].gate for defect in RED}
    for gate in {draw: gate for gate, draw in PICTURES.items() if gate not in drawn}.values():
        assert _marks(draw_gate(gate, sound, gate)) >= 0
    for gate in ("silhouette_lod0", "surface_deviation", "normal_map_mean", "input_agreement", "front_axis"):
        assert draw_gate(gate, bare, gate) is None


def test_a_refused_asset_leaves_its_pictures(sound: Finished, tmp_path: Path) -> None:
    """The gate's record names the picture beside it; gates that pass have none."""
    with pytest.raises(GateFailed):
        stage.run(_context(flip_one(sound), tmp_path, Params()))
    gates = {gate["name"]: gate["picture"] for gate in json.loads((tmp_path / GATES.filename).read_text())}
    assert gates["winding"] == "failed_winding.png"
    assert (tmp_path / "failed_winding.png").is_file()
    assert gates["watertight"] == ""


def test_a_preset_has_limits_and_a_manifest_moves_some(tmp_path: Path) -> None:
    """What a preset limits stays beside what the manifest adds, and gives way where both speak of a gate."""
    (tmp_path / "presets").mkdir()
    mine = "forge: 1\nextends: prop_UE5_hero\ninspect: {limits: {thin_charts: 50, height: 2}}\n"
    (tmp_path / "presets" / "mine.yaml").write_text(mine)
    asked = "forge: 1\nasset: thing\npreset: mine\nplace: {height_cm: 9}\ninspect: {limits: {height: 3}}\n"
    limits = parse_manifest(asked, tmp_path, "thing.yaml").resolved()["inspect"]["limits"]
    assert limits == {"surface_deviation": 0.15, "thin_charts": 50, "height": 3}
