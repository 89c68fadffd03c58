"""Put metallic and roughness of source_mesh into maps of their own.

After unwrap, whose UVs it fills; before pack_channels, which puts both into the ORM map.
"""

from __future__ import annotations

from forge_batch.artifacts import MESH, METALLIC_MAP, ROUGHNESS_MAP, SOURCE_MESH
from forge_batch.bake_params import BakeParams
from forge_batch.stage import Cost, Metrics, Stage, StageContext


class Params(BakeParams):
    """Say how the bake looks for the source."""


def run(context: StageContext[Params]) -> Metrics:
    """Bake metallic and roughness.

    Raises:
        StageError: The source is nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    from forge_batch.ops.bake_files import describe, open_baker
    from forge_batch.ops.image_file import write_png

    baker = open_baker(context.path(MESH), context.path(SOURCE_MESH), context.params, context.part(0.0, 0.6, "rays"))
    maps = baker.material_maps(context.part(0.6, 1.0, "materials"))
    write_png(context.out(METALLIC_MAP), maps.metallic)
    write_png(context.out(ROUGHNESS_MAP), maps.roughness)
    return describe(baker)


stage = Stage(
    name="bake_material",
    group="post_processing",
    version=3,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(METALLIC_MAP, ROUGHNESS_MAP),
    params=Params,
    cost=lambda params: Cost(cpu=1.0 + 3.0 * params.supersampling**2, gpu=0.1 + 0.03 * params.supersampling**2),
    run=run,
)
"""The stage of this module."""
