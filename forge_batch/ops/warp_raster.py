"""Find which face covers each sample of an atlas, in Warp; as ops.raster does.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

LANES = 64
"""Threads that share a face: the rows of its bounding box are dealt out among them."""

NOTHING = wp.constant(wp.int32(2147483647))
FAR_KEY = wp.constant(wp.int64(9223372036854775807))
RIM_PULL = wp.constant(wp.float64(1e-3))
DISTANCE_STEPS = wp.constant(wp.float64(2147483648.0))


@wp.struct
class Grid:
    """Be the samples of some rows: how many along an edge of a texel, subtexels between them, the first row, and the extent."""

    n: wp.int32
    step: wp.int64
    start: wp.int32
    height: wp.int32
    width: wp.int32


@wp.func
def _place(grid: Grid, row: wp.int32, column: wp.int32):
    n = grid.n
    texel = (row / n) * (grid.width / n) + column / n
    return texel * n * n + (row % n) * n + column % n


@wp.func
def _signed_area(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32):
    x1 = corners[f, 1, 0] - corners[f, 0, 0]
    y1 = corners[f, 1, 1] - corners[f, 0, 1]
    x2 = corners[f, 2, 0] - corners[f, 0, 0]
    y2 = corners[f, 2, 1] - corners[f, 0, 1]
    return x1 * y2 - y1 * x2


@wp.func
def _floor_sample(value: wp.int64, step: wp.int64):
    sample = value / step
    if value < wp.int64(0) and sample * step != value:
        sample = sample - wp.int64(1)
    return wp.int32(sample)


@wp.func
def _first(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, axis: wp.int32, margin: wp.int32, step: wp.int64):
    low = wp.min(wp.min(corners[f, 0, axis], corners[f, 1, axis]), corners[f, 2, axis])
    return _floor_sample(low - step / wp.int64(2), step) - margin


@wp.func
def _end(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, axis: wp.int32, margin: wp.int32, step: wp.int64):
    high = wp.max(wp.max(corners[f, 0, axis], corners[f, 1, axis]), corners[f, 2, axis])
    return _floor_sample(high - step / wp.int64(2), step) + 2 + margin


@wp.func
def _side(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, k: wp.int32, x: wp.int64, y: wp.int64):
    n = (k + 1) % 3
    ax = corners[f, k, 0]
    ay = corners[f, k, 1]
    return (corners[f, n, 0] - ax) * (y - ay) - (corners[f, n, 1] - ay) * (x - ax)


# Give samples to the lowest face that covers them, and count the faces that strictly contain each.
@wp.kernel(enable_backward=False)
def fill(
    corners: wp.array(dtype=wp.int64, ndim=3),
    grid: Grid,
    face: wp.array(dtype=wp.int32),
    inside: wp.array(dtype=wp.int32),
):
    f, lane = wp.tid()
    area = _signed_area(corners, f)
    if area == wp.int64(0):
        return
    turn = wp.where(area > wp.int64(0), wp.int64(1), wp.int64(-1))
    step = grid.step
    half = step / wp.int64(2)
    left = wp.max(_first(corners, f, 0, 0, step), 0)
    right = wp.min(_end(corners, f, 0, 0, step), grid.width)
    bottom = wp.min(_end(corners, f, 1, 0, step) - grid.start, grid.height)
    row = wp.max(_first(corners, f, 1, 0, step) - grid.start, 0) + lane
    while row < bottom:
        y = wp.int64(grid.start + row) * step + half
        for column in range(left, right):
            x = wp.int64(column) * step + half
            a = turn * _side(corners, f, 0, x, y)
            b = turn * _side(corners, f, 1, x, y)
            c = turn * _side(corners, f, 2, x, y)
            if a >= wp.int64(0) and b >= wp.int64(0) and c >= wp.int64(0):
                i = _place(grid, row, column)
                wp.atomic_min(face, i, f)
                if a > wp.int64(0) and b > wp.int64(0) and c > wp.int64(0):
                    wp.atomic_add(inside, i, 1)
        row = row + LANES


@wp.func
def _along(dot: wp.float64, length: wp.float64):
    result = wp.float64(0.0)
    if length > wp.float64(0.0):
        result = wp.clamp(dot / length, wp.float64(0.0), wp.float64(1.0))
    return result


# Give squared distance and weights of the second and third corner, as ops.nearest.on_triangle; w is the point, u and v the
# sides, all from the first corner.
@wp.func
def _on_triangle(w: wp.vec2d, u: wp.vec2d, v: wp.vec2d):
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    uu = wp.dot(u, u)
    uv = wp.dot(u, v)
    vv = wp.dot(v, v)
    wu = wp.dot(w, u)
    wv = wp.dot(w, v)
    area = uu * vv - uv * uv
    if area > zero:
        y = (vv * wu - uv * wv) / area
        z = (uu * wv - uv * wu) / area
        if y >= zero and z >= zero and y + z <= one:
            return wp.vec3d(wp.length_sq(w - y * u - z * v), y, z)
    t = _along(wu, uu)
    best = wp.vec3d(wp.length_sq(w - t * u), t, zero)
    t = _along(wv, vv)
    away = wp.length_sq(w - t * v)
    if away < best[0]:
        best = wp.vec3d(away, zero, t)
    t = _along(wv - wu - uv + uu, uu - wp.float64(2.0) * uv + vv)
    away = wp.length_sq(w - (one - t) * u - t * v)
    if away < best[0]:
        best = wp.vec3d(away, one - t, t)
    return best


@wp.func
def _to_face(flat: wp.array(dtype=wp.vec2d, ndim=2), f: wp.int32, row: wp.int32, column: wp.int32):
    centre = wp.vec2d(wp.float64(column) + wp.float64(0.5), wp.float64(row) + wp.float64(0.5))
    return _on_triangle(centre - flat[f, 0], flat[f, 1] - flat[f, 0], flat[f, 2] - flat[f, 0])


# Offer each face to the samples within half their square's diagonal that nobody covers: the nearest wins, then the lowest.
@wp.kernel(enable_backward=False)
def grow(
    corners: wp.array(dtype=wp.int64, ndim=3),
    flat: wp.array(dtype=wp.vec2d, ndim=2),
    grid: Grid,
    face: wp.array(dtype=wp.int32),
    offers: wp.array(dtype=wp.int64),
):
    f, lane = wp.tid()
    if _signed_area(corners, f) == wp.int64(0):
        return
    left = wp.max(_first(corners, f, 0, 1, grid.step), 0)
    right = wp.min(_end(corners, f, 0, 1, grid.step), grid.width)
    bottom = wp.min(_end(corners, f, 1, 1, grid.step) - grid.start, grid.height)
    row = wp.max(_first(corners, f, 1, 1, grid.step) - grid.start, 0) + lane
    while row < bottom:
        for column in range(left, right):
            i = _place(grid, row, column)
            if face[i] == NOTHING:
                away = _to_face(flat, f, grid.start + row, column)[0]
                if away < wp.float64(0.5):
                    wp.atomic_min(offers, i, (wp.int64(away * DISTANCE_STEPS) << wp.int64(32)) + wp.int64(f))
        row = row + LANES


# Settle who covers each sample, and where on its face the nearest point to the sample lies.
@wp.kernel(enable_backward=False)
def weigh(
    flat: wp.array(dtype=wp.vec2d, ndim=2),
    grid: Grid,
    offers: wp.array(dtype=wp.int64),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    centre: wp.array(dtype=wp.uint8),
):
    row, column = wp.tid()
    i = _place(grid, row, column)
    f = face[i]
    centre[i] = wp.where(f == NOTHING, wp.uint8(0), wp.uint8(1))
    if f == NOTHING:
        f = wp.int32(-1)
        if offers[i] != FAR_KEY:
            f = wp.int32(offers[i] & wp.int64(4294967295))
    face[i] = f
    if f >= 0:
        found = _to_face(flat, f, grid.start + row, column)
        y = found[1]
        z = found[2]
        if centre[i] == wp.uint8(0):
            y = y + RIM_PULL * (wp.float64(1.0) / wp.float64(3.0) - y)
            z = z + RIM_PULL * (wp.float64(1.0) / wp.float64(3.0) - z)
        weights[i] = wp.vec3(wp.float32(wp.float64(1.0) - y - z), wp.float32(y), wp.float32(z))


# Count the samples that lie strictly inside more than one face.
@wp.kernel(enable_backward=False)
def count_overlaps(inside: wp.array(dtype=wp.int32), total: wp.array(dtype=wp.int32)):
    if inside[wp.tid()] > 1:
        wp.atomic_add(total, 0, 1)
