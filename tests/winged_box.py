"""Make the asset that writers are tested with: a box with a nose at the front, a fin on top and a wing on its left.

No two of its axes can be mistaken for each other, nor any direction for its opposite.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forge_batch.ops.measure_atlas import find_charts
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.sheet import on_sheet
from forge_batch.ops.tangents import split_by_tangent
from tests.shapes import box, join

BODY = box((0.5, 0.4, 0.9), (0.0, 0.2, 0.0))
NOSE = box((0.1, 0.1, 0.4), (0.0, 0.2, 0.6))
FIN = box((0.06, 0.5, 0.2), (0.0, 0.55, -0.2))
WING = box((0.7, 0.04, 0.3), (0.5, 0.2, 0.1))
LOW = np.array([-0.25, 0.0, -0.45])
HIGH = np.array([0.85, 0.8, 0.8])
"""Bounds of the whole in house space, metres: x to the wing's tip, y to the fin's, z to the nose's."""
VOLUMES = (
    0.5 * 0.4 * 0.9 + 0.1 * 0.1 * 0.4 + 0.06 * 0.5 * 0.2 + 0.7 * 0.04 * 0.3,
    0.5 * 0.4 * 0.9 + 0.06 * 0.5 * 0.2 + 0.7 * 0.04 * 0.3,
    0.5 * 0.4 * 0.9,
)
"""Of each level, the parts added up, cubic metres."""


def levels() -> list[Mesh]:
    """Make three levels of 48, 36 and 12 triangles in house space: all parts, without the nose, the body alone."""
    return [finished(join(BODY, NOSE, FIN, WING)), finished(join(BODY, FIN, WING)), finished(BODY)]


def hulls() -> list[Mesh]:
    """Make two convex hulls: of the body and of the wing."""
    return [BODY, WING]


def finished(solid: Mesh) -> Mesh:
    """Give each pair of triangles a cell of the UV square, every other one mirrored, then smooth normals and tangents."""
    quads = solid.faces.reshape(-1, 2, 3)
    side = int(np.ceil(np.sqrt(len(quads))))
    cell = np.array([[0.1, 0.9], [0.8, 0.9], [0.9, 0.2], [0.1, 0.1]])
    vertices, uv, faces = [], [], []
    for index, ((a, b, c), (_, _, d)) in enumerate(quads):
        mirror = np.array([-1, 1]) if index % 2 else np.array([1, 1])
        vertices.append(solid.vertices[[a, b, c, d]])
        uv.append(((cell - 0.5) * mirror + 0.5 + [index % side, index // side]) / side)
        faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * index)
    points, triangles = np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int32)
    normals = split_vertex_normals(points, triangles)
    return split_by_tangent(Mesh(points, triangles, uv=np.concatenate(uv).astype(np.float32), normals=normals))


def on_two_atlases(mesh: Mesh) -> Mesh:
    """Put every third chart of a level onto a second atlas; uv become those of the sheet."""
    assert mesh.uv is not None
    number = np.zeros(len(mesh.vertices), np.int64)
    number[mesh.faces] = (find_charts(mesh) % 3 == 1)[:, None]
    return replace(mesh, uv=on_sheet(mesh.uv, number, 2))
