"""Plant in a finished asset, of whatever shape, each defect that a gate is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import trimesh

from forge_batch.ops.finished import Finished
from forge_batch.ops.hulls import convex_hull, triangle_budget
from forge_batch.ops.measure_atlas import find_charts
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.zbuffer import see
from tests.broken.parts import inscribed_ball

Plant = Callable[[Finished], Finished]


@dataclass(frozen=True)
class Defect:
    """Be a way to spoil an asset, the gate that is there for it, and what that gate has to say at least."""

    name: str
    plant: Plant
    gate: str
    result: Literal["warn", "fail"]


def wishing(asset: Finished, section: str, **fields: object) -> Finished:
    """Change fields of the manifest."""
    return replace(asset, manifest={**asset.manifest, section: {**asset.manifest.get(section, {}), **fields}})


def with_mesh(asset: Finished, mesh: Mesh) -> Finished:
    """Put another LOD0 into an asset."""
    return replace(asset, mesh=mesh, lods=[mesh, *asset.lods[1:]])


def with_map(asset: Finished, **maps: np.ndarray) -> Finished:
    """Put other maps into an asset."""
    return replace(asset, maps={**asset.maps, **maps})


def with_faces(asset: Finished, change: Callable[[np.ndarray], np.ndarray]) -> Finished:
    """Change the faces of LOD0."""
    faces = np.ascontiguousarray(change(asset.mesh.faces.copy()), np.int32)
    return with_mesh(asset, replace(asset.mesh, faces=faces))


def _hole(faces: np.ndarray) -> np.ndarray:
    return np.delete(faces, len(faces) // 3, axis=0)


def flip_one(asset: Finished) -> Finished:
    """Wind one face the other way."""

    def flip(faces: np.ndarray) -> np.ndarray:
        faces[len(faces) // 3] = faces[len(faces) // 3, ::-1]
        return faces

    return with_faces(asset, flip)


def added(asset: Finished, corners: np.ndarray) -> Finished:
    """Add the faces of a triangle soup (n, 3, 3), in the corner of the atlas."""
    mesh, count = asset.mesh, len(corners) * 3
    uv = np.tile(np.float32([[0.001, 0.001], [0.003, 0.001], [0.001, 0.003]]), (len(corners), 1))
    grown = Mesh(
        np.concatenate([mesh.vertices, corners.reshape(-1, 3).astype(np.float32)]),
        np.concatenate([mesh.faces, np.arange(count, dtype=np.int32).reshape(-1, 3) + len(mesh.vertices)]),
        np.concatenate([mesh.uv, uv]),
        np.concatenate([mesh.normals, np.tile(np.float32([0, 1, 0]), (count, 1))]),
        np.concatenate([mesh.tangents, np.tile(np.float32([1, 0, 0, 1]), (count, 1))]),
    )
    return with_mesh(asset, grown)


def _fin(asset: Finished) -> Finished:
    a, b = asset.mesh.vertices[asset.mesh.faces[len(asset.mesh.faces) // 2, :2]]
    return added(asset, np.stack([a, b, a + np.float32(0.05 * asset.mesh.diagonal)])[None])


def _floater(asset: Finished) -> Finished:
    solid = trimesh.creation.icosahedron()
    place = asset.mesh.vertices.max(axis=0) + 0.1 * asset.mesh.diagonal
    return added(asset, 0.002 * asset.mesh.diagonal * solid.vertices[solid.faces] + place)


def _inner_ball(asset: Finished) -> Finished:
    centre, radius = inscribed_ball(Mesh(asset.mesh.vertices, asset.mesh.faces), np.random.default_rng(1))
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.8 * radius)
    return added(asset, ball.vertices[ball.faces] + centre)


def _sliver(asset: Finished) -> Finished:
    points = asset.mesh.vertices.copy()
    face = asset.mesh.faces[len(asset.mesh.faces) // 2]
    points[(points == points[face[0]]).all(axis=1)] = points[face[1]]
    return with_mesh(asset, replace(asset.mesh, vertices=points))


def moved(asset: Finished, offset: tuple[float, float, float]) -> Finished:
    """Shift mesh, levels and source alike."""

    def shifted(mesh: Mesh) -> Mesh:
        return replace(mesh, vertices=mesh.vertices + np.float32(offset))

    source = replace(asset.source, mesh=shifted(asset.source.mesh))
    return replace(asset, mesh=shifted(asset.mesh), lods=[shifted(lod) for lod in asset.lods], source=source)


def scaled(mesh: Mesh, by: tuple[float, float, float]) -> Mesh:
    """Scale a mesh about the middle of its box."""
    middle = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    return replace(mesh, vertices=(mesh.vertices - middle) * np.float32(by) + middle)


def shrunk(asset: Finished, level: int) -> Finished:
    """Make a level of detail 5 % smaller."""
    lods = list(asset.lods)
    lods[level] = scaled(lods[level], (0.95, 0.95, 0.95))
    return replace(asset, lods=lods)


def _flattened(asset: Finished) -> Finished:
    return with_mesh(asset, scaled(asset.mesh, (1.0, 1.0, 0.97)))


def with_uv(mesh: Mesh, change: Callable[[np.ndarray, list[np.ndarray]], None]) -> Mesh:
    """Change a layout in place, given its uv and the vertices of each chart, the largest charts first."""
    chart = find_charts(mesh)
    uv = mesh.uv.astype(np.float64)
    a, b, c = (uv[mesh.faces[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    order = np.argsort(-np.bincount(chart, area), kind="stable")
    change(uv, [np.unique(mesh.faces[chart == number]) for number in order])
    return replace(mesh, uv=uv.astype(np.float32))


def _overlap(uv: np.ndarray, charts: list[np.ndarray]) -> None:
    first, second = charts[:2]
    uv[second] += uv[first].mean(axis=0) - uv[second].mean(axis=0)


def _about_middle(uv: np.ndarray, chart: np.ndarray, scale: float) -> None:
    middle = 0.5 * (uv[chart].min(axis=0) + uv[chart].max(axis=0))
    uv[chart] = middle + (uv[chart] - middle) * scale


def _crowded(uv: np.ndarray, charts: list[np.ndarray]) -> None:
    _about_middle(uv, charts[0], 1.3)


def _half_shrunk(uv: np.ndarray, charts: list[np.ndarray]) -> None:
    total, done = sum(map(len, charts)), 0
    for chart in charts:
        _about_middle(uv, chart, 0.4)
        done += len(chart)
        if done > 0.4 * total:
            return


def _mirrored(uv: np.ndarray, charts: list[np.ndarray]) -> None:
    uv[charts[0], 0] = uv[charts[0], 0].max() + uv[charts[0], 0].min() - uv[charts[0], 0]


def _laid(change: Callable[[np.ndarray, list[np.ndarray]], None]) -> Plant:
    return lambda asset: with_mesh(asset, with_uv(asset.mesh, change))


def _squeezed(scale: tuple[float, float]) -> Plant:
    return lambda asset: with_mesh(asset, replace(asset.mesh, uv=asset.mesh.uv * np.float32(scale)))


def _flat_face(asset: Finished) -> Finished:
    uv, face = asset.mesh.uv.copy(), asset.mesh.faces[len(asset.mesh.faces) // 2]
    uv[face] = uv[face[0]]
    return with_mesh(asset, replace(asset.mesh, uv=uv))


def _single_faces(asset: Finished) -> Finished:
    """Give every face a chart of its own, in a cell of its own."""
    mesh, edge = asset.mesh, int(np.ceil(np.sqrt(len(asset.mesh.faces))))
    row, column = np.divmod(np.arange(len(mesh.faces)), edge)
    corner = np.array([[0.2, 0.2], [0.2, 0.5], [0.5, 0.2]])
    uv = ((np.stack([column, row], axis=1)[:, None] + corner) / edge).reshape(-1, 2).astype(np.float32)
    flat = mesh.faces.ravel()
    faces = np.arange(len(flat), dtype=np.int32).reshape(-1, 3)
    return with_mesh(asset, Mesh(mesh.vertices[flat], faces, uv, mesh.normals[flat], mesh.tangents[flat]))


def _crossed_lod(asset: Finished) -> Finished:
    return replace(asset, lods=[asset.lods[0], with_uv(asset.lods[1], _overlap), *asset.lods[2:]])


def _open_lod(asset: Finished) -> Finished:
    return replace(asset, lods=[*asset.lods[:1], replace(asset.lods[1], faces=asset.lods[1].faces[1:]), *asset.lods[2:]])


def tilted(asset: Finished, degrees: float) -> Finished:
    """Let the normal map lean everywhere."""
    normal = np.array([np.sin(np.radians(degrees)), 0.0, np.cos(np.radians(degrees))])
    return with_map(asset, normal_map=_constant(asset.maps["normal_map"], np.rint((normal + 1) * 32767.5)))


def leaning(asset: Finished, green: float) -> Finished:
    """Let the source's normals lean towards the bitangent of LOD0, and the map say `green` of that."""
    mesh = asset.mesh
    lean = np.cross(mesh.normals, mesh.tangents[:, :3]) * np.sign(mesh.tangents[:, 3:])
    normals = mesh.normals + np.float32(0.1) * lean
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    one = np.ones(len(normals), np.float32)
    source = SourceMesh(replace(mesh, normals=normals.astype(np.float32)), np.tile(one[:, None], 3), 0 * one, one, one)
    stored = np.array([0.0, green * np.sin(np.arctan(0.1)), np.cos(np.arctan(0.1))])
    changed = with_map(asset, normal_map=_constant(asset.maps["normal_map"], np.rint((stored + 1) * 32767.5)))
    return replace(changed, source=source)


