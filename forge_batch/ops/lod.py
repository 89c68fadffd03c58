"""Make coarser meshes for the same page of texture, on which no two faces share a texel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from forge_batch.ops.collapse import collapse
from forge_batch.ops.measure_atlas import count_overlap, draw_cover
from forge_batch.ops.measure_shape import Outlines, compare_outlines
from forge_batch.ops.mesh import Mesh

ERROR = 0.005
"""What a collapse may err, in diagonals, for each halving: 0.01 in a LOD of half the triangles, 0.02 in one of a quarter."""

OUTLINE = 0.006
"""How far outlines may differ from LOD0's (1 - IoU, mean of 24 views), likewise; the gates, against the source, ask 0.0075."""

TRIES = 4
"""Times that the error is halved while outlines differ by more."""

ROUNDS = 6


class Lod(NamedTuple):
    """Be a coarser mesh, and how many texels of its page lie in more than one face."""

    mesh: Mesh
    overlap: int


def build_lod(mesh: Mesh, ratio: float, gap: float, size: int, outlines: Outlines) -> Lod:
    """Coarsen a mesh to a share of its triangles, with its UVs, normals and tangents; more stay where its outlines need them.

    Args:
        mesh: With uv, normals and tangents.
        ratio: Triangles wanted, as a share.
        gap: Between charts, UV units.
        size: Edge of the page, texels.
        outlines: Of the mesh.
    """
    for turn in range(TRIES):
        made = _on_page(mesh, ratio, gap, size, ERROR * 0.5**turn / ratio)
        if 1.0 - compare_outlines(made.mesh, outlines) <= OUTLINE / ratio:
            break
    return made


def _on_page(mesh: Mesh, ratio: float, gap: float, size: int, error: float) -> Lod:
    """Coarsen a mesh so that no chart comes to lie on another.

    A coarser mesh is seen smaller, so it may move the surface and the chart borders further: charts may grow by a quarter of
    the gap for each halving, which the colours of maps reach beyond them. Where one comes to lie on another part of the page
    all the same (a chart may fold round on itself), it is held there and the mesh is coarsened anew, from the second time on
    with half the room; the room is given up for good if that does not do.
    """
    slack = gap * min(0.25 / ratio, 1.0)
    held = np.zeros(len(mesh.vertices), bool)
    known = count_overlap(mesh, size)
    for turn in range(ROUNDS):
        room = slack * 0.5 ** max(0, turn - 1) if turn < ROUNDS - 1 else 0.0
        coarse = collapse(mesh, max(4, int(ratio * len(mesh.faces))), room, error, held)
        twice = _overlap(coarse, size)
        if len(twice) <= known:
            break
        held |= _near(mesh, coarse, twice)
    return Lod(coarse, len(twice))


def _overlap(mesh: Mesh, size: int) -> Float64[np.ndarray, "n 2"]:
    """Give, in UV units, the centres of the texels that lie inside more than one face."""
    return np.asarray((np.argwhere(draw_cover(mesh, size) > 1)[:, ::-1] + 0.5) / size)


def _near(mesh: Mesh, coarse: Mesh, texels: Float64[np.ndarray, "n 2"]) -> Bool[np.ndarray, " v"]:
    """Mark the vertices of a mesh round those faces of a coarser one whose boxes hold a texel."""
    assert mesh.uv is not None
    assert coarse.uv is not None
    corners = coarse.uv[coarse.faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    found = np.zeros(len(mesh.vertices), bool)
    for texel in texels:
        for face in np.flatnonzero(((low <= texel) & (high >= texel)).all(axis=1)):
            found |= ((mesh.uv >= low[face]) & (mesh.uv <= high[face])).all(axis=1)
    return found
