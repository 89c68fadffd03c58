"""Make the mesh exactly symmetric, and the source with it.

After decimate, because decimation breaks exact symmetry; before place and unwrap, so that everything measured or laid out from
here on is symmetric too. The source is treated alike: a bake from a source that is not symmetric shows on the mirrored half.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH, SOURCE_MESH
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams


class Params(StageParams):
    """Say which symmetry the thing has."""

    mode: Literal["off", "bilateral_x", "bilateral_y", "radial"] = Field(
        default="off",
        description="bilateral_x: left and right alike, the +x half is kept; bilateral_y: top and bottom alike, the upper half "
        "is kept; radial: `count` mirrored wedges round the upright axis. Plane and axis are found, also ten degrees off.",
    )
    tolerance: float = Field(
        default=0.03,
        gt=0,
        le=0.5,
        description="Largest distance (95 of 100 points) to the mirror image, fraction of the diagonal.",
    )
    uv: Literal["own", "shared"] = Field(
        default="own",
        description="own: every part has texels of its own; shared: all copies use the texels of one part, mirrored, at a "
        "higher density. Nothing painted can then be on one side alone.",
    )
    count: int = Field(default=4, ge=2, le=64, description="Wedges of radial symmetry.")

    @property
    def on(self) -> bool:
        return self.mode != "off"


def run(context: StageContext[Params]) -> Metrics:
    """Rebuild mesh and source from one side; the mesh gets no more triangles than it had.

    Raises:
        StageError: The thing is not that symmetric, with the measured asymmetry.
    """
    from forge_batch.ops.mesh import load_mesh, save_mesh
    from forge_batch.ops.simplify import simplify
    from forge_batch.ops.source import load_source, load_source_meta, save_source
    from forge_batch.ops.symmetric_copy import find_symmetry, make_source_symmetric, make_symmetric, to_meta
    from forge_batch.ops.topology import measure_topology

    params = context.params
    if params.mode == "off":
        raise ValueError("symmetrize runs only when its mode is not off")
    mesh = load_mesh(context.path(MESH))
    symmetry = find_symmetry(mesh, params.mode, params.count)
    if symmetry.asymmetry > params.tolerance:
        raise StageError(
            f"not {params.mode}: the surface lies {100 * symmetry.asymmetry:.1f} % of its diagonal from its mirror image "
            f"(limit {100 * params.tolerance:g} %)",
            "write symmetrize: {mode: off}, or raise symmetrize.tolerance to force it",
        )
    solid = measure_topology(mesh.faces).boundary_edges == 0
    limit, goal = len(mesh.faces), len(mesh.faces)
    result = make_symmetric(mesh, symmetry)
    for _ in range(6):
        if len(result.faces) <= limit:
            break
        goal = int(goal * limit / len(result.faces) * 0.995)
        result = make_symmetric(simplify(mesh, goal, preview=False, solid=solid), symmetry)
    found = measure_topology(result.faces)
    if len(result.faces) > limit or any(found if solid else found[1:]):
        raise StageError(f"the halves do not join cleanly within {limit} triangles: {len(result.faces)} triangles, {found}")
    save_mesh(context.out(MESH), result, {"symmetry": to_meta(symmetry)} if params.uv == "shared" else None)
    context.progress(0.5, "source")
    path = context.path(SOURCE_MESH)
    source = make_source_symmetric(load_source(path), symmetry)
    save_source(context.out(SOURCE_MESH), source, load_source_meta(path))
    point, normal = symmetry.planes[0]
    return {
        "asymmetry": round(symmetry.asymmetry, 5),
        "plane": [round(float(value), 6) for value in (*point, *normal)],
        "triangles_before": limit,
        "triangles": len(result.faces),
        "projections": len(source.projections),
    }


stage = Stage(
    name="symmetrize",
    group="post_processing",
    version=3,
    device="cpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(MESH, SOURCE_MESH),
    params=Params,
    cost=lambda params: Cost(cpu=3.0 if params.on else 0.0),
    run=run,
)
"""The stage of this module."""
