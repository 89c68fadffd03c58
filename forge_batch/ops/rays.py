"""Ask a surface what a ray hits, whether it hits anything, and what lies nearest.

Rays go through Embree (embreex), which runs 5 to 7 million single rays a second on one core against 250,000 faces (Warp on the
CPU: 1 to 2). Embree has no nearest point through embreex; that one is ops.nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple, no_type_check

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Float32, Int64
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.nearest import FaceTree

THREADS = 2
"""Both kinds of query let go of Python's lock; more than two threads would take from the other assets' workers."""

RAYS_AT_ONCE = 1 << 17
"""Rays a thread takes at once; bounds what Embree's answer costs in memory (36 bytes a ray)."""


class Hits(NamedTuple):
    """Be points of the surface: face (n,) int64, -1 for none; barycentric weights (n, 3) and distance (n,) float32.

    Where there is none the weights are 0 and the distance is infinite.
    """

    face: Int64[np.ndarray, " n"]
    barycentric: Float32[np.ndarray, "n 3"]
    distance: Float32[np.ndarray, " n"]


class RayScene:
    """Be a triangle mesh made ready for queries. Both sides of a face are hit; faces without area never are.

    Building takes about 1 microsecond a face. Queries may come from several threads.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._lock = Lock()
        self._scene = EmbreeScene(robust=True)
        if len(mesh.faces):
            TriangleMesh(self._scene, np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces))
        # The first query builds the tree; it must not happen in two threads at once.
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32), dists=np.zeros(1, np.float32))

    def cast(self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], distance: float = np.inf) -> Hits:
        """Find the first face each ray meets.

        Args:
            origins: Where rays start; a surface at the very start may or may not count.
            directions: Of any length but 0; distances are in units of it. A ray that is not finite or has no direction misses.
            distance: Greatest distance of a hit.
        """
        count = len(origins)
        hits = Hits(np.full(count, -1, np.int64), np.zeros((count, 3), np.float32), np.full(count, np.inf, np.float32))

        def run(part: slice) -> None:
            alive, start, along, limit = _sound(origins[part], directions[part], distance)
            if not len(alive):
                return
            answer = self._scene.run(start, along, dists=limit, output=1)
            found = answer["primID"] >= 0
            at = alive[found] + part.start
            hits.face[at] = answer["primID"][found]
            u, v = answer["u"][found], answer["v"][found]
            hits.barycentric[at] = np.stack([1 - u - v, u, v], axis=1)
            hits.distance[at] = answer["tfar"][found]

        in_threads(run, count)
        return hits

    def occluded(
        self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], distance: float = np.inf
    ) -> Bool[np.ndarray, " n"]:
        """Tell which rays meet anything within a distance; arguments as for `cast`."""
        result = np.zeros(len(origins), bool)

        def run(part: slice) -> None:
            alive, start, along, limit = _sound(origins[part], directions[part], distance)
            if len(alive):
                # embreex answers 0 for occluded and -1 for free here, whatever the face.
                result[alive + part.start] = self._scene.run(start, along, dists=limit, query="OCCLUDED") == 0

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


def _sound(
    origins: np.ndarray, directions: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pick the rays Embree may see: index, origins, directions, limits.

    A ray of NaN walks the whole tree: 128 of them among 3.6 million took longer than all the others.
    """
    start = np.ascontiguousarray(origins, np.float32)
    along = np.ascontiguousarray(directions, np.float32)
    good = _finite(start, along)
    alive = np.flatnonzero(good)
    if len(alive) < len(good):
        start, along = start[alive], along[alive]
    limit = np.full(len(alive), min(distance, 1e37), np.float32)
    return alive, start, along, limit


@njit(cache=True, nogil=True)
@no_type_check
def _finite(origins: Any, directions: Any) -> Any:
    """Tell the rays that are finite and have a direction; as numpy expressions this took as long as a tenth of the casting."""
    result = np.empty(len(origins), np.bool_)
    for i in range(len(origins)):
        along = abs(directions[i, 0]) + abs(directions[i, 1]) + abs(directions[i, 2])
        result[i] = along > 0.0 and np.isfinite(along + origins[i, 0] + origins[i, 1] + origins[i, 2])
    return result
