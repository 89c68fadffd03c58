"""Hold material in sparse voxels round a surface, and read it at any point.

Some generators give colour, metallic and roughness not on vertices but in the voxels that the surface passes through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Float32, Float64, Int16, Int64, UInt8
from numba import njit

_BITS = 16
"""Bits of a coordinate in a key; coordinates are 16-bit integers."""


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
        _read(low, part, keys, order, *self._slabs, self.values, total, result)
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
    def _slabs(self) -> tuple[int, Int64[np.ndarray, " m"]]:
        """Give the lowest x, and where in the sorted keys each x from there on begins, and the last one ends."""
        first, last = int(self.coordinates[:, 0].min()), int(self.coordinates[:, 0].max())
        return first, np.searchsorted(self.sorted_keys[0], np.arange(first, last + 2, dtype=np.int64) << (2 * _BITS))

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree  # noqa: PLC0415 - loads slowly, and is seldom asked

        return cKDTree(self.coordinates.astype(np.float64))


def _key(coordinates: np.ndarray) -> np.ndarray:
    """Give one number for each voxel."""
    x, y, z = np.moveaxis(coordinates, -1, 0)
    return np.asarray((x << (2 * _BITS)) + (y << _BITS) + z)


@njit(cache=True, nogil=True)
@no_type_check
def _read(low: Any, part: Any, keys: Any, order: Any, first: Any, slabs: Any, values: Any, total: Any, result: Any) -> Any:
    """Add up what is present of the eight voxels from `low` on; as numpy expressions it took eight times as long.

    Voxels that are neighbours along z stand side by side, so that four searches find all, each in a slab of equal x.
    """
    one, most = np.float32(1), np.int64(1) << (_BITS - 1)
    for i in range(len(low)):
        for a in range(2):
            slab = low[i, 0] + a - first
            if slab < 0 or slab >= len(slabs) - 1:
                continue
            for b in range(2):
                y, z = low[i, 1] + b, low[i, 2]
                if y < 0 or y >= most or z < -1 or z >= most:
                    continue
                row = ((slab + first) << (2 * _BITS)) + (y << _BITS)
                at = _place(keys, slabs[slab], slabs[slab + 1], row + max(z, 0))
                across = (part[i, 0] if a else one - part[i, 0]) * (part[i, 1] if b else one - part[i, 1])
                for c in range(max(-z, 0), 2):
                    if at < slabs[slab + 1] and keys[at] == row + z + c and z + c < most:
                        weight = across * (part[i, 2] if c else one - part[i, 2])
                        total[i] += weight
                        for k in range(5):
                            result[i, k] += weight * np.float32(values[order[at], k])
                        at += 1


@njit(cache=True, nogil=True)
@no_type_check
def _place(keys: Any, start: Any, end: Any, key: Any) -> Any:
    """Find the first of the keys start .. end that is not below one."""
    while start < end:
        middle = (start + end) // 2
        if keys[middle] < key:
            start = middle + 1
        else:
            end = middle
    return start
