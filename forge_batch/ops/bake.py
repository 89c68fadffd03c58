"""Read maps from a G-buffer. Every texel of a map has a value: misses and background take that of the nearest hit.

The value of a texel is the mean of its samples that count, see gbuffer.Band: in linear light for colours, of unit vectors for
normals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Int32, UInt8, UInt16
from numba import njit

from forge_batch.ops.baker import ERROR_STEPS, ColorMaps, MaterialMaps, Sky
from forge_batch.ops.gbuffer import Band, GBuffer
from forge_batch.ops.occlusion import in_bytes, occlusion_map
from forge_batch.ops.padding import fill
from forge_batch.ops.rays import in_threads
from forge_batch.ops.srgb import linear_to_srgb


def normal_map(buffer: GBuffer, progress: Callable[[float], None] | None = None) -> UInt16[np.ndarray, "s s 3"]:
    """Give the source's interpolated normal in the tangent space of the mesh, 16 bits, OpenGL (green points up the texture).

    The frame (T, B, N) is inverted exactly as interpolated, not orthogonalised, so a shader that does as MikkTSpace says gets
    the source's normal back. Normals that point below the surface are laid onto it (z = 0): engines that rebuild z from x and y
    cannot show them. Where the frame has no volume the texel is flat.
    """
    out = _room(buffer, np.uint16, 3)
    for band in buffer.bands(progress):
        inside = _mean(_tangent_normals(band), band.starts)
        if buffer.samples > 1:
            length = np.linalg.norm(inside, axis=1, keepdims=True)
            inside = np.where(length > 1e-6, inside / np.maximum(length, 1e-6), np.array([0, 0, 1], np.float32))
        out[band.texel] = np.rint((inside * 0.5 + 0.5) * 65535)
    return _padded(buffer, out)


def _tangent_normals(band: Band) -> np.ndarray:
    """Give the unit normal in tangent space at each sample that counts."""
    values = np.empty((len(band.counted), 3), np.float32)

    def run(part: slice) -> None:
        at = band.counted[part]
        N, T, sign = band.frame(at)
        B = sign[:, None] * np.cross(N, T)
        normal = band.source_at(at)[1]
        # Cramer's rule; the common factor 1 / determinant matters only by its sign, as the result is normalised.
        determinant = _dot(T, np.cross(B, N))
        inside = np.stack([_dot(normal, np.cross(B, N)), _dot(normal, np.cross(N, T)), _dot(normal, np.cross(T, B))], axis=1)
        inside *= np.sign(determinant)[:, None]
        inside[:, 2] = np.maximum(inside[:, 2], 0)
        length = np.linalg.norm(inside, axis=1)
        flat = (np.abs(determinant) < 1e-12) | (length < 1e-12)
        inside[flat] = (0, 0, 1)
        values[part] = inside / np.where(flat, 1, length)[:, None]

    in_threads(run, len(values))
    return values


def normal_error(
    buffer: GBuffer, normal: UInt16[np.ndarray, "s s 3"], progress: Callable[[float], None] | None = None
) -> UInt8[np.ndarray, "s s"]:
    """Give how far the mapped low poly is from the source: tenths of a degree, 255 for 25.5 and more or a miss, 0 outside.

    The angle between the source's normal and what a shader makes of the texel, mean over the texel's samples.

    Args:
        buffer: That of the map.
        normal: A normal map, ours or another.
        progress: Hears the fraction done.
    """
    out = np.zeros(buffer.size**2, np.uint8)
    out[buffer.texel] = 255
    flat = normal.reshape(-1, 3)
    for band in buffer.bands(progress):
        angle = np.empty((len(band.counted), 1), np.float32)

        def run(part: slice, band: Band = band, angle: np.ndarray = angle) -> None:
            at = band.counted[part]
            x, y, z = np.moveaxis(flat[band.sample[at] // buffer.samples**2].astype(np.float32) / np.float32(32767.5) - 1, 1, 0)
            N, T, sign = band.frame(at)
            shown = x[:, None] * T + (y * sign)[:, None] * np.cross(N, T) + z[:, None] * N
            true = band.source_at(at)[1]
            # arctan2 keeps its digits for small angles, where arccos of a cosine near 1 loses half of them
            angle[part, 0] = np.degrees(np.arctan2(np.linalg.norm(np.cross(shown, true), axis=1), _dot(shown, true)))

        in_threads(run, len(angle))
        out[band.texel] = np.minimum(np.rint(_mean(angle, band.starts)[:, 0] * ERROR_STEPS), 255)
    return out.reshape(buffer.size, buffer.size)


def color_maps(buffer: GBuffer, progress: Callable[[float], None] | None = None) -> ColorMaps:
    """Give base colour, with alpha if the source is masked, and which texels' colour no input image saw and was invented."""
    color, unseen = _room(buffer, np.uint8, 4 if buffer.source.masked else 3), _room(buffer, np.uint8)
    for band in buffer.bands(progress):
        color[band.texel, :3] = np.rint(linear_to_srgb(_mean(band.material.base_color, band.starts)) * 255)
        if band.material.alpha is not None:
            color[band.texel, 3] = in_bytes(_mean(band.material.alpha[:, None], band.starts)[:, 0])
        unseen[band.texel] = np.where(_mean(band.material.seen[:, None], band.starts)[:, 0] < 0.5, 255, 0)
    return ColorMaps(_padded(buffer, color), _padded(buffer, unseen))


