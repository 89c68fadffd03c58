"""Say which input image colours which vertex, and how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rays import RayScene

GRAZING = 0.12  # cosine below which a picture shows a surface too slanted to be of use
_SHARPNESS = 6.0  # exponent of the cosine: the most frontal view wins, and views blend only where they are alike


def view_weights(
    mesh: Mesh, cameras: Sequence[Camera], inside: Sequence[Float32[np.ndarray, "_ _"]], offset: float
) -> Float32[np.ndarray, "n v"]:
    """Weigh n views for every vertex: 0 where hidden, else by how frontal it is seen; seen vertices sum to 1.

    Hidden is decided by a ray to the camera. Where a view ends inside the surface its weight falls off over some edges, so
    that no hard seam shows.

    Args:
        mesh: With normals.
        cameras: One a view.
        inside: Per view the distance (h, w) to the outline, pixels of the camera, positive inside: colour at the very rim is
            mixed with background and not used.
        offset: How far a ray starts above the surface, metres: about a cell.
    """
    assert mesh.normals is not None
    scene = RayScene(mesh)
    points = mesh.vertices.astype(np.float64)
    facing = np.zeros((len(cameras), len(points)))
    for row, (camera, distance) in enumerate(zip(cameras, inside, strict=True)):
        towards = camera.towards(points)
        cosine = np.einsum("vk,vk->v", towards, mesh.normals)
        asked = np.flatnonzero(cosine > GRAZING)
        start = points[asked] + offset * mesh.normals[asked]
        free = ~scene.occluded(start, towards[asked])
        pixels, _ = camera.project(points[asked])
        x = np.clip(pixels[:, 0].astype(int), 0, distance.shape[1] - 1)
        y = np.clip(pixels[:, 1].astype(int), 0, distance.shape[0] - 1)
        facing[row, asked] = np.where(free, (cosine[asked] - GRAZING) * np.clip(distance[y, x] / 2.0, 0.05, 1.0), 0.0)
    visible = facing > 0
    around = _neighbours(mesh.faces, len(points))
    share = visible.astype(np.float64).T
    for _ in range(4):
        share = around @ share
    # The squared share fades a view towards the edge of what it sees; the tiny floor keeps what only one view sees.
    weights = np.where(visible, facing**_SHARPNESS * (share.T**4 + 1e-6), 0.0)
    best = weights.max(axis=0, keepdims=True)
    weights /= np.where(best > 0, best, 1.0)
    weights /= np.maximum(weights.sum(axis=0, keepdims=True), 1e-12)
    return np.asarray(weights, np.float32)


def fill_unseen(
    mesh: Mesh, values: Float[np.ndarray, "v c"], seen: Float32[np.ndarray, " v"], rounds: int = 40
) -> Float32[np.ndarray, "v c"]:
    """Continue per-vertex values smoothly over vertices that were not seen.

    Starts from the nearest seen vertices, weighted by inverse distance, then averages over edges `rounds` times; seen
    vertices keep theirs. Grey 0.5 if nothing was seen.
    """
    known = seen > 0
    if known.all():
        return values.astype(np.float32)
    if not known.any():
        return np.full(values.shape, 0.5, np.float32)
    result = values.astype(np.float64)
    distance, index = cKDTree(mesh.vertices[known]).query(mesh.vertices[~known], k=min(8, int(known.sum())))
    distance, index = distance.reshape(len(index), -1), index.reshape(len(index), -1)
    weight = 1.0 / np.maximum(distance, 1e-6)
    result[~known] = np.einsum("nk,nkc->nc", weight / weight.sum(axis=1, keepdims=True), result[known][index])
    around = _neighbours(mesh.faces, len(values))
    for _ in range(rounds):
        result[~known] = (around @ result)[~known]
    return result.astype(np.float32)


def _neighbours(faces: Int[np.ndarray, "f 3"], count: int) -> csr_matrix:
    """Give the (v, v) matrix that replaces each vertex by the mean of itself and its neighbours."""
    ends = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    own = np.arange(count)
    rows, columns = np.concatenate([*ends, own]), np.concatenate([*ends[::-1], own])
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
    matrix.data[:] = 1.0
    degree = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data /= np.repeat(degree, np.diff(matrix.indptr))
    return matrix
