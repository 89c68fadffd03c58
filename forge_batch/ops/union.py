"""Make one solid of parts that overlap."""

from __future__ import annotations

import manifold3d
import numpy as np

from forge_batch.ops.components import face_components
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact

MOST_PARTS = 2000
"""Beyond, parts are crumbs of a broken surface and no union is tried."""


def unite_parts(mesh: Mesh) -> Mesh | None:
    """Unite the components of a closed mesh where their boxes overlap; None if nothing overlaps or it cannot be done.

    By manifold3d, which is exact about inside and outside and always gives a manifold. Walls inside other parts go, and parts
    that lie wholly inside. A part that cuts through itself stays so.

    Args:
        mesh: Closed, manifold, wound outwards.
    """
    labels = face_components(mesh.faces)
    count = int(labels.max(initial=-1)) + 1
    if not 1 < count <= MOST_PARTS or not _overlap(mesh, labels, count):
        return None
    solids = []
    for part in range(count):
        one = compact(Mesh(mesh.vertices, mesh.faces[labels == part]))
        solid = manifold3d.Manifold(manifold3d.Mesh(one.vertices, one.faces.astype(np.uint32)))
        if solid.status() != manifold3d.Error.NoError:
            return None
        solids.append(solid)
    united = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    if united.status() != manifold3d.Error.NoError or united.is_empty():
        return None
    made = united.to_mesh()
    return Mesh(
        np.ascontiguousarray(made.vert_properties[:, :3], dtype=np.float32),
        np.ascontiguousarray(made.tri_verts, dtype=np.int32),
    )


def _overlap(mesh: Mesh, labels: np.ndarray, count: int) -> bool:
    """Tell whether the boxes of any two components overlap."""
    corners = mesh.vertices[mesh.faces]
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, labels, corners.min(axis=1))
    np.maximum.at(high, labels, corners.max(axis=1))
    for part in range(count - 1):
        rest = slice(part + 1, None)
        if ((low[rest] < high[part]) & (high[rest] > low[part])).all(axis=1).any():
            return True
    return False
