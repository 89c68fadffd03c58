"""Measure a skeleton and its skin as an engine will use them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig
from forge_batch.ops.walk import follow, walk_pose

WALKS = ("upperarm_l", "upperarm_r", "thigh_l", "thigh_r", "calf_l", "calf_r")
"""Joints without which there is no walk to try."""
PHASES = (0.25, 0.75)
SUM = 1e-4


class RigFacts(NamedTuple):
    """Be what was measured.

    Attributes:
        joints: How many there are.
        unbound: Vertices whose weights are not finite, negative, or do not sum to 1 within SUM.
        influences: Most joints that move one vertex.
        leaves: Joints that move nothing and carry no other: what some exporters add at the ends of chains.
        stretch: How many times longer an edge becomes in a walk, 99th percentile; None for what has no legs and arms.
        roots: Joints without a parent; engines take one.
    """

    joints: int
    unbound: int
    influences: int
    leaves: int
    stretch: float | None
    roots: int


def measure_rig(rig: Rig, mesh: Mesh) -> RigFacts:
    """Measure a rig with the Mannequin's names on the mesh that its weights belong to."""
    sums = rig.weights.astype(np.float64).sum(axis=1)
    sound = np.isfinite(sums) & (rig.weights >= 0).all(axis=1) & (np.abs(sums - 1.0) <= SUM)
    moving = np.zeros(len(rig.names), np.bool_)
    moving[rig.influences[rig.weights > 0]] = True
    carrying = np.isin(np.arange(len(rig.names)), rig.parents)
    stretch = None
    if set(WALKS) <= set(rig.names) and sound.all():
        stretch = max(follow(rig, mesh, walk_pose(rig, phase)).stretch for phase in PHASES)
    return RigFacts(
        len(rig.names),
        int((~sound).sum()) + abs(len(mesh.vertices) - len(rig.weights)),
        int((rig.weights > 0).sum(axis=1).max(initial=0)),
        int((~moving & ~carrying).sum()),
        stretch,
        int((rig.parents < 0).sum()),
    )
