"""Make the surface closed, manifold and wound outwards.

Third, directly after whatever made the mesh: every later stage, from the inside test of clean to the volume of the collision
hulls, relies on a closed surface that knows its outside. Positions move by less than a texel; nothing is smoothed here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how far repair may go."""

    weld: float = Field(
        default=1e-5, ge=0, le=0.01, description="Vertices nearer than this become one, fraction of the diagonal."
    )
    close_holes: float = Field(
        default=1.0, ge=0, le=10, description="Longest rim of a hole that is closed, fraction of the diagonal."
    )
    open: bool = Field(default=False, description="The thing is a sheet (cloth, leaves): boundaries stay open.")
    method: Literal["passes", "pymeshfix"] = Field(
        default="passes",
        description="pymeshfix also removes self-intersections; its result is used only where it loses little.",
    )


def run(context: StageContext[Params]) -> Metrics:
    """Repair the mesh.

    Raises:
        StageError: The mesh is empty, or is still open, non-manifold or wound both ways, with the counts.
    """
    from forge_batch.ops.mesh import load_mesh, save_mesh
    from forge_batch.ops.meshfix import repair_with_meshfix
    from forge_batch.ops.solid import make_solid
    from forge_batch.ops.topology import measure_topology

    params = context.params
    mesh = load_mesh(context.path(MESH))
    if not len(mesh.faces):
        raise StageError("the mesh has no faces", "look at the cut-outs: the generator found nothing")
    before = measure_topology(mesh.faces)
    perimeter = 0.0 if params.open else params.close_holes * mesh.diagonal
    result = make_solid(mesh, params.weld * mesh.diagonal, perimeter)
    refused = ""
    if params.method == "pymeshfix" and not params.open and len(result.mesh.faces):
        fixed, refused = repair_with_meshfix(result.mesh)
        if fixed is not None:
            result = make_solid(fixed, 0.0, perimeter)._replace(closed=result.closed)
    after = result.topology
    if not len(result.mesh.faces):
        raise StageError("the surface encloses no volume", "write repair: {open: true} if it is a sheet")
    if any(after[1:]) or (after.boundary_edges and not params.open):
        raise StageError(
            f"still not watertight: {after.boundary_edges} boundary edges in {result.left} holes, "
            f"{after.nonmanifold_edges} edges and {after.nonmanifold_vertices} vertices not manifold, "
            f"{after.conflicting_edges} edges wound both ways",
            "raise repair.close_holes, or write repair: {open: true} if it is a sheet",
        )
    save_mesh(context.out(MESH), result.mesh)
    return {
        "faces_before": len(mesh.faces),
        "faces_after": len(result.mesh.faces),
        "holes_closed": result.closed,
        "boundary_edges_before": before.boundary_edges,
        "boundary_edges": after.boundary_edges,
        "nonmanifold_edges_before": before.nonmanifold_edges,
        "nonmanifold_edges": after.nonmanifold_edges,
        "meshfix_refused": refused,
    }


stage = Stage(
    name="repair",
    group="post_processing",
    version=1,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda params: Cost(cpu=20.0 if params.method == "pymeshfix" else 4.0),
    run=run,
)
"""The stage of this module."""
