"""Write the texels of maps, and fill those that have no value, in Warp; as ops.bake and ops.padding do.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

from typing import Any

import warp as wp

from forge_batch.ops.warp_search import COVERED, FOUND_NEAR
from forge_batch.ops.warp_surface import MISS, mix3

NOTHING = wp.constant(wp.int32(2147483647))


@wp.kernel(enable_backward=False)
def seed(state: wp.array(dtype=wp.uint8), nearest: wp.array(dtype=wp.int32)):
    i = wp.tid()
    nearest[i] = wp.where(state[i] >= FOUND_NEAR, i, wp.int32(-1))


# Take the nearest of what the nine texels at a distance of `jump` know (Rong and Tan, "Jump Flooding in GPU", 2006); of
# equally near ones the lowest-numbered.
@wp.kernel(enable_backward=False)
def flood(size: wp.int32, jump: wp.int32, before: wp.array(dtype=wp.int32), after: wp.array(dtype=wp.int32)):
    i = wp.tid()
    row = i / size
    column = i % size
    best = wp.int32(-1)
    least = NOTHING
    for a in range(-1, 2):
        for b in range(-1, 2):
            r = row + a * jump
            c = column + b * jump
            if r >= 0 and r < size and c >= 0 and c < size:
                known = before[r * size + c]
                if known >= 0:
                    dr = known / size - row
                    dc = known % size - column
                    away = dr * dr + dc * dc
                    if away < least or (away == least and known < best):
                        least = away
                        best = known
    after[i] = best


# Copy to each texel the value of the nearest one that has any.
@wp.kernel(enable_backward=False)
def spread(nearest: wp.array(dtype=wp.int32), values: wp.array(dtype=Any, ndim=2), out: wp.array(dtype=Any, ndim=2)):
    i, k = wp.tid()
    out[i, k] = values[nearest[i], k]


for depth in (wp.uint8, wp.uint16):
    wp.overload(spread, [wp.array(dtype=wp.int32), wp.array(dtype=depth, ndim=2), wp.array(dtype=depth, ndim=2)])


# Give tangent, bitangent and normal, none of them of unit length; as gbuffer.Frame.
@wp.func
def _frame(
    tangents: wp.array(dtype=wp.vec4),
    normals: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    f: wp.int32,
    w: wp.vec3,
):
    a = tangents[faces[f, 0]]
    b = tangents[faces[f, 1]]
    c = tangents[faces[f, 2]]
    tangent = w[0] * wp.vec3(a[0], a[1], a[2]) + w[1] * wp.vec3(b[0], b[1], b[2]) + w[2] * wp.vec3(c[0], c[1], c[2])
    normal = mix3(normals, faces, f, w)
    return tangent, a[3] * wp.cross(normal, tangent), normal


# Write the source's normal in the tangent space of the mesh, mean of a texel's samples.
@wp.kernel(enable_backward=False)
def normal_texels(
    n: wp.int32,
    offset: wp.int32,
    kind: wp.array(dtype=wp.uint8),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    normals: wp.array(dtype=wp.vec3),
    tangents: wp.array(dtype=wp.vec4),
    source_corners: wp.array(dtype=wp.int32, ndim=2),
    source_normals: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.uint16, ndim=2),
):
    t = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    count = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if kind[i] != MISS:
            f = face[i]
            T, B, N = _frame(tangents, normals, faces, f, weights[i])
            normal = wp.normalize(mix3(source_normals, source_corners, source_face[i], source_weights[i]))
            determinant = wp.dot(T, wp.cross(B, N))
            turn = wp.sign(determinant)
            x = turn * wp.dot(normal, wp.cross(B, N))
            y = turn * wp.dot(normal, wp.cross(N, T))
            z = wp.max(turn * wp.dot(normal, wp.cross(T, B)), 0.0)
            length = wp.length(wp.vec3(x, y, z))
            inside = wp.vec3(0.0, 0.0, 1.0)
            if wp.abs(determinant) >= 1.0e-12 and length >= 1.0e-12:
                inside = wp.vec3(x, y, z) / length
            total = total + inside
            count = count + 1
    if count == 0:
        return
    if n > 1:
        total = total / wp.float32(count)
        length = wp.length(total)
        if length > 1.0e-6:  # noqa: SIM108 - a kernel's choice of expressions reads both
            total = total / length
        else:
            total = wp.vec3(0.0, 0.0, 1.0)
    for k in range(3):
        out[offset + t, k] = wp.uint16(wp.rint((total[k] * 0.5 + 0.5) * 65535.0))


# Measure the angle between the source's normal and what a shader makes of a map, mean of a texel's samples.
@wp.kernel(enable_backward=False)
def error_texels(
    n: wp.int32,
    offset: wp.int32,
    kind: wp.array(dtype=wp.uint8),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    normals: wp.array(dtype=wp.vec3),
    tangents: wp.array(dtype=wp.vec4),
    source_corners: wp.array(dtype=wp.int32, ndim=2),
    source_normals: wp.array(dtype=wp.vec3),
    state: wp.array(dtype=wp.uint8),
    shown: wp.array(dtype=wp.uint16, ndim=2),
    steps: wp.float32,
    out: wp.array(dtype=wp.uint8),
):
    t = wp.tid()
    x = wp.float32(shown[offset + t, 0]) / 32767.5 - 1.0
    y = wp.float32(shown[offset + t, 1]) / 32767.5 - 1.0
    z = wp.float32(shown[offset + t, 2]) / 32767.5 - 1.0
    total = wp.float32(0.0)
    count = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if kind[i] != MISS:
            f = face[i]
            T, B, N = _frame(tangents, normals, faces, f, weights[i])
            normal = wp.normalize(mix3(source_normals, source_corners, source_face[i], source_weights[i]))
            seen = x * T + y * B + z * N
            total = total + wp.degrees(wp.atan2(wp.length(wp.cross(seen, normal)), wp.dot(seen, normal)))
            count = count + 1
    value = wp.float32(0.0)
    if state[offset + t] >= COVERED:
        value = 255.0
    if count > 0:
        value = wp.min(wp.rint(total / wp.float32(count) * steps), 255.0)
    out[offset + t] = wp.uint8(value)


@wp.func
def _encoded(value: wp.float32):
    x = wp.clamp(value, 0.0, 1.0)
    result = x * 12.92
    if x > 0.0031308:
        result = 1.055 * wp.pow(x, 1.0 / 2.4) - 0.055
    return wp.uint8(wp.rint(result * 255.0))


@wp.kernel(enable_backward=False)
def color_texels(
    n: wp.int32,
    offset: wp.int32,
    kind: wp.array(dtype=wp.uint8),
    color: wp.array(dtype=wp.vec3),
    material: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.uint8, ndim=2),
    unseen: wp.array(dtype=wp.uint8),
):
    t = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    seen = wp.float32(0.0)
    count = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if kind[i] != MISS:
            total = total + color[i]
            seen = seen + material[i][2]
            count = count + 1
    if count == 0:
        return
    for k in range(3):
        out[offset + t, k] = _encoded(total[k] / wp.float32(count))
    unseen[offset + t] = wp.where(seen / wp.float32(count) < 0.5, wp.uint8(255), wp.uint8(0))


# Write the mean of the samples' alpha beside the colour.
@wp.kernel(enable_backward=False)
def alpha_texels(
    n: wp.int32,
    offset: wp.int32,
    kind: wp.array(dtype=wp.uint8),
    alpha: wp.array(dtype=wp.float32),
    out: wp.array(dtype=wp.uint8, ndim=2),
):
    t = wp.tid()
    total = wp.float32(0.0)
    count = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if kind[i] != MISS:
            total = total + alpha[i]
            count = count + 1
    if count > 0:
        out[offset + t, 3] = wp.uint8(wp.rint(wp.clamp(total / wp.float32(count), 0.0, 1.0) * 255.0))


@wp.kernel(enable_backward=False)
def material_texels(
    n: wp.int32,
    offset: wp.int32,
    kind: wp.array(dtype=wp.uint8),
    material: wp.array(dtype=wp.vec3),
    metallic: wp.array(dtype=wp.uint8),
    roughness: wp.array(dtype=wp.uint8),
):
    t = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    count = wp.int32(0)
    for s in range(n * n):
        i = t * n * n + s
        if kind[i] != MISS:
            total = total + material[i]
            count = count + 1
    if count == 0:
        return
    mean = total / wp.float32(count)
    metallic[offset + t] = wp.uint8(wp.rint(wp.clamp(mean[0], 0.0, 1.0) * 255.0))
    roughness[offset + t] = wp.uint8(wp.rint(wp.clamp(mean[1], 0.0, 1.0) * 255.0))


# Write values of 0..1 in 8 bits.
@wp.kernel(enable_backward=False)
def byte_texels(values: wp.array(dtype=wp.float32), out: wp.array(dtype=wp.uint8)):
    i = wp.tid()
    out[i] = wp.uint8(wp.rint(wp.clamp(values[i], 0.0, 1.0) * 255.0))
