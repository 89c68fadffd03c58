"""Fill the inside of a surface with voxels, whatever state the surface is in.

Voxels that the surface passes through are marked, and what cannot be reached from outside is inside. So parts may overlap and
stick in one another, as those of characters do; a hole wider than a voxel leaves its part hollow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32
from numba import njit
from scipy import ndimage

from forge_batch.ops.mesh import Mesh

RIM = 2
"""Empty voxels round the solid."""


@dataclass(frozen=True, eq=False)
class VoxelSolid:
    """Be a solid of cubes.

    Attributes:
        filled: By x, y and z; the outermost voxels are empty.
        origin: Corner of the first voxel, metres.
        cell: Edge of a voxel, metres.
    """

    filled: Bool[np.ndarray, "x y z"]
    origin: Float64[np.ndarray, " 3"]
    cell: float

    def place(self, points: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """Bring points from metres to voxels, where voxel i has its centre at i."""
        return np.asarray((points - self.origin) / self.cell - 0.5, np.float64)

    def point(self, places: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """Bring places from voxels back to metres."""
        return np.asarray((places + 0.5) * self.cell + self.origin, np.float64)


def voxelize(mesh: Mesh, cells: int) -> VoxelSolid:
    """Fill a mesh with so many voxels along its height; left and right of its middle there are as many.

    Args:
        mesh: With faces, and of some height.
        cells: Along y.
    """
    low, high = mesh.bounds.astype(np.float64)
    cell = float(high[1] - low[1]) / cells
    half = np.ceil((high - low) / (2 * cell)).astype(np.int64) + RIM
    origin = (low + high) / 2 - half * cell
    shell = np.zeros(tuple(2 * half), np.bool_)
    _mark((mesh.vertices.astype(np.float64) - origin) / cell, mesh.faces, shell)
    labels, _ = ndimage.label(~shell)
    return VoxelSolid(labels != labels[0, 0, 0], origin, cell)


@njit(cache=True)
@no_type_check
def _mark(  # pragma: no cover - compiled
    corners: Float64[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], shell: Bool[np.ndarray, "x y z"]
):
    """Mark the voxels under points spread half a voxel apart over every face."""
    for face in faces:
        a = corners[face[0]]
        u, v = corners[face[1]] - a, corners[face[2]] - a
        longest = max(np.sqrt((u * u).sum()), np.sqrt((v * v).sum()), np.sqrt(((u - v) * (u - v)).sum()))
        steps = int(np.ceil(2.0 * longest)) + 1
        for i in range(steps + 1):
            for j in range(steps + 1 - i):
                s, t = i / steps, j / steps
                x, y, z = int(a[0] + s * u[0] + t * v[0]), int(a[1] + s * u[1] + t * v[1]), int(a[2] + s * u[2] + t * v[2])
                shell[x, y, z] = True
