"""Put the relief of source_mesh into a 16-bit tangent-space normal map (MikkTSpace, OpenGL).

After unwrap, which gives the mesh the UVs, normals and tangents that the map speaks of; nothing may change them from here on.
First of the bakes by custom only: the four share one G-buffer, made by whichever runs first in a process.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH, NORMAL_MAP, SOURCE_MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how far the bake looks for the source."""

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Bake the normal map.

    Raises:
        StageError: The source is nowhere near the mesh.
    """
    from forge_batch.ops.bake import normal_map
    from forge_batch.ops.bake_files import describe, open_gbuffer
    from forge_batch.ops.image_file import write_png

    buffer = open_gbuffer(
        context.path(MESH), context.path(SOURCE_MESH), context.params.cage, lambda done: context.progress(0.7 * done, "rays")
    )
    context.progress(0.7, "normals")
    write_png(context.out(NORMAL_MAP), normal_map(buffer))
    return describe(buffer)


stage = Stage(
    name="bake_normal",
    group="post_processing",
    version=1,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(NORMAL_MAP,),
    params=Params,
    cost=lambda _: Cost(cpu=6.0, gpu=1.0),
    run=run,
)
"""The stage of this module."""
