"""Look from the points of the source at the sky, in Warp; as ops.occlusion and ops.denoise do.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

from forge_batch.ops.warp_search import FOUND_NEAR
from forge_batch.ops.warp_surface import MISS, mix3
from forge_batch.ops.warp_tree import Tree, meet

DENOISE_RADIUS = wp.constant(wp.int32(3))


@wp.struct
class Points:
    """Be the samples of a band, of which the surface of the source is read."""

    n: wp.int32
    size: wp.int32
    first_row: wp.int32
    rows: wp.int32
    kind: wp.array(dtype=wp.uint8)
    source_face: wp.array(dtype=wp.int32)
    source_weights: wp.array(dtype=wp.vec3)
    vertices: wp.array(dtype=wp.vec3)
    faces: wp.array(dtype=wp.int32, ndim=2)
    corners: wp.array(dtype=wp.int32, ndim=2)
    normals: wp.array(dtype=wp.vec3)


@wp.struct
class Rays:
    """Be the pattern of a texel's rays in cells of high times low, their length, and where the ground is."""

    pattern: wp.array(dtype=wp.vec2)
    high: wp.int32
    low: wp.int32
    reach: wp.float32
    step: wp.float32
    falloff: wp.float32
    floor: wp.float32


@wp.struct
class Turn:
    """Be how a texel's pattern is shifted: in the unit square, and in whole cells."""

    shift: wp.vec2
    moved_r: wp.int32
    moved_a: wp.int32


@wp.struct
class Basis:
    """Be a point's frame: Duff et al., "Building an Orthonormal Basis, Revisited", 2017."""

    origin: wp.vec3
    first: wp.vec3
    second: wp.vec3
    normal: wp.vec3


@wp.func
def _fraction(value: wp.float64):
    return value - wp.floor(value)


@wp.func
def turn_of(rays: Rays, row: wp.int32, column: wp.int32):
    x = wp.float64(column)
    y = wp.float64(row)
    turn = Turn()
    shift_r = wp.float32(_fraction(x * wp.float64(0.7548776662466927) + y * wp.float64(0.5698402909980532)))
    shift_a = wp.float32(_fraction(x * wp.float64(0.5698402909980532) + y * wp.float64(0.7548776662466927) + wp.float64(0.5)))
    turn.shift = wp.vec2(shift_r, shift_a)
    turn.moved_r = wp.int32(shift_r * wp.float32(rays.high))
    turn.moved_a = wp.int32(shift_a * wp.float32(rays.low))
    return turn


@wp.func
def basis_of(points: Points, rays: Rays, i: wp.int32):
    f = points.source_face[i]
    w = points.source_weights[i]
    n = wp.normalize(mix3(points.normals, points.corners, f, w))
    side = wp.where(n[2] >= 0.0, 1.0, -1.0)
    a = -1.0 / (side + n[2])
    b = n[0] * n[1] * a
    basis = Basis()
    basis.origin = mix3(points.vertices, points.faces, f, w) + rays.step * n
    basis.first = wp.vec3(1.0 + side * n[0] * n[0] * a, side * b, -side * n[0])
    basis.second = wp.vec3(b, side + n[1] * n[1] * a, -n[1])
    basis.normal = n
    return basis


# Give ray k: the one that the texel's own shift brings into cell k of the pattern's grid (see ops.hemisphere.in_cells), so that
# threads that are at the same k send their rays the same way. The rays are the same as in any other order.
@wp.func
def direction_of(rays: Rays, turn: Turn, basis: Basis, k: wp.int32):
    high = rays.high
    low = rays.low
    point = rays.pattern[((k / low + high - turn.moved_r) % high) * low + (k % low + low - turn.moved_a) % low]
    u = point[0] + turn.shift[0]
    u = u - wp.floor(u)
    angle = point[1] + turn.shift[1]
    angle = 6.283185307179586 * (angle - wp.floor(angle))
    wide = wp.sqrt(u)
    across = wide * wp.cos(angle) * basis.first + wide * wp.sin(angle) * basis.second
    return across + wp.sqrt(1.0 - u) * basis.normal


# Give the texel of a thread in tiles of 8 x 4, so that the threads of a warp start close to one another; -1 beyond the edge.
@wp.func
def texel_of(points: Points, t: wp.int32):
    result = wp.int32(-1)
    tiles = (points.size + 7) / 8
    tile = t / 32
    row = (tile / tiles) * 4 + (t % 32) / 8
    column = (tile % tiles) * 8 + t % 8
    if row < points.rows and column < points.size:
        result = row * points.size + column
    return result


@wp.func
def count_samples(points: Points, texel: wp.int32):
    nn = points.n * points.n
    count = wp.int32(0)
    for s in range(nn):
        if points.kind[texel * nn + s] != MISS:
            count = count + 1
    return count


