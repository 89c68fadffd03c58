"""Look from points of the source at the sky."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8
from numba import njit

from forge_batch.ops.baker import STEP, Sky
from forge_batch.ops.denoise import Smoother
from forge_batch.ops.denoise_params import texel_spacing
from forge_batch.ops.embree import ACTIVE, FAR, LANES, intersect, occluded, packet
from forge_batch.ops.gbuffer import Band, GBuffer
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.rays import RAYS_AT_ONCE, ask, in_threads, load_lane


def occlusion_map(buffer: GBuffer, sky: Sky, progress: Callable[[float], None] | None = None) -> UInt8[np.ndarray, " t"]:
    """Give the share of the sky that each point of the source sees, weighted by cosine: 255 is open, 0 also no value.

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
    out = np.zeros(buffer.size**2, np.uint8)
    texels = max(1, len(buffer.texel))
    spacing = texel_spacing(buffer.mesh, texels)
    smoother = Smoother(buffer.size, spacing, sky.rays) if sky.denoise else None
    done = 0.0

    def same(_: float) -> None:
        if progress is not None:
            progress(done)

    for band in buffer.bands(same):
        share = len(band.texel) / texels
        values = openness(band, sky, None if progress is None else _after(progress, done, share))
        if smoother is None:
            out[band.texel] = in_bytes(values)
        else:
            guide = np.concatenate(band.source_at(band.counted[band.starts]), axis=1)
            start, smooth = smoother.add(band.rows, band.texel, values, guide)
            out[start * buffer.size :][: smooth.size] = in_bytes(smooth)
        done = min(1.0, done + share)
    return out


