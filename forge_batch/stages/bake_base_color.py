"""Put the colour of source_mesh into the base colour map, and mark what no image saw.

After unwrap, whose UVs it fills; before inpaint, which replaces what is marked in unseen_map.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import BASE_COLOR_MAP, MESH, SOURCE_MESH, UNSEEN_MAP
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how far the bake looks for the source."""

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Bake base colour and the map of unseen texels.

    Raises:
        StageError: The source is nowhere near the mesh.
    """
    from forge_batch.ops.bake import color_maps
    from forge_batch.ops.bake_files import describe, open_gbuffer
    from forge_batch.ops.image_file import write_png

    buffer = open_gbuffer(
        context.path(MESH), context.path(SOURCE_MESH), context.params.cage, lambda done: context.progress(0.6 * done, "rays")
    )
    context.progress(0.6, "colours")
    maps = color_maps(buffer)
    write_png(context.out(BASE_COLOR_MAP), maps.base_color)
    write_png(context.out(UNSEEN_MAP), maps.unseen)
    unseen = maps.unseen.ravel()[buffer.texel] > 0
    return {**describe(buffer), "unseen_share": round(float(unseen.mean()), 6)}


stage = Stage(
    name="bake_base_color",
    group="post_processing",
    version=2,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(BASE_COLOR_MAP, UNSEEN_MAP),
    params=Params,
    cost=lambda _: Cost(cpu=5.0, gpu=1.0),
    run=run,
)
"""The stage of this module."""