@wp.func
def _floor_distance(origin: wp.vec3, direction: wp.vec3, floor: wp.float32):
    result = wp.float32(1.0e30)
    if direction[1] < 0.0:
        result = wp.max((floor - origin[1]) / direction[1], 0.0)
    return result


# Mark the threads whose texel found the source, and write their texels one after another by the sums of the marks.
@wp.kernel(enable_backward=False)
def mark_texels(points: Points, marks: wp.array(dtype=wp.int32)):
    texel = texel_of(points, wp.tid())
    marks[wp.tid()] = 0
    if texel >= 0 and count_samples(points, texel) > 0:
        marks[wp.tid()] = 1


@wp.kernel(enable_backward=False)
def list_texels(
    points: Points, marks: wp.array(dtype=wp.int32), sums: wp.array(dtype=wp.int32), texels: wp.array(dtype=wp.int32)
):
    t = wp.tid()
    if marks[t] == 1:
        texels[sums[t] - 1] = texel_of(points, t)


# Make the kernel that sums what a texel's rays meet; its samples send them in turns. `fading`: what is far away counts less, so
# that the nearest face must be found, where else any will do. A kernel for each: one for both takes 93 ms where this takes 76.
def _sky(fading: bool):
    @wp.kernel(enable_backward=False, module="unique")
    def sky(
        tree: Tree,
        points: Points,
        rays: Rays,
        texels: wp.array(dtype=wp.int32),
        offset: wp.int32,
        out: wp.array(dtype=wp.float32),
    ):
        texel = texels[wp.tid() + offset]
        samples = count_samples(points, texel)
        row = points.first_row + texel / points.size
        turn = turn_of(rays, row, texel % points.size)
        count = rays.pattern.shape[0]
        nn = points.n * points.n
        dark = wp.float32(0.0)
        j = wp.int32(0)
        for s in range(nn):
            i = texel * nn + s
            if points.kind[i] != MISS:
                basis = basis_of(points, rays, i)
                for k in range(j, count, samples):
                    direction = direction_of(rays, turn, basis, k)
                    floor = _floor_distance(basis.origin, direction, rays.floor)
                    if wp.static(fading):
                        met = meet(tree, basis.origin, direction, wp.min(floor, rays.reach), False)
                        if met < rays.reach:
                            dark = dark + wp.pow(1.0 - met / rays.reach, rays.falloff)
                    elif floor < rays.reach:  # noqa: SIM114 - `or` reads both sides
                        dark = dark + 1.0
                    elif meet(tree, basis.origin, direction, rays.reach, True) < rays.reach:
                        dark = dark + 1.0
                j = j + 1
        out[row * points.size + texel % points.size] = 1.0 - dark / wp.float32(count)

    return sky


sky, fading_sky = _sky(False), _sky(True)


# Keep the position and the normal of the first sample of each texel, for `denoise`.
@wp.kernel(enable_backward=False)
def guide_texels(points: Points, position: wp.array(dtype=wp.vec3), normal: wp.array(dtype=wp.vec3)):
    texel = wp.tid()
    nn = points.n * points.n
    found = wp.int32(0)
    for s in range(nn):
        i = texel * nn + s
        if found == 0 and points.kind[i] != MISS:
            f = points.source_face[i]
            at = points.first_row * points.size + texel
            position[at] = mix3(points.vertices, points.faces, f, points.source_weights[i])
            normal[at] = wp.normalize(mix3(points.normals, points.corners, f, points.source_weights[i]))
            found = 1


# Average each texel with its neighbours along the surface; as ops.denoise.
@wp.kernel(enable_backward=False)
def denoise(
    size: wp.int32,
    near: wp.float32,
    power: wp.float32,
    trust: wp.float32,
    rays: wp.float32,
    state: wp.array(dtype=wp.uint8),
    position: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    before: wp.array(dtype=wp.float32),
    after: wp.array(dtype=wp.float32),
):
    i = wp.tid()
    own = before[i]
    after[i] = own
    if state[i] < FOUND_NEAR:
        return
    row = i / size
    column = i % size
    noise = trust * wp.sqrt(wp.max(own * (1.0 - own), 0.5 / rays) / rays)
    total = wp.float32(0.0)
    value = wp.float32(0.0)
    for a in range(-DENOISE_RADIUS, DENOISE_RADIUS + 1):
        for b in range(-DENOISE_RADIUS, DENOISE_RADIUS + 1):
            r = row + a
            c = column + b
            if r >= 0 and r < size and c >= 0 and c < size:
                j = r * size + c
                if state[j] >= FOUND_NEAR:
                    cosine = wp.dot(normal[i], normal[j])
                    if cosine > 0.0:
                        differ = (before[j] - own) / noise
                        away = wp.length_sq(position[i] - position[j]) / (near * near)
                        weight = wp.exp(-0.5 * (away + differ * differ)) * wp.pow(cosine, power)
                        total = total + weight
                        value = value + weight * before[j]
    after[i] = value / total
