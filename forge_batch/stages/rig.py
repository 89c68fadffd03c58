"""Give a character a skeleton and skin weights.

After the maps and hulls: joints and weights are computed on the final triangles and change none of them. `humanoid` is built in
and knows upright figures in A-pose or T-pose; the learned riggers also know others, need a GPU and are fetched on request.
What a rigger gives is looked at before it is handed on: a rig that no engine could use is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from forge_batch.artifacts import MESH, RIG
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable

if TYPE_CHECKING:
    from forge_batch.backends.contract import BackendInfo
    from forge_batch.ops.mesh import Mesh
    from forge_batch.ops.rig import Rigged

_GPU = {"unirig": 46.0, "skintokens": 30.0}
"""Seconds by learned rigger. unirig: its pull request 70, whole run; skintokens publishes none: a guess, until the job history
corrects it (see estimate.py)."""


class Params(Switchable):
    """Say which rigger is used."""

    enabled: bool = Field(default=False, description="Whether this stage runs.")
    backend: Literal["humanoid", "skintokens", "unirig"] = Field(
        default="humanoid",
        description="humanoid: built in, for upright figures in A-pose or T-pose, no weights; the others are learned models to "
        "be fetched, for any creature.",
    )


def _make(context: StageContext[Params], mesh: Mesh) -> tuple[BackendInfo, Rigged]:
    backend = context.params.backend
    if backend != "humanoid":
        from forge_batch.backends import rigger

        return rigger.info(backend), rigger.make_rig(backend, mesh, context.seed, context.progress)
    from forge_batch.backends import humanoid

    return humanoid.info, humanoid.make_rig(mesh, context.progress)


def run(context: StageContext[Params]) -> Metrics:
    """Rig, look at the result, and write it.

    Raises:
        StageError: The mesh cannot be rigged by this rigger, or what it gave is no rig.
        BackendUnavailable: A learned rigger is asked for and something it needs is not here; the hint is what mends it.
    """
    from forge_batch.ops.mesh import load_mesh
    from forge_batch.ops.rig import rig_fault, save_rig

    mesh = load_mesh(context.path(MESH))
    info, made = _make(context, mesh)
    fault = rig_fault(made.rig, len(mesh.vertices))
    if fault is None and len(made.rig.names) < 2:
        fault = "a skeleton of one joint bends nothing"
    if fault:
        raise StageError(f"{info.name} gave no sound rig: {fault}", "try another rig.backend, or write rig: off")
    about = {
        "backend": info.name,
        "revision": info.revision,
        "licence": info.licence,
        "commercial": info.commercial,
        "territory": info.territory,
        "confidence": dict(made.confidence),
    }
    save_rig(context.out(RIG), made.rig, about)
    sure = [made.confidence.get(name, 0.0) for name in made.rig.names]
    return {
        "joints": len(made.rig.names),
        "influences": int((made.rig.weights > 0).sum(axis=1).max()),
        "confidence_mean": round(sum(sure) / len(sure), 3),
        "least_sure": min(made.rig.names, key=lambda name: made.confidence.get(name, 0.0)),
        **made.facts,
    }


def _revision(params: Params) -> str:
    if params.backend == "humanoid":
        return params.backend
    from forge_batch.backends.rigger import info

    return f"{params.backend} {info(params.backend).revision}"


def _cost(params: Params) -> Cost:
    return Cost(cpu=6.0) if params.backend == "humanoid" else Cost(cpu=2.0, gpu=_GPU[params.backend])


stage = Stage(
    name="rig",
    group="rigging",
    version=2,
    device="gpu",
    inputs=(MESH,),
    outputs=(RIG,),
    params=Params,
    cost=_cost,
    run=run,
    revision=_revision,
)
"""The stage of this module."""
