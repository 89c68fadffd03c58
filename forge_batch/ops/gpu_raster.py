"""Find on a GPU which face covers each texel of an atlas: by kernels of our own, or by nvdiffrast.

Our own kernels test in integers as ops.raster does, and give the same coverage. nvdiffrast is licensed for research and
evaluation only: it is a choice that a user makes knowingly, and the package says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from forge_batch.errors import BackendUnavailable
from forge_batch.ops.baker import Raster
from forge_batch.ops.gpu_copy import upload
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.texel_grid import SUBTEXELS, snap


class DeviceCoverage(NamedTuple):
    """Be what ops.raster.Coverage is, as device arrays over the samples of some rows, in the order of their texels.

    face (-1 for none), weights of its corners, centre.
    """

    face: Any
    weights: Any
    centre: Any
    overlap: int


def start_warp() -> Any:
    """Give Warp; the first call in a process opens a CUDA context, which only a worker with a GPU may have."""
    import warp  # noqa: PLC0415

    warp.config.log_level = warp.LOG_ERROR  # it would greet on stdout
    return warp


def cover(
    mesh: Mesh, size: int, raster: Raster, device: str, samples: int = 1, rows: tuple[int, int] | None = None
) -> DeviceCoverage:
    """Cover samples with faces, rim included; see raster.rasterize(conservative=True).

    Args:
        mesh: With uv.
        size: Texels on an edge, 1 to 8192; for nvdiffrast, size times samples is a multiple of 8.
        raster: Who decides which face covers a sample; the rim and the weights are our own either way.
        device: Warp's name of it.
        samples: Squares along an edge of a texel.
        rows: First row of texels and one past the last; all of them if None.

    Raises:
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    assert mesh.uv is not None
    wp = start_warp()
    from forge_batch.ops import warp_raster as kernels  # noqa: PLC0415

    corners, snapped = snap(mesh.uv, mesh.faces, size)
    fixed = upload(snapped, wp.int64, device)
    flat = upload(corners * samples, wp.vec2d, device)
    first, end = rows or (0, size)
    grid = kernels.Grid()
    grid.n, grid.step, grid.start = samples, SUBTEXELS // samples, first * samples
    grid.height, grid.width = (end - first) * samples, size * samples
    count = grid.height * grid.width
    face = wp.full(count, kernels.NOTHING, dtype=wp.int32, device=device)
    inside, weights, centre = (wp.zeros(count, dtype=kind, device=device) for kind in (wp.int32, wp.vec3, wp.uint8))
    lanes = (len(corners), kernels.LANES)
    wp.launch(kernels.fill, dim=lanes, inputs=[fixed, grid, face, inside], device=device)
    overlaps = wp.zeros(1, dtype=wp.int32, device=device)
    wp.launch(kernels.count_overlaps, dim=count, inputs=[inside, overlaps], device=device)
    if raster == "nvdiffrast":
        face = _by_nvdiffrast(mesh, size, device, int(kernels.NOTHING), samples, (first, end))
    offers = wp.full(count, kernels.FAR_KEY, dtype=wp.int64, device=device)
    wp.launch(kernels.grow, dim=lanes, inputs=[fixed, flat, grid, face, offers], device=device)
    wp.launch(kernels.weigh, dim=(grid.height, grid.width), inputs=[flat, grid, offers, face, weights, centre], device=device)
    return DeviceCoverage(face, weights, centre, int(overlaps.numpy()[0]))


def _by_nvdiffrast(mesh: Mesh, size: int, device: str, nothing: int, samples: int, rows: tuple[int, int]) -> Any:
    """Ask nvdiffrast for the face over each sample: a device array as `fill` writes it."""
    try:
        import nvdiffrast.torch as dr  # noqa: PLC0415 - a choice, for research only
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(
            "raster: nvdiffrast needs the package nvdiffrast, for research and evaluation only, and torch",
            "write raster: own, which gives the same coverage, or install both: docs/deploy.md",
        ) from error
    wp = start_warp()
    assert mesh.uv is not None
    place = np.concatenate([mesh.uv * 2 - 1, np.zeros((len(mesh.uv), 1)), np.ones((len(mesh.uv), 1))], axis=1)
    position = torch.tensor(place[None], dtype=torch.float32, device=device)
    faces = torch.tensor(mesh.faces, dtype=torch.int32, device=device)
    fine = size * samples
    found, _ = dr.rasterize(dr.RasterizeCudaContext(device), position, faces, resolution=[fine, fine], grad_db=False)
    grid = found[0, rows[0] * samples : rows[1] * samples, :, 3].to(torch.int32) - 1
    number = grid.reshape(rows[1] - rows[0], samples, size, samples).transpose(1, 2).flatten()
    return wp.clone(wp.from_torch(torch.where(number < 0, nothing, number).contiguous(), dtype=wp.int32))
