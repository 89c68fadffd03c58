"""Look from points of the source at the sky."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from forge_batch.ops.baker import STEP, Sky
from forge_batch.ops.denoise import denoised
from forge_batch.ops.denoise_params import texel_spacing
from forge_batch.ops.gbuffer import Band, GBuffer
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.rays import RAYS_AT_ONCE, in_threads


def occlusion_map(buffer: GBuffer, sky: Sky, progress: Callable[[float], None] | None = None) -> Float32[np.ndarray, " t"]:
    """Give the share of the sky that each point of the source sees, weighted by cosine: 1 is open, 0 also stands for no value.

    Rays start on the source with the source's normal. Started on the low poly, which lies inside the source in places, the
    mean fell from 0.80 to 0.47 and the correlation with Cycles from 0.99 to 0.36.

    Each texel sends the same Hammersley set (Wong et al., "Sampling with Hammersley and Halton Points", 1997), mapped to the
    cosine-weighted hemisphere and shifted by the texel's place in the R2 sequence (Roberts, 2018; Cranley and Patterson,
    1976): no seed, the same bytes on every run, and what noise there is differs between neighbours. The samples of a texel
    send them in turns, cell by cell of the pattern's grid, so that together they look at the whole sky.

    Args:
        buffer: What lies under each texel.
        sky: Rays, their length and what else darkens.
        progress: Hears the fraction done.

    Returns:
        (size * size,), row by row.
    """
    out = np.zeros(buffer.size**2, np.float32)
    guide = np.zeros((buffer.size**2, 6), np.float32) if sky.denoise else None
    done, texels = 0, max(1, len(buffer.texel))
    for band in buffer.bands():
        before = done
        heard = None if progress is None else _after(progress, before / texels, len(band.texel) / texels)
        out[band.texel] = openness(band, sky, heard)
        if guide is not None:
            guide[band.texel] = np.concatenate(band.source_at(band.counted[band.starts]), axis=1)
        done += len(band.texel)
    if guide is not None:
        known = np.zeros(buffer.size**2, bool)
        known[buffer.texel] = buffer.kind > 0
        out = denoised(out, known, guide, buffer.size, texel_spacing(buffer.mesh, len(buffer.texel)), sky.rays)
    return out


def openness(band: Band, sky: Sky, progress: Callable[[float], None] | None = None) -> Float32[np.ndarray, " x"]:
    """Send the rays of a band's texels and give the share of each that meets nothing, without any filter."""
    buffer = band.buffer
    diagonal = buffer.mesh.diagonal
    reach = sky.distance * diagonal
    points, cells = in_cells(hammersley(sky.rays))
    floor = float(buffer.mesh.vertices[:, 1].min()) if sky.ground else -np.inf
    ends = np.append(band.starts[1:], len(band.counted))
    result = np.empty(len(band.texel), np.float32)

    def run(part: slice) -> None:
        starts = band.starts[part]
        at = band.counted[starts[0] : ends[part.stop - 1]]
        point, normal = band.source_at(at)
        from_where = point + normal * np.float32(STEP * diagonal)
        runs = np.append(starts, ends[part.stop - 1]) - starts[0]
        origins, directions = _hemispheres(from_where, normal, runs, band.texel[part], buffer.size, points, *cells)
        shape = (len(starts), sky.rays)
        if sky.falloff > 0:
            met = np.minimum(
                buffer.scene.cast(origins, directions, reach).distance, _floor_distance(origins, directions, floor)
            )
            near = np.clip(1 - met / np.float32(reach), 0, 1)
            dark = np.where(met < reach, near**sky.falloff, 0).reshape(shape).sum(axis=1)
        else:
            blocked = buffer.scene.occluded(origins, directions, reach)
            if sky.ground:
                blocked |= _floor_distance(origins, directions, floor) < reach
            dark = np.count_nonzero(blocked.reshape(shape), axis=1)
        result[part] = 1 - dark / sky.rays

    in_threads(run, len(result), max(1, RAYS_AT_ONCE // sky.rays), progress)
    return result


def _floor_distance(origins: np.ndarray, directions: np.ndarray, floor: float) -> np.ndarray:
    """Give how far the plane y = floor is along rays that go down, 0 from below it; infinite for the others."""
    down = directions[:, 1] < 0
    away = np.maximum((np.float32(floor) - origins[:, 1]) / np.where(down, directions[:, 1], -1), 0)
    return np.where(down, away, np.float32(np.inf))


def _after(progress: Callable[[float], None], before: float, share: float) -> Callable[[float], None]:
    return lambda fraction: progress(before + share * fraction)


@njit(cache=True, nogil=True)
@no_type_check
def _hemispheres(points: Any, normals: Any, runs: Any, texels: Any, size: Any, pattern: Any, high: Any, low: Any) -> Any:
    """Give every texel its rays: origins and unit directions, (n * rays, 3). Samples runs[i] .. runs[i + 1] are texel i's.

    The basis round the normal is that of Duff et al., "Building an Orthonormal Basis, Revisited", 2017.
    """
    rays = len(pattern)
    origins = np.empty((len(texels) * rays, 3), np.float32)
    directions = np.empty((len(texels) * rays, 3), np.float32)
    for i in range(len(texels)):
        row, column = texels[i] // size, texels[i] % size
        shift_r = np.float32((column * 0.7548776662466927 + row * 0.5698402909980532) % 1.0)
        shift_a = np.float32((column * 0.5698402909980532 + row * 0.7548776662466927 + 0.5) % 1.0)
        moved_r, moved_a = np.int64(shift_r * np.float32(high)), np.int64(shift_a * np.float32(low))
        count = runs[i + 1] - runs[i]
        for j in range(count):
            sample = runs[i] + j
            x, y, z = normals[sample, 0], normals[sample, 1], normals[sample, 2]
            sign = np.float32(1.0) if z >= 0 else np.float32(-1.0)
            a = -np.float32(1.0) / (sign + z)
            b = x * y * a
            for k in range(j, rays, count):
                cell = ((k // low + high - moved_r) % high) * low + (k % low + low - moved_a) % low
                u = (pattern[cell, 0] + shift_r) % np.float32(1.0)
                angle = 2.0 * np.pi * ((pattern[cell, 1] + shift_a) % np.float32(1.0))
                along, across, up = np.sqrt(u) * np.cos(angle), np.sqrt(u) * np.sin(angle), np.sqrt(1.0 - u)
                at = i * rays + k
                directions[at, 0] = along * (1.0 + sign * x * x * a) + across * b + up * x
                directions[at, 1] = along * sign * b + across * (sign + y * y * a) + up * y
                directions[at, 2] = -along * sign * x - across * y + up * z
                for axis in range(3):
                    origins[at, axis] = points[sample, axis]
    return origins, directions