def material_maps(buffer: GBuffer, progress: Callable[[float], None] | None = None) -> MaterialMaps:
    """Give metallic and roughness."""
    metallic, roughness = _room(buffer, np.uint8), _room(buffer, np.uint8)
    for band in buffer.bands(progress):
        metallic[band.texel] = in_bytes(_mean(band.material.metallic[:, None], band.starts)[:, 0])
        roughness[band.texel] = in_bytes(_mean(band.material.roughness[:, None], band.starts)[:, 0])
    return MaterialMaps(_padded(buffer, metallic), _padded(buffer, roughness))


@dataclass(frozen=True)
class CpuBaker:
    """Bake from a G-buffer in memory."""

    buffer: GBuffer
    device: str = "cpu"

    @property
    def size(self) -> int:
        return self.buffer.size

    @property
    def overlap(self) -> int:
        return self.buffer.overlap

    @property
    def texel(self) -> Int32[np.ndarray, " t"]:
        return self.buffer.texel

    @property
    def kind(self) -> UInt8[np.ndarray, " t"]:
        return self.buffer.kind

    def normal_map(self, progress: Callable[[float], None] | None = None) -> UInt16[np.ndarray, "s s 3"]:
        """See normal_map."""
        return normal_map(self.buffer, progress)

    def normal_error(
        self, normal: UInt16[np.ndarray, "s s 3"], progress: Callable[[float], None] | None = None
    ) -> UInt8[np.ndarray, "s s"]:
        """See normal_error."""
        return normal_error(self.buffer, normal, progress)

    def color_maps(self, progress: Callable[[float], None] | None = None) -> ColorMaps:
        """See color_maps."""
        return color_maps(self.buffer, progress)

    def material_maps(self, progress: Callable[[float], None] | None = None) -> MaterialMaps:
        """See material_maps."""
        return material_maps(self.buffer, progress)

    def occlusion_map(self, sky: Sky, progress: Callable[[float], None] | None = None) -> UInt8[np.ndarray, "s s"]:
        """See occlusion.occlusion_map."""
        return _padded(self.buffer, occlusion_map(self.buffer, sky, progress))


def _room(buffer: GBuffer, kind: type, *channels: int) -> np.ndarray:
    """Make an empty map, after what fills it: at 8192 that takes 700 MB for a moment."""
    assert buffer.nearest is not None
    return np.zeros((buffer.size**2, *channels), kind)


def _padded(buffer: GBuffer, values: np.ndarray) -> np.ndarray:
    """Fill an atlas (s * s, ...) where no texel found the source, in place."""
    fill(values, buffer.nearest)
    return values.reshape(buffer.size, buffer.size, *values.shape[1:])


def _mean(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Average the rows of each texel."""
    if len(starts) == len(values):
        return values
    result: np.ndarray = _mean_rows(values, starts)
    return result


@njit(cache=True, nogil=True)
@no_type_check
def _mean_rows(values: Any, starts: Any) -> Any:
    """Average runs of rows; numpy's reduceat takes six times as long."""
    result = np.zeros((len(starts), values.shape[1]), np.float32)
    for i in range(len(starts)):
        end = starts[i + 1] if i + 1 < len(starts) else len(values)
        for j in range(starts[i], end):
            for k in range(values.shape[1]):
                result[i, k] += values[j, k]
        for k in range(values.shape[1]):
            result[i, k] /= np.float32(end - starts[i])
    return result


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nx,nx->n", a, b))
