"""Compute MikkTSpace tangents.

The standard of Morten S. Mikkelsen ("Simulation of Wrinkled Surfaces Revisited", 2008, and mikktspace.c): tangents depend on
nothing but positions, normals, UVs and which faces exist, so that baker and engine agree. This is our own implementation of its
rules for triangles at the default angular threshold of 180 degrees.

House UVs have their origin top left and normal maps are OpenGL (green points up the texture), so V is turned round first: the
result is what glTF, Blender and Unreal (after the exporter's change of axes) hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from forge_batch.ops.mesh import Mesh

_TINY = float(np.finfo(np.float32).tiny)


def tangents(mesh: Mesh) -> Float32[np.ndarray, "f 3 4"]:
    """Give each corner of each face its tangent: unit xyz, and the sign w of the bitangent `B = w * cross(N, T)`.

    Corners share a tangent if they agree in position, normal and UV, are connected by edges round that point, and are
    wound alike in UV space; within such a group the faces' directions of growing U are averaged by angle.

    Never NaN: faces without UV area take part in a neighbour's group if there is one, faces without area borrow the tangent
    of another corner at the same point; what is left gets some unit direction orthogonal to the normal (mikktspace.c gives
    (1, 0, 0) there, be it parallel to the normal or not) and w = -1, as there.

    Args:
        mesh: With `uv` and unit `normals`.

    Raises:
        ValueError: The mesh has no UVs or no normals.
    """
    if mesh.uv is None or mesh.normals is None:
        raise ValueError("tangents need uv and normals")
    points = _exact_vertices(mesh)
    faces = points[mesh.faces]
    position = mesh.vertices.astype(np.float64)[mesh.faces]
    normal = mesh.normals.astype(np.float64)[mesh.faces]
    uv = mesh.uv.astype(np.float64)[mesh.faces]
    uv[..., 1] = 1.0 - uv[..., 1]

    direction, forward, flat = _face_directions(position, uv)
    broken = _without_area(position)
    group = np.full(faces.shape, -1, np.int32)
    whole = np.flatnonzero(~broken)
    neighbours = _neighbours(faces[whole].astype(np.int64), _edge_order(faces[whole]))
    sign, part = _groups(faces[whole], neighbours, forward[whole], flat[whole])
    group[whole] = part

    result = np.empty((*faces.shape, 4))
    result[..., :3] = _any_orthogonal(normal)
    result[..., 3] = -1.0
    inside = group >= 0
    summed = _average(group, inside & ~flat[:, None], position, normal, direction)
    result[inside, :3] = np.where(_nonzero(summed)[group[inside], None], summed[group[inside]], result[inside, :3])
    result[inside, 3] = np.where(sign[group[inside]], 1.0, -1.0)
    _lend(result, faces, broken, inside)
    return np.asarray(result, dtype=np.float32)


def split_by_tangent(mesh: Mesh) -> Mesh:
    """Give a mesh a tangent per vertex, splitting vertices whose corners have different tangents (a mirrored seam, two fans).

    Vertices that agree in position, normal, UV and tangent become one: others who compute tangents from the file need not
    find them equal again (Blender keeps normals in 16 bits and would not). Faces keep their order, vertices that of their
    first copy; vertices without a face go.
    """
    corner = tangents(mesh).reshape(-1, 4)
    first, point = np.unique(_exact_vertices(mesh), return_index=True, return_inverse=True)[1:]
    keys = np.empty((len(corner), 5), np.float32)
    keys[:, 0] = first[point][mesh.faces.ravel()]  # a float32 counts to 2**24 without a gap
    keys[:, 1:] = corner + np.float32(0)
    if len(mesh.vertices) >= 1 << 24:
        raise ValueError(f"split_by_tangent serves up to {1 << 24} vertices, not {len(mesh.vertices)}")
    rows, faces = np.unique(keys, axis=0, return_inverse=True)
    origin = rows[:, 0].astype(np.int64)
    return replace(
        mesh,
        vertices=mesh.vertices[origin],
        faces=faces.reshape(-1, 3).astype(np.int32),
        uv=None if mesh.uv is None else mesh.uv[origin],
        normals=None if mesh.normals is None else mesh.normals[origin],
        tangents=np.ascontiguousarray(rows[:, 1:]),
    )


def _exact_vertices(mesh: Mesh) -> np.ndarray:
    """Number the distinct (position, normal, uv), exactly equal, in which MikkTSpace thinks; (v,) int32."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    keys = np.concatenate([mesh.vertices, mesh.normals, mesh.uv], axis=1) + np.float32(0)
    view = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    return np.asarray(np.unique(view, return_inverse=True)[1], dtype=np.int32)


