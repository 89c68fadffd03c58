"""Give normals to the corners of faces, smooth over blunt edges and hard at sharp ones."""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import corner_angles


def creased_normals(mesh: Mesh, crease: float) -> Float32[np.ndarray, "n 3"]:
    """Give the unit normal of each of 3 f corners: number 3 f + k is corner k of face f. A face without area has none (0).

    Args:
        mesh: Welded; equal positions of different index are an edge.
        crease: Degrees: a corner averages, by their angle there, those faces round its vertex that are turned by no more
            than this from its own face.
    """
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    order = np.argsort(mesh.faces.ravel(), kind="stable")
    # a hundredth of a degree more, so that faces of one plane stay together at 0
    least = np.cos(np.radians(min(crease + 0.01, 180.0)))
    return np.asarray(_creased(mesh.faces.ravel(), order, normals, corner_angles(corners).ravel(), least))


@njit(cache=True)
@no_type_check
def _creased(vertex: Any, order: Any, normals: Any, angle: Any, least: Any) -> Any:
    """Average for each corner the faces at its vertex within an angle of its own, weighted by the angle there."""
    result = np.zeros((len(vertex), 3), np.float32)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and vertex[order[end]] == vertex[order[start]]:
            end += 1
        for i in range(start, end):
            own = normals[order[i] // 3]
            x, y, z = own[0] * 1e-12, own[1] * 1e-12, own[2] * 1e-12
            for j in range(start, end):
                n = normals[order[j] // 3]
                if n[0] * own[0] + n[1] * own[1] + n[2] * own[2] >= least or i == j:
                    w = angle[order[j]]
                    x, y, z = x + w * n[0], y + w * n[1], z + w * n[2]
            length = np.sqrt(x * x + y * y + z * z)
            if length > 0.0:
                result[order[i], 0], result[order[i], 1], result[order[i], 2] = x / length, y / length, z / length
        start = end
    return result
