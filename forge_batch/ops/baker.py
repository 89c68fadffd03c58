"""Bake maps wherever this machine does it best; the four bake stages know nothing of where."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from forge_batch.errors import BackendUnavailable
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.gpu_raster import Raster
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import SourceMesh

MISS, RAY, NEAREST = 0, 1, 2
"""How a texel found its point of the source: not at all, by its ray, as the nearest point of the surface."""

STEP = 1e-5
"""Fraction of the diagonal by which a ray starts off a surface it has just met: a hundred times what float32 loses."""


class ColorMaps(NamedTuple):
    """Be base colour (s, s, 3) in sRGB and `unseen` (s, s), 255 where no input image saw the surface well."""

    base_color: UInt8[np.ndarray, "s s 3"]
    unseen: UInt8[np.ndarray, "s s"]


class MaterialMaps(NamedTuple):
    """Be metallic and roughness, linear."""

    metallic: UInt8[np.ndarray, "s s"]
    roughness: UInt8[np.ndarray, "s s"]


@runtime_checkable
class Baker(Protocol):
    """Give the maps of one pair of mesh and source; what they share is made once.

    `device` says where, `size` is the atlas's edge in texels, `overlap` counts texel centres inside more than one face; `texel`
    (t,) lists the covered texels (row * size + column, ascending), `kind` (t,) how each found the source: MISS, RAY or NEAREST.
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

    def normal_map(self) -> UInt16[np.ndarray, "s s 3"]: ...
    def color_maps(self) -> ColorMaps: ...
    def material_maps(self) -> MaterialMaps: ...
    def occlusion_map(
        self, rays: int, distance: float, progress: Callable[[float], None] | None = None
    ) -> UInt8[np.ndarray, "s s"]: ...


def make_baker(
    mesh: Mesh,
    source: SourceMesh,
    size: int,
    cage: float,
    raster: Raster = "own",
    progress: Callable[[float], None] | None = None,
) -> Baker:
    """Make the baker of this machine: on its GPU if it has one and Warp is installed, else on the CPU.

    Args:
        mesh: Low poly with uv, normals and tangents.
        source: What is baked from.
        size: Texels on an edge.
        cage: Reach of the rays, as a fraction of the mesh's diagonal.
        raster: Who finds the face under each texel; see gpu_raster.
        progress: Hears the fraction done.

    Raises:
        StageError: No texel is covered, or none finds the source.
        BackendUnavailable: nvdiffrast is asked for, and it or a GPU is missing.
    """
    if gpu_name() and importlib.util.find_spec("warp") is not None:
        from forge_batch.ops.gpu_baker import GpuBaker  # noqa: PLC0415 - imports warp when it is made

        return GpuBaker(mesh, source, size, cage, raster)
    if raster == "nvdiffrast":
        raise BackendUnavailable(
            "raster: nvdiffrast needs an NVIDIA GPU and the package warp-lang",
            "write raster: own, which gives the same coverage on any machine, or pip install 'forge-batch[gpu]' where a GPU is",
        )
    from forge_batch.ops.bake import CpuBaker  # noqa: PLC0415 - compiled loops and Embree, which a GPU does without
    from forge_batch.ops.gbuffer import gbuffer  # noqa: PLC0415

    return CpuBaker(gbuffer(mesh, source, size, cage, progress))
