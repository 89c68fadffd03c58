"""Make coarser meshes that use the same textures, and say at which size on screen each may take over.

After the bakes, because all LODs share LOD0's page and need no bake of their own; before build_collision by convention only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from forge_batch.artifacts import LODS, MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how many LODs there are and how coarse."""

    ratios: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.5, 0.25], max_length=7, description="Triangles of LOD1, LOD2, ... as fractions of LOD0's, falling."
    )

    @field_validator("ratios")
    @classmethod
    def _falling(cls, ratios: list[float]) -> list[float]:
        if any(after >= before for before, after in pairwise(ratios)):
            raise ValueError("each ratio must be smaller than the one before it")
        return ratios


def run(context: StageContext[Params]) -> Metrics:
    """Build the LODs: as closed as LOD0, made of its vertices with their normals and tangents.

    A LOD has more triangles than asked where its outlines would differ too far from LOD0's, or the surface has many handles.
    """
    from forge_batch.ops.deviation import measure_deviation
    from forge_batch.ops.lod import build_lod
    from forge_batch.ops.measure_shape import draw_outlines
    from forge_batch.ops.mesh import load_mesh, load_meta, save_meshes
    from forge_batch.ops.screen_sizes import screen_sizes, sphere_diameter
    from forge_batch.ops.weld import welded

    path = context.path(MESH)
    mesh, meta = load_mesh(path), load_meta(path)
    gap, overlap = meta["padding"] / meta["texture_size"], [0]
    lods, deviation, whole = {"lod0": mesh}, [0.0], welded(mesh)
    outlines = draw_outlines(whole)
    for index, ratio in enumerate(context.params.ratios, start=1):
        coarse, twice = build_lod(mesh, ratio, gap, meta["texture_size"], outlines)
        lods[f"lod{index}"] = coarse
        overlap.append(twice)
        deviation.append(measure_deviation(welded(coarse), whole, count=30_000).largest)
        context.progress(index / len(context.params.ratios), f"LOD{index}")
    sizes = screen_sizes(deviation, sphere_diameter(mesh))
    triangles = [len(lod.faces) for lod in lods.values()]
    facts = {"screen_sizes": sizes, "deviation": deviation, "triangles": triangles}
    save_meshes(context.out(LODS), lods, facts)
    return {
        "screen_sizes": sizes,
        "triangles": triangles,
        "deviation_permille": [round(1000 * d / mesh.diagonal, 4) for d in deviation],
        "overlapping_texels": overlap,
    }


stage = Stage(
    name="build_lods",
    group="export",
    version=4,
    device="cpu",
    inputs=(MESH,),
    outputs=(LODS,),
    params=Params,
    cost=lambda params: Cost(cpu=1.0 + len(params.ratios)),
    run=run,
)
"""The stage of this module."""
