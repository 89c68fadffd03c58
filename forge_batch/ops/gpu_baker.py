"""Bake on a CUDA GPU, in Warp kernels; the same definitions as ops.gbuffer, ops.bake and ops.occlusion, which bake on the CPU.

Where the two differ: Warp's rays and Embree's may pick either of two faces that a ray meets on their common edge; padding
is by jump flooding, in which a texel may copy a neighbour that is a fraction of a texel farther than the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from forge_batch.errors import StageError
from forge_batch.ops.baker import (
    ERROR_STEPS,
    MISS,
    NEAREST,
    RAY,
    STEP,
    ColorMaps,
    MaterialMaps,
    Search,
    Sky,
    check_pair,
    no_source,
)
from forge_batch.ops.gpu_copy import download, keep_memory, upload
from forge_batch.ops.gpu_raster import cover, start_warp
from forge_batch.ops.gpu_source import DeviceSource
from forge_batch.ops.gpu_tree import build_tree
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.source import SourceMesh


class DeviceBand(NamedTuple):
    """Be the samples of some rows on the device, in the order of their texels; `kind` is MISS for those that do not count."""

    first: int
    rows: int
    face: Any
    weights: Any
    source_face: Any
    source_weights: Any
    kind: Any


class GpuBaker:
    """Be the G-buffer of a pair on the device; see baker.Baker.

    Attributes:
        band: Samples of a band of rows: what is worked on at once takes some 100 bytes each while colours are made.
        kept: Samples (34 bytes each) up to which all bands are kept for the maps to come; of more, each map makes them anew.

    Args:
        mesh: Low poly with uv, normals and tangents.
        source: What is baked from.
        size: Texels on an edge, 1 to 8192.
        search: How the source is looked for.
        device: Warp's name of it; `cpu` runs the same kernels slowly, on one core.
        progress: Hears the fraction done.

    Raises:
        StageError: The UVs have no area, no texel is covered, or the source lies nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """

    band = 1 << 24
    kept = 1 << 26

    def __init__(
        self,
        mesh: Mesh,
        source: SourceMesh,
        size: int,
        search: Search,
        device: str = "cuda:0",
        progress: Callable[[float], None] | None = None,
    ) -> None:
        check_pair(mesh)
        self._wp = start_warp()
        from forge_batch.ops import warp_maps, warp_search  # noqa: PLC0415 - they import warp

        self._maps, self._searches = warp_maps, warp_search
        self.device, self.mesh, self.size, self.search = device, mesh, size, search
        self._count = size * size
        keep_memory(device)
        self._low = self._upload_low()
        self._high = DeviceSource(source, search.crease, device)
        self._scene = self._build_scene()
        self._state = self._wp.zeros(self._count, dtype=self._wp.uint8, device=device)
        self._kept: list[DeviceBand] = []
        self._overlap = 0
        keep = self._count * search.samples**2 <= self.kept
        for first, end in self._rows:
            band = self._make(first, end, count=True)
            if keep:
                self._kept.append(band)
            if progress is not None:
                self._wp.synchronize_device(device)
                progress(end / size)
        if not self._covered:
            raise StageError("no texel of the atlas is covered", "the mesh's UVs have no area: look at the unwrap stage")
        if self._state_here.max() < self._searches.FOUND_NEAR.value:
            raise no_source(self._covered, search.cage)

    @property
    def overlap(self) -> int:
        """How many texels' worth of samples lie strictly inside more than one face, rounded up."""
        return -(-self._overlap // self.search.samples**2)

    @cached_property
    def _state_here(self) -> np.ndarray:
        return download(self._state)

    @cached_property
    def _covered(self) -> int:
        return int(np.count_nonzero(self._state_here))

    @cached_property
    def texel(self) -> Int32[np.ndarray, " t"]:
        """Covered texels, row * size + column, ascending."""
        return np.asarray(np.flatnonzero(self._state_here), np.int32)

    @cached_property
    def kind(self) -> UInt8[np.ndarray, " t"]:
        """How each covered texel found the source: MISS, RAY or NEAREST, see gbuffer.GBuffer.kind."""
        return np.asarray(np.array((MISS, NEAREST, RAY), np.uint8)[self._state_here[self.texel] - 1])

    def normal_map(self) -> UInt16[np.ndarray, "s s 3"]:
        """Give the normal map; see bake.normal_map."""
        out = self._zeros(self._wp.uint16, 3)
        for band in self._bands():
            self._launch(self._maps.normal_texels, [*self._frames(band), out], band.rows * self.size)
        return self._padded(out)

    def normal_error(self, normal: UInt16[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "s s"]:
        """Give how far the mapped low poly is from the source; see bake.normal_error."""
        shown, out = upload(normal.reshape(-1, 3), self._wp.uint16, self.device), self._zeros(self._wp.uint8, 1)
        for band in self._bands():
            sent = [*self._frames(band), self._state, shown, ERROR_STEPS, out.flatten()]
            self._launch(self._maps.error_texels, sent, band.rows * self.size)
        return download(out).reshape(self.size, self.size)

    def color_maps(self) -> ColorMaps:
        """Give base colour and what no image saw; see bake.color_maps."""
        out, unseen = self._zeros(self._wp.uint8, 3), self._zeros(self._wp.uint8, 1)
        for band in self._bands():
            read = self._read(band)
            self._launch(self._maps.color_texels, [*self._place(band), *read, out, unseen.flatten()], band.rows * self.size)
        return ColorMaps(self._padded(out), self._padded(unseen))

    def material_maps(self) -> MaterialMaps:
        """Give metallic and roughness; see bake.material_maps."""
        metallic, roughness = self._zeros(self._wp.uint8, 1), self._zeros(self._wp.uint8, 1)
        for band in self._bands():
            sent = [*self._place(band), self._read(band)[1], metallic.flatten(), roughness.flatten()]
            self._launch(self._maps.material_texels, sent, band.rows * self.size)
        return MaterialMaps(self._padded(metallic), self._padded(roughness))

    def occlusion_map(self, sky: Sky, progress: Callable[[float], None] | None = None) -> UInt8[np.ndarray, "s s"]:
        """Give how much of the sky each point sees; see occlusion.occlusion_map."""
        from forge_batch.ops.gpu_sky import DeviceSky  # noqa: PLC0415

        look = DeviceSky(sky, self.mesh, self._high, self._tree, self.size, self.search.samples)
        for band in self._bands():
            look.send(band, None if progress is None else _within(progress, band, self.size))
        openness = look.openness(self._state, self._covered)
        values = self._zeros(self._wp.uint8, 1)
        self._launch(self._maps.byte_texels, [openness, values.flatten()], self._count)
        return self._padded(values)

    def _upload_low(self) -> dict[str, Any]:
        wp, mesh = self._wp, self.mesh
        smooth = split_vertex_normals(mesh.vertices, mesh.faces)
        kinds = {"vertices": wp.vec3, "normals": wp.vec3, "tangents": wp.vec4, "faces": wp.int32}
        low = {name: upload(getattr(mesh, name), kind, self.device) for name, kind in kinds.items()}
        return {**low, "smooth": upload(smooth, wp.vec3, self.device)}

    def _build_scene(self) -> Any:
        """Build Warp's tree of the source, in which nearest points are looked for too; leaves of one face are the quickest."""
        leaf = {"bvh_constructor": "lbvh", "bvh_leaf_size": 1} if self.device != "cpu" else {}
        return self._wp.Mesh(self._high.vertices, self._high.faces.flatten(), **leaf)

    @cached_property
    def _tree(self) -> Any:
        """Hold the source's faces as the rays of occlusion want them."""
        return build_tree(self._high.vertices, self._high.faces, self._high.source.mesh.bounds)

    @property
    def _rows(self) -> list[tuple[int, int]]:
        """Divide the rows into bands."""
        many = max(1, self.band // (self.size * self.search.samples**2))
        return [(start, min(start + many, self.size)) for start in range(0, self.size, many)]

    def _bands(self) -> Iterator[DeviceBand]:
        """Give the bands one after another, from the top."""
        if self._kept:
            yield from self._kept
            return
        for first, end in self._rows:
            yield self._make(first, end)

    def _make(self, first: int, end: int, count: bool = False) -> DeviceBand:
        """Rasterise some rows and find the source under each of their samples."""
        wp, samples = self._wp, self.search.samples
        coverage = cover(self.mesh, self.size, self.search.raster, self.device, samples, (first, end))
        room = (end - first) * self.size * samples**2
        found = [wp.zeros(room, dtype=kind, device=self.device) for kind in (wp.int32, wp.vec3, wp.uint8)]
        reach = [self._limits, self.search.cage * self.mesh.diagonal, STEP * self.mesh.diagonal]
        low = [self._scene.id, self._low["vertices"], self._low["smooth"], self._low["faces"], *reach]
        self._launch(self._searches.search, [*low, coverage.face, coverage.weights, *found], room)
        settled = [samples, first * self.size, coverage.face, coverage.centre, found[2], self._state]
        self._launch(self._searches.settle, settled, (end - first) * self.size)
        self._overlap += coverage.overlap if count else 0
        return DeviceBand(first, end - first, coverage.face, coverage.weights, *found)

    @cached_property
    def _limits(self) -> Any:
        """How far rays may reach at each vertex, outwards and inwards; see source_search.layer_limits."""
        wp, mesh = self._wp, self.mesh
        cage = self.search.cage * mesh.diagonal
        limits = wp.full((len(mesh.vertices), 2), cage, dtype=wp.float32, device=self.device)
        low = self._low
        tree = wp.Mesh(low["vertices"], low["faces"].flatten())
        sent = [tree.id, low["vertices"], low["smooth"], low["faces"], cage, STEP * mesh.diagonal, limits]
        self._launch(self._searches.limit_reach, sent, (len(mesh.vertices) + len(mesh.faces), 2))
        return limits

    @cached_property
    def _nearest(self) -> Any:
        """For every texel the nearest one that found the source."""
        now, then = (self._wp.empty(self._count, dtype=self._wp.int32, device=self.device) for _ in range(2))
        self._launch(self._maps.seed, [self._state, now], self._count)
        jump = 1 << max(0, (self.size - 1).bit_length() - 1)
        while jump:
            self._launch(self._maps.flood, [self.size, jump, now, then], self._count)
            now, then, jump = then, now, jump // 2
        self._launch(self._maps.flood, [self.size, 1, now, then], self._count)
        return then

    def _read(self, band: DeviceBand) -> tuple[Any, Any]:
        """Read the material of the source under a band; that of the one and only band is kept for the next map."""
        if len(self._rows) > 1:
            return self._high.read(band.source_face, band.source_weights)
        return self._only_read

    @cached_property
    def _only_read(self) -> tuple[Any, Any]:
        [band] = self._bands()
        return self._high.read(band.source_face, band.source_weights)

    def _place(self, band: DeviceBand) -> list[Any]:
        return [self.search.samples, band.first * self.size, band.kind]

    def _frames(self, band: DeviceBand) -> list[Any]:
        """List what a kernel needs to know both surfaces under a band."""
        under = [band.face, band.weights, band.source_face, band.source_weights]
        low = [self._low[name] for name in ("faces", "normals", "tangents")]
        return [*self._place(band), *under, *low, self._high.corners, self._high.normals]

    def _launch(self, kernel: Any, inputs: list[Any], threads: int | tuple[int, int]) -> None:
        self._wp.launch(kernel, threads, inputs=inputs, device=self.device)

    def _zeros(self, dtype: Any, channels: int) -> Any:
        return self._wp.zeros((self._count, channels), dtype=dtype, device=self.device)

    def _padded(self, values: Any) -> np.ndarray:
        """Fill the texels without a value and bring the map to main memory."""
        out = self._wp.empty_like(values)
        self._launch(self._maps.spread, [self._nearest, values, out], values.shape)
        channels = values.shape[1:] if values.shape[1] > 1 else ()
        return download(out).reshape(self.size, self.size, *channels)


def _within(progress: Callable[[float], None], band: DeviceBand, size: int) -> Callable[[float], None]:
    """Tell the progress of a band as that of the atlas."""
    return lambda fraction: progress((band.first + fraction * band.rows) / size)
