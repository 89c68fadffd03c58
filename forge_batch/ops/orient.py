"""Wind the faces of every component alike, and outwards."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int64
from numba import njit

from forge_batch.ops.components import component_volumes
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import edge_pairs, find_edges, link


def orient_outwards(mesh: Mesh) -> Mesh:
    """Flip faces so that neighbours agree and every component encloses positive volume.

    Neighbours are faces on an edge of exactly two; across edges with more nothing is decided. Where a component cannot agree
    with itself (a Moebius band) some edges stay in conflict. Open components are judged with their boundary closed by a fan.
    Capacity: an inner shell that walls off a cavity is turned outwards too; `clean` removes such shells.
    """
    edges = find_edges(mesh.faces)
    first, second = edge_pairs(edges, edges.uses == 2)
    flat = mesh.faces.ravel()
    conflict = flat[first] == flat[second]
    flips = _agree(len(mesh.faces), first // 3, second // 3, conflict)
    faces = np.where(flips[:, None], mesh.faces[:, ::-1], mesh.faces)
    labels = link(len(faces), first // 3, second // 3)
    inwards = component_volumes(Mesh(mesh.vertices, faces), labels) < 0
    faces = np.where(inwards[labels][:, None], faces[:, ::-1], faces)
    return Mesh(mesh.vertices, np.ascontiguousarray(faces, dtype=np.int32))


def _agree(
    count: int, first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"], conflict: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " f"]:
    """Tell which faces to flip so that no pair conflicts, walking breadth first from the lowest face of each component."""
    source = np.concatenate([first, second])
    order = np.argsort(source, kind="stable")
    start = np.searchsorted(source[order], np.arange(count + 1))
    target = np.concatenate([second, first])[order]
    return np.asarray(_walk(start, target, np.concatenate([conflict, conflict])[order]))


@njit(cache=True)
@no_type_check
def _walk(start, target, conflict):
    count = len(start) - 1
    flip = np.zeros(count, np.bool_)
    seen = np.zeros(count, np.bool_)
    queue = np.empty(count, np.int64)
    for root in range(count):
        if seen[root]:
            continue
        seen[root] = True
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            face = queue[head]
            head += 1
            for i in range(start[face], start[face + 1]):
                other = target[i]
                if not seen[other]:
                    seen[other] = True
                    flip[other] = flip[face] ^ conflict[i]
                    queue[tail] = other
                    tail += 1
    return flip
