"""Measure the maps of an atlas: their format, what they say about the source, and what light was left in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt, UInt8, UInt16

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rays import RayScene
from forge_batch.ops.render import read_linear
from forge_batch.ops.topology import face_areas
from forge_batch.ops.zbuffer import see

SAMPLES_EDGE = 512  # texels: the grid of points on the surface that maps are judged at


class Points(NamedTuple):
    """Be points spread over a mesh by its atlas: face, barycentric weights, uv, and the area each stands for."""

    face: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    area: np.ndarray


def spread_points(mesh: Mesh, edge: int = SAMPLES_EDGE) -> Points:
    """Give the surface points under the centres of an `edge` x `edge` grid laid over the atlas."""
    assert mesh.uv is not None
    flat = np.column_stack([mesh.uv.astype(np.float64) * edge, np.zeros(len(mesh.uv))])
    hits = see(flat, mesh.faces, edge, cull=False)
    hit = hits.face >= 0
    face, weights = hits.face[hit], hits.weights[hit]
    uv = np.einsum("nk,nkc->nc", weights, mesh.uv[mesh.faces[face]])
    share = face_areas(mesh) / np.maximum(np.bincount(face, minlength=len(mesh.faces)), 1)
    return Points(face, weights, uv, share[face])


class NormalFormat(NamedTuple):
    """Be how well stored normals are normals: mean error of their length, and the share that points backwards."""

    length: float
    backward: float


def measure_normal_format(normal: UInt16[np.ndarray, "h w 3"], points: Points) -> NormalFormat:
    """Judge a normal map at the texels the surface uses."""
    h, w = normal.shape[:2]
    rows = np.clip((points.uv[:, 1] * h).astype(int), 0, h - 1)
    columns = np.clip((points.uv[:, 0] * w).astype(int), 0, w - 1)
    stored = normal[rows, columns].astype(np.float64) / 65535.0 * 2.0 - 1.0
    length = np.linalg.norm(stored, axis=1)
    return NormalFormat(float(np.abs(length - 1.0).mean()), float((stored[:, 2] < 0).mean()))


def share_above(image: UInt8[np.ndarray, "h w"], limit: float, points: Points) -> float:
    """Give the share of the surface whose texel has a value above a limit."""
    h, w = image.shape
    rows = np.clip((points.uv[:, 1] * h).astype(int), 0, h - 1)
    columns = np.clip((points.uv[:, 0] * w).astype(int), 0, w - 1)
    return float(np.average(image[rows, columns] > limit, weights=points.area))


class NormalError(NamedTuple):
    """Be the angle in degrees between mapped and source normals (mean and 95th percentile, by area), and rays that missed.

    `turned` is the mean with the map's green turned round: smaller where the map has the other convention (DirectX).
    """

    mean: float
    p95: float
    misses: float
    turned: float


class NormalAngles(NamedTuple):
    """Be, per point, the angle in degrees between mapped and source normal, the same with green turned, and if there is one."""

    angle: np.ndarray
    turned: np.ndarray
    found: np.ndarray


def measure_normal_angles(
    mesh: Mesh, normal: UInt16[np.ndarray, "h w 3"], points: Points, scene: RayScene, cage: float
) -> NormalAngles:
    """Compare what the mapped surface says with what the source says at the same place.

    The place is the nearest along the low-poly normal, outwards or inwards, where the source faces the same way, no further
    than `cage` (metres). Nothing of the bake is used: the map is decoded as an engine does, with interpolated N and T not
    normalised and B = w * cross(N, T).
    """
    assert mesh.normals is not None
    assert mesh.tangents is not None
    assert scene.mesh.normals is not None
    corners = mesh.faces[points.face]

    def at(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nk,nkc->nc", points.weights, values[corners]), np.float64)

    n, t = at(mesh.normals), at(mesh.tangents)
    b = np.sign(t[:, 3:]) * np.cross(n, t[:, :3])
    x, y, z = np.split(read_linear(normal, points.uv).astype(np.float64) * 2.0 - 1.0, 3, axis=1)
    near, true = _nearest_facing(at(mesh.vertices), _unit(n), scene, cage)
    angle, turned = (
        np.degrees(np.arccos(np.clip(np.einsum("nc,nc->n", true, _unit(x * t[:, :3] + sign * y * b + z * n)), -1.0, 1.0)))
        for sign in (1.0, -1.0)
    )
    return NormalAngles(angle, turned, near <= cage)


def measure_normal_error(angles: NormalAngles, points: Points) -> NormalError:
    """Sum up angles; points without a place to compare with are counted and left out."""
    found = angles.found
    if not found.any():
        return NormalError(180.0, 180.0, 1.0, 180.0)
    weight = points.area[found]
    missed = float(1.0 - weight.sum() / points.area.sum())
    mean, other = (float(np.average(values[found], weights=weight)) for values in (angles.angle, angles.turned))
    return NormalError(mean, _weighted_quantile(angles.angle[found], weight, 0.95), missed, other)


def _nearest_facing(
    origins: np.ndarray, outwards: np.ndarray, scene: RayScene, reach: float
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 3"]]:
    """Give distance (infinite for none) and unit normal of the source surface nearest along a line that faces as it does.

    One ray from outside would find whatever else stands within the cage, a strut before a wing say: on a biplane the 95th
    percentile was 29 degrees that way and is 15 this way.
    """
    assert scene.mesh.normals is not None
    best = np.full(len(origins), np.inf)
    normals = np.zeros((len(origins), 3))
    step = 1e-5 * scene.mesh.diagonal
    for sign in (1.0, -1.0):
        # started a step behind, so that a surface at the very place is met
        hits = scene.cast(origins - sign * step * outwards, sign * outwards, reach + step)
        met = np.flatnonzero(hits.face >= 0)
        corners = scene.mesh.faces[hits.face[met]]
        found = _unit(np.einsum("nk,nkc->nc", hits.barycentric[met], scene.mesh.normals[corners]).astype(np.float64))
        away = np.maximum(hits.distance[met].astype(np.float64) - step, 0.0)
        better = (np.einsum("nc,nc->n", found, outwards[met]) > 0) & (away < best[met])
        best[met[better]] = away[better]
        normals[met[better]] = found[better]
    return best, normals


class Albedo(NamedTuple):
    """Be what is odd about a base color: share outside luminance 30-243, correlation with up and with occlusion, by area."""

    outside: float
    up: float
    occlusion: float


def measure_albedo(
    mesh: Mesh, base_color: UInt8[np.ndarray, "h w 3"], occlusion: UInt8[np.ndarray, "k l"] | None, points: Points
) -> Albedo:
    """Look for light that was painted into the base color: bright where the surface looks up, dark where it is occluded."""
    assert mesh.normals is not None
    rgb = read_linear(base_color, points.uv).astype(np.float64) * 255.0
    light = luminance(rgb)
    up = _unit(np.einsum("nk,nkc->nc", points.weights, mesh.normals[mesh.faces[points.face]]).astype(np.float64))[:, 1]
    outside = float(np.average((light < 30.0) | (light > 243.0), weights=points.area))
    openness = 0.0
    if occlusion is not None:
        openness = _correlation(light, read_linear(occlusion[..., None], points.uv)[:, 0].astype(float), points.area)
    return Albedo(outside, _correlation(light, up, points.area), openness)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Weigh red, green and blue (Rec. 709) of stored values (n, 3), in their unit: (n,)."""
    return np.asarray(rgb @ np.array((0.2126, 0.7152, 0.0722), rgb.dtype))


