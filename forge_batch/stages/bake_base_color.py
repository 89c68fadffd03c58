"""Put the colour of source_mesh into the base colour map, and mark what no image saw.

After unwrap, whose UVs it fills; before inpaint, which replaces what is marked in unseen_map.
"""

from __future__ import annotations

from forge_batch.artifacts import BASE_COLOR_MAP, MESH, SOURCE_MESH, UNSEEN_MAP
from forge_batch.bake_params import BakeParams
from forge_batch.stage import Cost, Metrics, Stage, StageContext


class Params(BakeParams):
    """Say how the bake looks for the source."""


def run(context: StageContext[Params]) -> Metrics:
    """Bake base colour and the map of unseen texels.

    Raises:
        StageError: The source is nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    from forge_batch.ops.bake_files import describe, open_baker
    from forge_batch.ops.image_file import write_png

    baker = open_baker(context.path(MESH), context.path(SOURCE_MESH), context.params, context.part(0.0, 0.6, "rays"))
    maps = baker.color_maps(context.part(0.6, 1.0, "colours"))
    write_png(context.out(BASE_COLOR_MAP), maps.base_color)
    write_png(context.out(UNSEEN_MAP), maps.unseen)
    unseen = maps.unseen.ravel()[baker.texel] > 0
    return {**describe(baker), "unseen_share": round(float(unseen.mean()), 6)}


stage = Stage(
    name="bake_base_color",
    group="post_processing",
    version=4,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(BASE_COLOR_MAP, UNSEEN_MAP),
    params=Params,
    cost=lambda params: Cost(cpu=1.0 + 4.0 * params.supersampling**2, gpu=0.25 + 0.03 * params.supersampling**2),
    run=run,
)
"""The stage of this module."""
