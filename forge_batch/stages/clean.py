"""Remove debris: floaters, shells nobody can see, faces without area, the generator's stair noise.

After repair, because inside and outside must be known; before decimate, so that no triangle of the budget is spent on what
nobody sees, and because stairs of a voxel grid would otherwise be kept as detail and cut the UVs into slivers.
"""

from __future__ import annotations

from pydantic import Field

from forge_batch.artifacts import MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say what counts as debris."""

    floater_area: float = Field(
        default=0.001, ge=0, le=0.5, description="Separate pieces below this share of the whole area are removed."
    )
    smooth_iterations: int = Field(
        default=2,
        ge=0,
        le=100,
        description="Rounds of smoothing without shrinking (Taubin), after which outlines are as wide as before; 0 keeps every "
        "stair.",
    )
    inner_shells: bool = Field(default=True, description="Whether pieces that lie wholly inside others are removed.")


def run(context: StageContext[Params]) -> Metrics:
    """Clean the mesh; what was closed stays closed."""
    import numpy as np

    from forge_batch.ops.components import drop_floaters, face_components, find_floaters, find_inner_shells
    from forge_batch.ops.degenerate import collapse_slivers, count_slivers
    from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
    from forge_batch.ops.outline_width import keep_outlines
    from forge_batch.ops.smooth import smooth
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
    shift = 0.0
    if params.smooth_iterations:
        mesh, shift = keep_outlines(smooth(mesh, params.smooth_iterations), mesh)
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
        "outline_shift_permille": round(1000 * shift / mesh.diagonal, 4),
        "slivers_removed": slivers - count_slivers(mesh, least),
    }


stage = Stage(
    name="clean",
    group="post_processing",
    version=2,
    device="cpu",
    inputs=(MESH,),
    outputs=(MESH,),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 + 0.1 * params.smooth_iterations),
    run=run,
)
"""The stage of this module."""
