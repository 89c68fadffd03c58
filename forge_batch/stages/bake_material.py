"""Put metallic and roughness of source_mesh into maps of their own.

After unwrap, whose UVs it fills; before pack_channels, which puts both into the ORM map.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH, METALLIC_MAP, ROUGHNESS_MAP, SOURCE_MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how far the bake looks for the source."""

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Bake metallic and roughness.

    Raises:
        StageError: The source is nowhere near the mesh.
    """
    from forge_batch.ops.bake import material_maps
    from forge_batch.ops.bake_files import describe, open_gbuffer
    from forge_batch.ops.image_file import write_png

    buffer = open_gbuffer(
        context.path(MESH), context.path(SOURCE_MESH), context.params.cage, lambda done: context.progress(0.8 * done, "rays")
    )
    context.progress(0.8, "materials")
    maps = material_maps(buffer)
    write_png(context.out(METALLIC_MAP), maps.metallic)
    write_png(context.out(ROUGHNESS_MAP), maps.roughness)
    return describe(buffer)


stage = Stage(
    name="bake_material",
    group="post_processing",
    version=1,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(METALLIC_MAP, ROUGHNESS_MAP),
    params=Params,
    cost=lambda _: Cost(cpu=4.0, gpu=1.0),
    run=run,
)
"""The stage of this module."""
