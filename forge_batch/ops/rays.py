"""Ask a surface what a ray hits, whether it hits anything, and what lies nearest.

Rays go through Embree (ops.embree), Warp on the CPU takes three times as long. The nearest point is ops.nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from numba import njit

from forge_batch.ops.embree import (
    ACTIVE,
    ALONG,
    FACE,
    FAR,
    GEOMETRY,
    LANES,
    MASK,
    START,
    Scene,
    U,
    V,
    intersect,
    occluded,
    packet,
)
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.nearest import FaceTree

THREADS = 2
"""Both kinds of query let go of Python's lock; more than two threads would take from the other assets' workers."""

RAYS_AT_ONCE = 1 << 17
"""Rays a thread takes at once."""


class Hits(NamedTuple):
    """Be points of the surface: face (n,) int64, -1 for none; barycentric weights (n, 3) and distance (n,) float32.

    Where there is none the weights are 0 and the distance is infinite.
    """

    face: Int64[np.ndarray, " n"]
    barycentric: Float32[np.ndarray, "n 3"]
    distance: Float32[np.ndarray, " n"]


class RayScene:
    """Be a triangle mesh made ready for queries. Both sides of a face are hit; faces without area never are.

    Building takes about 1 microsecond a face. Queries may come from several threads. `tree` and `watertight`: see embree.Scene.
    """

    def __init__(self, mesh: Mesh, watertight: bool = True) -> None:
        self.mesh = mesh
        self._lock = Lock()
        self.tree = Scene(mesh.vertices, mesh.faces, watertight)

    def cast(self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], distance: float = np.inf) -> Hits:
        """Find the first face each ray meets.

        Args:
            origins: Where rays start; a surface at the very start may or may not count.
            directions: Of any length but 0; distances are in units of it. A ray that is not finite or has no direction misses.
            distance: Greatest distance of a hit.
        """
        count = len(origins)
        hits = Hits(np.full(count, -1, np.int64), np.zeros((count, 3), np.float32), np.full(count, np.inf, np.float32))
        start, along = np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32)

        def run(part: slice) -> None:
            answer = (whole[part] for whole in hits)
            _cast(intersect, self.tree.address, packet(), start[part], along[part], _limit(distance), *answer)

        in_threads(run, count)
        return hits

    def occluded(
        self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], distance: float = np.inf
    ) -> Bool[np.ndarray, " n"]:
        """Tell which rays meet anything within a distance; arguments as for `cast`."""
        result = np.zeros(len(origins), bool)
        start, along = np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32)

        def run(part: slice) -> None:
            _occluded(occluded, self.tree.address, packet(), start[part], along[part], _limit(distance), result[part])

        in_threads(run, len(origins))
        return result

    def nearest(self, points: Float[np.ndarray, "n 3"]) -> Hits:
        """Find the nearest point of the surface, exactly; of equally near faces the lowest-numbered.

        A point that is not finite finds none.
        """
        count = len(points)
        hits = Hits(np.empty(count, np.int64), np.empty((count, 3), np.float32), np.empty(count, np.float32))

        def run(part: slice) -> None:
            hits.face[part], hits.barycentric[part], hits.distance[part] = self._tree.nearest(points[part])

        if count:
            with self._lock:
                self._tree.nearest(points[:1])  # compile, and build the tree, in one thread alone
        in_threads(run, count)
        return hits

    @cached_property
    def _tree(self) -> FaceTree:
        return FaceTree(self.mesh.vertices, self.mesh.faces)


def in_threads(
    work: Callable[[slice], None], count: int, chunk: int = RAYS_AT_ONCE, progress: Callable[[float], None] | None = None
) -> None:
    """Call `work` on slices of 0..count, in as many threads as pay; the order is not defined, the division is.

    `progress` hears the fraction done, always from the calling thread.
    """
    parts = [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    if len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        for done, _ in enumerate(pool.map(work, parts), start=1):
            if progress is not None:
                progress(done / len(parts))


def _limit(distance: float) -> np.float32:
    """Give the length of a ray as Embree may have it."""
    return np.float32(min(distance, 1e37))


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def load_lane(real: Any, whole: Any, lane: Any, start: Any, along: Any, limit: Any) -> Any:
    """Write a ray into a packet. One that is not finite or has no direction is switched off.

    A ray of NaN walks the whole tree: 128 of them among 3.6 million took longer than all the others.
    """
    for axis in range(3):
        real[START + axis, lane] = start[axis]
        real[ALONG + axis, lane] = along[axis]
    real[FAR, lane] = limit
    whole[MASK, lane] = -1
    whole[FACE, lane] = -1
    whole[GEOMETRY, lane] = -1
    length = abs(along[0]) + abs(along[1]) + abs(along[2])
    sound = length > 0.0 and np.isfinite(length + start[0] + start[1] + start[2])
    whole[ACTIVE, lane] = -1 if sound else 0


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def ask(query: Any, scene: Any, address: Any) -> Any:
    """Send a packet."""
    query(np.uintp(address + ACTIVE * LANES * 4), np.uintp(scene), np.uintp(address), np.uintp(0))


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _load(real: Any, whole: Any, starts: Any, along: Any, limit: Any, first: Any) -> Any:
    """Write the rays from `first` on into a packet and give how many there were."""
    count = min(LANES, len(starts) - first)
    for lane in range(count):
        i = first + lane
        start, way = (starts[i, 0], starts[i, 1], starts[i, 2]), (along[i, 0], along[i, 1], along[i, 2])
        load_lane(real, whole, lane, start, way, limit)
    for lane in range(count, LANES):
        whole[ACTIVE, lane] = 0
    return count


@njit(cache=True, nogil=True)
@no_type_check
def _cast(
    query: Any, scene: Any, packet: Any, starts: Any, along: Any, limit: Any, face: Any, weights: Any, distance: Any
) -> Any:
    real, whole, address = packet
    for first in range(0, len(starts), LANES):
        count = _load(real, whole, starts, along, limit, first)
        ask(query, scene, address)
        for lane in range(count):
            if whole[FACE, lane] >= 0:
                i, u, v = first + lane, real[U, lane], real[V, lane]
                face[i], distance[i] = whole[FACE, lane], real[FAR, lane]
                weights[i, 0], weights[i, 1], weights[i, 2] = np.float32(1) - u - v, u, v


@njit(cache=True, nogil=True)
@no_type_check
def _occluded(query: Any, scene: Any, packet: Any, starts: Any, along: Any, limit: Any, result: Any) -> Any:
    real, whole, address = packet
    for first in range(0, len(starts), LANES):
        count = _load(real, whole, starts, along, limit, first)
        ask(query, scene, address)
        for lane in range(count):
            result[first + lane] = real[FAR, lane] < 0
