"""Hold the high-poly source of every bake, and colour any point of it.

Four ways of being coloured, all behind one `sample`: vertex attributes (always there), a field of voxels or textures that are
finer than they, and on top of them sharper colour projected from the input images where an image saw the surface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh, load_arrays, save_arrays
from forge_batch.ops.srgb import srgb_to_linear
from forge_batch.ops.surface_texture import SurfaceTexture
from forge_batch.ops.voxel_field import VoxelField

STRETCHED = 0.18
"""Cosine below which a picture is stretched over the surface, more than 5.5 times, so that it does not count as seen.

On four textured objects (benchmarks/stretched.py) colour carried on from the surface round it errs 5 to 19 % less than the
picture between cosines of 0.12 and 0.18, and between 0.18 and 0.25 from 9 % less to 15 % more. Where the picture has detail it
is much the same, so how much it varies there decides nothing. It is about 1 % of the surface.
"""


@dataclass(frozen=True, eq=False)
class Projection:
    """Be an input image that colours the surface it saw.

    Attributes:
        image: (h, w, 3) sRGB, colour already bled outwards over the background, so that a bilinear read at the rim is clean.
        camera: Where it was taken from.
        weights: (v,) per source vertex, 0 where this image does not see it (hidden, or too grazing).
    """

    image: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    weights: Float32[np.ndarray, " v"]


class Samples(NamedTuple):
    """Be the material at n points: linear base colour (n, 3), metallic, roughness, `seen` and alpha (n,), all float32 in 0..1.

    `seen` is the share of the colour that some picture shows, and shows better than STRETCHED; `alpha` is None for an opaque
    source.
    """

    base_color: np.ndarray
    metallic: np.ndarray
    roughness: np.ndarray
    seen: np.ndarray
    alpha: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class SourceMesh:
    """Be the full-resolution surface a generator made.

    Attributes:
        mesh: Welded triangles with unit `normals`, closed unless the manifest says `open`.
        base_color: (v, 3) linear, 0..1: the colour where no projection has weight.
        metallic: (v,), 0..1.
        roughness: (v,), 0..1.
        seen: (v,), 1 where at least one input image saw the vertex, 0 where its colour was invented.
        projections: Input images, or none.
        field: What the generator knows of the material between vertices: it stands for base_color, metallic and roughness,
            which are its values at the vertices.
        texture: Pictures that cover the surface: they stand for base_color, and for metallic and roughness if they say them.
        facts: What its generator measured, JSON values by name; not kept in files.
    """

    mesh: Mesh
    base_color: Float32[np.ndarray, "v 3"]
    metallic: Float32[np.ndarray, " v"]
    roughness: Float32[np.ndarray, " v"]
    seen: Float32[np.ndarray, " v"]
    projections: tuple[Projection, ...] = ()
    field: VoxelField | None = None
    texture: SurfaceTexture | None = None
    facts: dict[str, Any] = dataclass_field(default_factory=dict)

    @property
    def grain(self) -> float:
        """Edge of the voxels that the generator built the surface of, metres; 0 where it knows none."""
        return self.field.edge if self.field else 0.0

    @property
    def masked(self) -> bool:
        """Whether there are holes in it that its texture says."""
        return self.texture is not None and self.texture.alpha is not None

    def sample(self, face: Int[np.ndarray, " n"], barycentric: Float[np.ndarray, "n 3"]) -> Samples:
        """Give the material at points of the surface.

        Args:
            face: Index of the face each point lies on; must be valid (filter misses first).
            barycentric: Weights of that face's three vertices, summing to 1.
        """
        corners = self.mesh.faces[face]
        weight = barycentric.astype(np.float32)

        def at(values: np.ndarray) -> np.ndarray:
            picked = values[corners]
            return np.asarray(np.einsum("nk,nk...->n...", weight, picked), dtype=np.float32)

        if self.field is None:
            color, metallic, roughness = at(self.base_color), at(self.metallic), at(self.roughness)
        else:
            values = self.field.read(at(self.mesh.vertices))
            color, metallic, roughness = srgb_to_linear(values[:, :3]), values[:, 3], values[:, 4]
        if self.texture is not None:
            color, painted = self.texture.read(face, weight)
            metallic, roughness = (metallic, roughness) if painted is None else painted.T
        seen = at(self.seen)
        if self.projections:
            points, weights = at(self.mesh.vertices), [at(p.weights) for p in self.projections]
            color = self._projected(points, color, weights)
            if self.mesh.normals is not None:
                seen = seen * self._sharp(points, at(self.mesh.normals), weights)
        alpha = self.texture.read_alpha(face, weight) if self.texture and self.masked else None
        return Samples(color, metallic, roughness, seen, alpha)

    def _sharp(self, points: np.ndarray, normals: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
        """Give the share of the projections' weight that is of pictures not STRETCHED there; 1 where there is none."""
        length = np.linalg.norm(normals, axis=1)
        total, sharp = np.zeros(len(points)), np.zeros(len(points))
        for projection, weight in zip(self.projections, weights, strict=True):
            used = np.flatnonzero(weight > 0)
            cosine = np.einsum("nk,nk->n", projection.camera.towards(points[used].astype(np.float64)), normals[used])
            total[used] += weight[used]
            sharp[used] += weight[used] * (cosine >= STRETCHED * length[used])
        return np.where(total > 1e-6, sharp / np.maximum(total, 1e-6), 1.0).astype(np.float32)

    def _projected(self, points: np.ndarray, fallback: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
        """Blend the projections by weight; what lacks weight to reach 1 comes from the vertex colour."""
        total = np.sum(weights, axis=0)
        color = fallback * np.clip(1.0 - total, 0.0, 1.0)[:, None]
        scale = 1.0 / np.maximum(total, 1.0)
        for projection, w in zip(self.projections, weights, strict=True):
            used = np.flatnonzero(w > 0)
            pixels, _ = projection.camera.project(points[used])
            color[used] += (w[used] * scale[used])[:, None] * read_srgb(projection.image, pixels)
        return np.asarray(color, dtype=np.float32)

    def moved(self, matrix: np.ndarray) -> SourceMesh:
        """Carry mesh and cameras through a (4, 4) similarity (rotation, one scale, translation; no mirror)."""
        rotation, offset = matrix[:3, :3], matrix[:3, 3]
        vertices = (self.mesh.vertices.astype(np.float64) @ rotation.T + offset).astype(np.float32)
        normals = None
        if self.mesh.normals is not None:
            normals = self.mesh.normals.astype(np.float64) @ rotation.T
            normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
        mesh = replace(self.mesh, vertices=vertices, normals=normals)
        projections = tuple(replace(p, camera=p.camera.moved(matrix)) for p in self.projections)
        field = self.field.moved(matrix) if self.field else None
        return replace(self, mesh=mesh, projections=projections, field=field)


def read_srgb(image: UInt8[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 3"]:
    """Read linear colour bilinearly at pixel positions (centres at +0.5), clamped at the border."""
    h, w = image.shape[:2]
    x = np.clip(pixels[:, 0] - 0.5, 0, w - 1)
    y = np.clip(pixels[:, 1] - 0.5, 0, h - 1)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    top = srgb_to_linear(image[y0, x0]) * (1 - fx) + srgb_to_linear(image[y0, x1]) * fx
    bottom = srgb_to_linear(image[y1, x0]) * (1 - fx) + srgb_to_linear(image[y1, x1]) * fx
    return np.asarray(top * (1 - fy) + bottom * fy, dtype=np.float32)


def save_source(path: Path, source: SourceMesh, meta: Mapping[str, Any] | None = None) -> None:
    """Write a SOURCE_MESH slot. `meta` says who made it: backend, revision, licence, territory, seed."""
    arrays: dict[str, np.ndarray] = {
        "vertices": source.mesh.vertices,
        "faces": source.mesh.faces,
        "base_color": source.base_color,
        "metallic": source.metallic,
        "roughness": source.roughness,
        "seen": source.seen,
    }
    if source.mesh.normals is not None:
        arrays["normals"] = source.mesh.normals
    for index, projection in enumerate(source.projections):
        arrays[f"image{index}"] = projection.image
        arrays[f"weights{index}"] = projection.weights
    if source.field is not None:
        arrays["voxels"], arrays["voxel_values"] = source.field.coordinates, source.field.values
        arrays["voxel_frame"] = source.field.frame
    if source.texture is not None:
        arrays["texture_uv"], arrays["texture_color"] = source.texture.corner_uv, source.texture.base_color
        if source.texture.material is not None:
            arrays["texture_material"] = source.texture.material
        if source.texture.alpha is not None:
            arrays["texture_alpha"] = source.texture.alpha
    cameras = [projection.camera.to_json() for projection in source.projections]
    save_arrays(path, arrays, {"cameras": cameras, "meta": dict(meta or {})})


def load_source(path: Path) -> SourceMesh:
    """Read a SOURCE_MESH slot."""
    arrays, document = load_arrays(path)
    projections = tuple(
        Projection(arrays[f"image{index}"], Camera.from_json(camera), arrays[f"weights{index}"])
        for index, camera in enumerate(document["cameras"])
    )
    mesh = Mesh(arrays["vertices"], arrays["faces"], normals=arrays.get("normals"))
    color, metallic, roughness, seen = (arrays[name] for name in ("base_color", "metallic", "roughness", "seen"))
    field = VoxelField(arrays["voxels"], arrays["voxel_values"], arrays["voxel_frame"]) if "voxels" in arrays else None
    pictures = arrays.get("texture_uv"), arrays.get("texture_color"), arrays.get("texture_material")
    texture = None
    if pictures[0] is not None and pictures[1] is not None:
        texture = SurfaceTexture(pictures[0], pictures[1], pictures[2], arrays.get("texture_alpha"))
    return SourceMesh(mesh, color, metallic, roughness, seen, projections, field, texture)


def load_source_meta(path: Path) -> dict[str, Any]:
    """Read only who made a SOURCE_MESH slot."""
    meta = load_arrays(path)[1]["meta"]
    assert isinstance(meta, dict)
    return meta
