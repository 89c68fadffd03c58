"""Hold a surface as a packed tree of boxes, and ask how far along a ray it lies, in Warp and its native code.

Faces lie in the order of a Hilbert curve through their centres; every four of them, then every four nodes, make a node: the six
sides of its children's boxes, four numbers each. Children need no names, as those of node i are 4 i to 4 i + 3 one level lower,
and what is left to visit of a level is four bits, so that all of a walk lives in registers: Kamel and Faloutsos, "On packing
R-trees", 1993. Warp's own tree of two children a node takes 1.5 times as long for the same rays: docs/baking.md.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

BITS = wp.constant(wp.int32(10))
FAR = wp.constant(wp.float32(1.0e30))

_WALK = """
#if defined(__CUDA_ARCH__)
#define LOAD(at) __ldg((const float4*)(at)) // one load of 16 bytes
#define LOWEST(bits) (__ffs(bits) - 1)
#define LOWEST64(bits) (__ffsll(bits) - 1)
#else
struct float4 { float x, y, z, w; };
#define LOAD(at) (*(const float4*)(at))
#define LOWEST(bits) __builtin_ctz(bits)
#define LOWEST64(bits) __builtin_ctzll(bits)
#endif
#define CHILD(lane, bit) \\
    if (wp::max(wp::max(nx.lane * rx - ox, ny.lane * ry - oy), wp::max(nz.lane * rz - oz, 0.0f)) <= \\
        wp::min(wp::min(mx.lane * rx - ox, my.lane * ry - oy), wp::min(mz.lane * rz - oz, best))) mask |= bit;
