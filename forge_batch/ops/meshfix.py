"""Let MeshFix repair a surface, and refuse its work where it cuts away too much."""

from __future__ import annotations

import numpy as np
import pymeshfix

from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.mesh import Mesh

MOST_LOST = 0.02
"""Share of faces MeshFix may remove: it ends self-intersections by deleting, and took 59 % of a model of overlapping parts."""

FARTHEST = 0.01
"""Largest distance of the result to the input and back, in diagonals."""


def repair_with_meshfix(mesh: Mesh) -> tuple[Mesh | None, str]:
    """Repair by pymeshfix; give the mesh, or None and why it was refused. Prints nothing; has no time limit."""
    fixer = pymeshfix.MeshFix(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int32))
    fixer.repair(remove_smallest_components=False)
    result = Mesh(np.asarray(fixer.points, dtype=np.float32), np.asarray(fixer.faces, dtype=np.int32))
    lost = 1.0 - len(result.faces) / len(mesh.faces)
    if lost > MOST_LOST:
        return None, f"it would remove {100 * lost:.1f} % of the faces (limit {100 * MOST_LOST:g} %)"
    far = measure_deviation(mesh, result).largest / mesh.diagonal
    if far > FARTHEST:
        return None, f"it would move the surface by {100 * far:.1f} % of the diagonal (limit {100 * FARTHEST:g} %)"
    return result, ""
