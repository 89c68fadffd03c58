"""Lay the surface out on one square page, or on several by choice: UV0, with normals and tangents for the bakes.

After place, because texel density is in texels per metre; before the bakes, which fill the page. From here on a vertex is a
(position, uv, normal, tangent), and LODs share this layout.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams


class Params(StageParams):
    """Say how fine the textures are."""

    later = frozenset({"atlases"})

    texture_size: Literal[512, 1024, 2048, 4096] = Field(default=2048, description="Pixels of a texture's edge.")
    texel_density: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Pixels per metre of surface; left out, the charts fill the page.",
        examples=[512],
    )
    atlases: int = Field(
        default=1,
        ge=1,
        le=4,
        description="Most sets of textures, each with a material of its own; more than one are made only where one does not "
        "hold texel_density.",
    )
    padding: int = Field(default=8, ge=0, le=64, description="Pixels between charts.")
    hard_edges: float | None = Field(
        default=None,
        ge=20,
        le=180,
        description="Degrees from which an edge between two charts is shaded hard; left out, everything is shaded smooth.",
        examples=[60],
    )
    timeout_seconds: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="CPU seconds after which charting is given up for projection on planes, then on a box.",
    )


def run(context: StageContext[Params]) -> Metrics:
    """Unwrap the mesh and give it normals and tangents.

    Raises:
        StageError: The density asked for does not fit the page (says what does), or nothing fits.
    """
    from dataclasses import replace

    from forge_batch.ops.mesh import load_meshes, save_mesh
    from forge_batch.ops.normals import hard_vertex_normals, split_vertex_normals
    from forge_batch.ops.shared_layout import kept_part, lay_out_copies
    from forge_batch.ops.sheet import sheet_side
    from forge_batch.ops.tangents import split_by_tangent
    from forge_batch.ops.unwrap import measure_uv, unwrap

    params = context.params
    meshes, about = load_meshes(context.path(MESH))
    mesh, symmetry = meshes["mesh"], about.get("symmetry")
    result = unwrap(
        kept_part(mesh, symmetry) if symmetry else mesh,
        params.texture_size,
        params.padding,
        params.texel_density,
        folder=context.folder,
        timeout=params.timeout_seconds,
        crease=params.hard_edges or 180.0,
        atlases=params.atlases,
    )
    context.progress(0.8, "tangents")
    whole = lay_out_copies(mesh, result.mesh, symmetry) if symmetry else result.mesh
    normals = split_vertex_normals(whole.vertices, whole.faces)
    if params.hard_edges is not None:
        normals = hard_vertex_normals(whole.vertices, whole.faces, params.hard_edges)
    split = replace(whole, normals=normals)
    split = split_by_tangent(split)
    measured = measure_uv(split)
    side = sheet_side(result.atlases)
    several = {"atlases": result.atlases} if result.atlases > 1 else {}
    meta = {
        "texture_size": params.texture_size * side,
        "padding": params.padding,
        "texel_density": result.density,
        "charts": result.charts,
        **several,
    }
    used = measured.utilisation * side**2 / result.atlases
    save_mesh(context.out(MESH), split, meta)
    return {
        "charts": result.charts,
        "texel_density": round(result.density, 3),
        **several,
        "utilisation": round(used / (len(symmetry["copies"]) if symmetry else 1), 4),
        "shared_by": len(symmetry["copies"]) if symmetry else 1,
        "stretch_mean": round(measured.stretch_mean, 4),
        "stretch_p95": round(measured.stretch_p95, 4),
        "mirrored_faces": measured.mirrored_faces,
        "empty_faces": measured.empty_faces,
        "recharted_faces": result.recharted,
        "vertices": len(split.vertices),
        "fallback": result.fallback,
    }


stage = Stage(
    name="unwrap",
    group="post_processing",
    version=4,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda _: Cost(cpu=7.0),
    run=run,
)
"""The stage of this module."""
