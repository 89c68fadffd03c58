"""Find on a GPU which face covers each texel of an atlas: by kernels of our own, or by nvdiffrast.

Our own kernels test in integers as ops.raster does, and give the same coverage. nvdiffrast is licensed for research and
evaluation only: it is a choice that a user makes knowingly, and the package says so.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from forge_batch.errors import BackendUnavailable
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.texel_grid import snap

Raster = Literal["own", "nvdiffrast"]


class DeviceCoverage(NamedTuple):
    """Be what ops.raster.Coverage is, as device arrays over the atlas: face (-1 for none), weights of its corners, centre."""

    face: Any
    weights: Any
    centre: Any
    overlap: int


def start_warp() -> tuple[Any, Any]:
    """Give Warp and the kernels; the first call in a process opens a CUDA context, which only a worker with a GPU may have."""
    import warp  # noqa: PLC0415

    warp.config.log_level = warp.LOG_ERROR  # it would greet on stdout
    from forge_batch.ops import bake_kernels  # noqa: PLC0415

    return warp, bake_kernels


def cover(mesh: Mesh, size: int, raster: Raster, device: str) -> DeviceCoverage:
    """Cover texels with faces, rim included; see raster.rasterize(conservative=True).

    Args:
        mesh: With uv.
        size: Texels on an edge, 1 to 8192; for nvdiffrast a multiple of 8.
        raster: Who decides which face covers a texel's centre; the rim and the weights are our own either way.
        device: Warp's name of it.

    Raises:
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    assert mesh.uv is not None
    wp, kernels = start_warp()
    corners, snapped = snap(mesh.uv, mesh.faces, size)
    fixed = wp.array(snapped, dtype=wp.int64, device=device)
    flat = wp.array(corners, dtype=wp.vec2d, device=device)
    face = wp.full(size * size, kernels.NOTHING, dtype=wp.int32, device=device)
    inside, weights, centre = (wp.zeros(size * size, dtype=kind, device=device) for kind in (wp.int32, wp.vec3, wp.uint8))
    lanes = (len(corners), kernels.LANES)
    wp.launch(kernels.fill, dim=lanes, inputs=[fixed, size, face, inside], device=device)
    overlaps = wp.zeros(1, dtype=wp.int32, device=device)
    wp.launch(kernels.count_overlaps, dim=size * size, inputs=[inside, overlaps], device=device)
    if raster == "nvdiffrast":
        face = _by_nvdiffrast(mesh, size, device, int(kernels.NOTHING))
    offers = wp.full(size * size, kernels.FAR_KEY, dtype=wp.int64, device=device)
    wp.launch(kernels.grow, dim=lanes, inputs=[fixed, flat, size, face, offers], device=device)
    wp.launch(kernels.weigh, dim=size * size, inputs=[flat, size, offers, face, weights, centre], device=device)
    return DeviceCoverage(face, weights, centre, int(overlaps.numpy()[0]))


def _by_nvdiffrast(mesh: Mesh, size: int, device: str, nothing: int) -> Any:
    """Ask nvdiffrast for the face over each texel's centre: a device array as `fill` writes it."""
    try:
        import nvdiffrast.torch as dr  # noqa: PLC0415 - a choice, for research only
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(
            "raster: nvdiffrast needs the package nvdiffrast, for research and evaluation only, and torch",
            "write raster: own, which gives the same coverage, or install both: docs/deploy.md",
        ) from error
    wp, _ = start_warp()
    assert mesh.uv is not None
    place = np.concatenate([mesh.uv * 2 - 1, np.zeros((len(mesh.uv), 1)), np.ones((len(mesh.uv), 1))], axis=1)
    position = torch.tensor(place[None], dtype=torch.float32, device=device)
    faces = torch.tensor(mesh.faces, dtype=torch.int32, device=device)
    found, _ = dr.rasterize(dr.RasterizeCudaContext(device), position, faces, resolution=[size, size], grad_db=False)
    number = found[0, :, :, 3].to(torch.int32).flatten() - 1
    return wp.clone(wp.from_torch(torch.where(number < 0, nothing, number).contiguous(), dtype=wp.int32))
