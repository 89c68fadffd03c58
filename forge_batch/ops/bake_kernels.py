"""Hold the kernels of the GPU bakes, in Warp: one source for CUDA and, for tests, for the CPU.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function. Each kernel
does for one texel (or one face) what ops.raster, ops.gbuffer and ops.bake do for arrays; the reasons stand there. Texel i is at
row i // size, column i % size; arrays that speak of texels cover the whole atlas.

Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

LANES = 64
"""Threads that share a face: the rows of its bounding box are dealt out among them."""

SUBTEXELS = wp.constant(wp.int64(65536))
HALF_TEXEL = wp.constant(wp.int64(32768))
NOTHING = wp.constant(wp.int32(2147483647))
FAR_KEY = wp.constant(wp.int64(9223372036854775807))
DISTANCE_STEPS = wp.constant(wp.float64(2147483648.0))
MISS, RAY, NEAREST = wp.constant(wp.uint8(0)), wp.constant(wp.uint8(1)), wp.constant(wp.uint8(2))
mat34d = wp.types.matrix(shape=(3, 4), dtype=wp.float64)


@wp.struct
class Hit:
    """Be a point of a surface: face -1 for none, the weights of its corners, and the distance."""

    face: wp.int32
    weights: wp.vec3
    distance: wp.float32


# ---------------------------------------------------------------------------------------------------------- raster


@wp.func
def _signed_area(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32):
    x1 = corners[f, 1, 0] - corners[f, 0, 0]
    y1 = corners[f, 1, 1] - corners[f, 0, 1]
    x2 = corners[f, 2, 0] - corners[f, 0, 0]
    y2 = corners[f, 2, 1] - corners[f, 0, 1]
    return x1 * y2 - y1 * x2


@wp.func
def _floor_texel(value: wp.int64):
    texel = value / SUBTEXELS
    if value < wp.int64(0) and texel * SUBTEXELS != value:
        texel = texel - wp.int64(1)
    return wp.int32(texel)


@wp.func
def _first(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, axis: wp.int32, margin: wp.int32):
    low = wp.min(wp.min(corners[f, 0, axis], corners[f, 1, axis]), corners[f, 2, axis])
    return wp.max(_floor_texel(low - HALF_TEXEL) - margin, 0)


@wp.func
def _end(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, axis: wp.int32, margin: wp.int32, size: wp.int32):
    high = wp.max(wp.max(corners[f, 0, axis], corners[f, 1, axis]), corners[f, 2, axis])
    return wp.min(_floor_texel(high - HALF_TEXEL) + 2 + margin, size)


@wp.func
def _side(corners: wp.array(dtype=wp.int64, ndim=3), f: wp.int32, k: wp.int32, x: wp.int64, y: wp.int64):
    n = (k + 1) % 3
    ax = corners[f, k, 0]
    ay = corners[f, k, 1]
    return (corners[f, n, 0] - ax) * (y - ay) - (corners[f, n, 1] - ay) * (x - ax)


# Give texel centres to the lowest face that covers them, and count the faces that strictly contain each.
@wp.kernel(enable_backward=False)
def fill(
    corners: wp.array(dtype=wp.int64, ndim=3),
    size: wp.int32,
    face: wp.array(dtype=wp.int32),
    inside: wp.array(dtype=wp.int32),
):
    f, lane = wp.tid()
    area = _signed_area(corners, f)
    if area == wp.int64(0):
        return
    turn = wp.where(area > wp.int64(0), wp.int64(1), wp.int64(-1))
    left = _first(corners, f, 0, 0)
    right = _end(corners, f, 0, 0, size)
    bottom = _end(corners, f, 1, 0, size)
    row = _first(corners, f, 1, 0) + lane
    while row < bottom:
        y = wp.int64(row) * SUBTEXELS + HALF_TEXEL
        for column in range(left, right):
            x = wp.int64(column) * SUBTEXELS + HALF_TEXEL
            a = turn * _side(corners, f, 0, x, y)
            b = turn * _side(corners, f, 1, x, y)
            c = turn * _side(corners, f, 2, x, y)
            if a >= wp.int64(0) and b >= wp.int64(0) and c >= wp.int64(0):
                wp.atomic_min(face, row * size + column, f)
                if a > wp.int64(0) and b > wp.int64(0) and c > wp.int64(0):
                    wp.atomic_add(inside, row * size + column, 1)
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


# Offer each face to the texels within half a texel's diagonal whose centre nobody covers: the nearest wins, then the lowest.
@wp.kernel(enable_backward=False)
def grow(
    corners: wp.array(dtype=wp.int64, ndim=3),
    flat: wp.array(dtype=wp.vec2d, ndim=2),
    size: wp.int32,
    face: wp.array(dtype=wp.int32),
    offers: wp.array(dtype=wp.int64),
):
    f, lane = wp.tid()
    if _signed_area(corners, f) == wp.int64(0):
        return
    left = _first(corners, f, 0, 1)
    right = _end(corners, f, 0, 1, size)
    bottom = _end(corners, f, 1, 1, size)
    row = _first(corners, f, 1, 1) + lane
    while row < bottom:
        for column in range(left, right):
            i = row * size + column
            if face[i] == NOTHING:
                away = _to_face(flat, f, row, column)[0]
                if away < wp.float64(0.5):
                    wp.atomic_min(offers, i, (wp.int64(away * DISTANCE_STEPS) << wp.int64(32)) + wp.int64(f))
        row = row + LANES


# Settle who covers each texel, and where on its face the nearest point to the texel's centre lies.
@wp.kernel(enable_backward=False)
def weigh(
    flat: wp.array(dtype=wp.vec2d, ndim=2),
    size: wp.int32,
    offers: wp.array(dtype=wp.int64),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    centre: wp.array(dtype=wp.uint8),
):
    i = wp.tid()
    f = face[i]
    centre[i] = wp.where(f == NOTHING, wp.uint8(0), wp.uint8(1))
    if f == NOTHING:
        f = wp.int32(-1)
        if offers[i] != FAR_KEY:
            f = wp.int32(offers[i] & wp.int64(4294967295))
    face[i] = f
    if f >= 0:
        found = _to_face(flat, f, i / size, i % size)
        y = wp.float32(found[1])
        z = wp.float32(found[2])
        weights[i] = wp.vec3(wp.float32(wp.float64(1.0) - found[1] - found[2]), y, z)


# Count the texel centres that lie strictly inside more than one face.
@wp.kernel(enable_backward=False)
def count_overlaps(inside: wp.array(dtype=wp.int32), total: wp.array(dtype=wp.int32)):
    if inside[wp.tid()] > 1:
        wp.atomic_add(total, 0, 1)


# ---------------------------------------------------------------------------------------------------------- search


@wp.func
def _mix3(values: wp.array(dtype=wp.vec3), faces: wp.array(dtype=wp.int32, ndim=2), f: wp.int32, w: wp.vec3):
    return w[0] * values[faces[f, 0]] + w[1] * values[faces[f, 1]] + w[2] * values[faces[f, 2]]


@wp.func
def _mix(values: wp.array(dtype=wp.float32), faces: wp.array(dtype=wp.int32, ndim=2), f: wp.int32, w: wp.vec3):
    return w[0] * values[faces[f, 0]] + w[1] * values[faces[f, 1]] + w[2] * values[faces[f, 2]]


@wp.func
def _cast(scene: wp.uint64, origin: wp.vec3, direction: wp.vec3, reach: wp.float32):
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
def _agrees(scene: wp.uint64, hit: Hit, normal: wp.vec3):
    result = False
    if hit.face >= 0:
        mesh = wp.mesh_get(scene)
        a = mesh.points[mesh.indices[hit.face * 3]]
        b = mesh.points[mesh.indices[hit.face * 3 + 1]]
        c = mesh.points[mesh.indices[hit.face * 3 + 2]]
        result = wp.dot(wp.cross(b - a, c - a), normal) > 0.0
    return result


# Give how far out, up to the cage, a ray may start without having passed a wall that faces the point.
@wp.func
def _clear_distance(scene: wp.uint64, point: wp.vec3, normal: wp.vec3, reach: wp.float32, step: wp.float32):
    out = _cast(scene, point, normal, reach)
    clear = wp.min(out.distance, reach)
    if _agrees(scene, out, normal):
        beyond = _cast(scene, point + (clear + step) * normal, normal, reach)
        wall = beyond.face >= 0 and not _agrees(scene, beyond, normal)
        clear = wp.where(wall, wp.min(clear + beyond.distance, reach), reach)
    return wp.max(clear - step, 0.0)


# Find the source under each covered texel.
@wp.kernel(enable_backward=False)
def search(
    scene: wp.uint64,
    vertices: wp.array(dtype=wp.vec3),
    smooth: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    reach: wp.float32,
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
    point = _mix3(vertices, faces, f, weights[i])
    normal = wp.normalize(_mix3(smooth, faces, f, weights[i]))
    start = _clear_distance(scene, point, normal, reach, step)
    hit = _cast(scene, point + start * normal, -normal, 2.0 * reach)
    how = RAY
    good = _agrees(scene, hit, normal) and hit.distance <= start + reach
    if not good:
        near = wp.mesh_query_point_no_sign(scene, point, 2.0 * reach)
        how = NEAREST
        if near.result:
            hit.face = near.face
            hit.weights = wp.vec3(near.u, near.v, 1.0 - near.u - near.v)
            good = _agrees(scene, hit, normal)
    if good:
        source_face[i] = hit.face
        source_weights[i] = hit.weights
        kind[i] = how


# ---------------------------------------------------------------------------------------------------------- padding


@wp.kernel(enable_backward=False)
def seed(kind: wp.array(dtype=wp.uint8), nearest: wp.array(dtype=wp.int32)):
    i = wp.tid()
    nearest[i] = wp.where(kind[i] == MISS, wp.int32(-1), i)


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


# ---------------------------------------------------------------------------------------------------------- maps


# Write the source's normal in the tangent space of the mesh; as ops.bake.normal_map.
@wp.kernel(enable_backward=False)
def normal_texels(
    nearest: wp.array(dtype=wp.int32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    normals: wp.array(dtype=wp.vec3),
    tangents: wp.array(dtype=wp.vec4),
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    source_faces: wp.array(dtype=wp.int32, ndim=2),
    source_normals: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.uint16, ndim=2),
):
    i = wp.tid()
    j = nearest[i]
    f = face[j]
    w = weights[j]
    a = tangents[faces[f, 0]]
    b = tangents[faces[f, 1]]
    c = tangents[faces[f, 2]]
    T = w[0] * wp.vec3(a[0], a[1], a[2]) + w[1] * wp.vec3(b[0], b[1], b[2]) + w[2] * wp.vec3(c[0], c[1], c[2])
    N = _mix3(normals, faces, f, w)
    B = a[3] * wp.cross(N, T)
    normal = wp.normalize(_mix3(source_normals, source_faces, source_face[j], source_weights[j]))
    determinant = wp.dot(T, wp.cross(B, N))
    turn = wp.sign(determinant)
    x = turn * wp.dot(normal, wp.cross(B, N))
    y = turn * wp.dot(normal, wp.cross(N, T))
    z = wp.max(turn * wp.dot(normal, wp.cross(T, B)), 0.0)
    length = wp.length(wp.vec3(x, y, z))
    inside = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(determinant) >= 1.0e-12 and length >= 1.0e-12:
        inside = wp.vec3(x, y, z) / length
    for k in range(3):
        out[i, k] = wp.uint16(wp.rint((inside[k] * 0.5 + 0.5) * 65535.0))


# Read the attributes of the source's vertices at each texel that found it.
@wp.kernel(enable_backward=False)
def read_vertices(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    base_color: wp.array(dtype=wp.vec3),
    metallic: wp.array(dtype=wp.float32),
    roughness: wp.array(dtype=wp.float32),
    seen: wp.array(dtype=wp.float32),
    color_out: wp.array(dtype=wp.vec3),
    material_out: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    w = source_weights[i]
    color_out[i] = _mix3(base_color, faces, f, w)
    material_out[i] = wp.vec3(_mix(metallic, faces, f, w), _mix(roughness, faces, f, w), _mix(seen, faces, f, w))


@wp.func
def _decoded(value: wp.float32):
    result = value / 12.92
    if value > 0.04045:
        result = wp.pow((value + 0.055) / 1.055, 2.4)
    return result


@wp.func
def _place(keys: wp.array(dtype=wp.int64), key: wp.int64):
    low = wp.int32(0)
    high = wp.int32(keys.shape[0])
    while low < high:
        middle = (low + high) / 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    result = wp.int32(-1)
    if low < keys.shape[0]:  # noqa: SIM102 - a kernel's `and` reads both sides
        if keys[low] == key:
            result = low
    return result


# Read a field of voxels, keys ascending; as ops.voxel_field.read. Texels with none of the eight voxels are marked as lost.
@wp.kernel(enable_backward=False)
def read_voxels(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    vertices: wp.array(dtype=wp.vec3),
    frame: mat34d,
    keys: wp.array(dtype=wp.int64),
    values: wp.array(dtype=wp.uint8, ndim=2),
    color_out: wp.array(dtype=wp.vec3),
    material_out: wp.array(dtype=wp.vec3),
    lost: wp.array(dtype=wp.uint8),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    at = _mix3(vertices, faces, f, source_weights[i])
    p = wp.vec4d(wp.float64(at[0]), wp.float64(at[1]), wp.float64(at[2]), wp.float64(1.0))
    place = frame * p - wp.vec3d(wp.float64(0.5), wp.float64(0.5), wp.float64(0.5))
    lx = wp.floor(place[0])
    ly = wp.floor(place[1])
    lz = wp.floor(place[2])
    part = wp.vec3(wp.float32(place[0] - lx), wp.float32(place[1] - ly), wp.float32(place[2] - lz))
    total = wp.float32(0.0)
    color = wp.vec3(0.0, 0.0, 0.0)
    material = wp.vec2(0.0, 0.0)
    for corner in range(8):
        a = corner / 4
        b = (corner / 2) % 2
        c = corner % 2
        x = wp.int64(lx) + wp.int64(a)
        y = wp.int64(ly) + wp.int64(b)
        z = wp.int64(lz) + wp.int64(c)
        top = wp.int64(32768)
        zero = wp.int64(0)
        if x >= zero and y >= zero and z >= zero and x < top and y < top and z < top:
            k = _place(keys, (x << wp.int64(32)) + (y << wp.int64(16)) + z)
            if k >= 0:
                wx = wp.where(a == 1, part[0], 1.0 - part[0])
                wy = wp.where(b == 1, part[1], 1.0 - part[1])
                wz = wp.where(c == 1, part[2], 1.0 - part[2])
                weight = wx * wy * wz
                total = total + weight
                color = color + weight * wp.vec3(wp.float32(values[k, 0]), wp.float32(values[k, 1]), wp.float32(values[k, 2]))
                material = material + weight * wp.vec2(wp.float32(values[k, 3]), wp.float32(values[k, 4]))
    lost[i] = wp.where(total < 1.0e-6, wp.uint8(1), wp.uint8(0))
    if total >= 1.0e-6:
        color = color / (255.0 * total)
        material = material / (255.0 * total)
        color_out[i] = wp.vec3(_decoded(color[0]), _decoded(color[1]), _decoded(color[2]))
        material_out[i] = wp.vec3(material[0], material[1], material_out[i][2])


# Add up the weights of the projections, and those of pictures that are not stretched there (see SourceMesh.sample). `eye` is
# where the camera is, or for an orthographic one the direction to it.
@wp.kernel(enable_backward=False)
def sum_weights(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    vertices: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    vertex_weights: wp.array(dtype=wp.float32),
    eye: wp.vec3d,
    orthographic: wp.int32,
    stretched: wp.float32,
    total: wp.array(dtype=wp.float32),
    sharp: wp.array(dtype=wp.float32),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    w = _mix(vertex_weights, faces, f, source_weights[i])
    total[i] = total[i] + w
    if w <= 0.0:
        return
    towards = eye
    if orthographic == 0:
        at = _mix3(vertices, faces, f, source_weights[i])
        towards = eye - wp.vec3d(wp.float64(at[0]), wp.float64(at[1]), wp.float64(at[2]))
    normal = _mix3(normals, faces, f, source_weights[i])
    n = wp.vec3d(wp.float64(normal[0]), wp.float64(normal[1]), wp.float64(normal[2]))
    if wp.dot(wp.normalize(towards), n) >= wp.float64(stretched) * wp.length(n):
        sharp[i] = sharp[i] + w


# Darken the colour by what the projections will bring, and count as seen only what is not stretched.
@wp.kernel(enable_backward=False)
def make_room(
    total: wp.array(dtype=wp.float32),
    sharp: wp.array(dtype=wp.float32),
    color: wp.array(dtype=wp.vec3),
    material: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    color[i] = color[i] * wp.clamp(1.0 - total[i], 0.0, 1.0)
    if total[i] > 1.0e-6:
        m = material[i]
        material[i] = wp.vec3(m[0], m[1], m[2] * sharp[i] / total[i])


@wp.func
def _pixel(image: wp.array(dtype=wp.uint8, ndim=3), table: wp.array(dtype=wp.float32), y: wp.int32, x: wp.int32):
    return wp.vec3(table[wp.int32(image[y, x, 0])], table[wp.int32(image[y, x, 1])], table[wp.int32(image[y, x, 2])])


# Add an input image's colour, by weight, read bilinearly in linear light.
@wp.kernel(enable_backward=False)
def project(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    vertices: wp.array(dtype=wp.vec3),
    vertex_weights: wp.array(dtype=wp.float32),
    image: wp.array(dtype=wp.uint8, ndim=3),
    table: wp.array(dtype=wp.float32),
    view: mat34d,
    focal: wp.vec2d,
    centre: wp.vec2d,
    orthographic: wp.int32,
    total: wp.array(dtype=wp.float32),
    color: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    w = _mix(vertex_weights, faces, f, source_weights[i])
    if w <= 0.0:
        return
    at = _mix3(vertices, faces, f, source_weights[i])
    q = view * wp.vec4d(wp.float64(at[0]), wp.float64(at[1]), wp.float64(at[2]), wp.float64(1.0))
    depth = wp.where(orthographic == 1, wp.float64(1.0), q[2])
    px = q[0] / depth * focal[0] + centre[0] - wp.float64(0.5)
    py = q[1] / depth * focal[1] + centre[1] - wp.float64(0.5)
    h = image.shape[0]
    v = image.shape[1]
    px = wp.clamp(px, wp.float64(0.0), wp.float64(v - 1))
    py = wp.clamp(py, wp.float64(0.0), wp.float64(h - 1))
    x0 = wp.int32(px)
    y0 = wp.int32(py)
    x1 = wp.min(x0 + 1, v - 1)
    y1 = wp.min(y0 + 1, h - 1)
    fx = wp.float32(px - wp.float64(x0))
    fy = wp.float32(py - wp.float64(y0))
    top = _pixel(image, table, y0, x0) * (1.0 - fx) + _pixel(image, table, y0, x1) * fx
    bottom = _pixel(image, table, y1, x0) * (1.0 - fx) + _pixel(image, table, y1, x1) * fx
    color[i] = color[i] + (w / wp.max(total[i], 1.0)) * (top * (1.0 - fy) + bottom * fy)


@wp.func
def _encoded(value: wp.float32):
    x = wp.clamp(value, 0.0, 1.0)
    result = x * 12.92
    if x > 0.0031308:
        result = 1.055 * wp.pow(x, 1.0 / 2.4) - 0.055
    return wp.uint8(wp.rint(result * 255.0))


@wp.kernel(enable_backward=False)
def color_texels(
    nearest: wp.array(dtype=wp.int32),
    color: wp.array(dtype=wp.vec3),
    material: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.uint8, ndim=2),
    unseen: wp.array(dtype=wp.uint8),
):
    i = wp.tid()
    value = color[nearest[i]]
    for k in range(3):
        out[i, k] = _encoded(value[k])
    unseen[i] = wp.where(material[nearest[i]][2] < 0.5, wp.uint8(255), wp.uint8(0))


@wp.kernel(enable_backward=False)
def material_texels(
    nearest: wp.array(dtype=wp.int32),
    material: wp.array(dtype=wp.vec3),
    metallic: wp.array(dtype=wp.uint8),
    roughness: wp.array(dtype=wp.uint8),
):
    i = wp.tid()
    value = material[nearest[i]]
    metallic[i] = wp.uint8(wp.rint(wp.clamp(value[0], 0.0, 1.0) * 255.0))
    roughness[i] = wp.uint8(wp.rint(wp.clamp(value[1], 0.0, 1.0) * 255.0))


# ---------------------------------------------------------------------------------------------------------- occlusion


@wp.func
def _fraction(value: wp.float64):
    return value - wp.floor(value)


# Send a texel's rays over its hemisphere; as ops.bake.occlusion_map. Threads take texels in tiles of 8 x 4, so that those of
# a warp start close to one another; and each takes the ray that its own shift brings into cell k of the pattern's grid (see
# ops.hemisphere.in_cells), so that they also go the same way. The rays are the same as in any other order.
@wp.kernel(enable_backward=False)
def sky(
    scene: wp.uint64,
    size: wp.int32,
    vertices: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32, ndim=2),
    normals: wp.array(dtype=wp.vec3),
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    pattern: wp.array(dtype=wp.vec2),
    high: wp.int32,
    low: wp.int32,
    reach: wp.float32,
    step: wp.float32,
    offset: wp.int32,
    out: wp.array(dtype=wp.uint8),
):
    t = wp.tid() + offset
    tiles = (size + 7) / 8
    tile = t / 32
    row = (tile / tiles) * 4 + (t % 32) / 8
    column = (tile % tiles) * 8 + t % 8
    if row >= size or column >= size:
        return
    i = row * size + column
    f = source_face[i]
    if f < 0:
        return
    n = wp.normalize(_mix3(normals, faces, f, source_weights[i]))
    origin = _mix3(vertices, faces, f, source_weights[i]) + step * n
    side = wp.where(n[2] >= 0.0, 1.0, -1.0)
    a = -1.0 / (side + n[2])
    b = n[0] * n[1] * a
    first = wp.vec3(1.0 + side * n[0] * n[0] * a, side * b, -side * n[0])
    second = wp.vec3(b, side + n[1] * n[1] * a, -n[1])
    x = wp.float64(column)
    y = wp.float64(row)
    shift_r = wp.float32(_fraction(x * wp.float64(0.7548776662466927) + y * wp.float64(0.5698402909980532)))
    shift_a = wp.float32(_fraction(x * wp.float64(0.5698402909980532) + y * wp.float64(0.7548776662466927) + wp.float64(0.5)))
    rays = pattern.shape[0]
    blocked = wp.int32(0)
    moved_r = wp.int32(shift_r * wp.float32(high))
    moved_a = wp.int32(shift_a * wp.float32(low))
    for k in range(rays):
        point = pattern[((k / low + high - moved_r) % high) * low + (k % low + low - moved_a) % low]
        u = point[0] + shift_r
        u = u - wp.floor(u)
        angle = point[1] + shift_a
        angle = 6.283185307179586 * (angle - wp.floor(angle))
        wide = wp.sqrt(u)
        direction = wide * wp.cos(angle) * first + wide * wp.sin(angle) * second + wp.sqrt(1.0 - u) * n
        if wp.mesh_query_ray_anyhit(scene, origin, direction, reach):
            blocked = blocked + 1
    out[i] = wp.uint8(wp.rint((1.0 - wp.float32(blocked) / wp.float32(rays)) * 255.0))


@wp.kernel(enable_backward=False)
def spread_texels(nearest: wp.array(dtype=wp.int32), values: wp.array(dtype=wp.uint8), out: wp.array(dtype=wp.uint8)):
    i = wp.tid()
    out[i] = values[nearest[i]]
