"""Plant defects in a sound asset and see that each is found, and that the sound one passes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from forge_batch.errors import GateFailed
from forge_batch.gates import judge
from forge_batch.manifest import parse_manifest
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.gate_limits import KIND_BOUNDS, LIMITS, MASK_GATES, RIG_GATES
from forge_batch.ops.gate_pictures import PICTURES, draw_gate
from forge_batch.ops.image_file import write_png
from forge_batch.ops.measure_asset import GROUPS
from forge_batch.ops.mesh import Mesh, save_arrays, save_mesh, save_meshes
from forge_batch.ops.rig import Rig, save_rig
from forge_batch.ops.source import SourceMesh, save_source
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.ops.zbuffer import see, silhouette
from forge_batch.stage import StageContext
from forge_batch.stages import inspect
from forge_batch.stages.inspect import Params, stage

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


def _hull(subdivisions: int = 0) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=RADIUS * 1.2)
    return Mesh((shape.vertices + np.array([0, RADIUS, 0])).astype(np.float32), shape.faces.astype(np.int32))


@dataclass
class Asset:
    """Everything inspect reads, to be spoilt by a test."""

    mesh: Mesh
    source: SourceMesh
    lods: dict[str, Mesh]
    hulls: dict[str, Mesh]
    normal: np.ndarray
    error: np.ndarray
    base_color: np.ndarray
    orm: np.ndarray
    cutout: np.ndarray
    rig: Rig | None = None
    screen_sizes: list[float] = field(default_factory=lambda: [1.0, 0.3, 0.1])
    manifest: dict[str, Any] = field(
        default_factory=lambda: {
            "decimate": {"enabled": True, "triangles": 7000},
            "place": {"height_cm": 100.0, "pivot": "bottom_center", "yaw_degrees": 0.0},
            "repair": {"enabled": True, "open": False},
            "symmetrize": {"mode": "off"},
            "unwrap": {"texture_size": 512, "padding": 8, "texel_density": None},
            "bake_normal": {"enabled": True, "cage": 0.02},
            "build_collision": {"enabled": True, "method": "convex_decomposition", "max_hulls": 16, "max_vertices": 32},
        }
    )


@pytest.fixture(scope="module")
def sound() -> Asset:
    """A ball, twice as fine as its LOD0, with exact maps."""
    fine = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    points = (fine.vertices + np.array([0, RADIUS, 0])).astype(np.float32)
    high = Mesh(points, fine.faces.astype(np.int32), normals=(fine.vertices / RADIUS).astype(np.float32))
    count = len(points)
    grey, one = np.full((count, 3), 0.3, np.float32), np.ones(count, np.float32)
    levels = {f"lod{k}": split_by_tangent(_ball(cells)) for k, cells in enumerate((24, 17, 12))}
    bounds = np.stack([points.min(axis=0), points.max(axis=0)])
    cutout = np.zeros((256, 256, 4), np.uint8)
    cutout[..., 3] = 255 * silhouette(points, high.faces, 0.0, 0.0, 256, bounds)
    noise = np.random.default_rng(5).integers(100, 160, (TEXELS, TEXELS, 1)).astype(np.uint8)
    return Asset(
        mesh=levels["lod0"],
        source=SourceMesh(high, grey, 0 * one, 0.6 * one, one),
        lods=levels,
        hulls={"hull00": _hull()},
        normal=np.broadcast_to(np.array([32768, 32768, 65535], np.uint16), (TEXELS, TEXELS, 3)).copy(),
        error=np.zeros((TEXELS, TEXELS), np.uint8),
        base_color=np.repeat(noise, 3, axis=2),
        orm=np.broadcast_to(np.array([255, 150, 0], np.uint8), (TEXELS, TEXELS, 3)).copy(),
        cutout=cutout,
    )


def _context(asset: Asset, folder: Path, params: Params) -> StageContext[Params]:
    folder.mkdir(exist_ok=True, parents=True)
    save_mesh(folder / MESH.filename, asset.mesh)
    save_source(folder / SOURCE_MESH.filename, asset.source)
    save_meshes(folder / LODS.filename, {**asset.lods, "lod0": asset.mesh}, {"screen_sizes": asset.screen_sizes})
    save_meshes(folder / HULLS.filename, asset.hulls)
    write_png(folder / NORMAL_MAP.filename, asset.normal)
    write_png(folder / NORMAL_ERROR_MAP.filename, asset.error)
    write_png(folder / BASE_COLOR_MAP.filename, asset.base_color)
    write_png(folder / ORM_MAP.filename, asset.orm)
    write_png(folder / OCCLUSION_MAP.filename, np.ascontiguousarray(asset.orm[..., 0]))
    save_arrays(folder / CUTOUTS.filename, {"front": asset.cutout})
    (folder / MANIFEST.filename).write_text(yaml.safe_dump(asset.manifest))
    inputs = {slot.name: folder / slot.filename for slot in stage.inputs if slot.name != RIG.name}
    if asset.rig:
        save_rig(folder / RIG.filename, asset.rig)
        inputs[RIG.name] = folder / RIG.filename
    return StageContext("ball", params, 0, {}, inputs, folder)


def _results(asset: Asset, folder: Path) -> dict[str, dict[str, Any]]:
    stage.run(_context(asset, folder, Params(strict=False)))
    return {gate["name"]: gate for gate in json.loads((folder / GATES.filename).read_text())}


def test_a_sound_asset_passes_every_gate(sound: Asset, tmp_path: Path) -> None:
    """Nothing fails, nothing is warned of, and only what the asset has not is left untested; twice gives the same bytes."""
    gates = _results(sound, tmp_path)
    assert {name: (gate["value"], gate["limit"]) for name, gate in gates.items() if gate["result"] in {"warn", "fail"}} == {}
    assert {name for name, gate in gates.items() if gate["result"] == "not_tested"} == {
        "density_error",
        "input_agreement",
        "normal_map_green",
    }
    assert list(gates) == [name for name in LIMITS if name not in RIG_GATES | MASK_GATES]
    first = (tmp_path / GATES.filename).read_bytes()
    stage.run(_context(sound, tmp_path, Params()))
    assert (tmp_path / GATES.filename).read_bytes() == first


def _faces(asset: Asset, faces: np.ndarray) -> Asset:
    return replace(asset, mesh=replace(asset.mesh, faces=faces.astype(np.int32)))


def _flip_one(asset: Asset) -> Asset:
    faces = asset.mesh.faces.copy()
    faces[100] = faces[100, ::-1]
    return _faces(asset, faces)


def _added(asset: Asset, corners: np.ndarray) -> Asset:
    """Add the faces of a triangle soup (n, 3, 3), each in a free place of the atlas."""
    mesh, count = asset.mesh, len(corners) * 3
    start = len(mesh.vertices)
    uv = np.tile(np.float32([[0.001, 0.001], [0.003, 0.001], [0.001, 0.003]]), (len(corners), 1))
    grown = Mesh(
        np.concatenate([mesh.vertices, corners.reshape(-1, 3).astype(np.float32)]),
        np.concatenate([mesh.faces, np.arange(start, start + count, dtype=np.int32).reshape(-1, 3)]),
        np.concatenate([mesh.uv, uv]),
        np.concatenate([mesh.normals, np.tile(np.float32([0, 1, 0]), (count, 1))]),
        np.concatenate([mesh.tangents, np.tile(np.float32([1, 0, 0, 1]), (count, 1))]),
    )
    return replace(asset, mesh=grown)


def _fin(asset: Asset) -> Asset:
    a, b = asset.mesh.vertices[asset.mesh.faces[50, :2]]
    return _added(asset, np.stack([a, b, a + np.float32([0, 0, 0.1])])[None])


def _small_part(asset: Asset, size: float) -> Asset:
    tetra = trimesh.creation.icosahedron()
    return _added(asset, tetra.vertices[tetra.faces] * size + [0.8, 0.5, 0.0])


def _moved(asset: Asset, offset: tuple[float, float, float]) -> Asset:
    shift = np.float32(offset)
    high = replace(asset.source.mesh, vertices=asset.source.mesh.vertices + shift)
    return replace(
        asset,
        mesh=replace(asset.mesh, vertices=asset.mesh.vertices + shift),
        lods={name: replace(lod, vertices=lod.vertices + shift) for name, lod in asset.lods.items()},
        source=replace(asset.source, mesh=high),
    )


def _wishing(asset: Asset, section: str, **fields: object) -> Asset:
    return replace(asset, manifest={**asset.manifest, section: {**asset.manifest[section], **fields}})


def _uv(asset: Asset, change: Callable[[np.ndarray], None]) -> Asset:
    uv = asset.mesh.uv.copy()
    change(uv)
    return replace(asset, mesh=replace(asset.mesh, uv=uv))


def _overlap(uv: np.ndarray) -> None:
    inside = (uv[:, 0] > 1 / 3) & (uv[:, 0] < 2 / 3) & (uv[:, 1] < 0.5)
    uv[inside, 0] -= 1 / 6


def _crowd(uv: np.ndarray) -> None:
    uv[(uv[:, 0] < 1 / 3) & (uv[:, 1] < 0.5), 0] += np.float32(19 / TEXELS / 3 * 1.0 + 3 / TEXELS)


def _collapse_uv(asset: Asset) -> Asset:
    face = asset.mesh.faces[300]
    return _uv(asset, lambda uv: uv.__setitem__(face[0], uv[face[1]]))


def _tilted(asset: Asset, degrees: float) -> Asset:
    normal = np.array([np.sin(np.radians(degrees)), 0.0, np.cos(np.radians(degrees))])
    return replace(asset, normal=np.broadcast_to(np.rint((normal + 1) * 32767.5).astype(np.uint16), asset.normal.shape).copy())


def _sliver(asset: Asset) -> Asset:
    points = asset.mesh.vertices.copy()
    face = asset.mesh.faces[300]
    points[(points == points[face[0]]).all(axis=1)] = points[face[1]]
    return replace(asset, mesh=replace(asset.mesh, vertices=points))


def _dented(asset: Asset) -> Asset:
    hull = _hull(1)
    points = hull.vertices.copy()
    points[0] = points[0] * 0.5 + np.float32([0, RADIUS, 0]) * 0.5
    return replace(asset, hulls={"hull00": replace(hull, vertices=points)})


def _scaled_hull(scale: float) -> Mesh:
    hull = _hull()
    middle = np.float32([0, RADIUS, 0])
    return replace(hull, vertices=(hull.vertices - middle) * np.float32(scale) + middle)


def _inner_ball(asset: Asset) -> Asset:
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.2)
    return _added(asset, ball.vertices[ball.faces] + [0.0, RADIUS, 0.0])


def _shrunk(asset: Asset, name: str) -> Asset:
    lod = asset.lods[name]
    smaller = replace(lod, vertices=(lod.vertices - np.float32([0, 0.5, 0])) * np.float32(0.95) + np.float32([0, 0.5, 0]))
    return replace(asset, lods={**asset.lods, name: smaller})


def _gradient(size: int) -> np.ndarray:
    """Make an 8-bit map (size, size, 3) that differs from column to column."""
    return np.tile(np.arange(size, dtype=np.uint8)[None, :, None], (size, 1, 3))


def _painted(asset: Asset) -> Asset:
    """Base color bright where the page's third row of cube sides looks up: the side on +Y white, that on -Y dark."""
    color = asset.base_color.copy()
    color[: TEXELS // 2, 2 * TEXELS // 3 :] = 230
    color[TEXELS // 2 :, : TEXELS // 3] = 40
    return replace(asset, base_color=color)


def _mirrored_chart(asset: Asset) -> Asset:
    def mirror(uv: np.ndarray) -> None:
        inside = (uv[:, 0] < 1 / 3) & (uv[:, 1] < 0.5)
        uv[inside, 0] = np.float32(1 / 3) - uv[inside, 0]

    return _uv(asset, mirror)


def _crossed_lod(asset: Asset) -> Asset:
    lod = asset.lods["lod1"]
    uv = lod.uv.copy()
    _overlap(uv)
    return replace(asset, lods={**asset.lods, "lod1": replace(lod, uv=uv)})


def _texel_faces(mesh: Mesh) -> np.ndarray:
    """Give the face that covers each texel, -1 for none."""
    flat = np.column_stack([mesh.uv.astype(np.float64) * TEXELS, np.zeros(len(mesh.uv))])
    return see(flat, mesh.faces, TEXELS, cull=False).face


def _black_ground(asset: Asset) -> Asset:
    color = asset.base_color.copy()
    color[_texel_faces(asset.mesh) < 0] = 0
    return replace(asset, base_color=color)


def _plain_back(asset: Asset) -> Asset:
    face = _texel_faces(asset.mesh)
    behind = asset.mesh.normals[asset.mesh.faces[:, 0], 2] < 0
    color = asset.base_color.copy()
    color[(face >= 0) & behind[face]] = 130
    return replace(asset, base_color=color)


def _leaning(asset: Asset, green: float) -> Asset:
    """The source's normals lean towards the bitangent of LOD0, and the map says `green` of that."""
    mesh = asset.mesh
    lean = np.cross(mesh.normals, mesh.tangents[:, :3]) * np.sign(mesh.tangents[:, 3:])
    normals = mesh.normals + np.float32(0.1) * lean
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    one = np.ones(len(normals), np.float32)
    source = SourceMesh(replace(mesh, normals=normals.astype(np.float32)), np.tile(one[:, None], 3), 0 * one, one, one)
    stored = np.array([0.0, green * np.sin(np.arctan(0.1)), np.cos(np.arctan(0.1))])
    normal = np.broadcast_to(np.rint((stored + 1) * 32767.5).astype(np.uint16), asset.normal.shape).copy()
    return replace(asset, source=source, normal=normal)


def _one_colour(asset: Asset) -> Asset:
    spread = np.random.default_rng(1).uniform(0, 1, asset.source.base_color.shape).astype(np.float32)
    return replace(asset, source=replace(asset.source, base_color=spread), base_color=np.full_like(asset.base_color, 120))


DEFECTS: dict[str, tuple[Callable[[Asset], Asset], str, str]] = {
    "a hole": (lambda a: _faces(a, np.delete(a.mesh.faces, 100, axis=0)), "watertight", "fail"),
    "a flipped face": (_flip_one, "winding", "fail"),
    "a fin": (_fin, "manifold", "fail"),
    "all faces inwards": (lambda a: _faces(a, a.mesh.faces[:, ::-1]), "inverted_parts", "fail"),
    "a sliver": (_sliver, "degenerate_faces", "fail"),
    "a floater": (lambda a: _small_part(a, 0.005), "floaters", "fail"),
    "too many triangles": (lambda a: _wishing(a, "decimate", triangles=6000), "budget", "fail"),
    "overlapping charts": (lambda a: _uv(a, _overlap), "uv_overlap", "fail"),
    "crowded charts": (lambda a: _uv(a, _crowd), "padding", "fail"),
    "a face without uv area": (_collapse_uv, "degenerate_uv", "fail"),
    "a chart at another density": (
        lambda a: _uv(a, lambda uv: uv.__imul__(np.where(uv[:, :1] < 1 / 3, 0.4, 1.0))),
        "density_variation",
        "warn",
    ),
    "half the density asked for": (lambda a: _wishing(a, "unwrap", texel_density=1000.0), "density_error", "warn"),
    "a wrong height": (lambda a: _wishing(a, "place", height_cm=103.0), "height", "fail"),
    "a wrong pivot": (lambda a: _moved(a, (0.0, 0.02, 0.0)), "pivot", "fail"),
    "a pivot beside": (lambda a: _moved(a, (0.0, 0.0, -0.01)), "pivot", "fail"),
    "tilted normals": (lambda a: _tilted(a, 20.0), "normal_map_mean", "fail"),
    "some tilted normals": (lambda a: _tilted(a, 16.0), "normal_map_p95", "fail"),
    "normals that the map cannot show": (lambda a: replace(a, error=np.full_like(a.error, 60)), "normal_map_lost", "warn"),
    "backward normals": (lambda a: _tilted(a, 120.0), "normal_map_backward", "fail"),
    "short normals": (
        lambda a: replace(a, normal=np.full_like(a.normal, 32768) + np.uint16([0, 0, 25000])),
        "normal_map_length",
        "fail",
    ),
    "no occlusion": (lambda a: replace(a, orm=a.orm * np.uint8([0, 1, 1])), "occlusion_present", "fail"),
    "an odd texture": (lambda a: replace(a, base_color=a.base_color[:500, :500].copy()), "texture_sizes", "fail"),
    "a smaller texture": (lambda a: replace(a, base_color=_gradient(256), orm=_gradient(128)), "texture_sizes", "fail"),
    "a black base color": (lambda a: replace(a, base_color=a.base_color // 8), "albedo_range", "warn"),
    "painted light": (_painted, "baked_light", "warn"),
    "a dented hull": (_dented, "collision_convexity", "fail"),
    "a rich hull": (lambda a: replace(a, hulls={"hull00": _hull(2)}), "collision_vertices", "fail"),
    "many hulls": (lambda a: replace(a, hulls={f"hull{k:02d}": _hull() for k in range(17)}), "collision_hulls", "fail"),
    "hulls of many triangles": (
        lambda a: replace(a, hulls={f"hull{k:02d}": _hull() for k in range(4)}),
        "collision_triangles",
        "fail",
    ),
    "a hull beside": (
        lambda a: replace(a, hulls={"hull00": replace(_hull(), vertices=_hull().vertices + 1)}),
        "collision_coverage",
        "warn",
    ),
    "a shrunk LOD1": (lambda a: _shrunk(a, "lod1"), "silhouette_lod1", "fail"),
    "a shrunk LOD1 at its switch": (lambda a: _shrunk(a, "lod1"), "lod1_pixels", "fail"),
    "a shrunk LOD2": (lambda a: _shrunk(a, "lod2"), "silhouette_lod2", "fail"),
    "another outline": (
        lambda a: replace(a, mesh=replace(a.mesh, vertices=a.mesh.vertices * np.float32([1.0, 1.0, 0.97]))),
        "silhouette_lod0",
        "fail",
    ),
    "a shell inside": (_inner_ball, "inner_shells", "warn"),
    "a shell that nobody sees": (_inner_ball, "hidden_surface", "warn"),
    "a mirrored chart": (_mirrored_chart, "uv_mirrored", "warn"),
    "a LOD whose charts overlap": (_crossed_lod, "lod_uv_overlap", "warn"),
    "a black ground": (_black_ground, "padding_fill", "fail"),
    "a normal map of the other convention": (lambda a: _leaning(a, -1.0), "normal_map_green", "fail"),
    "a plain back": (_plain_back, "back_detail", "warn"),
    "half metal": (lambda a: replace(a, orm=np.full_like(a.orm, 128)), "half_metal", "warn"),
    "a lost base color": (_one_colour, "constant_maps", "warn"),
    "hulls too small": (
        lambda a: replace(a, hulls={"hull00": _scaled_hull(0.7)}),
        "collision_volume_least",
        "warn",
    ),
    "hulls too large": (lambda a: replace(a, hulls={"hull00": _scaled_hull(1.3)}), "collision_volume", "warn"),
    "another surface": (
        lambda a: replace(a, mesh=replace(a.mesh, vertices=a.mesh.vertices * np.float32([1.0, 1.0, 0.97]))),
        "surface_deviation",
        "warn",
    ),
}


@pytest.fixture(scope="module")
def group_of(sound: Asset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Finished], Values]]:
    """Which group measures a gate: a defect needs only that one to be run."""
    asset = inspect._load(_context(sound, tmp_path_factory.mktemp("sound"), Params()))
    return {name: measure for measure in GROUPS for name in measure(asset)}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(
    defect: str, sound: Asset, tmp_path: Path, group_of: dict[str, Callable[[Finished], Values]]
) -> None:
    """Each defect breaks the gate that is there for it; that the sound asset passes it is the test above."""
    spoil, gate, result = DEFECTS[defect]
    asset = inspect._load(_context(spoil(sound), tmp_path, Params()))
    assert judge(gate, group_of[gate](asset)[gate], kind=asset.kind).result == result


def test_a_strict_manifest_refuses_with_every_number(sound: Asset, tmp_path: Path) -> None:
    """The message lists each failed gate with value, limit and meaning in one line; the gates file is there all the same."""
    spoilt = _wishing(_flip_one(sound), "place", height_cm=103.0)
    with pytest.raises(GateFailed) as caught:
        stage.run(_context(spoilt, tmp_path, Params()))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("2 quality gates failed: winding is 3, allowed at most 0 edges (edges whose two faces disagree")
    assert "height is 2.91262, allowed at most 1 % (height against place.height_cm)" in line
    assert "inspect.strict: false" in caught.value.hint
    assert len(json.loads((tmp_path / GATES.filename).read_text())) == len(LIMITS) - len(RIG_GATES | MASK_GATES)


def test_a_manifest_may_move_a_limit(sound: Asset, tmp_path: Path) -> None:
    """The same hole passes where the manifest allows three open edges."""
    spoilt = _faces(sound, np.delete(sound.mesh.faces, 100, axis=0))
    metrics = stage.run(_context(spoilt, tmp_path, Params(limits={"watertight": 3})))
    assert metrics["failed"] == []


def test_an_unknown_limit_is_refused() -> None:
    """A misspelt gate is an error that lists the gates."""
    with pytest.raises(ValidationError, match=r'no gate "watertigth"; did you mean "watertight"[?] gates: budget, watertight'):
        Params(limits={"watertigth": 3})


def test_a_surface_declared_open_may_be_open(sound: Asset, tmp_path: Path) -> None:
    """With repair.open the hole is reported and passes, and what needs a closed surface is not tested."""
    spoilt = _wishing(_faces(sound, np.delete(sound.mesh.faces, 100, axis=0)), "repair", open=True)
    gates = _results(spoilt, tmp_path)
    assert (gates["watertight"]["value"], gates["watertight"]["result"]) == (3, "pass")
    assert gates["inverted_parts"]["result"] == gates["collision_volume"]["result"] == "not_tested"


def test_an_asset_without_extras_is_judged_on_what_it_has(sound: Asset, tmp_path: Path) -> None:
    """Without LODs, hulls and maps those gates are not tested, which is not called passed."""
    context = _context(sound, tmp_path, Params())
    needed = {slot.name for slot in stage.inputs if slot.required}
    bare = replace(context, inputs={name: path for name, path in context.inputs.items() if name in needed})
    stage.run(bare)
    gates = {gate["name"]: gate["result"] for gate in json.loads((tmp_path / GATES.filename).read_text())}
    untested = {"lod1_pixels", "silhouette_lod2", "collision_hulls", "normal_map_mean", "occlusion_present", "texture_sizes"}
    assert {gates[name] for name in untested} == {"not_tested"}
    assert gates["silhouette_lod0"] == gates["watertight"] == gates["uv_overlap"] == "pass"


def test_a_rough_hull_on_purpose_only_reports_its_volume(sound: Asset, tmp_path: Path) -> None:
    """A box round the ball has 1.9 times its volume, and passes where the manifest asks for a box."""
    box = trimesh.creation.box(extents=(1, 1, 1))
    hull = Mesh((box.vertices + np.array([0, 0.5, 0])).astype(np.float32), box.faces.astype(np.int32))
    boxed = replace(sound, hulls={"hull00": hull})
    assert _results(boxed, tmp_path)["collision_volume"]["result"] == "warn"
    gate = _results(_wishing(boxed, "build_collision", method="box"), tmp_path)["collision_volume"]
    assert gate["result"] == "pass"
    assert gate["value"] == pytest.approx(6 / np.pi, rel=0.01)


@pytest.mark.parametrize(
    ("alpha", "left", "grey"),
    [(255, (100, "pass"), (0, "pass")), (0, (0, "fail"), (0, "pass")), (140, (100, "pass"), (100, "warn"))],
)
def test_holes_cut_by_alpha_are_judged(sound: Asset, tmp_path: Path, alpha: int, left: Any, grey: Any) -> None:
    """Clear all over nothing is left of it; half clear a mask cannot show it; the colour is judged as of an opaque one."""
    holed = replace(sound, base_color=np.dstack([sound.base_color, np.full((TEXELS, TEXELS), alpha, np.uint8)]))
    gates = _results(holed, tmp_path)
    assert (gates["mask_left"]["value"], gates["mask_left"]["result"]) == left
    assert (gates["mask_grey"]["value"], gates["mask_grey"]["result"]) == grey
    assert gates["albedo_range"]["result"] == gates["padding_fill"]["result"] == "pass"


def _bones(mesh: Mesh) -> Rig:
    """Bend a ball at its middle."""
    joints = np.array([[0, 0, 0], [0, 0.2, 0], [0, 0.6, 0]], np.float32)
    upper = np.clip(mesh.vertices[:, 1:2], 0, 1)
    weights = np.concatenate([1 - upper, upper], axis=1).astype(np.float32)
    influences = np.tile(np.array([[1, 2]], np.int32), (len(weights), 1))
    return Rig(["root", "pelvis", "head"], joints, np.array([-1, 0, 1], np.int32), influences, weights)


def test_a_sound_rig_passes_its_gates(sound: Asset, tmp_path: Path) -> None:
    """With a rig its gates are judged too; the walk is not tested on what has no limbs."""
    gates = _results(replace(sound, rig=_bones(sound.mesh)), tmp_path)
    assert list(gates) == [name for name in LIMITS if name not in MASK_GATES]
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


def test_a_spoilt_rig_is_found(sound: Asset, tmp_path: Path) -> None:
    """Weights that sum to less, one that is negative, a joint that moves nothing and too many influences are each counted."""
    rig = _bones(sound.mesh)
    weights = rig.weights.copy()
    weights[:3] *= np.float32(0.5)
    weights[5] = (1.5, -0.5)
    nine = np.tile(np.arange(9, dtype=np.int32) % 3, (len(weights), 1))
    gates = _results(replace(sound, rig=replace(rig, weights=weights)), tmp_path)
    assert (gates["rig_weights"]["value"], gates["rig_weights"]["result"]) == (4, "fail")
    many = replace(rig, influences=nine, weights=np.full(nine.shape, 1 / 9, np.float32))
    assert _results(replace(sound, rig=many), tmp_path)["rig_influences"]["result"] == "warn"
    two = replace(rig, names=["root", "tail_a", "head"], parents=np.array([-1, -1, 1], np.int32))
    gates = _results(replace(sound, rig=two), tmp_path)
    assert (gates["rig_roots"]["value"], gates["rig_roots"]["result"]) == (2, "fail")
    assert (gates["rig_names"]["value"], gates["rig_names"]["result"]) == (1, "warn")
    leaf = replace(rig, weights=np.tile(np.float32([1, 0]), (len(weights), 1)))
    gates = _results(replace(sound, rig=leaf), tmp_path)
    assert (gates["rig_leaf_bones"]["value"], gates["rig_leaf_bones"]["result"]) == (1, "warn")


def test_green_that_is_right_passes(sound: Asset, tmp_path: Path, group_of: dict[str, Callable[[Finished], Values]]) -> None:
    """A map that leans as the source does passes, and by as much as the other convention would be wrong."""
    asset = inspect._load(_context(_leaning(sound, 1.0), tmp_path, Params()))
    gate = judge("normal_map_green", group_of["normal_map_green"](asset)["normal_map_green"])
    assert gate.result == "pass"
    assert gate.value == pytest.approx(-2 * np.degrees(np.arctan(0.1)), abs=0.5)


def test_every_gate_has_a_planted_defect() -> None:
    """What can fail is seen to fail; the other tests of this file have the rest."""
    elsewhere = {"collision_convexity", "surface_deviation", "lod_watertight", "lod2_pixels", "atlas_use", "thin_charts"}
    elsewhere |= {"uv_stretch_mean", "uv_stretch_p95", "bake_misses", "front_axis", "input_agreement"}
    assert set(LIMITS) - RIG_GATES - MASK_GATES - {gate for _, gate, _ in DEFECTS.values()} <= elsewhere


def test_a_kind_has_bounds_of_its_own(sound: Asset, tmp_path: Path) -> None:
    """An outline that fails a prop passes what stands ten metres away; a preset's or manifest's word goes before both."""
    asset = inspect._load(_context(_shrunk(sound, "lod1"), tmp_path, Params()))
    measured = Measured(0.98)
    assert judge("silhouette_lod1", measured).result == "fail"
    assert judge("silhouette_lod1", measured, kind="environment").result == "pass"
    assert judge("silhouette_lod1", measured, {"silhouette_lod1": 0.99}, "environment").result == "fail"
    assert asset.kind == "prop"
    assert {gate for bounds in KIND_BOUNDS.values() for gate in bounds} <= set(LIMITS)


RED = {
    "a hole": "watertight",
    "a flipped face": "winding",
    "a fin": "manifold",
    "all faces inwards": "inverted_parts",
    "a floater": "floaters",
    "a shell inside": "inner_shells",
    "overlapping charts": "uv_overlap",
    "crowded charts": "padding",
    "a mirrored chart": "uv_mirrored",
    "a LOD whose charts overlap": "lod_uv_overlap",
    "a black ground": "padding_fill",
    "a hull beside": "collision_coverage",
}


def _red(png: bytes | None) -> int:
    """Count the pixels of the colour that marks defects."""
    assert png is not None
    assert len(png) <= 200_000
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int(((pixels[..., 0] > 130) & (pixels[..., 1] < pixels[..., 0] / 2) & (pixels[..., 2] < pixels[..., 0] / 2)).sum())


@pytest.mark.parametrize("defect", RED)
def test_a_picture_shows_where_a_defect_is(defect: str, sound: Asset, tmp_path: Path) -> None:
    """What marks the defect in red marks nothing in the sound asset, and the same defect gives the same bytes."""
    gate = RED[defect]
    clean = inspect._load(_context(sound, tmp_path / "sound", Params()))
    spoilt = inspect._load(_context(DEFECTS[defect][0](sound), tmp_path, Params()))
    png = draw_gate(gate, spoilt, gate)
    assert _red(png) > 10 + 5 * _red(draw_gate(gate, clean, gate))
    assert png == draw_gate(gate, spoilt, gate)


def test_every_picture_can_be_drawn(sound: Asset, tmp_path: Path) -> None:
    """Each of the table makes a small PNG of an asset that has everything, and of one that has nothing makes none or one."""
    whole = inspect._load(_context(sound, tmp_path, Params()))
    bare = Finished(whole.mesh, maps={"base_color_map": whole.maps["base_color_map"], "orm_map": whole.maps["orm_map"]})
    assert set(PICTURES) <= set(LIMITS)
    for gate in {draw: gate for gate, draw in PICTURES.items() if gate not in RED.values()}.values():
        assert _red(draw_gate(gate, whole, gate)) >= 0
    assert not any(draw_gate(gate, bare, gate) for gate in ("silhouette_lod0", "surface_deviation", "normal_map_mean"))


def test_a_refused_asset_leaves_its_pictures(sound: Asset, tmp_path: Path) -> None:
    """The gate's record names the picture beside it; gates that pass have none."""
    with pytest.raises(GateFailed):
        stage.run(_context(_flip_one(sound), tmp_path, Params()))
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