def _face_directions(position: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each face its unit direction of growing U, whether UVs are wound forward, and whether it has no such direction."""
    edge1, edge2 = position[:, 1] - position[:, 0], position[:, 2] - position[:, 0]
    uv1, uv2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = uv1[:, 0] * uv2[:, 1] - uv1[:, 1] * uv2[:, 0]
    along_u = uv2[:, 1:] * edge1 - uv1[:, 1:] * edge2
    along_v = -uv2[:, :1] * edge1 + uv1[:, :1] * edge2
    forward = area > 0
    size_u, size_v = np.linalg.norm(along_u, axis=1), np.linalg.norm(along_v, axis=1)
    flat = (np.abs(area) <= _TINY) | (size_u <= _TINY) | (size_v <= _TINY)
    scale = np.where(forward, 1.0, -1.0) / np.where(size_u > _TINY, size_u, 1.0)
    return along_u * scale[:, None], forward, flat


def _without_area(position: np.ndarray) -> np.ndarray:
    """Tell the faces with two corners at one place."""
    a, b, c = position[:, 0], position[:, 1], position[:, 2]
    return np.asarray((a == b).all(axis=1) | (b == c).all(axis=1) | (c == a).all(axis=1))


def _edge_order(faces: np.ndarray) -> np.ndarray:
    """Sort the 3 f edges so that equal ones stand together, lower faces first; edge k of face f is number 3 f + k."""
    start, end = faces.astype(np.int64), np.roll(faces, -1, axis=1).astype(np.int64)
    key = np.minimum(start, end) * (int(faces.max(initial=0)) + 1) + np.maximum(start, end)
    return np.argsort(key.ravel(), kind="stable")


@njit(cache=True)
@no_type_check
def _neighbours(faces: Any, order: Any) -> Any:
    """Pair each edge with the first free edge that runs the other way; (f, 3) int32, -1 at a border."""
    result = np.full(faces.shape, -1, np.int32)
    for first in range(len(order)):
        face, k = order[first] // 3, order[first] % 3
        if result[face, k] >= 0:
            continue
        a, b = faces[face, k], faces[face, (k + 1) % 3]
        for second in range(first + 1, len(order)):
            other, j = order[second] // 3, order[second] % 3
            c, d = faces[other, j], faces[other, (j + 1) % 3]
            if min(c, d) != min(a, b) or max(c, d) != max(a, b):
                break
            if c == b and d == a and result[other, j] < 0:
                result[face, k] = other
                result[other, j] = face
                break
    return result


@njit(cache=True)
@no_type_check
def _corner_at(faces: Any, face: Any, point: Any) -> Any:
    """Find which corner of a face stands at a point."""
    for k in range(2):
        if faces[face, k] == point:
            return k
    return 2


@njit(cache=True)
@no_type_check
def _groups(faces: Any, neighbours: Any, forward: Any, flat: Any) -> Any:
    """Number the groups of corners that share a tangent: sign of each group, and group of each corner (-1: none).

    Walks round each point over shared edges and stops where the winding in UV space turns. A face without UV direction takes
    the winding of whoever reaches it first, so the order of the walk is that of mikktspace.c: left edge, then right edge.
    """
    group = np.full(faces.shape, -1, np.int32)
    turn = forward.copy()
    sign = np.zeros(faces.size, np.bool_)
    count = 0
    stack = np.empty(faces.size + 8, np.int64)
    for start in range(len(faces)):
        if flat[start]:
            continue
        for corner in range(3):
            if group[start, corner] >= 0:
                continue
            point = faces[start, corner]
            sign[count] = turn[start]
            group[start, corner] = count
            # A corner's left edge is its own, its right edge the one before; the stack's top is visited first.
            stack[0] = neighbours[start, (corner + 2) % 3]
            stack[1] = neighbours[start, corner]
            size = 2
            while size > 0:
                size -= 1
                face = stack[size]
                if face < 0:
                    continue
                k = _corner_at(faces, face, point)
                if group[face, k] >= 0:
                    continue
                if flat[face] and group[face, 0] < 0 and group[face, 1] < 0 and group[face, 2] < 0:
                    turn[face] = sign[count]
                if turn[face] != sign[count]:
                    continue
                group[face, k] = count
                stack[size] = neighbours[face, (k + 2) % 3]
                stack[size + 1] = neighbours[face, k]
                size += 2
            count += 1
    return sign[:count], group


def _average(group: np.ndarray, use: np.ndarray, position: np.ndarray, normal: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Average the faces' directions in each group, in the plane of the corner's normal, by the corner's angle there."""
    n = normal[use]
    here = position[use]
    ahead = _unit(_in_plane(np.roll(position, -1, axis=1)[use] - here, n))
    behind = _unit(_in_plane(np.roll(position, 1, axis=1)[use] - here, n))
    angle = np.arccos(np.clip(np.einsum("nx,nx->n", ahead, behind), -1.0, 1.0))
    along = _unit(_in_plane(np.broadcast_to(direction[:, None, :], position.shape)[use], n)) * angle[:, None]
    count = int(group.max(initial=-1)) + 1
    return _unit(np.stack([np.bincount(group[use], along[:, axis], count) for axis in range(3)], axis=1))


def _lend(result: np.ndarray, faces: np.ndarray, broken: np.ndarray, inside: np.ndarray) -> None:
    """Give corners of faces without area the tangent of the first grouped corner at the same point, in place."""
    if not broken.any():
        return
    points = faces.ravel()
    lender = np.full(int(points.max()) + 1, -1, np.int64)
    giving = np.flatnonzero(inside.ravel())[::-1]
    lender[points[giving]] = giving
    flat_result = result.reshape(-1, 4)
    needy = np.flatnonzero(np.repeat(broken, 3))
    needy = needy[lender[points[needy]] >= 0]
    flat_result[needy] = flat_result[lender[points[needy]]]


def _in_plane(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return np.asarray(vectors - normals * np.einsum("nx,nx->n", vectors, normals)[:, None])


def _nonzero(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(vectors, axis=-1) > _TINY)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scale to unit length; what has no length stays as it is."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > _TINY, length, 1.0))


def _any_orthogonal(normals: np.ndarray) -> np.ndarray:
    """Give a unit vector orthogonal to each normal."""
    axis = np.zeros_like(normals)
    np.put_along_axis(axis, np.abs(normals).argmin(axis=-1)[..., None], 1.0, axis=-1)
    return _unit(np.cross(np.cross(normals, axis), normals))
