"""Let the copies of a symmetric mesh share one layout: charts of one part, used by all, mirrored where the copy is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy.spatial import cKDTree

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact

NEAR = 1e-5  # of the diagonal: how exactly a copy's vertices lie on the whole's


def kept_faces(mesh: Mesh, meta: Mapping[str, Any]) -> Bool[np.ndarray, " f"]:
    """Mark the faces of the part that the others are copies of.

    Args:
        mesh: Exactly symmetric.
        meta: From `symmetric_copy.to_meta`, in the mesh's frame.
    """
    middle = mesh.vertices.astype(np.float64)[mesh.faces].mean(axis=1)
    kept = np.ones(len(mesh.faces), bool)
    for point, normal in meta["planes"]:
        kept &= (middle - np.array(point)) @ np.array(normal) > 0
    return kept


def kept_part(mesh: Mesh, meta: Mapping[str, Any]) -> Mesh:
    """Give that part alone; it is open where the planes are."""
    return compact(Mesh(mesh.vertices, mesh.faces[kept_faces(mesh, meta)]))


def lay_out_copies(mesh: Mesh, part: Mesh, meta: Mapping[str, Any]) -> Mesh:
    """Rebuild the whole from its part with uv; every vertex stands exactly where one of `mesh` does, so no seam opens.

    Raises:
        StageError: The mesh is not symmetric any more: a vertex of a copy meets none of the mesh's.
    """
    assert part.uv is not None
    tree = cKDTree(mesh.vertices.astype(np.float64))
    points = part.vertices.astype(np.float64)
    vertices, faces = [], []
    for number, copy in enumerate(np.array(meta["copies"])):
        away, at = tree.query(points @ copy[:3, :3].T + copy[:3, 3])
        if away.max() > NEAR * mesh.diagonal:
            raise StageError(
                f"the copies of a symmetric mesh lie {away.max():.2g} m apart", "write symmetrize: {uv: own}, or report it"
            )
        turned = part.faces if np.linalg.det(copy[:3, :3]) > 0 else part.faces[:, ::-1]
        vertices.append(mesh.vertices[at])
        faces.append(turned + np.int32(number * len(points)))
    return Mesh(np.concatenate(vertices), np.concatenate(faces).astype(np.int32), uv=np.tile(part.uv, (len(vertices), 1)))
