"""Hold what the kernels of the GPU bakes share, in Warp: reading a surface, and casting rays at it.

One source for CUDA and, for tests, for the CPU. Each kernel does for one texel, sample or face what ops.raster, ops.gbuffer,
ops.source_search, ops.bake and ops.occlusion do for arrays; the reasons stand there. Arrays over samples hold those of a band
of rows: number texel * n * n + place in the texel, where n is the samples along an edge and texel counts from the band's first.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

MISS, RAY, NEAREST = wp.constant(wp.uint8(0)), wp.constant(wp.uint8(1)), wp.constant(wp.uint8(2))
mat34d = wp.types.matrix(shape=(3, 4), dtype=wp.float64)


@wp.struct
class Hit:
    """Be a point of a surface: face -1 for none, the weights of its corners, and the distance."""

    face: wp.int32
    weights: wp.vec3
    distance: wp.float32


@wp.func
def mix3(values: wp.array(dtype=wp.vec3), faces: wp.array(dtype=wp.int32, ndim=2), f: wp.int32, w: wp.vec3):
    return w[0] * values[faces[f, 0]] + w[1] * values[faces[f, 1]] + w[2] * values[faces[f, 2]]


@wp.func
def mix(values: wp.array(dtype=wp.float32), faces: wp.array(dtype=wp.int32, ndim=2), f: wp.int32, w: wp.vec3):
    return w[0] * values[faces[f, 0]] + w[1] * values[faces[f, 1]] + w[2] * values[faces[f, 2]]


@wp.func
def cast(scene: wp.uint64, origin: wp.vec3, direction: wp.vec3, reach: wp.float32):
    found = wp.mesh_query_ray(scene, origin, direction, reach)
    hit = Hit()
    hit.face = wp.int32(-1)
    hit.distance = wp.float32(1.0e30)
    if found.result:
        hit.face = found.face
        hit.distance = found.t
        hit.weights = wp.vec3(found.u, found.v, 1.0 - found.u - found.v)
    return hit


@wp.func
def agrees(scene: wp.uint64, hit: Hit, normal: wp.vec3):
    result = False
    if hit.face >= 0:
        mesh = wp.mesh_get(scene)
        a = mesh.points[mesh.indices[hit.face * 3]]
        b = mesh.points[mesh.indices[hit.face * 3 + 1]]
        c = mesh.points[mesh.indices[hit.face * 3 + 2]]
        result = wp.dot(wp.cross(b - a, c - a), normal) > 0.0
    return result
