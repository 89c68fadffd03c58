"""Smooth noise without shrinking."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from scipy.sparse import coo_matrix, csr_matrix, diags_array

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import Edges, edge_pairs, find_edges

SHRINK, GROW = 0.5, -0.53
"""Taubin's lambda and mu: pass band 0.11, as in his paper's figures."""


TURN, STAIRS = 25.0, 0.15
"""Share of edges that turn by more than so many degrees from which they are stairs. Iso surfaces of smooth fields have at most
0.06, a ball of cubes 0.25, voxels with noise 0.3 to 0.4."""

FINE = 0.015
"""Longest median edge of stairs, in diagonals: where the mesh is coarser, edges turn because it is."""

REACH = 0.5
"""Farthest that a vertex of stairs may be moved, in median edges: half a voxel."""


def smooth(mesh: Mesh, iterations: int, reach: float = np.inf) -> Mesh:
    """Smooth by Taubin's lambda-mu filter (1995) with uniform weights; boundary vertices stay where they are.

    The volume stays within about a percent for a few dozen iterations; edges sharper than the mesh spacing are rounded, and
    what sticks out alone sinks in.

    Args:
        mesh: Manifold.
        iterations: Rounds.
        reach: Farthest that a vertex ends from where it was, in median edges: beyond, it is drawn back.
    """
    if iterations == 0:
        return mesh
    average, edges = _average(mesh)
    start = mesh.vertices.astype(np.float64)
    loose = np.ones((len(mesh.vertices), 1))
    loose[np.unique(edges.ends[edges.uses == 1])] = 0.0
    points = start
    for _ in range(iterations):
        for factor in (SHRINK, GROW):
            points = points + factor * loose * (average @ points - points)
    moved = points - start
    most = reach * median_edge(start, edges)
    points = start + moved * np.minimum(1.0, most / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-30))
    return Mesh(points.astype(np.float32), mesh.faces)


def has_stairs(mesh: Mesh) -> bool:
    """Tell whether a surface has the stairs of voxels, or noise as strong: its edges are short, and many turn by much."""
    edges = find_edges(mesh.faces)
    first, second = edge_pairs(edges, edges.uses == 2)
    points = mesh.vertices.astype(np.float64)
    if not len(first) or median_edge(points, edges) > FINE * mesh.diagonal:
        return False
    corners = points[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    cosine = np.einsum("nk,nk->n", normal[first // 3], normal[second // 3])
    return bool((cosine < np.cos(np.radians(TURN))).mean() > STAIRS)


def median_edge(points: Float64[np.ndarray, "v 3"], edges: Edges) -> float:
    """Give the median length of edges, metres."""
    return float(np.median(np.linalg.norm(points[edges.ends[:, 1]] - points[edges.ends[:, 0]], axis=1)))


def relax(mesh: Mesh, chosen: Bool[np.ndarray, " v"], rounds: int) -> Mesh:
    """Move the chosen vertices to the middle of their neighbours, round by round: they come to span what the others frame."""
    average, _ = _average(mesh)
    points = mesh.vertices.astype(np.float64)
    rows = average[np.flatnonzero(chosen)]
    for _ in range(rounds):
        points[chosen] = rows @ points
    return Mesh(points.astype(np.float32), mesh.faces)


def _average(mesh: Mesh) -> tuple[csr_matrix, Edges]:
    """Give the matrix that puts every vertex in the middle of its neighbours, and the edges."""
    edges = find_edges(mesh.faces)
    a, b = edges.ends.T
    n = len(mesh.vertices)
    graph = coo_matrix((np.ones(2 * len(a)), (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(n, n)).tocsr()
    return csr_matrix(diags_array(1.0 / np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1.0)) @ graph), edges
