"""Remove debris: floaters, shells nobody can see, faces without area, the generator's stair noise.

After repair, because inside and outside must be known; before decimate, so that no triangle of the budget is spent on what
nobody sees, and because stairs of a voxel grid would otherwise be kept as detail and cut the UVs into slivers.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable

STAIR_ROUNDS = 20
"""Rounds that stairs get. A ball of 50 voxels has faces 21 degrees from the true sphere's, 15 after 2 rounds, 7 after 10 and 5
after 20; its vertices come to lie nearer to the sphere each time (0.20, 0.16, 0.10, 0.09 voxels)."""


class Params(Switchable):
    """Say what counts as debris."""

    floater_area: float = Field(
        default=0.001, ge=0, le=0.5, description="Separate pieces below this share of the whole area are removed."
    )
    smooth_iterations: int = Field(
        default=2,
        ge=0,
        le=100,
        description="Rounds of smoothing without shrinking (Taubin), after which outlines are as wide as before; a surface "
        "with the stairs of voxels gets 20 at least; 0 keeps every stair.",
    )
    inner_shells: bool = Field(default=True, description="Whether pieces that lie wholly inside others are removed.")


def run(context: StageContext[Params]) -> Metrics:
    """Clean the mesh; what was closed stays closed."""
    import numpy as np

    from forge_batch.ops.components import drop_floaters, face_components, find_floaters, find_inner_shells
    from forge_batch.ops.degenerate import collapse_slivers, count_slivers
    from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
    from forge_batch.ops.outline_width import keep_outlines
    from forge_batch.ops.smooth import REACH, has_stairs, smooth
    from forge_batch.ops.solid import SLIVER
    from forge_batch.ops.topology import compact

    params = context.params
    mesh = load_mesh(context.path(MESH))
    before = len(mesh.faces)
    labels = face_components(mesh.faces)
    floaters = find_floaters(mesh, labels, params.floater_area)
    mesh = compact(Mesh(mesh.vertices, mesh.faces[~floaters[labels]]))
    labels = face_components(mesh.faces)
    inner = find_inner_shells(mesh, labels) if params.inner_shells else np.zeros(int(labels.max()) + 1, bool)
    mesh = compact(Mesh(mesh.vertices, mesh.faces[~inner[labels]]))
    context.progress(0.6, "smoothing")
    shift, rounds = 0.0, params.smooth_iterations
    if rounds:
        stairs = has_stairs(mesh)
        rounds = max(rounds, STAIR_ROUNDS) if stairs else rounds
        mesh, shift = keep_outlines(smooth(mesh, rounds, REACH if stairs else np.inf), mesh)
    # What was just large enough may have shrunk below the limit.
    mesh = drop_floaters(mesh, params.floater_area)
    least = SLIVER * mesh.diagonal**2
    slivers = count_slivers(mesh, least)
    mesh = collapse_slivers(mesh, least)
    save_mesh(context.out(MESH), mesh)
    return {
        "faces_before": before,
        "faces_after": len(mesh.faces),
        "floaters_removed": int(floaters.sum()),
        "inner_shells_removed": int(inner.sum()),
        "components": int(face_components(mesh.faces).max()) + 1,
        "smoothing_rounds": rounds,
        "outline_shift_permille": round(1000 * shift / mesh.diagonal, 4),
        "slivers_removed": slivers - count_slivers(mesh, least),
    }


stage = Stage(
    name="clean",
    group="post_processing",
    version=3,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 + 0.1 * params.smooth_iterations),
    run=run,
)
"""The stage of this module."""
