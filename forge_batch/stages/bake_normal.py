"""Put the relief of source_mesh into a 16-bit tangent-space normal map (MikkTSpace, OpenGL).

After unwrap, which gives the mesh the UVs, normals and tangents that the map speaks of; nothing may change them from here on.
First of the bakes by custom only: the four share one G-buffer, made by whichever runs first in a process.
"""

from __future__ import annotations

from forge_batch.artifacts import MESH, NORMAL_MAP, SOURCE_MESH
from forge_batch.bake_params import BakeParams
from forge_batch.stage import Cost, Metrics, Stage, StageContext


class Params(BakeParams):
    """Say how the bake looks for the source."""


def run(context: StageContext[Params]) -> Metrics:
    """Bake the normal map.

    Raises:
        StageError: The source is nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    from forge_batch.ops.bake_files import describe, open_baker
    from forge_batch.ops.image_file import write_png

    baker = open_baker(
        context.path(MESH), context.path(SOURCE_MESH), context.params, lambda done: context.progress(0.7 * done, "rays")
    )
    context.progress(0.7, "normals")
    write_png(context.out(NORMAL_MAP), baker.normal_map())
    return describe(baker)


stage = Stage(
    name="bake_normal",
    group="post_processing",
    version=1,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(NORMAL_MAP,),
    params=Params,
    cost=lambda _: Cost(cpu=6.0, gpu=0.8),
    run=run,
)
"""The stage of this module."""