def _constant(image: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.broadcast_to(value, image.shape).astype(image.dtype)


def _lost(asset: Finished) -> Finished:
    return with_map(asset, normal_error_map=np.full_like(asset.maps["normal_error_map"], 60))


def _short(asset: Finished) -> Finished:
    return with_map(asset, normal_map=_constant(asset.maps["normal_map"], np.array([32768, 32768, 57768])))


def _odd(asset: Finished) -> Finished:
    return with_map(asset, base_color_map=np.ascontiguousarray(asset.maps["base_color_map"][:-12, :-12]))


def _lower(asset: Finished) -> Finished:
    return wishing(asset, "place", height_cm=1.03 * asset.wish("place", "height_cm", 1.0))


def _srgb(asset: Finished) -> Finished:
    linear = asset.maps["normal_map"] / 65535.0
    stored = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return with_map(asset, normal_map=np.rint(stored * 65535).astype(np.uint16))


def texel_faces(asset: Finished, size: int) -> np.ndarray:
    """Give the face that covers each texel of a page, -1 for none."""
    flat = np.column_stack([asset.mesh.uv.astype(np.float64) * size, np.zeros(len(asset.mesh.uv))])
    return see(flat, asset.mesh.faces, size, cull=False).face


def bare_ground(asset: Finished, name: str) -> Finished:
    """Let a map end at the rims of its charts."""
    image = asset.maps[name].copy()
    image[texel_faces(asset, len(image)) < 0] = 0
    return with_map(asset, **{name: image})


def _up(asset: Finished) -> tuple[np.ndarray, np.ndarray]:
    """Give, for the base colour, the face of each texel and how far each face looks up and to the front, -1..1."""
    corners = asset.mesh.vertices.astype(np.float64)[asset.mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    return texel_faces(asset, len(asset.maps["base_color_map"])), normal


def painted(asset: Finished) -> Finished:
    """Paint light from above into the base colour."""
    face, normal = _up(asset)
    color = asset.maps["base_color_map"].copy()
    color[face >= 0] = (130 + 90 * normal[face[face >= 0], 1:2]).astype(np.uint8)
    return with_map(asset, base_color_map=color)


def plain_back(asset: Finished) -> Finished:
    """Let the back have one colour, and the front noise."""
    face, normal = _up(asset)
    shape = asset.maps["base_color_map"].shape
    color = np.repeat(np.random.default_rng(5).integers(90, 170, (*shape[:2], 1)), 3, axis=2).astype(np.uint8)
    color[(face >= 0) & (normal[face, 2] < 0)] = 130
    return with_map(asset, base_color_map=color)


def _gradient(size: int) -> np.ndarray:
    """Make an 8-bit map (size, size, 3) that differs from column to column."""
    return np.tile((np.arange(size) % 256).astype(np.uint8)[None, :, None], (size, 1, 3))


def _smaller(asset: Finished) -> Finished:
    size = len(asset.maps["base_color_map"])
    return with_map(asset, base_color_map=_gradient(size // 2), orm_map=_gradient(size // 4))


def _one_color(asset: Finished) -> Finished:
    spread = np.random.default_rng(1).uniform(0, 1, asset.source.base_color.shape).astype(np.float32)
    changed = replace(asset, source=replace(asset.source, base_color=spread))
    return with_map(changed, base_color_map=np.full_like(asset.maps["base_color_map"], 120))


def ball_hull(asset: Finished, size: float, subdivisions: int = 1) -> Mesh:
    """Make a ball about the middle of an asset, as a hull; 1 reaches to the corners of its box."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.5 * size * asset.mesh.diagonal)
    middle = 0.5 * (asset.mesh.vertices.min(axis=0) + asset.mesh.vertices.max(axis=0))
    return Mesh((ball.vertices + middle).astype(np.float32), ball.faces.astype(np.int32))


def hulled(make: Callable[[Finished], list[Mesh]]) -> Plant:
    """Put other hulls into an asset."""
    return lambda asset: replace(asset, hulls=make(asset))


def _one_hull(asset: Finished) -> Mesh:
    return convex_hull(asset.mesh.vertices, 12)


def _dented(asset: Finished) -> list[Mesh]:
    hull = ball_hull(asset, 1.0)
    points = hull.vertices.copy()
    points[0] = 0.5 * points[0] + 0.5 * points.mean(axis=0)
    return [replace(hull, vertices=points)]


def _too_many(asset: Finished) -> list[Mesh]:
    return [_one_hull(asset)] * (int(asset.wish("build_collision", "max_hulls", 16)) + 1)


def _too_rich(asset: Finished) -> list[Mesh]:
    budget = triangle_budget(asset.wish("build_collision", "max_triangles", None), len(asset.mesh.faces))
    return [_one_hull(asset)] * (budget // len(_one_hull(asset).faces) + 1)


def _beside(asset: Finished) -> list[Mesh]:
    hull = _one_hull(asset)
    return [replace(hull, vertices=hull.vertices + np.float32(2 * asset.mesh.diagonal))]


def _turned_front(asset: Finished) -> Finished:
    front = asset.cutouts["front"].copy()
    rows, columns = (np.flatnonzero(front[..., 3].any(axis=axis)) for axis in (1, 0))
    cross = np.zeros(front.shape[:2], np.uint8)
    middle, centre = rows[len(rows) // 2], columns[len(columns) // 2]
    cross[middle - 2 : middle + 3, columns[0] : columns[-1]] = 255
    cross[rows[0] : rows[-1], centre - 2 : centre + 3] = 255
    front[..., 3] = cross
    return replace(asset, cutouts={**asset.cutouts, "front": front})


def _other_source(asset: Finished) -> Finished:
    return replace(asset, source=replace(asset.source, mesh=scaled(asset.source.mesh, (0.9, 0.9, 0.9))))


def bones(mesh: Mesh) -> Rig:
    """Bend a mesh at its middle: a sound rig of three joints."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    heights = low[1] + (high[1] - low[1]) * np.float32([0.2, 0.6])
    joints = np.array([[0, 0, 0], [0, heights[0], 0], [0, heights[1], 0]], np.float32)
    upper = np.clip((mesh.vertices[:, 1:2] - low[1]) / (high[1] - low[1]), 0, 1)
    weights = np.concatenate([1 - upper, upper], axis=1).astype(np.float32)
    return Rig(
        ["root", "pelvis", "head"],
        joints,
        np.array([-1, 0, 1], np.int32),
        np.tile(np.int32([[1, 2]]), (len(weights), 1)),
        weights,
    )


DEFECTS = (
    Defect("a hole", lambda a: with_faces(a, _hole), "watertight", "fail"),
    Defect("a flipped face", flip_one, "winding", "fail"),
    Defect("a fin", _fin, "manifold", "fail"),
    Defect("all faces inwards", lambda a: with_faces(a, lambda faces: faces[:, ::-1]), "inverted_parts", "fail"),
    Defect("a sliver", _sliver, "degenerate_faces", "fail"),
    Defect("a floater", _floater, "floaters", "fail"),
    Defect("too many triangles", lambda a: wishing(a, "decimate", triangles=len(a.mesh.faces) - 1), "budget", "fail"),
    Defect("a shell inside", _inner_ball, "inner_shells", "warn"),
    Defect("a shell that nobody sees", _inner_ball, "hidden_surface", "warn"),
    Defect("an open LOD", _open_lod, "lod_watertight", "warn"),
    Defect("another outline", _flattened, "silhouette_lod0", "fail"),
    Defect("another surface", _flattened, "surface_deviation", "warn"),
    Defect("a shrunk LOD1", lambda a: shrunk(a, 1), "silhouette_lod1", "fail"),
    Defect("a shrunk LOD1 at its switch", lambda a: shrunk(a, 1), "lod1_pixels", "fail"),
    Defect("a shrunk LOD2", lambda a: shrunk(a, 2), "silhouette_lod2", "fail"),
    Defect("a LOD2 that switches early", lambda a: replace(shrunk(a, 2), screen_sizes=[1.0] * 3), "lod2_pixels", "fail"),
    Defect("overlapping charts", _laid(_overlap), "uv_overlap", "fail"),
    Defect("a LOD whose charts overlap", _crossed_lod, "lod_uv_overlap", "warn"),
    Defect("crowded charts", _laid(_crowded), "padding", "fail"),
    Defect("a mirrored chart", _laid(_mirrored), "uv_mirrored", "warn"),
    Defect("a face without uv area", _flat_face, "degenerate_uv", "fail"),
    Defect("charts at another density", _laid(_half_shrunk), "density_variation", "warn"),
    Defect("another density than asked for", lambda a: wishing(a, "unwrap", texel_density=1e5), "density_error", "warn"),
    Defect("a layout pressed to a fifth", _squeezed((1.0, 0.2)), "uv_stretch_mean", "warn"),
    Defect("a layout pressed to a twentieth", _squeezed((1.0, 0.05)), "uv_stretch_p95", "warn"),
    Defect("a chart for every face", _single_faces, "thin_charts", "warn"),
    Defect("a layout in a corner of its page", _squeezed((0.5, 0.5)), "atlas_use", "warn"),
    Defect("a wrong height", _lower, "height", "fail"),
    Defect("a wrong pivot", lambda a: moved(a, (0.0, 0.02, 0.0)), "pivot", "fail"),
    Defect("a pivot beside", lambda a: moved(a, (0.0, 0.0, -0.01)), "pivot", "fail"),
    Defect("another thing in the front picture", _turned_front, "front_axis", "warn"),
    Defect("a source that shrank", _other_source, "input_agreement", "warn"),
    Defect("tilted normals", lambda a: tilted(a, 20.0), "normal_map_mean", "fail"),
    Defect("some tilted normals", lambda a: tilted(a, 16.0), "normal_map_p95", "fail"),
    Defect("normals that the map cannot show", _lost, "normal_map_lost", "warn"),
    Defect("backward normals", lambda a: tilted(a, 120.0), "normal_map_backward", "fail"),
    Defect("short normals", _short, "normal_map_length", "fail"),
    Defect("normals stored as sRGB", _srgb, "normal_map_length", "fail"),
    Defect("a normal map of the other convention", lambda a: leaning(a, -1.0), "normal_map_green", "fail"),
    Defect("a cage that reaches nothing", lambda a: wishing(a, "bake_normal", cage=1e-7), "bake_misses", "warn"),
    Defect("no occlusion", lambda a: with_map(a, orm_map=a.maps["orm_map"] * np.uint8([0, 1, 1])), "occlusion_present", "fail"),
    Defect("half metal", lambda a: with_map(a, orm_map=np.full_like(a.maps["orm_map"], 128)), "half_metal", "warn"),
    Defect("a lost base colour", _one_color, "constant_maps", "warn"),
    Defect("an odd texture", _odd, "texture_sizes", "fail"),
    Defect("a smaller texture", _smaller, "texture_sizes", "fail"),
    Defect("a black base colour", lambda a: with_map(a, base_color_map=a.maps["base_color_map"] // 8), "albedo_range", "warn"),
    Defect("painted light", painted, "baked_light", "warn"),
    Defect("a plain back", plain_back, "back_detail", "warn"),
    Defect("a base colour without padding", lambda a: bare_ground(a, "base_color_map"), "padding_fill", "fail"),
    Defect("a normal map without padding", lambda a: bare_ground(a, "normal_map"), "padding_fill", "fail"),
    Defect("an ORM map without padding", lambda a: bare_ground(a, "orm_map"), "padding_fill", "fail"),
    Defect("a dented hull", hulled(_dented), "collision_convexity", "fail"),
    Defect("a rich hull", hulled(lambda a: [ball_hull(a, 1.0, 2)]), "collision_vertices", "fail"),
    Defect("many hulls", hulled(_too_many), "collision_hulls", "fail"),
    Defect("hulls of many triangles", hulled(_too_rich), "collision_triangles", "fail"),
    Defect("a hull beside", hulled(_beside), "collision_coverage", "fail"),
    Defect("hulls far too small", hulled(lambda a: [ball_hull(a, 0.1)]), "collision_volume_least", "fail"),
    Defect("hulls far too large", hulled(lambda a: [ball_hull(a, 4.0)]), "collision_volume", "fail"),
)  # fmt: skip
"""Every defect; the gates of a rig have theirs in RIG_DEFECTS."""


def _lighter(rig: Rig) -> Rig:
    weights = rig.weights.copy()
    weights[:3] *= np.float32(0.99)
    return replace(rig, weights=weights)


def _nine(rig: Rig) -> Rig:
    many = np.tile(np.arange(9, dtype=np.int32) % len(rig.names), (len(rig.weights), 1))
    return replace(rig, influences=many, weights=np.full(many.shape, 1 / 9, np.float32))


def _leaf(rig: Rig) -> Rig:
    parents = np.append(rig.parents, len(rig.names) - 1).astype(np.int32)
    return Rig([*rig.names, "tip"], np.vstack([rig.joints, rig.joints[-1:]]), parents, rig.influences, rig.weights)


def _one_joint(rig: Rig) -> Rig:
    none = np.zeros((len(rig.weights), 1), np.int32)
    return Rig(["root"], rig.joints[:1], np.array([-1], np.int32), none, np.ones(none.shape, np.float32))


def _crossed(rig: Rig) -> Rig:
    """Bind half of the vertices to joints of the other side of the body."""
    other = np.array([_index(rig, _other_side(name), at) for at, name in enumerate(rig.names)], np.int32)
    influences = rig.influences.copy()
    influences[::2] = other[influences[::2]]
    return replace(rig, influences=influences)


def _other_side(name: str) -> str:
    return name[:-2] + {"_l": "_r", "_r": "_l"}.get(name[-2:], name[-2:])


def _index(rig: Rig, name: str, fallback: int) -> int:
    return list(rig.names).index(name) if name in rig.names else fallback


RIG_DEFECTS: dict[str, tuple[Callable[[Rig], Rig], Literal["warn", "fail"]]] = {
    "rig_joints": (_one_joint, "fail"),
    "rig_roots": (lambda rig: replace(rig, parents=np.where(rig.parents == 0, -1, rig.parents).astype(np.int32)), "fail"),
    "rig_names": (lambda rig: replace(rig, names=[*rig.names[:-1], "tail_a"]), "warn"),
    "rig_weights": (_lighter, "fail"),
    "rig_influences": (_nine, "fail"),
    "rig_leaf_bones": (_leaf, "warn"),
    "rig_stretch": (_crossed, "fail"),
}  # fmt: skip
"""How a rig is spoilt, by the gate that is there for it; rig_stretch needs a figure that can walk."""
