"""Say which point of a source each texel of a low poly stands for by how the source was made, and judge two bakers by it.

make_highpoly.py cuts the faces of a low poly and then moves the new vertices along their normals: where each vertex lay before,
`base_position`, says which point of the low poly a point of the source came from. So where two bakers find different surfaces,
as where parts lie over one another, neither of them has to be believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import trimesh

from forge_batch.ops.baker import RAY, Sky
from forge_batch.ops.gbuffer import Band, GBuffer
from forge_batch.ops.nearest import FaceTree
from forge_batch.ops.occlusion import openness
from forge_batch.ops.srgb import linear_to_srgb

APART = 5.0
"""Degrees beyond which two normals are held to be of different surfaces."""

_PER_SAMPLE = ("sample", "face", "barycentric", "centre", "source_face", "source_barycentric", "kind")


def every(band: Band, step: int) -> Band:
    """Keep every step-th sample of a band that is covered itself and was met by a ray."""
    few = np.flatnonzero(band.centre & (band.kind == RAY))[::step]
    return replace(band, **{name: getattr(band, name)[few] for name in _PER_SAMPLE})


def true_band(band: Band, base: np.ndarray) -> Band:
    """Give the samples the points of the source that were made from theirs.

    Args:
        band: Samples of a low poly that is the surface which the source was made from.
        base: (v, 3) where each vertex of the source lay before it was moved.
    """
    buffer = band.buffer
    points = _mix(buffer.mesh.vertices, buffer.mesh.faces[band.face], band.barycentric)
    face, weights, distance = FaceTree(base, buffer.source.mesh.faces).nearest(points)
    if distance.max() > 1e-5 * buffer.mesh.diagonal:
        raise ValueError(f"the low poly is not what the source was made from: a point lies {distance.max():.2g} beside it")
    return replace(band, source_face=face.astype(np.int32), source_barycentric=weights)


def under_a_part(band: Band, cage: float) -> np.ndarray:
    """Say which samples nobody sees: another part of the low poly lies over them within the cage (a share of the diagonal)."""
    mesh = band.buffer.mesh
    corners = mesh.vertices[mesh.faces[band.face]].astype(np.float64)
    normal = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    points = np.einsum("nk,nkx->nx", band.barycentric, corners)
    low = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    step = 1e-4 * mesh.diagonal
    place, ray, _ = low.ray.intersects_location(points + step * normal, normal, multiple_hits=False)
    result = np.zeros(len(points), bool)
    result[ray] = np.linalg.norm(place - points[ray], axis=1) < cage * mesh.diagonal
    return result


def judge(
    buffer: GBuffer, cage: float, base: np.ndarray, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]
) -> tuple[dict[str, Any], np.ndarray]:
    """Say how far each side is from the truth, on every eighth texel, and where who is nearer.

    Args:
        buffer: Of one sample a texel.
        cage: See under_a_part.
        base: See true_band.
        ours: normal (uint16) and base_color.
        theirs: normal and base_color (linear) as Cycles gives them, floats.

    Returns:
        Figures of what lies in sight and of what lies under a part, and a picture (s, s, 3): green where we are nearer to the
        true normal by more than APART, red where Cycles is.
    """
    [band] = buffer.bands()
    true = true_band(every(band, 8), base)
    at, source = true.sample, buffer.source
    corners = source.mesh.faces[true.source_face]
    assert source.mesh.normals is not None
    normal = _unit(_mix(source.mesh.normals, corners, true.source_barycentric))
    color = linear_to_srgb(_mix(source.base_color, corners, true.source_barycentric)) * 255
    sides = {
        "ours": (ours["normal"].reshape(-1, 3)[at] / 65535, ours["base_color"].reshape(-1, 3)[at].astype(float)),
        "cycles": (theirs["normal"].reshape(-1, 3)[at], linear_to_srgb(theirs["base_color"].reshape(-1, 3)[at]) * 255),
    }
    shown = {name: _world(true, texel) for name, (texel, _) in sides.items()}
    off = {name: _angle(one, normal) for name, one in shown.items()}
    apart = _angle(shown["ours"], shown["cycles"]) > APART
    covered = under_a_part(true, cage)

    def figures(which: np.ndarray) -> dict[str, float]:
        found: dict[str, Any] = {"texels": which.sum(), "apart_share": apart[which].mean()}
        for name, (_, painted) in sides.items():
            found[f"{name}_normal_off"] = off[name][which].mean()
            found[f"{name}_right_where_apart"] = (off[name][which & apart] < APART).mean() if (which & apart).any() else 1.0
            found[f"{name}_color_off_255"] = np.abs(painted - color)[which].mean()
        return {key: round(float(value), 4) for key, value in found.items()}

    picture = np.zeros((buffer.size**2, 3))
    lead = off["cycles"] - off["ours"]
    picture[at[lead > APART]], picture[at[lead < -APART]] = (0, 255, 0), (0, 0, 255)
    found = {"in_sight": figures(~covered), **({"under_a_part": figures(covered)} if covered.any() else {})}
    return found, picture.reshape(buffer.size, buffer.size, 3)


def judge_occlusion(
    buffer: GBuffer, cage: float, base: np.ndarray | None, ours: np.ndarray, theirs: np.ndarray, sky: Sky
) -> dict[str, Any]:
    """Say how far both sides are from the openness by many rays at the true points, or if there are none at ours.

    Every 64th texel; neither side's own noise can explain what is left.
    """
    [band] = buffer.bands()
    few = every(band, 64)
    few = few if base is None else true_band(few, base)
    a, b = ours.ravel()[few.sample] / 255, np.clip(theirs[..., 0].ravel()[few.sample], 0, 1)
    covered, open_ = under_a_part(few, cage), openness(few, sky)

    def figures(which: np.ndarray) -> dict[str, float]:
        found = {"ours_off": np.abs(a - open_)[which].mean(), "ours_mean_off": (a - open_)[which].mean()}
        found |= {"cycles_off": np.abs(b - open_)[which].mean(), "cycles_mean_off": (b - open_)[which].mean()}
        return {key: round(float(value), 4) for key, value in found.items()}

    where = "our points" if base is None else "true points"
    return {"at": where, "in_sight": figures(~covered), **({"under_a_part": figures(covered)} if covered.any() else {})}


def _mix(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nk,nkx->nx", weights, values[corners].astype(np.float64)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.einsum("nx,nx->n", a, b), -1, 1)))


def _world(band: Band, texels: np.ndarray) -> np.ndarray:
    """Turn values of a normal map, 0..1, into normals of the object."""
    mesh = band.buffer.mesh
    assert mesh.normals is not None
    assert mesh.tangents is not None
    corners = mesh.faces[band.face]
    normal, tangent = (_mix(values[:, :3], corners, band.barycentric) for values in (mesh.normals, mesh.tangents))
    side = np.cross(normal, tangent) * mesh.tangents[corners[:, 0], 3:]
    x, y, z = np.moveaxis(texels[..., None] * 2 - 1, 1, 0)
    return _unit(x * tangent + y * side + z * normal)
