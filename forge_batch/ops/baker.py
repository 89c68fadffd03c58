"""Bake maps wherever this machine does it best; the four bake stages know nothing of where."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import SourceMesh

Raster = Literal["own", "nvdiffrast"]
Progress = Callable[[float], None] | None
"""What hears the fraction done, or nobody."""

MISS, RAY, NEAREST = 0, 1, 2
"""How a texel found its point of the source: not at all, by its ray, as the nearest point of the surface."""

STEP = 1e-5
"""Fraction of the diagonal by which a ray starts off a surface it has just met: a hundred times what float32 loses."""


ERROR_STEPS = 10.0
"""Steps of an error map in a degree."""

FLAT_SHARE = 0.01
"""Share of the surface that may lie on faces without UV area: slivers do, and no texel can show them."""


class Search(NamedTuple):
    """Say how a bake looks for the source.

    Attributes:
        cage: Reach of the rays, as a fraction of the mesh's diagonal.
        samples: Squares along an edge of a texel that each look for themselves: 1, 2 or 4 (a power of two up to 16).
        crease: Edges of the source that are sharper than this (degrees) are hard; 180 leaves it its own normals.
        raster: Who finds the face under each sample; see gpu_raster.
    """

    cage: float
    samples: int = 1
    crease: float = 180.0
    raster: Raster = "own"


class Sky(NamedTuple):
    """Say what darkens a point.

    Attributes:
        rays: Rays a texel, shared by its samples.
        distance: Length of a ray, as a fraction of the mesh's diagonal; what is farther away does not darken.
        falloff: How fast darkening fades with distance: a hit at fraction t of a ray's length counts (1 - t) ** falloff.
        ground: Whether the horizontal plane under the mesh's lowest point darkens too.
        denoise: Whether noise is averaged out along the surface, see denoise.
    """

    rays: int = 64
    distance: float = 0.5
    falloff: float = 0.0
    ground: bool = False
    denoise: bool = False


class ColorMaps(NamedTuple):
    """Be base colour in sRGB, three channels, or four with straight alpha if the source is masked; and `unseen`.

    That is 255 where no input image saw the surface well. Colour is good under any alpha: what is clear, in the source and
    round the charts, has that of the nearest place that is not.
    """

    base_color: UInt8[np.ndarray, "s s c"]
    unseen: UInt8[np.ndarray, "s s"]


class MaterialMaps(NamedTuple):
    """Be metallic and roughness, linear."""

    metallic: UInt8[np.ndarray, "s s"]
    roughness: UInt8[np.ndarray, "s s"]


@runtime_checkable
class Baker(Protocol):
    """Give the maps of one pair of mesh and source; what they share is made once.

    `device` says where, `size` is the atlas's edge in texels, `overlap` counts texels inside more than one face; `texel`
    (t,) lists the covered texels (row * size + column, ascending), `kind` (t,) how each found the source: MISS, RAY or NEAREST.
    `progress` hears the fraction of a map that is done.
    """

    @property
    def device(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def overlap(self) -> int: ...
    @property
    def texel(self) -> Int32[np.ndarray, " t"]: ...
    @property
    def kind(self) -> UInt8[np.ndarray, " t"]: ...

    def normal_map(self, progress: Progress = None) -> UInt16[np.ndarray, "s s 3"]: ...
    def normal_error(self, normal: UInt16[np.ndarray, "s s 3"], progress: Progress = None) -> UInt8[np.ndarray, "s s"]: ...
    def color_maps(self, progress: Progress = None) -> ColorMaps: ...
    def material_maps(self, progress: Progress = None) -> MaterialMaps: ...
    def occlusion_map(self, sky: Sky, progress: Progress = None) -> UInt8[np.ndarray, "s s"]: ...


def make_baker(
    mesh: Mesh, source: SourceMesh, size: int, search: Search, progress: Callable[[float], None] | None = None
) -> Baker:
    """Make the baker of this machine: on its GPU if it has one and Warp is installed, else on the CPU.

    Args:
        mesh: Low poly with uv, normals and tangents.
        source: What is baked from.
        size: Texels on an edge.
        search: How the source is looked for.
        progress: Hears the fraction done.

    Raises:
        StageError: The UVs have no area, no texel is covered, or none finds the source.
        BackendUnavailable: nvdiffrast is asked for, and it or a GPU is missing.
    """
    if gpu_name() and importlib.util.find_spec("warp") is not None:
        from forge_batch.ops.gpu_baker import GpuBaker  # noqa: PLC0415 - imports warp when it is made

        return GpuBaker(mesh, source, size, search, progress=progress)
    if search.raster == "nvdiffrast":
        raise BackendUnavailable(
            "raster: nvdiffrast needs an NVIDIA GPU and the package warp-lang",
            "write raster: own, which gives the same coverage on any machine, or pip install 'forge-batch[gpu]' where a GPU is",
        )
    from forge_batch.ops.bake import CpuBaker  # noqa: PLC0415 - compiled loops and Embree, which a GPU does without
    from forge_batch.ops.gbuffer import GBuffer  # noqa: PLC0415

    return CpuBaker(GBuffer(mesh, source, size, search, progress))


def check_pair(mesh: Mesh) -> None:
    """Refuse a low poly that cannot be baked to.

    Raises:
        ValueError: It has no uv, normals or tangents (a bug of the caller).
        StageError: Its UVs, or those of more than FLAT_SHARE of its surface, have no area.
    """
    if mesh.uv is None or mesh.normals is None or mesh.tangents is None:
        raise ValueError("a bake needs uv, normals and tangents")
    a, b, c = np.moveaxis(mesh.uv.astype(np.float64)[mesh.faces], 1, 0)
    flat = (b - a)[:, 0] * (c - a)[:, 1] == (b - a)[:, 1] * (c - a)[:, 0]
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if area[flat].sum() > FLAT_SHARE * area.sum():
        share = area[flat].sum() / area.sum()
        raise StageError(
            f"{int(flat.sum())} of {len(flat)} faces, {share:.0%} of the surface, have no area in UV space",
            "no texel can show them: unwrap the mesh anew",
        )


def no_source(texels: int, cage: float) -> StageError:
    """Say that no texel met the source."""
    return StageError(
        f"the source was met at none of {texels} texels within {cage:.3g} of the diagonal",
        "source and mesh do not lie over one another, or the cage is too small",
    )
