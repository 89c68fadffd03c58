"""Bring the skeleton and weights of a rigged copy onto our own mesh.

A rigger gives back its own version of the mesh: decimated, perhaps scaled to a unit cube, perhaps in another frame. Ours keeps
its triangles, UVs and materials; only weights and joints come over, by the nearest point of the copy's surface.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.nearest import FaceTree
from forge_batch.ops.rig import Rig, limited

CLOSE = 0.01
"""Of the diagonal: a copy whose mean distance is larger is not the mesh that was sent."""
SAMPLE = 2000
INFLUENCES = 8
FRAMES = (np.eye(3), np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
"""Turns that are tried: none, from Z up to Y up, and back. More would find mirror images of symmetric things."""


def transfer_rig(copy: Mesh, rig: Rig, mesh: Mesh) -> tuple[Rig, float]:
    """Give the rig for the vertices of a mesh, in its place and scale, and the mean distance of both surfaces in diagonals.

    Weights are interpolated inside the nearest triangle of the copy; at most INFLUENCES stay, summing to 1.

    Args:
        copy: What the rigger gave back.
        rig: Of the copy's vertices, its weights summing to 1.
        mesh: Ours.

    Raises:
        StageError: The copy lies nowhere near the mesh in any frame that a rigger may use.
    """
    found = [_tried(copy, mesh, frame) for frame in _frames(copy, mesh)]
    distance, matrix = min(found, key=lambda one: one[0])
    if distance > CLOSE:
        raise StageError(
            f"the rigger gave back another shape: its surface is {distance:.1%} of the size away from ours on average",
            "try another seed, or another rig.backend",
        )
    placed = (copy.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    face, share, _ = FaceTree(placed, copy.faces).nearest(mesh.vertices.astype(np.float64))
    dense = np.zeros((len(mesh.vertices), len(rig.names)))
    rows = np.arange(len(mesh.vertices))
    for corner in range(3):
        vertex = copy.faces[face, corner]
        for column in range(rig.influences.shape[1]):
            np.add.at(dense, (rows, rig.influences[vertex, column]), share[:, corner] * rig.weights[vertex, column])
    numbers = np.broadcast_to(np.arange(len(rig.names), dtype=np.int32), dense.shape).copy()
    joints = (rig.joints.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    return limited(replace(rig, joints=joints, influences=numbers, weights=dense.astype(np.float32)), INFLUENCES), distance


def _frames(copy: Mesh, mesh: Mesh) -> list[Float64[np.ndarray, "4 4"]]:
    """List the similarities to try: as it is, and each turn with the boxes laid over one another."""
    frames = [np.eye(4)]
    for turn in FRAMES:
        points = copy.vertices.astype(np.float64) @ turn.T
        (low, high), (start, end) = ((p.min(axis=0), p.max(axis=0)) for p in (points, mesh.vertices.astype(np.float64)))
        scale = float((end - start).max() / max((high - low).max(), 1e-12))
        matrix = np.eye(4)
        matrix[:3, :3] = turn * scale
        matrix[:3, 3] = (start + end) / 2 - scale * (low + high) / 2
        frames.append(matrix)
    return frames


def _tried(copy: Mesh, mesh: Mesh, matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Give the mean distance of our vertices from the copy, in diagonals."""
    placed = (copy.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    step = max(1, len(mesh.vertices) // SAMPLE)
    away = FaceTree(placed, copy.faces).nearest(mesh.vertices[::step].astype(np.float64))[2]
    return float(away.mean()) / mesh.diagonal, matrix