def mean_occlusion(orm: UInt8[np.ndarray, "h w 3"], points: Points) -> float:
    """Give the mean of the red channel over the surface, 0..1."""
    return float(np.average(read_linear(orm[..., :1], points.uv)[:, 0], weights=points.area))


def count_odd_sizes(maps: Sequence[UInt[np.ndarray, ...]]) -> int:
    """Count maps that are not square, whose edge is no power of two up to 8192, or whose size is not that of the first.

    A map of one colour says the same at any size, so its size need not be that of the others: ORM without a bake is small.
    """
    odd = 0
    varied = [image.shape[:2] for image in maps if np.any(image != image[0, 0])]
    for image in maps:
        height, width = image.shape[:2]
        sound = height == width and height & (height - 1) == 0 and height <= 8192
        fits = not np.any(image != image[0, 0]) or image.shape[:2] == varied[0]
        odd += not (sound and fits)
    return odd


def _unit(vectors: np.ndarray) -> Float64[np.ndarray, "n 3"]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float64)


def _weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(total, share * total[-1]), len(values) - 1)])


def _correlation(one: np.ndarray, two: np.ndarray, weights: np.ndarray) -> float:
    """Give Pearson's correlation; 0 where either hardly varies (two levels of 255), as nothing can be said then."""
    one, two = one - np.average(one, weights=weights), two - np.average(two, weights=weights)
    spread = np.sqrt(np.average(one**2, weights=weights)), np.sqrt(np.average(two**2, weights=weights))
    if spread[0] < 2.0 or spread[1] < 2.0 / 255.0:
        return 0.0
    return float(np.average(one * two, weights=weights) / (spread[0] * spread[1]))