def in_bytes(values: Float32[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """Round 0..1 to 0..255."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)


def openness(band: Band, sky: Sky, progress: Callable[[float], None] | None = None) -> Float32[np.ndarray, " x"]:
    """Send the rays of a band's texels and give the share of each that meets nothing, without any filter."""
    buffer = band.buffer
    diagonal = buffer.mesh.diagonal
    reach = sky.distance * diagonal
    pattern = _make_pattern(sky.rays)
    floor = float(buffer.mesh.vertices[:, 1].min()) if sky.ground else -np.inf
    order = _in_tiles(band.texel, buffer.size)
    ends = np.append(band.starts[1:], len(band.counted))
    result = np.empty(len(band.texel), np.float32)

    def run(part: slice) -> None:
        some = order[part]
        lengths = ends[some] - band.starts[some]
        runs = np.append(0, np.cumsum(lengths))
        at = band.counted[np.repeat(band.starts[some] - runs[:-1], lengths) + np.arange(runs[-1])]
        point, normal = band.source_at(at)
        points = _Points(point + normal * np.float32(STEP * diagonal), normal, runs, band.texel[some], buffer.size)
        query = intersect if sky.falloff > 0 else occluded
        limits = (np.float32(min(reach, 1e37)), np.float32(floor), float(sky.falloff))
        result[some] = 1 - _darkness(query, buffer.scene.tree.address, packet(), points, pattern, limits) / sky.rays

    in_threads(run, len(result), max(LANES, RAYS_AT_ONCE // sky.rays), progress)
    return result


class _Points(NamedTuple):
    """Be what n texels look from: the samples runs[i] .. runs[i + 1] are texel i's."""

    place: Float32[np.ndarray, "s 3"]
    normal: Float32[np.ndarray, "s 3"]
    runs: Int[np.ndarray, " n1"]
    texel: Int32[np.ndarray, " n"]
    size: int


class _Pattern(NamedTuple):
    """Be the rays that every texel sends: see hemisphere.in_cells; of each its share of the radius, and where it goes round."""

    radius: Float32[np.ndarray, " r"]
    cosine: Float32[np.ndarray, " r"]
    sine: Float32[np.ndarray, " r"]
    high: int
    low: int


def _make_pattern(rays: int) -> _Pattern:
    points, cells = in_cells(hammersley(rays))
    angle = 2 * np.pi * points[:, 1].astype(np.float64)
    return _Pattern(points[:, 0].copy(), np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32), *cells)


def _in_tiles(texel: Int32[np.ndarray, " x"], size: int) -> Int[np.ndarray, " x"]:
    """Order texels by squares of 4 x 4, whose rays go together; that takes a tenth less than rows of 16."""
    row, column = np.divmod(texel, size)
    return np.argsort((row // 4) * size + column // 4, kind="stable")


def _after(progress: Callable[[float], None], before: float, share: float) -> Callable[[float], None]:
    return lambda fraction: progress(before + share * fraction)


@njit(cache=True, nogil=True)
@no_type_check
def _darkness(query: Any, scene: Any, packet: Any, points: Any, pattern: Any, limits: Any) -> Any:
    """Send the rays of texels, sixteen neighbours at a time those of one cell; give how many of each count as dark.

    `limits` are the length of a ray, the height of the floor, and the falloff.
    """
    reach, floor, falloff = limits
    real, whole, address = packet
    places, normals, runs, texel, size = points
    dark = np.zeros(len(texel))
    turns = np.empty((LANES, 4), np.float32)
    ends = np.empty(LANES, np.float32)
    for first in range(0, len(dark), LANES):
        count = min(LANES, len(dark) - first)
        _turn(texel, size, first, count, turns)
        whole[ACTIVE, count:] = 0
        for k in range(len(pattern.radius)):
            for lane in range(count):
                sample = runs[first + lane] + k % (runs[first + lane + 1] - runs[first + lane])
                normal = (normals[sample, 0], normals[sample, 1], normals[sample, 2])
                start = (places[sample, 0], places[sample, 1], places[sample, 2])
                turn = (turns[lane, 0], turns[lane, 1], turns[lane, 2], turns[lane, 3])
                along = _aim(normal, pattern, k, turn)
                ends[lane] = reach
                if along[1] < 0:
                    ends[lane] = min(reach, max((floor - start[1]) / along[1], np.float32(0)))
                load_lane(real, whole, lane, start, along, ends[lane])
            ask(query, scene, address)
            for lane in range(count):
                end = real[FAR, lane]
                if falloff > 0:
                    dark[first + lane] += (1.0 - end / reach) ** falloff if end < reach else 0.0
                elif end < 0 or ends[lane] < reach:
                    dark[first + lane] += 1.0
    return dark


@njit(cache=True, nogil=True)
@no_type_check
def _turn(texel: Any, size: Any, first: Any, count: Any, turns: Any) -> Any:
    """Say by how much each texel shifts the pattern: outwards, round, and the cosine and sine of that."""
    for lane in range(count):
        row, column = texel[first + lane] // size, texel[first + lane] % size
        turns[lane, 0] = (column * 0.7548776662466927 + row * 0.5698402909980532) % 1.0
        turns[lane, 1] = (column * 0.5698402909980532 + row * 0.7548776662466927 + 0.5) % 1.0
        turns[lane, 2], turns[lane, 3] = np.cos(2.0 * np.pi * turns[lane, 1]), np.sin(2.0 * np.pi * turns[lane, 1])


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _aim(normal: Any, pattern: Any, k: Any, turn: Any) -> Any:
    """Give the unit direction of a texel's ray k; the basis is that of Duff et al., 2017, "Building an Orthonormal Basis"."""
    radii, cosines, sines, high, low = pattern
    x, y, z = normal
    one = np.float32(1)
    sign = one if z >= 0 else -one
    a = -one / (sign + z)
    b = x * y * a
    moved_r, moved_a = np.int64(turn[0] * np.float32(high)), np.int64(turn[1] * np.float32(low))
    cell = ((k // low + high - moved_r) % high) * low + (k % low + low - moved_a) % low
    u = radii[cell] + turn[0]
    u = u - one if u >= one else u
    up, out = np.sqrt(one - u), np.sqrt(u)
    along = out * (cosines[cell] * turn[2] - sines[cell] * turn[3])
    across = out * (sines[cell] * turn[2] + cosines[cell] * turn[3])
    return (
        along * (one + sign * x * x * a) + across * b + up * x,
        along * sign * b + across * (sign + y * y * a) + up * y,
        up * z - along * sign * x - across * y,
    )
