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
    """Be a mesh made ready for nearest-point queries: 55 bytes a face; corners in doubles would be 36 more, and no faster."""

    def __init__(self, vertices: Float32[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> None:
        self._order = np.argsort(_morton(vertices, faces), kind="stable").astype(np.int32)
        leaves = 1 << max(0, -(-len(faces) // _LEAF) - 1).bit_length()
        boxes = np.empty((2 * leaves, 2, 3), np.float32)
        self._corners = np.empty((len(faces), 3, 3), np.float32)
        _gather(vertices, faces, self._order, self._corners)
        _bound_leaves(self._corners, boxes[leaves:])
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


def _morton(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Number the middles of faces along a Z curve of 21 bits an axis."""
    if not len(faces):
        return np.zeros(0, np.uint64)
    low = vertices.min(axis=0).astype(np.float64)
    size = max(float((vertices.max(axis=0) - low).max()), 1e-30)
    result: np.ndarray = _number(vertices, faces, low, 2097151.0 / (3.0 * size))
    return result


@njit(cache=True, nogil=True)
@no_type_check
def _number(vertices: Any, faces: Any, low: Any, scale: Any) -> Any:
    result = np.zeros(len(faces), np.uint64)
    for f in range(len(faces)):
        for axis in range(3):
            total = 0.0
            for k in range(3):
                total += vertices[faces[f, k], axis] - low[axis]
            # what is not finite has no place; it may have any, so long as it has one
            cell = np.uint64(min(max(total * scale, 0.0), 2097151.0)) if np.isfinite(total) else np.uint64(0)
            cell = (cell | (cell << np.uint64(32))) & np.uint64(0x1F00000000FFFF)
            cell = (cell | (cell << np.uint64(16))) & np.uint64(0x1F0000FF0000FF)
            cell = (cell | (cell << np.uint64(8))) & np.uint64(0x100F00F00F00F00F)
            cell = (cell | (cell << np.uint64(4))) & np.uint64(0x10C30C30C30C30C3)
            cell = (cell | (cell << np.uint64(2))) & np.uint64(0x1249249249249249)
            result[f] |= cell << np.uint64(axis)
    return result


@njit(cache=True, nogil=True)
@no_type_check
def _gather(vertices: Any, faces: Any, order: Any, corners: Any) -> Any:
    """Lay the corners of faces in the order of the leaves."""
    for place in range(len(order)):
        for k in range(3):
            for axis in range(3):
                corners[place, k, axis] = vertices[faces[order[place], k], axis]


@njit(cache=True, nogil=True)
@no_type_check
def _bound_leaves(corners: Any, boxes: Any) -> Any:
    """Write the box of each leaf; one without faces is empty."""
    for leaf in range(len(boxes)):
        for axis in range(3):
            low, high = np.float32(np.inf), np.float32(-np.inf)
            for place in range(leaf * _LEAF, min((leaf + 1) * _LEAF, len(corners))):
                for k in range(3):
                    low, high = min(low, corners[place, k, axis]), max(high, corners[place, k, axis])
            boxes[leaf, 0, axis], boxes[leaf, 1, axis] = low, high


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _load(corners: Any, place: Any, triangle: Any) -> Any:
    """Lay a face out as on_triangle wants it, in doubles: a corner and the two sides from there."""
    for axis in range(3):
        corner = np.float64(corners[place, 0, axis])
        triangle[0, 0, axis] = corner
        triangle[0, 1, axis] = corners[place, 1, axis] - corner
        triangle[0, 2, axis] = corners[place, 2, axis] - corner


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
def _search(point: Any, boxes: Any, corners: Any, order: Any, triangle: Any, best: Any) -> Any:
    """Walk the tree, nearer child first, and better the best so far: (squared distance, y, z, place in the order)."""
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
            first = (node - leaves) * _LEAF
            for place in range(first, min(first + _LEAF, len(corners))):
                _load(corners, place, triangle)
                away, y, z = on_triangle(point, triangle, 0)
                if away < best[0] or (away == best[0] and order[place] < order[best[3]]):
                    best = (away, y, z, place)
    return best


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _nearest(points: Any, boxes: Any, corners: Any, order: Any) -> Any:
    """Answer point by point, each search starting with the bound of the face the last point found."""
    count = len(points)
    face = np.full(count, -1, np.int64)
    weight = np.zeros((count, 3), np.float32)
    distance = np.full(count, np.inf, np.float32)
    triangle = np.empty((1, 3, 3), np.float64)
    last = 0
    for i in range(count):
        point = (points[i, 0], points[i, 1], points[i, 2])
        if len(corners) == 0 or not np.isfinite(point[0] + point[1] + point[2]):
            continue
        _load(corners, last, triangle)
        away, y, z = on_triangle(point, triangle, 0)
        away, y, z, last = _search(point, boxes, corners, order, triangle, (away, y, z, last))
        face[i] = order[last]
        weight[i, 0], weight[i, 1], weight[i, 2] = 1.0 - y - z, y, z
        distance[i] = np.sqrt(away)
    return face, weight, distance
