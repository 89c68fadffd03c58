"""Hold the source of a bake on the device, and read its material at points of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from forge_batch.ops.gpu_copy import download, upload
from forge_batch.ops.gpu_raster import start_warp
from forge_batch.ops.normals import source_normals
from forge_batch.ops.source import STRETCHED, SourceMesh
from forge_batch.ops.srgb import srgb_to_linear


class DeviceSource:
    """Be a source on the device: vertices, faces, and the normals at the corners of faces (see normals.source_normals).

    Args:
        source: With its material.
        crease: Degrees above which edges are hard.
        device: Warp's name of it.
    """

    def __init__(self, source: SourceMesh, crease: float, device: str) -> None:
        self._wp = start_warp()
        from forge_batch.ops import warp_material, warp_surface  # noqa: PLC0415

        self._kernels, self._matrix = warp_material, warp_surface.mat34d
        self.source, self.device = source, device
        self.vertices = upload(source.mesh.vertices, self._wp.vec3, device)
        self.faces = upload(source.mesh.faces, self._wp.int32, device)
        normals, corners = source_normals(source.mesh, crease)
        self.normals = upload(normals, self._wp.vec3, device)
        self.corners = self.faces if corners is source.mesh.faces else upload(corners, self._wp.int32, device)

    def read(self, face: Any, weights: Any) -> tuple[Any, Any]:
        """Give the material at points of the source: linear colour, and (metallic, roughness, seen); see SourceMesh.sample.

        Args:
            face: Device array, -1 for no point.
            weights: Device array of the weights of its corners.
        """
        wp = self._wp
        color, material = (wp.zeros(len(face), dtype=wp.vec3, device=self.device) for _ in range(2))
        at = [face, weights, self.faces]
        self._launch(self._kernels.read_vertices, [*at, *self._attributes, color, material])
        if self.source.field is not None:
            self._read_field(at, color, material)
        if self.source.texture is not None:
            self._launch(self._kernels.read_texture, [face, weights, *self._texture, color, material])
        if self.source.projections:
            self._project(at, color, material)
        return color, material

    def read_alpha(self, face: Any, weights: Any) -> Any:
        """Give the alpha of a masked source at points of it; see SurfaceTexture.read_alpha."""
        texture, wp = self.source.texture, self._wp
        assert texture is not None
        assert texture.alpha is not None
        alpha = wp.zeros(len(face), dtype=wp.float32, device=self.device)
        picture = upload(texture.alpha, wp.uint8, self.device)
        self._launch(self._kernels.read_alpha, [face, weights, self._texture[0], picture, alpha])
        return alpha

    @cached_property
    def _attributes(self) -> list[Any]:
        source, wp = self.source, self._wp
        numbers = [upload(values, wp.float32, self.device) for values in (source.metallic, source.roughness, source.seen)]
        return [upload(source.base_color, wp.vec3, self.device), *numbers]

    @cached_property
    def _voxels(self) -> list[Any]:
        assert self.source.field is not None
        keys, order = self.source.field.sorted_keys
        values = self.source.field.values[order]
        return [upload(keys, self._wp.int64, self.device), upload(values, self._wp.uint8, self.device)]

    @cached_property
    def _texture(self) -> list[Any]:
        texture, wp = self.source.texture, self._wp
        assert texture is not None
        material = np.zeros((0, 0, 2), np.uint8) if texture.material is None else texture.material
        pictures = [upload(texture.base_color, wp.uint8, self.device), upload(material, wp.uint8, self.device)]
        return [upload(texture.corner_uv, wp.vec2, self.device), *pictures, self._linear]

    @cached_property
    def _linear(self) -> Any:
        """What each of 256 sRGB values is in linear light."""
        return upload(srgb_to_linear(np.arange(256, dtype=np.uint8)), self._wp.float32, self.device)

    def _read_field(self, at: list[Any], color: Any, material: Any) -> None:
        """Read the voxels; the few points that lie beside them all are asked of the field itself."""
        field, wp = self.source.field, self._wp
        assert field is not None
        frame = self._matrix(*field.frame[:3].ravel().tolist())
        lost = wp.zeros(len(color), dtype=wp.uint8, device=self.device)
        self._launch(self._kernels.read_voxels, [*at, self.vertices, frame, *self._voxels, color, material, lost])
        where = np.flatnonzero(download(lost))
        if not len(where):
            return
        corners = self.source.mesh.faces[download(at[0])[where]]
        values = field.read(np.einsum("nk,nkx->nx", download(at[1])[where], self.source.mesh.vertices[corners]))
        colors, materials = download(color), download(material)
        colors[where], materials[where, :2] = srgb_to_linear(values[:, :3]), values[:, 3:]
        color.assign(colors)
        material.assign(materials)

    @cached_property
    def _pictures(self) -> list[tuple[Any, Any]]:
        wp, device = self._wp, self.device
        projections = self.source.projections
        return [(upload(one.weights, wp.float32, device), upload(one.image, wp.uint8, device)) for one in projections]

    def _project(self, at: list[Any], color: Any, material: Any) -> None:
        """Lay the input images over the colour, and note where they are stretched."""
        wp = self._wp
        total, sharp = (wp.zeros(len(color), dtype=wp.float32, device=self.device) for _ in range(2))
        judged = STRETCHED if self.source.mesh.normals is not None else -2.0  # without normals of its own nothing is judged
        pairs = list(zip(self.source.projections, self._pictures, strict=True))
        for projection, (weights, _) in pairs:
            camera = projection.camera
            seen = [weights, wp.vec3d(*camera.eye.tolist()), int(camera.orthographic), judged]
            self._launch(self._kernels.sum_weights, [*at, self.vertices, self._own_normals, *seen, total, sharp])
        self._launch(self._kernels.make_room, [total, sharp, color, material])
        for projection, (weights, image) in pairs:
            camera = projection.camera
            view = self._matrix(*np.asarray(camera.view, float).ravel().tolist())
            lens = [view, wp.vec2d(*camera.focal.tolist()), wp.vec2d(*camera.centre.tolist()), int(camera.orthographic)]
            self._launch(self._kernels.project, [*at, self.vertices, weights, image, self._linear, *lens, total, color])

    @cached_property
    def _own_normals(self) -> Any:
        """Normals by vertex, by which pictures are judged whatever the crease."""
        if self.corners is self.faces:
            return self.normals
        return upload(source_normals(self.source.mesh, 180)[0], self._wp.vec3, self.device)

    def _launch(self, kernel: Any, inputs: list[Any]) -> None:
        self._wp.launch(kernel, len(inputs[0]), inputs=inputs, device=self.device)
