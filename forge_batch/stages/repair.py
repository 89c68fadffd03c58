"""Make the surface closed, manifold and wound outwards.

Third, directly after whatever made the mesh: every later stage, from the inside test of clean to the volume of the collision
hulls, relies on a closed surface that knows its outside. Positions move by less than a texel; nothing is smoothed here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable

if TYPE_CHECKING:
    from forge_batch.ops.solid import Solid


class Params(Switchable):
    """Say how far repair may go."""

    weld: float = Field(
        default=1e-5, ge=0, le=0.01, description="Vertices nearer than this become one, fraction of the diagonal."
    )
    close_holes: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="Longest rim of a hole that is closed, fraction of the diagonal; longer ones are bridged, or closed flat "
        "where a solid was cut off.",
    )
    open: bool = Field(default=False, description="The thing is a sheet (cloth, leaves): boundaries stay open.")
    unite: bool = Field(
        default=True, description="Whether overlapping parts become one solid, and parts and linings that nobody sees go."
    )
    rebuild: bool = Field(
        default=True,
        description="Whether the outside is built anew from voxels where nothing gentler makes it sound.",
    )
    method: Literal["passes", "pymeshfix"] = Field(
        default="passes",
        description="pymeshfix also removes self-intersections; its result is used only where it loses little.",
    )


def run(context: StageContext[Params]) -> Metrics:
    """Repair the mesh.

    Raises:
        StageError: The mesh is empty, or is still open, non-manifold or wound both ways, with the counts.
    """
    from forge_batch.ops.mend import Mended, mend
    from forge_batch.ops.mesh import load_mesh, save_mesh
    from forge_batch.ops.meshfix import repair_with_meshfix
    from forge_batch.ops.readable import readable
    from forge_batch.ops.solid import make_solid
    from forge_batch.ops.topology import measure_topology

    params = context.params
    mesh, dropped = readable(load_mesh(context.path(MESH)))
    before = measure_topology(mesh.faces)
    weld, perimeter = params.weld * mesh.diagonal, 0.0 if params.open else params.close_holes * mesh.diagonal
    if params.open:
        mended = Mended(make_solid(mesh, weld, 0.0), False, 0, "", 0)
    else:
        mended = mend(mesh, weld, perimeter, unite=params.unite, anew=params.rebuild)
    result, refused = mended.result, ""
    if params.method == "pymeshfix" and not params.open and len(result.mesh.faces):
        fixed, refused = repair_with_meshfix(result.mesh)
        if fixed is not None:
            result = make_solid(fixed, 0.0, perimeter)._replace(closed=result.closed)
    after = result.topology
    if not len(result.mesh.faces):
        raise StageError("the surface encloses no volume", "write repair: {open: true} if it is a sheet")
    if any(after[1:]) or (after.boundary_edges and not params.open):
        raise _still_open(result, params)
    save_mesh(context.out(MESH), result.mesh)
    return {
        "faces_before": len(mesh.faces),
        "faces_after": len(result.mesh.faces),
        "holes_closed": result.closed,
        "boundary_edges_before": before.boundary_edges,
        "boundary_edges": after.boundary_edges,
        "nonmanifold_edges_before": before.nonmanifold_edges,
        "nonmanifold_edges": after.nonmanifold_edges,
        "faces_dropped": dropped,
        "hidden_parts_removed": mended.hidden_parts,
        "parts_united": mended.united,
        "rebuilt": mended.rebuilt,
        "rebuilt_cells": mended.cells,
        "meshfix_refused": refused,
    }


def _still_open(result: Solid, params: Params) -> StageError:
    """Say what is left of a surface that does not close, and what would close it."""
    from forge_batch.ops.holes import boundary_loops, rim_length

    mesh, after = result.mesh, result.topology
    longest = max((rim_length(mesh, loop) for loop in boundary_loops(mesh)), default=0.0) / mesh.diagonal
    found = (
        f"still not watertight: {after.boundary_edges} boundary edges in {result.left} holes "
        f"(the longest rim is {longest:.2f} of the diagonal), {after.nonmanifold_edges} edges and "
        f"{after.nonmanifold_vertices} vertices not manifold, {after.conflicting_edges} edges wound both ways"
    )
    if longest > params.close_holes:
        wide = math.ceil(11 * longest) / 10
        advice = f"write repair: {{close_holes: {wide:g}}} to close it flat, or repair: {{open: true}} if it is a sheet"
        return StageError(found, advice)
    return StageError(
        found, "switch repair.rebuild on, raise repair.close_holes, or write repair: {open: true} if it is a sheet"
    )


stage = Stage(
    name="repair",
    group="post_processing",
    version=4,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda params: Cost(cpu=20.0 if params.method == "pymeshfix" else 4.0),
    run=run,
)
"""The stage of this module."""
