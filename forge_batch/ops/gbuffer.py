"""Find, once for all maps, what lies under each sample of a low-poly atlas and where the source surface is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from forge_batch.errors import StageError
from forge_batch.ops.baker import MISS, NEAREST, RAY, Search, check_pair, no_source
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import source_normals
from forge_batch.ops.padding import nearest_known
from forge_batch.ops.raster import rasterize
from forge_batch.ops.rays import RAYS_AT_ONCE, RayScene, in_threads
from forge_batch.ops.source import Samples, SourceMesh
from forge_batch.ops.source_search import SourceSearch, interpolate


class Frame(NamedTuple):
    """Be tangent frames at n points: interpolated and NOT normalised, as MikkTSpace demands, all float32.

    A shader interpolates N and T between vertices and does not normalise them before `B = sign * cross(N, T)`; normalising here
    costs agreement: against Cycles the mean angle grows from 0.12 to 0.33 degree.
    """

    normal: Float32[np.ndarray, "n 3"]
    tangent: Float32[np.ndarray, "n 3"]
    sign: Float32[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Band:
    """Hold, for the t covered samples of some rows, the surface point and the source point each map is read from.

    Attributes:
        buffer: What the bands of an atlas share.
        rows: First row of texels and one past the last.
        sample: (t,) texel * samples**2 + place in the texel, ascending; a texel is row * size + column.
        face: (t,) face of the mesh.
        barycentric: (t, 3) place on it.
        centre: (t,) whether the sample itself is covered; False on the conservative rim.
        source_face: (t,) face of the source, -1 for a miss.
        source_barycentric: (t, 3) place on it.
        kind: (t,) MISS, RAY or NEAREST.
    """

    buffer: GBuffer
    rows: tuple[int, int]
    sample: Int32[np.ndarray, " t"]
    face: Int32[np.ndarray, " t"]
    barycentric: Float32[np.ndarray, "t 3"]
    centre: Bool[np.ndarray, " t"]
    source_face: Int32[np.ndarray, " t"]
    source_barycentric: Float32[np.ndarray, "t 3"]
    kind: UInt8[np.ndarray, " t"]

    @cached_property
    def counted(self) -> np.ndarray:
        """Which of the t samples make up the maps: (h,) indices.

        Of a texel those that found the source and are covered themselves; if there is none such, those of its rim that did.
        """
        found = self.kind != MISS
        if self.buffer.samples == 1:
            return np.flatnonzero(found)
        texel = self.sample // self.buffer.samples**2
        starts = _starts(texel)
        sure = np.logical_or.reduceat(found & self.centre, starts) if len(texel) else np.zeros(0, bool)
        has_sure = np.repeat(sure, np.diff(np.append(starts, len(texel))))
        return np.flatnonzero(found & (self.centre | ~has_sure))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where in `counted` the samples of each texel with a value begin: (x,)."""
        return _starts(self.sample[self.counted] // self.buffer.samples**2)

    @cached_property
    def texel(self) -> Int32[np.ndarray, " x"]:
        """The x texels with a value."""
        return np.asarray(self.sample[self.counted][self.starts] // self.buffer.samples**2, np.int32)

    @cached_property
    def material(self) -> Samples:
        """Material of the source at the h samples that count."""
        face, weights = self.source_face[self.counted], self.source_barycentric[self.counted]
        count = len(face)
        numbers = 4 if self.buffer.source.masked else 3
        result = Samples(np.empty((count, 3), np.float32), *(np.empty(count, np.float32) for _ in range(numbers)))

        def run(part: slice) -> None:
            for whole, piece in zip(result, self.buffer.source.sample(face[part], weights[part]), strict=True):
                if whole is not None:
                    whole[part] = piece

        in_threads(run, count)
        return result

    def frame(self, at: np.ndarray) -> Frame:
        """Give the tangent frames of some of the t samples, by index."""
        mesh = self.buffer.mesh
        assert mesh.normals is not None
        assert mesh.tangents is not None
        corners, weights = mesh.faces[self.face[at]], self.barycentric[at]
        normal = interpolate(mesh.normals, corners, weights)
        tangent = interpolate(mesh.tangents[:, :3], corners, weights)
        return Frame(normal, tangent, mesh.tangents[corners[:, 0], 3])

    def source_at(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give position and unit interpolated normal of the source, both (n, 3) float32, for samples that found it."""
        face, weights = self.source_face[at], self.source_barycentric[at]
        normals, corners = self.buffer.source_normals
        normal = interpolate(normals, corners[face], weights)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        mesh = self.buffer.source.mesh
        return interpolate(mesh.vertices, mesh.faces[face], weights), normal


class GBuffer:
    """Be what lies under an atlas, band by band of its rows, and for each texel whether it found the source.

    Attributes:
        band: Samples of a band of rows, covered or not: what is in memory at once is 60 bytes each.
        kept: Covered samples (38 bytes each) up to which all bands are kept for the maps to come; of more, each map makes them
            anew.

    Args:
        mesh: Low poly with uv, normals and tangents.
        source: What is baked from.
        size: Texels on an edge.
        search: How the source is looked for, see baker.Search.
        progress: Hears the fraction done.

    Raises:
        StageError: The UVs have no area, no texel is covered, or the source lies nowhere near the mesh.
    """

    band = 1 << 22
    kept = 3 << 22

    def __init__(
        self,
        mesh: Mesh,
        source: SourceMesh,
        size: int,
        search: Search,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        check_pair(mesh)
        self.mesh, self.source, self.size, self.samples = mesh, source, size, search.samples
        self.scene = RayScene(source.mesh, watertight=False)
        self.source_normals = source_normals(source.mesh, search.crease)
        self._search = SourceSearch(mesh, self.scene, search.cage * mesh.diagonal)
        self._state = np.zeros(size * size, np.uint8)  # 0 for a texel that is not covered, else 1 + its place in _WORTH
        self._centre = np.zeros(size * size, bool)
        self._overlap = 0
        self._kept: list[Band] = []
        kept = 0
        rows = self._rows()
        for done, part in enumerate(rows):
            band = self._make(part, _share(progress, done, len(rows)), count=True)
            kept += len(band.sample)
            self._kept.append(band)
            if kept > self.kept:
                self._kept = self._kept[-1:]  # the last one alone, and none in the end if there are more
        self._whole = len(self._kept) == len(rows)
        if not self._state.any():
            raise StageError("no texel of the atlas is covered", "the mesh's UVs have no area: look at the unwrap stage")
        if self._state.max() == 1:
            raise no_source(len(self.texel), search.cage)

    def bands(self, progress: Callable[[float], None] | None = None) -> Iterator[Band]:
        """Give the bands one after another, from the top; `progress` hears which fraction was given, also while one is made."""
        rows = self._rows()
        if not self._whole:
            self._kept = []
        for done, part in enumerate(rows):
            yield self._kept[done] if self._whole else self._make(part, _share(progress, done, len(rows)))
            if progress is not None:
                progress((done + 1) / len(rows))

    @property
    def overlap(self) -> int:
        """How many texels' worth of samples lie strictly inside more than one face, rounded up."""
        return -(-self._overlap // self.samples**2)

    @cached_property
    def texel(self) -> Int32[np.ndarray, " t"]:
        """Covered texels, row * size + column, ascending."""
        return np.flatnonzero(self._state).astype(np.int32)

    @property
    def kind(self) -> UInt8[np.ndarray, " t"]:
        """How each covered texel found the source: RAY if any of its samples did so, else NEAREST, else MISS."""
        return np.asarray(np.array(_WORTH, np.uint8)[self._state[self.texel] - 1])

    @property
    def centre(self) -> Bool[np.ndarray, " t"]:
        """Whether a sample of each covered texel is covered itself."""
        return np.asarray(self._centre[self.texel])

    @property
    def misses(self) -> float:
        """Share of covered texels that found no source."""
        return float(np.mean(self.kind == MISS))

    @cached_property
    def nearest(self) -> Int32[np.ndarray, "s s"]:
        """For every texel of the atlas the nearest one that found the source, see padding.nearest_known."""
        return nearest_known((self._state > 1).reshape(self.size, self.size))

    def _make(self, rows: tuple[int, int], progress: Callable[[float], None] | None = None, count: bool = False) -> Band:
        """Rasterise some rows and find the source under each of their samples."""
        assert self.mesh.uv is not None
        coverage = rasterize(self.mesh.uv, self.mesh.faces, self.size, True, self.samples, rows)
        face = self._by_texel(coverage.face)
        at = np.flatnonzero(face >= 0)
        face = face[at]
        barycentric, centre = self._by_texel(coverage.barycentric)[at], self._by_texel(coverage.centre)[at]
        if count:
            self._overlap += coverage.overlap
        del coverage
        found = self._search.outcome(len(at))
        in_threads(lambda part: self._search.run(part, face, barycentric, found), len(at), RAYS_AT_ONCE, progress)
        sample = (at + rows[0] * self.size * self.samples**2).astype(np.int32)
        if count and len(sample):
            texel = sample // self.samples**2
            starts = _starts(texel)
            worth = np.argsort(_WORTH).astype(np.uint8)[found.kind] + np.uint8(1)
            self._state[texel[starts]] = np.maximum.reduceat(worth, starts)
            self._centre[texel[starts]] = np.logical_or.reduceat(centre, starts)
        return Band(self, rows, sample, face, barycentric, centre, found.face, found.barycentric, found.kind)

    def _rows(self) -> list[tuple[int, int]]:
        """Divide the rows of the atlas into bands."""
        many = max(1, self.band // (self.size * self.samples**2))
        return [(start, min(start + many, self.size)) for start in range(0, self.size, many)]

    def _by_texel(self, grid: np.ndarray) -> np.ndarray:
        """Sort a grid of samples by texel: (r n, s n, ...) to (r s n n, ...)."""
        n = self.samples
        if n == 1:
            return grid.reshape(-1, *grid.shape[2:])
        split = grid.reshape(len(grid) // n, n, self.size, n, *grid.shape[2:])
        return split.swapaxes(1, 2).reshape(-1, *grid.shape[2:])


_WORTH = (MISS, NEAREST, RAY)
"""Ways of finding the source, the best one last."""


def gbuffer(
    mesh: Mesh, source: SourceMesh, size: int, cage: float, progress: Callable[[float], None] | None = None, samples: int = 1
) -> GBuffer:
    """Rasterise the atlas and find the source under each sample; see GBuffer."""
    return GBuffer(mesh, source, size, Search(cage, samples=samples), progress)


def _share(progress: Callable[[float], None] | None, done: int, count: int) -> Callable[[float], None] | None:
    """Tell the progress of one band as that of all."""
    return None if progress is None else lambda fraction: progress((done + fraction) / count)


def _starts(texel: np.ndarray) -> np.ndarray:
    """Find where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(texel, prepend=-1))
