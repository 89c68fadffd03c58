"""Approximate the solid by convex hulls that a physics engine can use.

From the placed low mesh, late, because nothing else reads the hulls but rig-free checks and the package; from the mesh and not
the source, whose million faces would only cost time.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import HULLS, MESH
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say how the hulls are made."""

    method: Literal["convex_decomposition", "convex", "box", "capsule", "none"] = Field(
        default="convex_decomposition",
        description="Several hulls, one hull, the bounding box, an upright or lying capsule, or none. The presets choose by "
        "kind: several for props, one for characters and environment.",
    )
    max_hulls: int = Field(default=16, ge=1, le=64, description="Most hulls.")
    max_vertices: int = Field(default=32, ge=8, le=255, description="Most vertices of a hull.")
    max_triangles: int | None = Field(
        default=None,
        ge=12,
        le=20_000,
        description="Most triangles of all hulls together; left out, less than 1 % of LOD0's, but never below 20.",
        examples=[300],
    )
    timeout_seconds: float = Field(
        default=300.0, gt=0, le=3600, description="CPU seconds after which decomposition is given up for one convex hull."
    )

    @property
    def on(self) -> bool:
        return self.enabled and self.method != "none"


def run(context: StageContext[Params]) -> Metrics:
    """Build the hulls: convex, closed, wound outwards.

    Raises:
        StageError: The mesh is closed and encloses nothing.
    """
    from forge_batch.ops.hulls import Hulls, box_hull, capsule_hull, convex_hull, decompose, triangle_budget, volume_ratio
    from forge_batch.ops.mesh import load_mesh, save_meshes
    from forge_batch.ops.topology import measure_topology
    from forge_batch.ops.weld import welded

    params = context.params
    mesh = welded(load_mesh(context.path(MESH)))
    budget = triangle_budget(params.max_triangles, len(mesh.faces))
    if params.method == "box":
        made = Hulls([box_hull(mesh)], "")
    elif params.method == "capsule":
        made = Hulls([capsule_hull(mesh, min(params.max_vertices, budget // 2 + 2))], "")
    elif params.method == "convex":
        made = Hulls([convex_hull(mesh.vertices, min(params.max_vertices, budget // 2 + 2))], "")
    else:
        made = decompose(
            mesh,
            params.max_hulls,
            params.max_vertices,
            context.seed,
            folder=context.folder,
            timeout=params.timeout_seconds,
            triangles=budget,
        )
    closed = measure_topology(mesh.faces).boundary_edges == 0
    save_meshes(context.out(HULLS), {f"hull{index:02}": hull for index, hull in enumerate(made.hulls)})
    return {
        "hulls": len(made.hulls),
        "max_vertices": max(len(hull.vertices) for hull in made.hulls),
        "triangles": sum(len(hull.faces) for hull in made.hulls),
        "triangle_budget": budget,
        "volume_ratio": round(volume_ratio(made.hulls, mesh), 4) if closed else None,  # a sheet has no volume
        "fallback": made.fallback,
    }


stage = Stage(
    name="build_collision",
    group="export",
    version=4,
    device="cpu",
    inputs=(MESH,),
    outputs=(HULLS,),
    params=Params,
    cost=lambda params: Cost(cpu=12.0 if params.method == "convex_decomposition" else 0.5),
    run=run,
)
"""The stage of this module."""
