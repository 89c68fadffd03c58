"""Bake on a CUDA GPU, in Warp kernels; the same definitions as ops.gbuffer and ops.bake, which bake on the CPU.

Where the two differ: Warp's rays and Embree's may pick either of two faces that a ray meets on their common edge; padding
is by jump flooding, in which a texel may copy a neighbour that is a fraction of a texel farther than the nearest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from forge_batch.errors import StageError
from forge_batch.ops.baker import MISS, STEP, ColorMaps, MaterialMaps
from forge_batch.ops.gpu_raster import Raster, cover, start_warp
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals, vertex_normals
from forge_batch.ops.source import STRETCHED, SourceMesh, srgb_to_linear

SKY_BLOCK = 64
"""Threads of a block that casts rays: 8 % faster than 256, as blocks whose rays end early make room for others."""

SLICES = 8
"""Launches into which the rays of a large occlusion map are cut, so that progress can be told and no launch takes seconds."""


class GpuBaker:
    """Be the G-buffer of a pair on the device; see baker.Baker.

    Takes 42 bytes a texel of the atlas and about 200 bytes a face of the source, 28 more a texel while colours are made.

    Args:
        mesh: Low poly with uv, normals and tangents.
        source: What is baked from.
        size: Texels on an edge, 1 to 8192.
        cage: Reach of the rays, as a fraction of the mesh's diagonal.
        raster: Who decides which face covers a texel, see gpu_raster.
        device: Warp's name of it; `cpu` runs the same kernels slowly, on one core.

    Raises:
        StageError: No texel is covered, or the source lies nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """

    def __init__(
        self, mesh: Mesh, source: SourceMesh, size: int, cage: float, raster: Raster = "own", device: str = "cuda:0"
    ) -> None:
        if mesh.uv is None or mesh.normals is None or mesh.tangents is None:
            raise ValueError("a bake needs uv, normals and tangents")
        self._wp, self._kernels = warp, _ = start_warp()
        self.device = device
        self.mesh, self.source, self.size = mesh, source, size
        self._count = size * size
        self._faces = self._array(mesh.faces, warp.int32)
        self._source_faces = self._array(source.mesh.faces, warp.int32)
        self._source_vertices = self._array(source.mesh.vertices, warp.vec3)
        self._coverage = cover(mesh, size, raster, device)
        self.overlap = self._coverage.overlap
        self._scene = self._build_scene()
        self._search(cage * mesh.diagonal, STEP * mesh.diagonal)
        if not len(self.texel):
            raise StageError("no texel of the atlas is covered", "the mesh's UVs have no area: look at the unwrap stage")
        if not (self.kind != MISS).any():
            raise StageError(
                f"the source was met at none of {len(self.texel)} texels within {cage:.3g} of the diagonal",
                "source and mesh do not lie over one another, or the cage is too small",
            )

    @cached_property
    def texel(self) -> Int32[np.ndarray, " t"]:
        """Covered texels, row * size + column, ascending."""
        return np.asarray(np.flatnonzero(self._coverage.face.numpy() >= 0), np.int32)

    @cached_property
    def kind(self) -> UInt8[np.ndarray, " t"]:
        """How each covered texel found the source: MISS, RAY or NEAREST of ops.gbuffer."""
        return np.asarray(self._kind.numpy()[self.texel], np.uint8)

    def normal_map(self) -> UInt16[np.ndarray, "s s 3"]:
        """Give the normal map; see bake.normal_map."""
        out = self._empty(self._wp.uint16, 3)
        where = [self._nearest, self._coverage.face, self._coverage.weights, self._faces]
        low = [self._array(self.mesh.normals, self._wp.vec3), self._array(self.mesh.tangents, self._wp.vec4)]
        high = [self._source_face, self._source_weights, self._source_faces, self._source_normals]
        self._launch(self._kernels.normal_texels, [*where, *low, *high, out])
        return self._atlas(out, 3)

    def color_maps(self) -> ColorMaps:
        """Give base colour and what no image saw; see bake.color_maps."""
        color, material = self._samples
        out, unseen = self._empty(self._wp.uint8, 3), self._empty(self._wp.uint8)
        self._launch(self._kernels.color_texels, [self._nearest, color, material, out, unseen])
        return ColorMaps(self._atlas(out, 3), self._atlas(unseen))

    def material_maps(self) -> MaterialMaps:
        """Give metallic and roughness; see bake.material_maps."""
        metallic, roughness = self._empty(self._wp.uint8), self._empty(self._wp.uint8)
        self._launch(self._kernels.material_texels, [self._nearest, self._samples[1], metallic, roughness])
        return MaterialMaps(self._atlas(metallic), self._atlas(roughness))

    def occlusion_map(
        self, rays: int, distance: float, progress: Callable[[float], None] | None = None
    ) -> UInt8[np.ndarray, "s s"]:
        """Give how much of the sky each point sees; see bake.occlusion_map."""
        values, out = self._empty(self._wp.uint8), self._empty(self._wp.uint8)
        points, cells = in_cells(hammersley(rays))
        pattern = self._array(points, self._wp.vec2)
        diagonal = self.mesh.diagonal
        high = [self._source_vertices, self._source_faces, self._source_normals, self._source_face, self._source_weights]
        threads = math.ceil(self.size / 8) * math.ceil(self.size / 4) * 32
        part = math.ceil(threads / (SLICES if self._count * rays > 1 << 28 else 1))
        for start in range(0, threads, part):
            sent = [self._scene.id, self.size, *high, pattern, *cells, distance * diagonal, 1e-5 * diagonal, start, values]
            self._launch(self._kernels.sky, sent, min(part, threads - start), SKY_BLOCK)
            if progress is not None:
                self._wp.synchronize_device(self.device)
                progress(min(1.0, (start + part) / threads))
        self._launch(self._kernels.spread_texels, [self._nearest, values, out])
        return self._atlas(out)

    def _build_scene(self) -> Any:
        """Build the tree of the source.

        For 1.26 million faces LBVH is built in 1.5 ms and cuBQL in 154; 168 million rays then take 181 and 153 ms. Leaves hold
        one face: with two they take 195 ms, with four 229.
        """
        builder = {"bvh_constructor": "lbvh", "bvh_leaf_size": 1} if self.device != "cpu" else {}
        return self._wp.Mesh(self._source_vertices, self._source_faces.flatten(), **builder)

    def _search(self, reach: float, step: float) -> None:
        wp = self._wp
        self._source_face, self._source_weights, self._kind = self._zeros(wp.int32), self._zeros(wp.vec3), self._zeros(wp.uint8)
        vertices = self._array(self.mesh.vertices, wp.vec3)
        smooth = self._array(split_vertex_normals(self.mesh.vertices, self.mesh.faces), wp.vec3)
        found = [self._source_face, self._source_weights, self._kind]
        low = [self._scene.id, vertices, smooth, self._faces, reach, step, self._coverage.face, self._coverage.weights]
        self._launch(self._kernels.search, [*low, *found])

    @cached_property
    def _nearest(self) -> Any:
        """For every texel the nearest one that found the source."""
        now, then = self._empty(self._wp.int32), self._empty(self._wp.int32)
        self._launch(self._kernels.seed, [self._kind, now])
        jump = 1 << max(0, (self.size - 1).bit_length() - 1)
        while jump:
            self._launch(self._kernels.flood, [self.size, jump, now, then])
            now, then, jump = then, now, jump // 2
        self._launch(self._kernels.flood, [self.size, 1, now, then])
        return then

    @cached_property
    def _source_normals(self) -> Any:
        mesh = self.source.mesh
        return self._array(
            mesh.normals if mesh.normals is not None else vertex_normals(mesh.vertices, mesh.faces), self._wp.vec3
        )

    @cached_property
    def _samples(self) -> tuple[Any, Any]:
        """Material of the source at every texel that found it: linear colour, and (metallic, roughness, seen)."""
        wp, source = self._wp, self.source
        color, material = self._zeros(wp.vec3), self._zeros(wp.vec3)
        at = [self._source_face, self._source_weights, self._source_faces]
        numbers = [self._array(values, wp.float32) for values in (source.metallic, source.roughness, source.seen)]
        self._launch(self._kernels.read_vertices, [*at, self._array(source.base_color, wp.vec3), *numbers, color, material])
        if source.field is not None:
            self._read_field(at, color, material)
        if source.projections:
            self._project(at, color, material)
        return color, material

    def _read_field(self, at: list[Any], color: Any, material: Any) -> None:
        """Read the voxels; the few texels that lie beside them all are asked of the field itself."""
        field, wp = self.source.field, self._wp
        assert field is not None
        keys, order = field.sorted_keys
        frame = self._kernels.mat34d(*field.frame[:3].ravel().tolist())
        lost = self._zeros(wp.uint8)
        sent = [self._source_vertices, frame, self._array(keys, wp.int64), self._array(field.values[order], wp.uint8)]
        self._launch(self._kernels.read_voxels, [*at, *sent, color, material, lost])
        where = np.flatnonzero(lost.numpy())
        if not len(where):
            return
        corners = self.source.mesh.faces[self._source_face.numpy()[where]]
        weights = self._source_weights.numpy()[where]
        values = field.read(np.einsum("nk,nkx->nx", weights, self.source.mesh.vertices[corners]))
        colors, materials = color.numpy(), material.numpy()
        colors[where], materials[where, :2] = srgb_to_linear(values[:, :3]), values[:, 3:]
        color.assign(colors)
        material.assign(materials)

    def _project(self, at: list[Any], color: Any, material: Any) -> None:
        """Lay the input images over the colour, and note where they are stretched."""
        wp, projections = self._wp, self.source.projections
        total, sharp = self._zeros(wp.float32), self._zeros(wp.float32)
        weights = [self._array(projection.weights, wp.float32) for projection in projections]
        surface = [*at, self._source_vertices, self._source_normals]
        judged = STRETCHED if self.source.mesh.normals is not None else -2.0  # without normals of its own nothing is judged
        for projection, one in zip(projections, weights, strict=True):
            camera = projection.camera
            seen = [one, wp.vec3d(*camera.eye.tolist()), int(camera.orthographic), judged]
            self._launch(self._kernels.sum_weights, [*surface, *seen, total, sharp])
        self._launch(self._kernels.make_room, [total, sharp, color, material])
        table = self._array(srgb_to_linear(np.arange(256, dtype=np.uint8)), wp.float32)
        for projection, one in zip(projections, weights, strict=True):
            camera = projection.camera
            image = self._array(projection.image, wp.uint8)
            view = self._kernels.mat34d(*np.asarray(camera.view, float).ravel().tolist())
            lens = [view, wp.vec2d(*camera.focal.tolist()), wp.vec2d(*camera.centre.tolist()), int(camera.orthographic)]
            self._launch(self._kernels.project, [*at, self._source_vertices, one, image, table, *lens, total, color])

    def _launch(self, kernel: Any, inputs: list[Any], threads: int | None = None, block: int = 256) -> None:
        self._wp.launch(kernel, threads or self._count, inputs=inputs, device=self.device, block_dim=block)

    def _array(self, values: Any, dtype: Any) -> Any:
        return self._wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def _zeros(self, dtype: Any) -> Any:
        return self._wp.zeros(self._count, dtype=dtype, device=self.device)

    def _empty(self, dtype: Any, channels: int = 0) -> Any:
        shape = (self._count, channels) if channels else self._count
        return self._wp.empty(shape, dtype=dtype, device=self.device)

    def _atlas(self, values: Any, channels: int = 0) -> np.ndarray:
        result: np.ndarray = values.numpy().reshape(self.size, self.size, *([channels] if channels else []))
        return result
