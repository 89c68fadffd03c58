"""Find the source under each sample, in Warp; as ops.source_search and ops.gbuffer do.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

from forge_batch.ops.warp_surface import MISS, NEAREST, RAY, agrees, cast, mix3

COVERED, FOUND_NEAR, FOUND_BY_RAY = wp.constant(wp.uint8(1)), wp.constant(wp.uint8(2)), wp.constant(wp.uint8(3))


# Bound the rays of each vertex by half the way to the next layer of the low poly that faces the same way: threads are the
# vertices, then the centres of the faces, which speak for their three corners. `side` is 0 outwards, 1 inwards.
@wp.kernel(enable_backward=False)
def limit_reach(
    low: wp.uint64,
    vertices: wp.array(dtype=wp.vec3),
    smooth: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    cage: wp.float32,
    step: wp.float32,
    limits: wp.array(dtype=wp.float32, ndim=2),
):
    t, side = wp.tid()
    count = vertices.shape[0]
    third = wp.vec3(1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0)
    point = wp.vec3(0.0, 0.0, 0.0)
    normal = wp.vec3(0.0, 0.0, 0.0)
    if t < count:
        point = vertices[t]
        normal = smooth[t]
    else:
        point = mix3(vertices, faces, t - count, third)
        normal = wp.normalize(mix3(smooth, faces, t - count, third))
    sign = wp.where(side == 0, 1.0, -1.0)
    hit = cast(low, point + sign * step * normal, sign * normal, 2.0 * cage)
    if agrees(low, hit, normal):
        limit = wp.min((hit.distance + step) / 2.0, cage)
        if t < count:
            wp.atomic_min(limits, t, side, limit)
        else:
            for k in range(3):
                wp.atomic_min(limits, faces[t - count, k], side, limit)


# Give how far out, up to its reach, a ray may start without having passed a wall that faces the point.
@wp.func
def _clear_distance(scene: wp.uint64, point: wp.vec3, normal: wp.vec3, reach: wp.float32, cage: wp.float32, step: wp.float32):
    out = cast(scene, point, normal, cage)
    clear = wp.min(out.distance, reach)
    if out.distance < reach and agrees(scene, out, normal):
        beyond = cast(scene, point + (clear + step) * normal, normal, cage)
        wall = beyond.face >= 0 and not agrees(scene, beyond, normal)
        clear = wp.where(wall, wp.min(clear + beyond.distance, reach), reach)
    return wp.max(clear - step, 0.0)


# Find the source under each covered sample.
@wp.kernel(enable_backward=False)
def search(
    scene: wp.uint64,
    vertices: wp.array(dtype=wp.vec3),
    smooth: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    limits: wp.array(dtype=wp.float32, ndim=2),
    cage: wp.float32,
    step: wp.float32,
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    kind: wp.array(dtype=wp.uint8),
):
    i = wp.tid()
    f = face[i]
    source_face[i] = -1
    kind[i] = MISS
    if f < 0:
        return
    w = weights[i]
    point = mix3(vertices, faces, f, w)
    normal = wp.normalize(mix3(smooth, faces, f, w))
    a = faces[f, 0]
    b = faces[f, 1]
    c = faces[f, 2]
    outwards = w[0] * limits[a, 0] + w[1] * limits[b, 0] + w[2] * limits[c, 0]
    inwards = w[0] * limits[a, 1] + w[1] * limits[b, 1] + w[2] * limits[c, 1]
    start = _clear_distance(scene, point, normal, outwards, cage, step)
    hit = cast(scene, point + start * normal, -normal, 2.0 * cage)
    how = RAY
    good = agrees(scene, hit, normal) and hit.distance <= start + inwards
    if not good:
        near = wp.mesh_query_point_no_sign(scene, point, 2.0 * cage)
        how = NEAREST
        if near.result:
            hit.face = near.face
            hit.weights = wp.vec3(near.u, near.v, 1.0 - near.u - near.v)
            good = agrees(scene, hit, normal)
    if good:
        source_face[i] = hit.face
        source_weights[i] = hit.weights
        kind[i] = how


# Say of each texel whether it is covered and how well it found the source, and leave `kind` to those samples alone that
# count: of a texel those that are covered themselves, or if none of them found the source, those of its rim.
@wp.kernel(enable_backward=False)
def settle(
    n: wp.int32,
    offset: wp.int32,
    face: wp.array(dtype=wp.int32),
    centre: wp.array(dtype=wp.uint8),
    kind: wp.array(dtype=wp.uint8),
    state: wp.array(dtype=wp.uint8),
):
    t = wp.tid()
    best = wp.uint8(0)
    sure = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if face[i] >= 0:
            worth = COVERED
            if kind[i] == NEAREST:
                worth = FOUND_NEAR
            if kind[i] == RAY:
                worth = FOUND_BY_RAY
            best = wp.max(best, worth)
            if kind[i] != MISS and centre[i] > wp.uint8(0):
                sure = sure + 1
    state[offset + t] = best
    if sure > 0:
        for s in range(n * n):
            i = t * n * n + s
            if centre[i] == wp.uint8(0):
                kind[i] = MISS
