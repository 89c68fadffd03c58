"""Make a sound solid of any mess by the gentlest way that works, and say which that was."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forge_batch.ops.components import face_components
from forge_batch.ops.degenerate import drop_duplicates, drop_repeated_corners
from forge_batch.ops.exposure import find_hidden, hidden_share, lost_distance
from forge_batch.ops.holes import boundary_loops
from forge_batch.ops.manifold import drop_fins
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outer_surface import rebuild
from forge_batch.ops.solid import Solid, make_solid
from forge_batch.ops.topology import Topology, compact, find_edges
from forge_batch.ops.union import unite_parts
from forge_batch.ops.weld import weld

LOST = 0.004
"""How far the visible surface may lie from the result, 99th percentile in diagonals, before the result is not believed."""

HIDDEN = 0.04
"""Share of the surface nobody sees beyond which there must be a lining inside."""

HOLLOW = 0.02
"""The same of a surface built anew: beyond, a hole was too wide to bridge, and the inside of the shell was built as well.
Bowls, mugs, buckets and an open barrel have at most 0.005, a bunny, a duck, a blob and a cow that were cut off 0.04 to 0.10."""

CUT = 0.02
"""How far the rim of such a hole may leave its plane to be a cut, in diagonals: cuts through those have up to 0.015."""

TORN = 1 / 3
"""Share of open edges from which a surface counts as torn into single triangles."""

CELLS = (224, 384)
"""Fewest and most voxels along the longest side of a surface built anew: 384 take some 2 GB where the box is a cube."""


class Mended(NamedTuple):
    """Be the solid, how many parts were united or dropped because nobody sees them, and why it was built anew, if it was.

    Attributes:
        result: Solid or not: look at its topology.
        united: Whether overlapping parts were made one.
        hidden_parts: Parts dropped.
        rebuilt: Why the passes were not believed, or what was done instead; empty if they were.
        cells: Voxels along the longest side, if it was built anew.
    """

    result: Solid
    united: bool
    hidden_parts: int
    rebuilt: str
    cells: int


def mend(given: Mesh, weld_distance: float, perimeter: float, *, unite: bool, anew: bool) -> Mended:
    """Run the passes of `make_solid`; unite overlapping parts; build the surface anew where that does not do.

    The passes keep every vertex that they can. Their result is not believed where it is not closed, has lost a part of what
    can be seen of the given surface, or still has a lining that nobody sees. Then the outside is built anew from voxels, about
    as fine as the given triangles, and taken if it is closed, no hollow shell, and has lost less. A hollow shell comes of a
    solid that was cut off: where its rims are plane they are closed flat, however long they are.

    Args:
        given: Finite, at least one face.
        weld_distance: Vertices nearer than this are one, metres; wider where triangles are torn apart.
        perimeter: Longest rim of a hole to close, metres.
        unite: Whether overlapping parts become one and what nobody sees goes.
        anew: Whether building anew is allowed.
    """
    weld_distance = _wide_enough(given, weld_distance)
    result = make_solid(given, weld_distance, perimeter)
    hidden, united = 0, False
    if unite:
        result, hidden, united = _without_inside(result)
    gentle = Mended(result, united, hidden, "", 0)
    if not anew:
        return gentle
    reference = drop_fins(drop_duplicates(drop_repeated_corners(weld(given, weld_distance))))
    reason, lost = _doubt(result, reference, lining=unite)
    if not reason:
        return gentle
    for cells in sorted({_fineness(reference), CELLS[-1]}):
        fresh, dropped = _anew(reference, cells, perimeter)
        if not fresh.topology.closed or not len(fresh.mesh.faces):
            continue
        if unite and hidden_share(fresh.mesh) > HOLLOW:
            return _closed_flat(result, reference) or gentle  # finer voxels bridge less
        if not result.topology.closed or lost_distance(fresh.mesh, reference) <= max(LOST, lost):
            return Mended(fresh._replace(closed=result.closed), False, dropped, reason, cells)
    return gentle


def _wide_enough(given: Mesh, distance: float) -> float:
    """Widen a weld while a third of all edges stay open: the triangles were torn apart, and lie a little further apart."""
    corners = given.vertices[given.faces].astype(np.float64)
    most = 0.1 * float(np.median(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)))
    tried = distance
    while True:
        uses = find_edges(drop_repeated_corners(weld(given, tried)).faces).uses
        if (uses == 1).mean() < TORN:
            return tried
        tried *= 4
        if not 0 < tried <= most:
            return distance


def _anew(reference: Mesh, cells: int, perimeter: float) -> tuple[Solid, int]:
    """Build the outside from voxels; give it and how many hidden parts were dropped."""
    mesh = rebuild(reference, cells).mesh
    if not len(mesh.faces):
        return Solid(mesh, Topology(0, 0, 0, 0), 0, 0), 0
    solid, dropped, _ = _without_inside(make_solid(mesh, 0.0, perimeter))
    return solid, dropped


def _closed_flat(result: Solid, reference: Mesh) -> Mended | None:
    """Close what is left open flat; None where a rim is no cut, or the result is not to be believed."""
    for loop in boundary_loops(result.mesh):
        rim = result.mesh.vertices[loop].astype(np.float64)
        rim -= rim.mean(axis=0)
        across = np.linalg.svd(rim, full_matrices=False)[2][-1]
        if np.abs(rim @ across).max() > CUT * result.mesh.diagonal:
            return None
    whole, hidden, united = _without_inside(make_solid(result.mesh, 0.0, np.inf))
    reason, _ = _doubt(whole, reference, lining=True)
    solid = whole._replace(closed=result.closed + result.left)
    return None if reason else Mended(solid, united, hidden, "it was cut off, and is closed flat", 0)


def _without_inside(result: Solid) -> tuple[Solid, int, bool]:
    """Drop parts that nobody sees, and unite those that overlap."""
    if not result.topology.closed or not len(result.mesh.faces):
        return result, 0, False
    labels = face_components(result.mesh.faces)
    hidden = find_hidden(result.mesh, labels)
    mesh = compact(Mesh(result.mesh.vertices, result.mesh.faces[~hidden[labels]])) if hidden.any() else result.mesh
    whole = unite_parts(mesh)
    if whole is not None:
        made = make_solid(whole, 0.0, np.inf)
        if made.topology.closed and len(made.mesh.faces):
            return made._replace(closed=result.closed), int(hidden.sum()), True
    return result._replace(mesh=mesh), int(hidden.sum()), False


def _doubt(result: Solid, given: Mesh, *, lining: bool) -> tuple[str, float]:
    """Say why a result is not to be believed, empty if it is; and how far it lies from what can be seen of the given mesh."""
    if not len(result.mesh.faces):
        return "nothing was left that encloses a volume", np.inf
    lost = lost_distance(result.mesh, given)
    if not result.topology.closed:
        return "holes, or edges of many faces, were left", lost
    if lost > LOST:
        return f"parts of the surface were lost ({100 * lost:.1f} % of the diagonal away)", lost
    unseen = hidden_share(result.mesh) if lining else 0.0
    if unseen > HIDDEN:
        return f"{100 * unseen:.0f} % of the surface is a lining that nobody sees", lost
    return "", lost


def _fineness(given: Mesh) -> int:
    """Choose voxels about as long as the given triangles' edges."""
    corners = given.vertices[given.faces].astype(np.float64)
    edge = float(np.median(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)))
    longest = float(np.ptp(given.vertices, axis=0).max())
    return int(np.clip(longest / max(edge, 1e-30), *CELLS))
