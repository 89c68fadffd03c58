"""Send the rays of an occlusion map on the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from forge_batch.ops.baker import STEP, Sky
from forge_batch.ops.denoise_params import NEAR, TRUST, TURN, texel_spacing
from forge_batch.ops.gpu_copy import upload
from forge_batch.ops.gpu_raster import start_warp
from forge_batch.ops.gpu_source import DeviceSource
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.mesh import Mesh

if TYPE_CHECKING:
    from forge_batch.ops.gpu_baker import DeviceBand

BLOCK = 64
"""Threads of a block: 8 % faster than 256, as those whose rays end early make room for others."""

LAUNCH = 1 << 28
"""Rays of one launch: so that progress can be told and no launch takes seconds."""


class DeviceSky:
    """Look at the sky from the points of one band after another.

    Args:
        sky: What darkens.
        mesh: The low poly, which gives lengths their measure and the ground its height.
        source: The source on the device.
        tree: Its faces, see gpu_tree.
        size: Texels on an edge.
        samples: Squares along an edge of a texel.
    """

    def __init__(self, sky: Sky, mesh: Mesh, source: DeviceSource, tree: Any, size: int, samples: int) -> None:
        self._wp = start_warp()
        from forge_batch.ops import warp_sky  # noqa: PLC0415

        self._kernels = warp_sky
        self._sky, self._mesh, self._source, self._tree = sky, mesh, source, tree
        self._size, self._samples, self.device = size, samples, source.device
        self._rays = self._pattern()
        count = size * size
        self._out = self._wp.zeros(count, dtype=self._wp.float32, device=self.device)
        guided = count if sky.denoise else 0
        self._guide = [self._wp.zeros(guided, dtype=self._wp.vec3, device=self.device) for _ in range(2)]

    def send(self, band: DeviceBand, progress: Callable[[float], None] | None = None) -> None:
        """Send the rays of a band's texels, and keep what they find."""
        points = self._points(band)
        texels = self._texels(points)
        kernel = self._kernels.fading_sky if self._sky.falloff else self._kernels.sky
        part = max(32, LAUNCH // self._sky.rays)
        for start in range(0, len(texels), part):
            sent = [self._tree, points, self._rays, texels, start, self._out]
            threads = min(part, len(texels) - start)
            self._wp.launch(kernel, threads, inputs=sent, device=self.device, block_dim=BLOCK)
            if progress is not None:
                self._wp.synchronize_device(self.device)
                progress(min(1.0, (start + part) / len(texels)))
        if self._sky.denoise:
            self._wp.launch(self._kernels.guide_texels, band.rows * self._size, [points, *self._guide], device=self.device)

    def openness(self, state: Any, covered: int) -> Any:
        """Give the share of the sky that each texel sees, a device array; denoised if that was wished.

        Args:
            state: How each texel of the atlas found the source, see warp_search.
            covered: How many texels are covered.
        """
        if not self._sky.denoise:
            return self._out
        after = self._wp.empty_like(self._out)
        near = NEAR * texel_spacing(self._mesh, covered)
        sent = [self._size, near, TURN, TRUST, float(self._sky.rays), state, *self._guide, self._out, after]
        self._wp.launch(self._kernels.denoise, self._size * self._size, sent, device=self.device)
        return after

    def _pattern(self) -> Any:
        points, (high, low) = in_cells(hammersley(self._sky.rays))
        rays, diagonal = self._kernels.Rays(), self._mesh.diagonal
        rays.pattern = upload(points, self._wp.vec2, self.device)
        rays.high, rays.low = high, low
        rays.reach, rays.step = self._sky.distance * diagonal, STEP * diagonal
        rays.falloff = self._sky.falloff
        rays.floor = float(self._mesh.vertices[:, 1].min()) if self._sky.ground else -1e30
        return rays

    def _points(self, band: DeviceBand) -> Any:
        points = self._kernels.Points()
        points.n, points.size, points.first_row, points.rows = self._samples, self._size, band.first, band.rows
        points.kind, points.source_face, points.source_weights = band.kind, band.source_face, band.source_weights
        points.vertices, points.faces = self._source.vertices, self._source.faces
        points.corners, points.normals = self._source.corners, self._source.normals
        return points

    def _texels(self, points: Any) -> Any:
        """List the texels of a band that found the source, neighbours together, so that no thread of a block is idle."""
        wp = self._wp
        threads = math.ceil(self._size / 8) * math.ceil(points.rows / 4) * 32
        marks, sums, texels = (wp.empty(threads, dtype=wp.int32, device=self.device) for _ in range(3))
        wp.launch(self._kernels.mark_texels, threads, [points, marks], device=self.device)
        wp.utils.array_scan(marks, sums)
        wp.launch(self._kernels.list_texels, threads, [points, marks, sums, texels], device=self.device)
        return texels[: int(sums[-1:].numpy()[0])]
