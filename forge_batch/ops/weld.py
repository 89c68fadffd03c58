"""Merge vertices that stand at one place."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32
from scipy.spatial import cKDTree

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, link


def weld_exact(vertices: Float32[np.ndarray, "v 3"]) -> tuple[Int32[np.ndarray, " u"], Int32[np.ndarray, " v"]]:
    """Find the distinct positions: which vertex holds each (in order of appearance), and which of them each vertex stands at.

    `vertices[first][index]` equals `vertices`; negative zero equals zero.
    """
    rows = np.ascontiguousarray(vertices + np.float32(0.0)).view([("", np.float32)] * 3).ravel()
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int32)
    rank[order] = np.arange(len(first))
    return first[order].astype(np.int32), rank[inverse.ravel()]


def welded(mesh: Mesh) -> Mesh:
    """Give the mesh with one vertex a position and no attributes: what a mesh split at UV seams was before."""
    first, index = weld_exact(mesh.vertices)
    return compact(Mesh(mesh.vertices[first], index[mesh.faces]))


def weld(mesh: Mesh, distance: float) -> Mesh:
    """Merge vertices that lie within `distance` of one another, at the first of them; drop unused vertices.

    Chains of near vertices merge as a whole, so keep `distance` well under the shortest edge worth having.
    Faces that lose a corner stay, as degenerate faces.
    """
    merged = welded(mesh)
    if distance <= 0:
        return merged
    pairs = cKDTree(merged.vertices).query_pairs(distance, output_type="ndarray")
    if not len(pairs):
        return merged
    labels = link(len(merged.vertices), pairs[:, 0], pairs[:, 1])
    first = np.unique(labels, return_index=True)[1]
    return compact(Mesh(merged.vertices[first], labels[merged.faces]))