const float rx = 1.0f / (fabsf(along[0]) < 1.0e-12f ? 1.0e-12f : along[0]);
const float ry = 1.0f / (fabsf(along[1]) < 1.0e-12f ? 1.0e-12f : along[1]);
const float rz = 1.0f / (fabsf(along[2]) < 1.0e-12f ? 1.0e-12f : along[2]);
const float ox = origin[0] * rx, oy = origin[1] * ry, oz = origin[2] * rz;
const int x = rx < 0.0f, y = 2 + (ry < 0.0f), z = 4 + (rz < 0.0f);
const int top = levels.shape[0] - 1;
float best = reach;
int level = top + 1, index = 0;
unsigned long long left = 0;
unsigned mask = 1;
for (;;) {
    if (mask == 0) {
        if (left == 0) return best;
        const int up = LOWEST64(left) >> 2;
        index >>= 2 * (up - level);
        level = up;
        mask = (unsigned)(left >> (4 * level)) & 15u;
        left &= ~(15ull << (4 * level));
    }
    const int child = 4 * index + LOWEST(mask);
    mask &= mask - 1;
    if (level == 0) {
        const wp::vec4* t = triangles.data + 3 * (size_t)child;
        const float4 a = LOAD(t), b = LOAD(t + 1), c = LOAD(t + 2);
        const wp::vec3 corner(a.x, a.y, a.z), one(b.x, b.y, b.z), two(c.x, c.y, c.z);
        const wp::vec3 across = wp::cross(along, two);
        const float scale = 1.0f / wp::dot(one, across);
        const wp::vec3 from = origin - corner;
        const float v = wp::dot(from, across) * scale;
        const wp::vec3 other = wp::cross(from, one);
        const float w = wp::dot(along, other) * scale, away = wp::dot(two, other) * scale;
        if (v >= 0.0f && w >= 0.0f && v + w <= 1.0f && away >= 0.0f && away < best) {
            best = away;
            if (first) return best;
        }
        continue;
    }
    if (level <= top) left |= (unsigned long long)mask << (4 * level);
    --level;
    index = level == top ? 0 : child;
    const float4* n = (const float4*)nodes.data + 6 * (size_t)(levels.data[level] + index);
    const float4 nx = LOAD(n + x), ny = LOAD(n + y), nz = LOAD(n + z);
    const float4 mx = LOAD(n + (x ^ 1)), my = LOAD(n + (y ^ 1)), mz = LOAD(n + (z ^ 1));
    mask = 0;
    CHILD(x, 1) CHILD(y, 2) CHILD(z, 4) CHILD(w, 8)
}
"""


@wp.func_native(_WALK)
def _meet(
    nodes: wp.array(dtype=wp.float32, ndim=3),
    levels: wp.array(dtype=wp.int32),
    triangles: wp.array(dtype=wp.vec4),
    origin: wp.vec3,
    along: wp.vec3,
    reach: wp.float32,
    first: wp.bool,
) -> wp.float32: ...


@wp.struct
class Tree:
    """Be nodes (n, 6, 4): -x, +x, -y, .. of four boxes; where levels start, lowest first; corner and two sides of each face."""

    nodes: wp.array(dtype=wp.float32, ndim=3)
    levels: wp.array(dtype=wp.int32)
    triangles: wp.array(dtype=wp.vec4)


# Give the distance to the nearest face along a ray, or to the first one met if any will do; `reach` if there is none.
@wp.func
def meet(tree: Tree, origin: wp.vec3, along: wp.vec3, reach: wp.float32, first: wp.bool):
    return _meet(tree.nodes, tree.levels, tree.triangles, origin, along, reach, first)


# Number a point of the unit cube along a Hilbert curve: Skilling, "Programming the Hilbert curve", 2004.
@wp.func
def _place(at: wp.vec3):
    x = wp.vec3i(0, 0, 0)
    for axis in range(3):
        x[axis] = wp.clamp(wp.int32(at[axis] * 1024.0), 0, 1023)
    q = wp.int32(1 << (BITS - 1))
    while q > 1:
        p = q - 1
        for axis in range(3):
            if (x[axis] & q) != 0:
                x[0] = x[0] ^ p
            else:
                t = (x[0] ^ x[axis]) & p
                x[0] = x[0] ^ t
                x[axis] = x[axis] ^ t
        q = q >> 1
    x[1] = x[1] ^ x[0]
    x[2] = x[2] ^ x[1]
    t = wp.int32(0)
    q = wp.int32(1 << (BITS - 1))
    while q > 1:
        if (x[2] & q) != 0:
            t = t ^ (q - 1)
        q = q >> 1
    key = wp.int32(0)
    for bit in range(BITS):
        for axis in range(3):
            key = key | ((((x[axis] ^ t) >> bit) & 1) << (3 * bit + 2 - axis))
    return key


# Place each face on the curve.
@wp.kernel(enable_backward=False)
def place_faces(
    vertices: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    low: wp.vec3,
    scale: wp.float32,
    keys: wp.array(dtype=wp.int32),
    order: wp.array(dtype=wp.int32),
):
    f = wp.tid()
    centre = (vertices[faces[f, 0]] + vertices[faces[f, 1]] + vertices[faces[f, 2]]) / 3.0
    keys[f] = _place((centre - low) * scale)
    order[f] = f


# Lay out each face as a corner and two sides, with its box a little wider; what is behind the last is no face.
@wp.kernel(enable_backward=False)
def pack_faces(
    vertices: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    order: wp.array(dtype=wp.int32),
    margin: wp.float32,
    triangles: wp.array(dtype=wp.vec4),
    lower: wp.array(dtype=wp.vec3),
    upper: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    lower[i] = wp.vec3(FAR, FAR, FAR)
    upper[i] = wp.vec3(-FAR, -FAR, -FAR)
    if i < faces.shape[0]:
        f = order[i]
        a = vertices[faces[f, 0]]
        b = vertices[faces[f, 1]]
        c = vertices[faces[f, 2]]
        wide = wp.vec3(margin, margin, margin)
        lower[i] = wp.min(a, wp.min(b, c)) - wide
        upper[i] = wp.max(a, wp.max(b, c)) + wide
        triangles[3 * i] = wp.vec4(a[0], a[1], a[2], 0.0)
        triangles[3 * i + 1] = wp.vec4(b[0] - a[0], b[1] - a[1], b[2] - a[2], 0.0)
        triangles[3 * i + 2] = wp.vec4(c[0] - a[0], c[1] - a[1], c[2] - a[2], 0.0)


# Make a node of every four boxes, and its own box. A child that is none has a box inside out.
@wp.kernel(enable_backward=False)
def pack_nodes(
    lower: wp.array(dtype=wp.vec3),
    upper: wp.array(dtype=wp.vec3),
    first: wp.int32,
    nodes: wp.array(dtype=wp.float32, ndim=3),
    own_lower: wp.array(dtype=wp.vec3),
    own_upper: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    low = wp.vec3(FAR, FAR, FAR)
    high = wp.vec3(-FAR, -FAR, -FAR)
    for j in range(4):
        a = lower[4 * i + j]
        b = upper[4 * i + j]
        low = wp.min(low, a)
        high = wp.max(high, b)
        for axis in range(3):
            nodes[first + i, 2 * axis, j] = a[axis]
            nodes[first + i, 2 * axis + 1, j] = b[axis]
    own_lower[i] = low
    own_upper[i] = high
