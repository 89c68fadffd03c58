"""Put the relief of source_mesh into a 16-bit tangent-space normal map (MikkTSpace, OpenGL).

After unwrap, which gives the mesh the UVs, normals and tangents that the map speaks of; nothing may change them from here on.
First of the bakes by custom only: the four share one G-buffer, made by whichever runs first in a process.
"""

from __future__ import annotations

from forge_batch.artifacts import MESH, NORMAL_ERROR_MAP, NORMAL_MAP, SOURCE_MESH
from forge_batch.bake_params import BakeParams
from forge_batch.stage import Cost, Metrics, Stage, StageContext


class Params(BakeParams):
    """Say how the bake looks for the source."""


def run(context: StageContext[Params]) -> Metrics:
    """Bake the normal map, and the map of what it does not show.

    Raises:
        StageError: The source is nowhere near the mesh.
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    import numpy as np

    from forge_batch.ops.bake_files import describe, open_baker
    from forge_batch.ops.baker import ERROR_STEPS
    from forge_batch.ops.image_file import write_png

    baker = open_baker(context.path(MESH), context.path(SOURCE_MESH), context.params, context.part(0.0, 0.6, "rays"))
    normal = baker.normal_map(context.part(0.6, 0.8, "normals"))
    write_png(context.out(NORMAL_MAP), normal)
    error = baker.normal_error(normal, context.part(0.8, 1.0, "errors"))
    write_png(context.out(NORMAL_ERROR_MAP), error)
    degrees = error.ravel()[baker.texel] / ERROR_STEPS
    p95 = float(np.percentile(degrees, 95))
    return {**describe(baker), "error_mean": round(float(degrees.mean()), 3), "error_p95": round(p95, 1)}


stage = Stage(
    name="bake_normal",
    group="post_processing",
    version=3,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(NORMAL_MAP, NORMAL_ERROR_MAP),
    params=Params,
    cost=lambda params: Cost(cpu=6.0 * params.supersampling**2, gpu=0.3 + 0.05 * params.supersampling**2),
    run=run,
)
"""The stage of this module."""
