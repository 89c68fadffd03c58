"""Make a closed, manifold, outward surface of a mess, in one order of passes."""

from __future__ import annotations

from typing import NamedTuple

from forge_batch.ops.components import drop_flat_components
from forge_batch.ops.degenerate import collapse_slivers, drop_duplicates, drop_repeated_corners
from forge_batch.ops.holes import close_holes
from forge_batch.ops.manifold import drop_fins, split_nonmanifold
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.orient import orient_outwards
from forge_batch.ops.topology import Topology, measure_topology
from forge_batch.ops.weld import weld

GAP = 2e-5
"""How far copies of a split vertex move apart, in diagonals: far above float32's step, far below a texel."""

ROUNDS = 6

SLIVER = 2e-10
"""Smallest face area worth keeping, in squared diagonals; the gate asks for 1e-10."""


class Solid(NamedTuple):
    """Be the mesh, what is still wrong with it, and how many holes were closed and left."""

    mesh: Mesh
    topology: Topology
    closed: int
    left: int


def make_solid(mesh: Mesh, weld_distance: float, perimeter: float) -> Solid:
    """Weld, drop what covers nothing, wind outwards, cut apart what is not manifold, close holes, wind again.

    Up to ROUNDS rounds: closing a hole can touch what the cut left. Winding stands before the cut, because the cut asks
    which faces bound the same solid; and again after it, because the cut decides which faces are neighbours.

    Args:
        mesh: Anything; attributes are dropped.
        weld_distance: Vertices nearer than this are one, metres.
        perimeter: Longest rim of a hole to close, metres; 0 leaves all open, and open sheets are then kept.
    """
    mesh = drop_duplicates(drop_repeated_corners(weld(mesh, weld_distance)))
    diagonal = mesh.diagonal
    closed, left = 0, 0
    for _ in range(ROUNDS):
        topology = measure_topology(mesh.faces)
        if any(topology[:2]) or topology.nonmanifold_vertices:
            mesh = orient_outwards(drop_fins(mesh))
            mesh = split_nonmanifold(mesh, GAP * diagonal)
        mesh = orient_outwards(mesh)
        if perimeter > 0 and any(topology):
            result = close_holes(mesh, perimeter)
            mesh, left = result.mesh, result.left
            closed += result.closed
        if perimeter > 0:
            mesh = drop_flat_components(mesh)
        mesh = drop_duplicates(collapse_slivers(mesh, SLIVER * diagonal**2))
        topology = measure_topology(mesh.faces)
        if topology.closed or (perimeter == 0 and not any(topology[1:])):
            break
    return Solid(mesh, topology, closed, left)
