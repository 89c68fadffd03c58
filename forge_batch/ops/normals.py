"""Give smooth unit normals to vertices."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from forge_batch.ops.mesh import Mesh


def vertex_normals(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float32[np.ndarray, "v 3"]:
    """Average the normals of the faces round each vertex, weighted by the angle each face has there.

    Thuermer and Wuethrich, "Computing Vertex Normals from Polygonal Facets", 1998: unlike weights by area or by count, the
    result does not depend on how a flat part is triangulated.

    Every result has unit length. Where the average vanishes (two opposite faces on a vertex), the normal of the lowest-numbered
    face with an area is taken; where there is none, the direction from the mean of all vertices; at that very point, +Y.

    Args:
        vertices: Positions; a vertex is smooth over all faces that share its index.
        faces: Counter-clockwise seen from outside.
    """
    points = vertices.astype(np.float64)
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(normals, axis=1)
    solid = size > 0
    normals = normals / np.where(solid, size, 1.0)[:, None]
    weights = corner_angles(corners) * solid[:, None]

    index = faces.ravel()
    weighted = (normals[:, None, :] * weights[:, :, None]).reshape(-1, 3)
    total = np.stack([np.bincount(index, weighted[:, axis], len(points)) for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1)
    angle = np.bincount(index, weights.ravel(), len(points))
    lost = length <= 1e-9 * np.maximum(angle, 1e-30)
    if lost.any():
        total[lost] = _fallback(points, faces[solid], normals[solid])[lost]
        length[lost] = np.linalg.norm(total[lost], axis=1)
    return np.asarray(total / length[:, None], dtype=np.float32)


def split_vertex_normals(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float32[np.ndarray, "v 3"]:
    """Give vertex_normals across UV seams: vertices at exactly the same position get the same normal.

    Guarantees that shading shows no seam. Two surfaces that touch in a point without being one surface share a normal there.
    """
    places, place = weld_index(vertices)
    return np.asarray(vertex_normals(places, place[faces])[place], dtype=np.float32)


def source_normals(mesh: Mesh, crease: float) -> tuple[Float32[np.ndarray, "n 3"], Int32[np.ndarray, "f 3"]]:
    """Give the unit normals a bake reads from a source: values, and which of them stands at each corner of each face.

    Args:
        mesh: Its own normals are taken as they are if no crease is asked for; without any they are smooth.
        crease: Degrees. Below 180 a corner averages only those faces round its vertex that are turned by no more than this from
            its own face, so 0 shows every face flat.
    """
    if crease >= 180:
        normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh.vertices, mesh.faces)
        return normals, mesh.faces
    from forge_batch.ops.crease import creased_normals  # noqa: PLC0415 - compiled, and seldom asked for

    values = creased_normals(mesh, crease)
    return values, np.arange(len(values), dtype=np.int32).reshape(-1, 3)


def hard_vertex_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], degrees: float
) -> Float32[np.ndarray, "v 3"]:
    """Give split_vertex_normals, but hard edges where charts meet at more than `degrees`.

    A vertex keeps the normal of its own chart where that leans from the common one by more than half the angle: on a box cut
    along its edges every face is then shaded flat, and its normal map need not undo a gradient. No vertex is added.
    """
    smooth, own = split_vertex_normals(vertices, faces), vertex_normals(vertices, faces)
    apart = np.einsum("vc,vc->v", smooth, own) < np.cos(np.radians(0.5 * degrees))
    return np.asarray(np.where(apart[:, None], own, smooth), dtype=np.float32)


def weld_index(vertices: Float[np.ndarray, "v 3"]) -> tuple[Float[np.ndarray, "p 3"], Int[np.ndarray, " v"]]:
    """Find the distinct positions (p, 3) and for each vertex which one it stands at; exact equality, -0 equals 0."""
    keys: np.ndarray = np.ascontiguousarray(vertices + vertices.dtype.type(0))
    view = keys.view(np.dtype((np.void, keys.dtype.itemsize * 3))).ravel()
    _, first, place = np.unique(view, return_index=True, return_inverse=True)
    return vertices[first], place


def corner_angles(corners: np.ndarray) -> np.ndarray:
    """Give the inner angles (f, 3) of triangles (f, 3, 3) in radians, 0 where a side has no length."""
    ahead = np.roll(corners, -1, axis=1) - corners
    behind = np.roll(corners, 1, axis=1) - corners
    across = np.linalg.norm(np.cross(ahead, behind), axis=2)
    # arctan2 keeps its digits for thin triangles, where arccos of a cosine near 1 loses half of them.
    return np.asarray(np.arctan2(across, np.einsum("fcx,fcx->fc", ahead, behind)))


def _fallback(points: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Give every vertex a direction without averaging, see vertex_normals."""
    result: np.ndarray = points - points.mean(axis=0)
    result[np.linalg.norm(result, axis=1) <= 0] = (0.0, 1.0, 0.0)
    # Reversed, so that of repeated indices the lowest face is written last.
    result[faces[::-1].ravel()] = np.repeat(normals[::-1], 3, axis=0)
    return result
