"""Find the nearest point of a triangle mesh.

A box tree over faces in Morton order (Lauterbach et al., "Fast BVH Construction on GPUs", 2009): as the tree is a complete
binary one, there is nothing to build but a sort and the boxes, and node numbers need no pointers. For 223,000 faces it takes
0.2 s to build and answers 250,000 points a CPU second that lie 2 % of the size away. scipy's k-d tree over face centres
needs as long just to name 16 candidate faces a point, and the nearest may not be among them.
"""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Float32, Int, Int64
from numba import njit

_LEAF = 4
"""Faces in a leaf; 2 is as fast, 8 is slower by a third."""


class FaceTree:
    """Be a mesh made ready for nearest-point queries."""

    def __init__(self, vertices: Float32[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> None:
        corners = vertices[faces]
        order = np.argsort(_morton(corners.mean(axis=1)), kind="stable") if len(faces) else np.zeros(0, np.int64)
        self._order = order
        self._corners = np.ascontiguousarray(corners[order], np.float64)
        self._corners[:, 1:] -= self._corners[:, :1]
        leaves = 1 << max(0, -(-len(faces) // _LEAF) - 1).bit_length()
        boxes = np.empty((2 * leaves, 2, 3), np.float32)
        low = np.full((leaves * _LEAF, 3), np.inf, np.float32)
        high = np.full((leaves * _LEAF, 3), -np.inf, np.float32)
        low[: len(faces)], high[: len(faces)] = corners[order].min(axis=1), corners[order].max(axis=1)
        boxes[leaves:, 0] = low.reshape(leaves, _LEAF, 3).min(axis=1)
        boxes[leaves:, 1] = high.reshape(leaves, _LEAF, 3).max(axis=1)
        level = leaves
        while level > 1:
            half = level // 2
            boxes[half:level, 0] = boxes[level : 2 * level, 0].reshape(half, 2, 3).min(axis=1)
            boxes[half:level, 1] = boxes[level : 2 * level, 1].reshape(half, 2, 3).max(axis=1)
            level = half
        self._boxes = boxes

    def nearest(
        self, points: Float[np.ndarray, "n 3"]
    ) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n 3"], Float32[np.ndarray, " n"]]:
        """Give face (-1 for a point that is not finite, or without faces), barycentric weights and distance; exact.

        Of equally near faces the lowest-numbered wins. Lets go of Python's lock.
        """
        found = _nearest(np.ascontiguousarray(points, np.float64), self._boxes, self._corners, self._order)
        face: np.ndarray = found[0]
        return face, found[1], found[2]


def _morton(points: np.ndarray) -> np.ndarray:
    """Number positions along a Z curve of 21 bits an axis."""
    low = points.min(axis=0)
    size = max(float((points.max(axis=0) - low).max()), 1e-30)
    cell = np.clip((points - low) / size * 2097151.0, 0, 2097151).astype(np.uint64)
    for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3)):
        cell = (cell | (cell << np.uint64(shift))) & np.uint64(mask)
    cell = (cell | (cell << np.uint64(2))) & np.uint64(0x1249249249249249)
    return np.asarray(cell[:, 0] | (cell[:, 1] << np.uint64(1)) | (cell[:, 2] << np.uint64(2)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _box_distance(point: Any, boxes: Any, node: Any) -> Any:
    """Give the squared distance of a point to a box."""
    x, y, z = point
    a = max(boxes[node, 0, 0] - x, x - boxes[node, 1, 0], 0.0)
    b = max(boxes[node, 0, 1] - y, y - boxes[node, 1, 1], 0.0)
    c = max(boxes[node, 0, 2] - z, z - boxes[node, 1, 2], 0.0)
    return a * a + b * b + c * c


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _along(dot: Any, length: Any) -> Any:
    """Give where on a side (0 start, 1 end) the nearest point lies."""
    return min(max(dot / length, 0.0), 1.0) if length > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def on_triangle(point: Any, corners: Any, k: Any) -> Any:
    """Give squared distance and weights of the second and third corner; a triangle without area is its sides.

    Everything is measured from the first corner: w is the point, u and v are the sides from there.
    """
    wx, wy, wz = point[0] - corners[k, 0, 0], point[1] - corners[k, 0, 1], point[2] - corners[k, 0, 2]
    ux, uy, uz = corners[k, 1, 0], corners[k, 1, 1], corners[k, 1, 2]
    vx, vy, vz = corners[k, 2, 0], corners[k, 2, 1], corners[k, 2, 2]
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    wu, wv = wx * ux + wy * uy + wz * uz, wx * vx + wy * vy + wz * vz
    area = uu * vv - uv * uv
    y, z = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    if area > 0.0 and y >= 0.0 and z >= 0.0 and y + z <= 1.0:
        return (wx - y * ux - z * vx) ** 2 + (wy - y * uy - z * vy) ** 2 + (wz - y * uz - z * vz) ** 2, y, z
    y, z = _along(wu, uu), 0.0
    best = (wx - y * ux) ** 2 + (wy - y * uy) ** 2 + (wz - y * uz) ** 2
    t = _along(wv, vv)
    away = (wx - t * vx) ** 2 + (wy - t * vy) ** 2 + (wz - t * vz) ** 2
    if away < best:
        best, y, z = away, 0.0, t
    t = _along(wv - wu - uv + uu, uu - 2.0 * uv + vv)
    s = 1.0 - t
    away = (wx - s * ux - t * vx) ** 2 + (wy - s * uy - t * vy) ** 2 + (wz - s * uz - t * vz) ** 2
    if away < best:
        best, y, z = away, s, t
    return best, y, z


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _search_leaf(point: Any, corners: Any, order: Any, leaf: Any, best: Any) -> Any:
    """Better the best so far, (squared distance, y, z, place in the order), by the faces of a leaf."""
    for k in range(leaf * _LEAF, min((leaf + 1) * _LEAF, len(corners))):
        away, y, z = on_triangle(point, corners, k)
        if away < best[0] or (away == best[0] and order[k] < order[best[3]]):
            best = (away, y, z, k)
    return best


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _search(point: Any, boxes: Any, corners: Any, order: Any, best: Any) -> Any:
    """Walk the tree, nearer child first, and better the best so far."""
    leaves = len(boxes) // 2
    stack = np.empty(64, np.int64)
    reach = np.empty(64, np.float64)
    stack[0] = 1
    reach[0] = 0.0
    size = 1
    while size > 0:
        size -= 1
        if reach[size] > best[0]:
            continue
        node = stack[size]
        while node < leaves:
            near, far = 2 * node, 2 * node + 1
            close, wide = _box_distance(point, boxes, near), _box_distance(point, boxes, far)
            if wide < close:
                near, far, close, wide = far, near, wide, close
            if wide <= best[0]:
                stack[size] = far
                reach[size] = wide
                size += 1
            if close > best[0]:
                break
            node = near
        if node >= leaves:
            best = _search_leaf(point, corners, order, node - leaves, best)
    return best


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _nearest(points: Any, boxes: Any, corners: Any, order: Any) -> Any:
    """Answer point by point, each search starting with the bound of the face the last point found."""
    count = len(points)
    face = np.full(count, -1, np.int64)
    weight = np.zeros((count, 3), np.float32)
    distance = np.full(count, np.inf, np.float32)
    last = 0
    for i in range(count):
        point = (points[i, 0], points[i, 1], points[i, 2])
        if len(corners) == 0 or not np.isfinite(point[0] + point[1] + point[2]):
            continue
        away, y, z = on_triangle(point, corners, last)
        away, y, z, last = _search(point, boxes, corners, order, (away, y, z, last))
        face[i] = order[last]
        weight[i, 0], weight[i, 1], weight[i, 2] = 1.0 - y - z, y, z
        distance[i] = np.sqrt(away)
    return face, weight, distance
