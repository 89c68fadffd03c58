"""Read maps from a G-buffer. Every texel of a map has a value: misses and background take that of the nearest hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from numba import njit

from forge_batch.ops.gbuffer import GBuffer
from forge_batch.ops.padding import spread
from forge_batch.ops.rays import RAYS_AT_ONCE, in_threads
from forge_batch.ops.source import linear_to_srgb


class ColorMaps(NamedTuple):
    """Be base colour (s, s, 3) in sRGB and `unseen` (s, s), 255 where no input image saw the surface well."""

    base_color: UInt8[np.ndarray, "s s 3"]
    unseen: UInt8[np.ndarray, "s s"]


class MaterialMaps(NamedTuple):
    """Be metallic and roughness, linear."""

    metallic: UInt8[np.ndarray, "s s"]
    roughness: UInt8[np.ndarray, "s s"]


def normal_map(buffer: GBuffer) -> UInt16[np.ndarray, "s s 3"]:
    """Give the source's interpolated normal in the tangent space of the mesh, 16 bits, OpenGL (green points up the texture).

    The frame (T, B, N) is inverted exactly as interpolated, not orthogonalised, so a shader that does as MikkTSpace says gets
    the source's normal back. Normals that point below the surface are laid onto it (z = 0): engines that rebuild z from x and y
    cannot show them. Where the frame has no volume the texel is flat.
    """
    values = np.empty((len(buffer.hit), 3), np.uint16)

    def run(part: slice) -> None:
        at = buffer.hit[part]
        N, T, sign = buffer.frame(at)
        B = sign[:, None] * np.cross(N, T)
        normal = buffer.source_at(at)[1]
        # Cramer's rule; the common factor 1 / determinant matters only by its sign, as the result is normalised.
        determinant = _dot(T, np.cross(B, N))
        inside = np.stack([_dot(normal, np.cross(B, N)), _dot(normal, np.cross(N, T)), _dot(normal, np.cross(T, B))], axis=1)
        inside *= np.sign(determinant)[:, None]
        inside[:, 2] = np.maximum(inside[:, 2], 0)
        length = np.linalg.norm(inside, axis=1)
        flat = (np.abs(determinant) < 1e-12) | (length < 1e-12)
        inside[flat] = (0, 0, 1)
        inside /= np.where(flat, 1, length)[:, None]
        values[part] = np.rint((inside * 0.5 + 0.5) * 65535)

    in_threads(run, len(buffer.hit))
    return _atlas(buffer, values)


def color_maps(buffer: GBuffer) -> ColorMaps:
    """Give base colour, and which texels' colour was invented because no input image saw the surface."""
    samples = buffer.samples
    color = np.rint(linear_to_srgb(samples.base_color) * 255).astype(np.uint8)
    unseen = np.where(samples.seen < 0.5, 255, 0).astype(np.uint8)
    return ColorMaps(_atlas(buffer, color), _atlas(buffer, unseen))


def material_maps(buffer: GBuffer) -> MaterialMaps:
    """Give metallic and roughness."""
    samples = buffer.samples
    return MaterialMaps(_atlas(buffer, _byte(samples.metallic)), _atlas(buffer, _byte(samples.roughness)))


def occlusion_map(
    buffer: GBuffer, rays: int, distance: float, progress: Callable[[float], None] | None = None
) -> UInt8[np.ndarray, "s s"]:
    """Give the share of the sky that each point of the source sees, weighted by cosine: 255 is open.

    Rays start on the source with the source's normal. Started on the low poly, which lies inside the source in places, the
    mean fell from 0.80 to 0.47 and the correlation with Cycles from 0.99 to 0.36.

    Each texel sends the same Hammersley set (Wong et al., "Sampling with Hammersley and Halton Points", 1997), mapped to the
    cosine-weighted hemisphere and shifted by the texel's place in the R2 sequence (Roberts, 2018; Cranley and Patterson,
    1976): no seed, the same bytes on every run, and what noise there is differs between neighbours.

    Args:
        buffer: What lies under each texel.
        rays: Rays a texel.
        distance: Length of a ray, as a fraction of the mesh's diagonal; what is farther away does not darken.
        progress: Hears the fraction done.
    """
    values = np.empty(len(buffer.hit), np.uint8)
    reach = distance * buffer.mesh.diagonal
    pattern = _hammersley(rays)
    step = np.float32(1e-5 * buffer.mesh.diagonal)

    def run(part: slice) -> None:
        at = buffer.hit[part]
        point, normal = buffer.source_at(at)
        origins, directions = _hemispheres(point + normal * step, normal, pattern, buffer.texel[at], buffer.size)
        blocked = buffer.scene.occluded(origins, directions, reach).reshape(len(at), rays)
        values[part] = np.rint((1 - np.count_nonzero(blocked, axis=1) / rays) * 255)

    in_threads(run, len(buffer.hit), max(1, RAYS_AT_ONCE // rays), progress)
    return _atlas(buffer, values)


def _atlas(buffer: GBuffer, values: np.ndarray) -> np.ndarray:
    """Put the values of the texels that found the source into an atlas and fill the rest."""
    atlas = np.zeros((buffer.size * buffer.size, *values.shape[1:]), values.dtype)
    atlas[buffer.texel[buffer.hit]] = values
    return spread(atlas.reshape(buffer.size, buffer.size, *values.shape[1:]), buffer.nearest)


def _byte(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nx,nx->n", a, b))


def _hammersley(count: int) -> Float32[np.ndarray, "n 2"]:
    """Give n evenly spread points of the unit square: (i + 0.5) / n and the bits of i mirrored at the point."""
    index = np.arange(count, dtype=np.uint64)
    mirrored = np.zeros(count)
    for bit in range(32):
        mirrored += ((index >> np.uint64(bit)) & np.uint64(1)) * 0.5 ** (bit + 1)
    return np.stack([(index + 0.5) / count, mirrored], axis=1).astype(np.float32)


@njit(cache=True, nogil=True)
@no_type_check
def _hemispheres(points: Any, normals: Any, pattern: Any, texels: Any, size: Any) -> Any:
    """Give every point its rays: origins and unit directions, (n * rays, 3).

    The basis round the normal is that of Duff et al., "Building an Orthonormal Basis, Revisited", 2017.
    """
    rays = len(pattern)
    origins = np.empty((len(points) * rays, 3), np.float32)
    directions = np.empty((len(points) * rays, 3), np.float32)
    for i in range(len(points)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        sign = np.float32(1.0) if z >= 0 else np.float32(-1.0)
        a = -np.float32(1.0) / (sign + z)
        b = x * y * a
        row, column = texels[i] // size, texels[i] % size
        shift_r = (column * 0.7548776662466927 + row * 0.5698402909980532) % 1.0
        shift_a = (column * 0.5698402909980532 + row * 0.7548776662466927 + 0.5) % 1.0
        for k in range(rays):
            u = (pattern[k, 0] + shift_r) % 1.0
            angle = 2.0 * np.pi * ((pattern[k, 1] + shift_a) % 1.0)
            along, across, up = np.sqrt(u) * np.cos(angle), np.sqrt(u) * np.sin(angle), np.sqrt(1.0 - u)
            at = i * rays + k
            directions[at, 0] = along * (1.0 + sign * x * x * a) + across * b + up * x
            directions[at, 1] = along * sign * b + across * (sign + y * y * a) + up * y
            directions[at, 2] = -along * sign * x - across * y + up * z
            for axis in range(3):
                origins[at, axis] = points[i, axis]
    return origins, directions
