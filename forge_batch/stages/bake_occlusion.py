"""Put into a map how much of the sky each point of source_mesh sees.

After unwrap, whose UVs it fills; before pack_channels, which makes it the red channel of the ORM map. The dearest bake: 64 rays
a texel are 170 million rays at 2048, two thirds of all baking time.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH, OCCLUSION_MAP, SOURCE_MESH
from forge_batch.bake_params import BakeParams
from forge_batch.stage import Cost, Metrics, Stage, StageContext


class Params(BakeParams):
    """Say how many rays look at the sky, how far, and where the source is looked for."""

    rays: int = Field(default=64, ge=1, le=4096, description="Rays a texel; noise falls with their number.")
    distance: float = Field(
        default=0.5, gt=0, le=10, description="What is farther than this fraction of the diagonal does not darken."
    )
    falloff: float = Field(
        default=0.0,
        ge=0,
        le=8,
        description="How fast darkening fades with distance: what a ray meets at fraction t of its length counts (1 - t) "
        "to the power of this; 0 counts all alike.",
    )
    ground: bool = Field(default=False, description="Whether the floor under the asset's lowest point darkens it too.")
    denoise: bool = Field(
        default=False, description="Whether noise is averaged out along the surface, which few rays are then enough for."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Bake the occlusion map.

    Raises:
        StageError: The source is nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    from forge_batch.ops.bake_files import describe, open_baker
    from forge_batch.ops.baker import Sky
    from forge_batch.ops.image_file import write_png

    params = context.params
    baker = open_baker(context.path(MESH), context.path(SOURCE_MESH), params, context.part(0.0, 0.1, "rays"))
    sky = Sky(params.rays, params.distance, params.falloff, params.ground, params.denoise)
    image = baker.occlusion_map(sky, context.part(0.1, 1.0, "sky"))
    write_png(context.out(OCCLUSION_MAP), image)
    return {**describe(baker), "mean": round(float(image.ravel()[baker.texel].mean()) / 255, 6)}


stage = Stage(
    name="bake_occlusion",
    group="post_processing",
    version=3,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(OCCLUSION_MAP,),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 + 3.0 * params.supersampling**2 + 0.28 * params.rays, gpu=0.2 + params.rays / 400),
    run=run,
)
"""The stage of this module."""
