"""Read the material of the source at each sample that found it, in Warp; as ops.source and ops.voxel_field do.

Importing this module imports Warp, which opens a CUDA context: only ops.gpu_raster imports it, inside a function.
Annotations are Warp's own types and must be values: no `from __future__ import annotations` here.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel's line of comment stands above it, since Warp reads the body

import warp as wp

from forge_batch.ops.warp_surface import mat34d, mix, mix3


# Read the attributes of the source's vertices at each sample that found it.
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
    color_out[i] = mix3(base_color, faces, f, w)
    material_out[i] = wp.vec3(mix(metallic, faces, f, w), mix(roughness, faces, f, w), mix(seen, faces, f, w))


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


# Read a field of voxels, keys ascending; as ops.voxel_field.read. Samples with none of the eight voxels are marked as lost.
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
    at = mix3(vertices, faces, f, source_weights[i])
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
    w = mix(vertex_weights, faces, f, source_weights[i])
    total[i] = total[i] + w
    if w <= 0.0:
        return
    towards = eye
    if orthographic == 0:
        at = mix3(vertices, faces, f, source_weights[i])
        towards = eye - wp.vec3d(wp.float64(at[0]), wp.float64(at[1]), wp.float64(at[2]))
    normal = mix3(normals, faces, f, source_weights[i])
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
def _wrapped(place: wp.int32, size: wp.int32):
    return ((place % size) + size) % size


@wp.func
def _pair(image: wp.array(dtype=wp.uint8, ndim=3), y: wp.int32, x: wp.int32):
    return wp.vec2(wp.float32(image[y, x, 0]), wp.float32(image[y, x, 1])) / 255.0


@wp.func
def _pixel(image: wp.array(dtype=wp.uint8, ndim=3), table: wp.array(dtype=wp.float32), y: wp.int32, x: wp.int32):
    return wp.vec3(table[wp.int32(image[y, x, 0])], table[wp.int32(image[y, x, 1])], table[wp.int32(image[y, x, 2])])


@wp.func
def _blend(
    image: wp.array(dtype=wp.uint8, ndim=3), table: wp.array(dtype=wp.float32), low: wp.vec2i, high: wp.vec2i, part: wp.vec2
):
    top = _pixel(image, table, low[1], low[0]) * (1.0 - part[0]) + _pixel(image, table, low[1], high[0]) * part[0]
    bottom = _pixel(image, table, high[1], low[0]) * (1.0 - part[0]) + _pixel(image, table, high[1], high[0]) * part[0]
    return top * (1.0 - part[1]) + bottom * part[1]


@wp.func
def _place_in(uv: wp.vec2, width: wp.int32, height: wp.int32):
    return wp.vec2(uv[0] * wp.float32(width) - 0.5, uv[1] * wp.float32(height) - 0.5)


@wp.func
def _texels_at(place: wp.vec2, width: wp.int32, height: wp.int32):
    low = wp.vec2i(_wrapped(wp.int32(wp.floor(place[0])), width), _wrapped(wp.int32(wp.floor(place[1])), height))
    return low, wp.vec2i((low[0] + 1) % width, (low[1] + 1) % height)


@wp.func
def _parts(place: wp.vec2):
    return wp.vec2(place[0] - wp.floor(place[0]), place[1] - wp.floor(place[1]))


@wp.func
def _uv_at(corner_uv: wp.array(dtype=wp.vec2, ndim=2), f: wp.int32, weight: wp.vec3):
    return weight[0] * corner_uv[f, 0] + weight[1] * corner_uv[f, 1] + weight[2] * corner_uv[f, 2]


# Read textures that repeat, bilinearly, colours in linear light; as ops.surface_texture.
@wp.kernel(enable_backward=False)
def read_texture(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    corner_uv: wp.array(dtype=wp.vec2, ndim=2),
    image: wp.array(dtype=wp.uint8, ndim=3),
    picture: wp.array(dtype=wp.uint8, ndim=3),
    table: wp.array(dtype=wp.float32),
    color: wp.array(dtype=wp.vec3),
    material: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    uv = _uv_at(corner_uv, f, source_weights[i])
    place = _place_in(uv, image.shape[1], image.shape[0])
    low, high = _texels_at(place, image.shape[1], image.shape[0])
    color[i] = _blend(image, table, low, high, _parts(place))
    if picture.shape[1] > 0:
        place = _place_in(uv, picture.shape[1], picture.shape[0])
        low, high = _texels_at(place, picture.shape[1], picture.shape[0])
        part = _parts(place)
        upper = _pair(picture, low[1], low[0]) * (1.0 - part[0]) + _pair(picture, low[1], high[0]) * part[0]
        lower = _pair(picture, high[1], low[0]) * (1.0 - part[0]) + _pair(picture, high[1], high[0]) * part[0]
        both = upper * (1.0 - part[1]) + lower * part[1]
        material[i] = wp.vec3(both[0], both[1], material[i][2])


@wp.func
def _opacity(image: wp.array(dtype=wp.uint8, ndim=2), y: wp.int32, x: wp.int32):
    return wp.float32(image[y, x]) / 255.0


# Read the alpha of a texture that repeats, bilinearly; as ops.surface_texture.
@wp.kernel(enable_backward=False)
def read_alpha(
    source_face: wp.array(dtype=wp.int32),
    source_weights: wp.array(dtype=wp.vec3),
    corner_uv: wp.array(dtype=wp.vec2, ndim=2),
    image: wp.array(dtype=wp.uint8, ndim=2),
    alpha: wp.array(dtype=wp.float32),
):
    i = wp.tid()
    f = source_face[i]
    if f < 0:
        return
    uv = _uv_at(corner_uv, f, source_weights[i])
    place = _place_in(uv, image.shape[1], image.shape[0])
    low, high = _texels_at(place, image.shape[1], image.shape[0])
    part = _parts(place)
    top = _opacity(image, low[1], low[0]) * (1.0 - part[0]) + _opacity(image, low[1], high[0]) * part[0]
    bottom = _opacity(image, high[1], low[0]) * (1.0 - part[0]) + _opacity(image, high[1], high[0]) * part[0]
    alpha[i] = top * (1.0 - part[1]) + bottom * part[1]


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
    w = mix(vertex_weights, faces, f, source_weights[i])
    if w <= 0.0:
        return
    at = mix3(vertices, faces, f, source_weights[i])
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
    part = wp.vec2(wp.float32(px - wp.float64(x0)), wp.float32(py - wp.float64(y0)))
    read = _blend(image, table, wp.vec2i(x0, y0), wp.vec2i(wp.min(x0 + 1, v - 1), wp.min(y0 + 1, h - 1)), part)
    color[i] = color[i] + (w / wp.max(total[i], 1.0)) * read
