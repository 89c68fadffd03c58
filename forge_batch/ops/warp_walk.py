"""Send a texel's rays to the sky in one walk of the tree, in Warp and its native code; an alternative to warp_sky.sky.

A ray that is done is followed by the next at once, where a call for each ray keeps the 32 threads of a warp waiting for the one
whose ray goes farthest; and triangles lie in the order of the leaves, so that a leaf is read without two look-ups before. This
reads the tree of wp.Mesh as Warp 1.19 lays it out (native/bvh.h): gpu_baker uses it only where it is asked for.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

from forge_batch.ops.warp_sky import Points, Rays, basis_of, count_samples, texel_of, turn_of
from forge_batch.ops.warp_surface import MISS

_WALK = """
const wp::Mesh mesh = wp::mesh_get(scene);
const uint64_t root = wp::bvh_query_node_load(mesh.bvh, *mesh.bvh.root);
uint64_t stack[BVH_QUERY_STACK_SIZE];
uint64_t node = root;
int top = 0, blocked = 0, k = begin - stride;
bool next = true;
wp::vec3 along, rcp;
const int rays = pattern.shape[0];
for (;;) {
    if (next) {
        k += stride;
        if (k >= rays) break;
        const int cell = ((k / low + high - moved_r) % high) * low + (k % low + low - moved_a) % low;
        const wp::vec2 point = pattern.data[cell];
        float u = point[0] + shift[0];
        u -= floorf(u);
        float angle = point[1] + shift[1];
        angle = 6.283185307179586f * (angle - floorf(angle));
        const float wide = sqrtf(u), up = sqrtf(1.0f - u);
        const float a = wide * cosf(angle), b = wide * sinf(angle);
        for (int axis = 0; axis < 3; ++axis) along[axis] = a * first[axis] + b * second[axis] + up * normal[axis];
        const wp::vec3 safe = wp::mesh_query_ray_safe_dir(along);
        rcp = wp::vec3(1.0f / safe[0], 1.0f / safe[1], 1.0f / safe[2]);
        node = root;
        top = 0;
        if (along[1] < 0.0f && (ground - origin[1]) / along[1] < reach) {
            ++blocked;
            continue;
        }
        next = false;
    }
    if (wp::bvh_query_node_is_leaf(node)) {
        const int end = wp::bvh_query_node_upper_payload(node);
        bool hit = false;
        for (int p = wp::bvh_query_node_lower_payload(node); p < end && !hit; ++p) {
            const float* t = (const float*)triangles.data + 12 * (size_t)p;
#if defined(__CUDA_ARCH__)
            const float4 t0 = __ldg((const float4*)t), t1 = __ldg((const float4*)t + 1), t2 = __ldg((const float4*)t + 2);
            const wp::vec3 corner(t0.x, t0.y, t0.z), one(t1.x, t1.y, t1.z), two(t2.x, t2.y, t2.z);
#else
            const wp::vec3 corner(t[0], t[1], t[2]), one(t[4], t[5], t[6]), two(t[8], t[9], t[10]);
#endif
            const wp::vec3 across = wp::cross(along, two);
            const float scale = 1.0f / wp::dot(one, across);
            const wp::vec3 from = origin - corner;
            const float v = wp::dot(from, across) * scale;
            const wp::vec3 other = wp::cross(from, one);
            const float w = wp::dot(along, other) * scale, away = wp::dot(two, other) * scale;
            hit = v >= 0.0f && w >= 0.0f && v + w <= 1.0f && away >= 0.0f && away < reach;
        }
        if (hit) {
            ++blocked;
            next = true;
        } else if (top == 0) {
            next = true;
        } else {
            node = stack[--top];
        }
        continue;
    }
    const int left = wp::bvh_query_node_lower_payload(node), right = wp::bvh_query_node_upper_payload(node);
    const wp::BVHPackedNodeHalf a = wp::bvh_load_node(mesh.bvh.node_lowers, left);
    const wp::BVHPackedNodeHalf b = wp::bvh_load_node(mesh.bvh.node_uppers, left);
    const wp::BVHPackedNodeHalf c = wp::bvh_load_node(mesh.bvh.node_lowers, right);
    const wp::BVHPackedNodeHalf d = wp::bvh_load_node(mesh.bvh.node_uppers, right);
    float t0 = 1.0e30f, t1 = 1.0e30f;
    const bool h0 = wp::intersect_ray_aabb(origin, rcp, wp::vec3(a.x, a.y, a.z), wp::vec3(b.x, b.y, b.z), t0) && t0 < reach;
    const bool h1 = wp::intersect_ray_aabb(origin, rcp, wp::vec3(c.x, c.y, c.z), wp::vec3(d.x, d.y, d.z), t1) && t1 < reach;
    if (h0 && h1) {
        const uint64_t l = wp::bvh_query_node_pack(a, b), r = wp::bvh_query_node_pack(c, d);
        if (top >= BVH_QUERY_STACK_SIZE) {
            next = true;
        } else {
            stack[top++] = t0 < t1 ? r : l;
            node = t0 < t1 ? l : r;
        }
    } else if (h0 || h1) {
        node = h0 ? wp::bvh_query_node_pack(a, b) : wp::bvh_query_node_pack(c, d);
    } else if (top == 0) {
        next = true;
    } else {
        node = stack[--top];
    }
}
return blocked;
"""


@wp.func_native(_WALK)
def _walk(
    scene: wp.uint64,
    triangles: wp.array(dtype=wp.vec4),
    origin: wp.vec3,
    first: wp.vec3,
    second: wp.vec3,
    normal: wp.vec3,
    pattern: wp.array(dtype=wp.vec2),
    shift: wp.vec2,
    high: wp.int32,
    low: wp.int32,
    moved_r: wp.int32,
    moved_a: wp.int32,
    reach: wp.float32,
    ground: wp.float32,
    begin: wp.int32,
    stride: wp.int32,
) -> wp.int32: ...


@wp.func_native("return wp::mesh_get(scene).bvh.primitive_indices[place];")
def _face_at(scene: wp.uint64, place: wp.int32) -> wp.int32: ...


# Lay out each triangle in the order of the leaves: a corner and the two sides from it.
@wp.kernel(enable_backward=False)
def pack_triangles(scene: wp.uint64, triangles: wp.array(dtype=wp.vec4)):
    i = wp.tid()
    mesh = wp.mesh_get(scene)
    f = _face_at(scene, i)
    a = mesh.points[mesh.indices[f * 3]]
    b = mesh.points[mesh.indices[f * 3 + 1]] - a
    c = mesh.points[mesh.indices[f * 3 + 2]] - a
    triangles[i * 3] = wp.vec4(a[0], a[1], a[2], 0.0)
    triangles[i * 3 + 1] = wp.vec4(b[0], b[1], b[2], 0.0)
    triangles[i * 3 + 2] = wp.vec4(c[0], c[1], c[2], 0.0)


# Count a texel's rays that meet anything; as warp_sky.sky.
@wp.kernel(enable_backward=False)
def sky(
    scene: wp.uint64,
    triangles: wp.array(dtype=wp.vec4),
    points: Points,
    rays: Rays,
    order: wp.array(dtype=wp.int32),
    offset: wp.int32,
    out: wp.array(dtype=wp.float32),
):
    texel = texel_of(points, order, wp.tid() + offset)
    if texel < 0:
        return
    samples = count_samples(points, texel)
    if samples == 0:
        return
    row = points.first_row + texel / points.size
    turn = turn_of(rays, row, texel % points.size)
    nn = points.n * points.n
    blocked = wp.int32(0)
    j = wp.int32(0)
    for s in range(nn):
        i = texel * nn + s
        if points.kind[i] != MISS:
            basis = basis_of(points, rays, i)
            blocked = blocked + _walk(
                scene,
                triangles,
                basis.origin,
                basis.first,
                basis.second,
                basis.normal,
                rays.pattern,
                turn.shift,
                rays.high,
                rays.low,
                turn.moved_r,
                turn.moved_a,
                rays.reach,
                rays.floor,
                j,
                samples,
            )
            j = j + 1
    out[row * points.size + texel % points.size] = 1.0 - wp.float32(blocked) / wp.float32(rays.pattern.shape[0])
