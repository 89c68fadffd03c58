"""Give the thing its real size, its pivot and its heading.

One similarity transform for mesh and source alike. Before unwrap, because texels per metre mean nothing until the thing has
its real size; after symmetrize, whose plane then passes through the pivot.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH, SOURCE_MESH
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams


class Params(StageParams):
    """Say how tall the thing is and where it stands."""

    height_cm: float = Field(
        gt=0, le=1_000_000, description="Real height along the vertical axis, centimetres.", examples=[60, 182.5]
    )
    pivot: Literal["bottom_center", "center", "none"] = Field(
        default="bottom_center",
        description="What lies at the origin: the middle of the box's floor, its centre, or what did before.",
    )
    yaw_degrees: float = Field(
        default=0.0, ge=-360, le=360, description="Turn about the vertical axis, degrees, counter-clockwise seen from above."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Move mesh and source.

    Raises:
        StageError: The mesh has no height.
    """
    import numpy as np

    from forge_batch.ops.mesh import Mesh, load_meshes, save_mesh
    from forge_batch.ops.pose import similarity
    from forge_batch.ops.source import load_source, load_source_meta, save_source
    from forge_batch.ops.symmetric_copy import move_meta

    params = context.params
    meshes, meta = load_meshes(context.path(MESH))
    mesh = meshes["mesh"]
    if not np.ptp(mesh.vertices[:, 1]) > 1e-6 * mesh.diagonal:
        raise StageError("the mesh has no height", "height_cm scales the vertical axis: turn the thing upright in its images")
    matrix = similarity(mesh.vertices, params.height_cm / 100.0, params.pivot, params.yaw_degrees)
    points = mesh.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    placed = Mesh(points.astype(np.float32), mesh.faces)
    save_mesh(context.out(MESH), placed, {"symmetry": move_meta(meta["symmetry"], matrix)} if "symmetry" in meta else None)
    context.progress(0.3, "source")
    path = context.path(SOURCE_MESH)
    save_source(context.out(SOURCE_MESH), load_source(path).moved(matrix), load_source_meta(path))
    size = np.ptp(placed.vertices, axis=0)
    return {
        "width_cm": round(100 * float(size[0]), 3),
        "height_cm": round(100 * float(size[1]), 3),
        "depth_cm": round(100 * float(size[2]), 3),
        "scale": float(np.cbrt(np.linalg.det(matrix[:3, :3]))),
    }


stage = Stage(
    name="place",
    group="post_processing",
    version=1,
    device="cpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(MESH, SOURCE_MESH),
    params=Params,
    cost=lambda _: Cost(cpu=0.5),
    run=run,
)
"""The stage of this module."""
