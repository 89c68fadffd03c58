"""Hold material in sparse voxels round a surface, and read it at any point.

Some generators give colour, metallic and roughness not on vertices but in the voxels that the surface passes through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int16, Int64, UInt8

_BITS = 16
"""Bits of a coordinate in a key; coordinates are 16-bit integers."""

_CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.int64)


@dataclass(frozen=True, eq=False)
class VoxelField:
    """Be voxels with values.

    Attributes:
        coordinates: (n, 3) of each voxel, 0 or more.
        values: (n, 5): base colour in sRGB, metallic, roughness; 255 is 1. Interpolated as they are, as generators do.
        frame: (4, 4), brings a point of house space to voxel space, where voxel c has its centre at c + 0.5.
    """

    coordinates: Int16[np.ndarray, "n 3"]
    values: UInt8[np.ndarray, "n 5"]
    frame: Float64[np.ndarray, "4 4"]

    @property
    def edge(self) -> float:
        """Edge of a voxel, metres of house space."""
        return float(np.cbrt(1 / abs(np.linalg.det(self.frame[:3, :3]))))

    def read(self, points: Float[np.ndarray, "p 3"]) -> Float32[np.ndarray, "p 5"]:
        """Interpolate between the eight voxels round each point, of which absent ones do not count.

        A point with none of the eight takes the value of the nearest voxel, however far that is.

        Args:
            points: In house space.
        """
        place = points.astype(np.float64) @ self.frame[:3, :3].T + self.frame[:3, 3] - 0.5
        low = np.floor(place).astype(np.int64)
        part = (place - low).astype(np.float32)
        total = np.zeros(len(points), np.float32)
        result = np.zeros((len(points), 5), np.float32)
        keys, order = self.sorted_keys
        for corner in _CORNERS:
            weight = np.where(corner, part, 1 - part).prod(axis=1)
            at = low + corner
            key = _key(at)
            index = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            good = (keys[index] == key) & (at >= 0).all(axis=1) & (at < 1 << (_BITS - 1)).all(axis=1)
            weight = np.where(good, weight, np.float32(0))
            result += weight[:, None] * self.values[order[index]]
            total += weight
        lost = np.flatnonzero(total < 1e-6)
        total[lost] = 1
        if len(lost):
            result[lost] = self.values[self._tree.query(place[lost])[1]]
        return np.asarray(result / (255 * total[:, None]), np.float32)

    def moved(self, matrix: np.ndarray) -> VoxelField:
        """Follow the object through a (4, 4) similarity."""
        return replace(self, frame=self.frame @ np.linalg.inv(matrix))

    @cached_property
    def sorted_keys(self) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """One number for each voxel, x, y, z of 16 bits each, ascending, and which voxel has it."""
        key = _key(self.coordinates.astype(np.int64))
        order = np.argsort(key, kind="stable")
        return key[order], order

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree  # noqa: PLC0415 - loads slowly, and is seldom asked

        return cKDTree(self.coordinates.astype(np.float64))


def _key(coordinates: np.ndarray) -> np.ndarray:
    """Give one number for each voxel."""
    x, y, z = np.moveaxis(coordinates, -1, 0)
    return np.asarray((x << (2 * _BITS)) + (y << _BITS) + z)
