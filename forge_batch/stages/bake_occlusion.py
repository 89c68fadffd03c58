"""Put into a map how much of the sky each point of source_mesh sees.

After unwrap, whose UVs it fills; before pack_channels, which makes it the red channel of the ORM map. The dearest bake: 64 rays
a texel are 170 million rays at 2048, two thirds of all baking time.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH, OCCLUSION_MAP, SOURCE_MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how many rays look at the sky, and how far."""

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )
    rays: int = Field(default=64, ge=1, le=4096, description="Rays a texel; noise falls with their number.")
    distance: float = Field(
        default=0.5, gt=0, le=10, description="What is farther than this fraction of the diagonal does not darken."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Bake the occlusion map.

    Raises:
        StageError: The source is nowhere near the mesh.
    """
    from forge_batch.ops.bake import occlusion_map
    from forge_batch.ops.bake_files import describe, open_gbuffer
    from forge_batch.ops.image_file import write_png

    params = context.params
    buffer = open_gbuffer(
        context.path(MESH), context.path(SOURCE_MESH), params.cage, lambda done: context.progress(0.1 * done, "rays")
    )
    image = occlusion_map(buffer, params.rays, params.distance, lambda done: context.progress(0.1 + 0.85 * done, "sky"))
    write_png(context.out(OCCLUSION_MAP), image)
    return {**describe(buffer), "mean": round(float(image.ravel()[buffer.texel].mean()) / 255, 6)}


stage = Stage(
    name="bake_occlusion",
    group="post_processing",
    version=1,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(OCCLUSION_MAP,),
    params=Params,
    cost=lambda params: Cost(cpu=5.0 + 0.45 * params.rays, gpu=1.0 + params.rays / 500),
    run=run,
)
"""The stage of this module."""
