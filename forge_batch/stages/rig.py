"""Give a character a skeleton and skin weights.

After the maps and hulls: joints and weights are computed on the final triangles and change none of them. The learned riggers
are fetched on request; without them the stage says which command brings them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import MESH, RIG, SOURCE_MESH
from forge_batch.errors import BackendUnavailable
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say which rigger is used."""

    enabled: bool = Field(default=False, description="Whether this stage runs.")
    backend: Literal["unirig", "skintokens"] = Field(default="unirig", description="The learned rigger.")


def run(context: StageContext[Params]) -> Metrics:
    """Refuse: no rigger is part of this installation.

    Raises:
        BackendUnavailable: Always; the hint is the command that fetches the rigger.
    """
    backend = context.params.backend
    raise BackendUnavailable(f"the rigger {backend} is not installed", f"forge-batch vendor fetch {backend}, or write rig: off")


stage = Stage(
    name="rig",
    group="rigging",
    version=1,
    device="gpu",
    inputs=(MESH, SOURCE_MESH),
    outputs=(RIG,),
    params=Params,
    cost=lambda _: Cost(gpu=46.0),
    run=run,
    revision=lambda params: params.backend,
)
"""The stage of this module."""
