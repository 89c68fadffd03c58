"""Bring the mesh down to the triangle budget: a ceiling that holds, not a target.

After clean, so that the budget goes to what is seen; before symmetrize, unwrap and the bakes, which all work on the mesh the
player gets. What this loses in relief comes back as the normal map, baked from source_mesh.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how many triangles LOD0 may have."""

    triangles: int = Field(default=10_000, ge=12, le=1_000_000, description="Most triangles of LOD0.")
    method: Literal["quality", "preview"] = Field(
        default="quality", description="preview is several times faster and errs about half as much again."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Decimate the mesh.

    Raises:
        StageError: It cannot go as low as that and stay as closed as it is.
    """
    from forge_batch.ops.deviation import measure_deviation
    from forge_batch.ops.mesh import load_mesh, save_mesh
    from forge_batch.ops.simplify import simplify
    from forge_batch.ops.topology import measure_topology

    params = context.params
    mesh = load_mesh(context.path(MESH))
    solid = measure_topology(mesh.faces).boundary_edges == 0
    result = simplify(mesh, params.triangles, preview=params.method == "preview", solid=solid)
    context.progress(0.8, "measuring")
    deviation = measure_deviation(result, mesh, count=20_000) if params.method == "quality" else None
    save_mesh(context.out(MESH), result)
    metrics: Metrics = {"triangles_before": len(mesh.faces), "triangles": len(result.faces)}
    if deviation is not None:
        metrics["deviation_mean_permille"] = round(1000 * deviation.mean / mesh.diagonal, 4)
        metrics["deviation_p99_permille"] = round(1000 * deviation.p99 / mesh.diagonal, 4)
        metrics["deviation_max_permille"] = round(1000 * deviation.largest / mesh.diagonal, 4)
    return metrics


stage = Stage(
    name="decimate",
    group="post_processing",
    version=3,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 if params.method == "preview" else 4.0 + params.triangles / 5_000),
    run=run,
)
"""The stage of this module."""
