"""Approximate a solid by convex hulls."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import manifold3d
import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

from forge_batch.errors import StageError
from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import signed_volume

LEAST = 20
"""Triangles that hulls may always have, however few LOD0 has: one hull of twelve vertices, rounder than a box."""

PER_HULL = 16
"""Triangles of a hull of ten vertices: fewer stand for little but a box."""


class Hulls(NamedTuple):
    """Be convex, closed, outward meshes, and why they are not a decomposition (empty if they are)."""

    hulls: list[Mesh]
    fallback: str


def convex_hull(points: Float[np.ndarray, "n 3"], most: int) -> Mesh:
    """Give the convex hull of points with at most `most` vertices.

    With more, vertices are chosen one by one, each the farthest outside the hull so far, from the six extremes on; the result
    is then blown up about its middle to the volume of the true hull, so that it neither sinks in nor stands out on average (32
    vertices chosen from a barrel hold 0.87 of it). Points in one plane are given a thickness of a thousandth of their extent.
    """
    points = _thick(points.astype(np.float64))
    hull = ConvexHull(points)
    if len(hull.vertices) > most:
        rim = points[np.sort(hull.vertices)]
        chosen = sorted({int(f(rim[:, k])) for k in range(3) for f in (np.argmin, np.argmax)})
        chosen += _off_plane(rim, chosen)
        while len(chosen) < most:
            planes = ConvexHull(rim[chosen]).equations
            outside = (rim @ planes[:, :3].T + planes[:, 3]).max(axis=1)
            chosen.append(int(np.argmax(outside)))
        full, points = hull.volume, rim[chosen]
        middle = points.mean(axis=0)
        points = middle + (points - middle) * np.cbrt(full / ConvexHull(points).volume)
        hull = ConvexHull(points)
    used, index = np.unique(hull.simplices, return_inverse=True)
    faces = index.reshape(-1, 3).astype(np.int32)
    vertices = points[used].astype(np.float32)
    corners = vertices.astype(np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inwards = np.einsum("ij,ij->i", normal, hull.equations[:, :3]) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return Mesh(vertices, faces)


def box_hull(mesh: Mesh) -> Mesh:
    """Give the axis-aligned box of a mesh."""
    corners = mesh.bounds
    x, y, z = np.meshgrid(*corners.T, indexing="ij")
    return convex_hull(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1), 8)


def capsule_hull(mesh: Mesh, most: int) -> Mesh:
    """Give a capsule of at most `most` vertices (14 at least have two rings a cap) along the longest side of a mesh's box.

    It is as long as that side and as thick as the other two on average; a thicker than long thing gets a ball.
    """
    low, high = mesh.bounds.astype(np.float64)
    extent, middle = high - low, 0.5 * (low + high)
    axis = int(np.argmax(extent))
    radius = 0.25 * float(extent.sum() - extent[axis])
    straight = max(0.5 * float(extent[axis]) - radius, 0.0)
    rings = (0.0, np.pi / 4) if most >= 14 else (0.0,)
    count = max((most - 2) // (2 * len(rings)), 3)
    around = 2 * np.pi * np.arange(count) / count
    points = []
    for side in (-1.0, 1.0):
        for angle in rings:
            ring = np.full((count, 3), side * (straight + radius * np.sin(angle)))
            ring[:, 1], ring[:, 2] = radius * np.cos(angle) * np.cos(around), radius * np.cos(angle) * np.sin(around)
            points.append(ring)
        points.append(np.array([[side * (straight + radius), 0.0, 0.0]]))
    return convex_hull(np.roll(np.concatenate(points), axis, axis=1) + middle, most)


def triangle_budget(wanted: int | None, triangles: int) -> int:
    """Give how many triangles all hulls together may have: what is wanted, or less than 1 % of LOD0's, and `LEAST`."""
    return max(LEAST, (triangles - 1) // 100) if wanted is None else wanted


def share_out(vertices: list[int], most: int, triangles: int) -> list[int]:
    """Cut the vertices of hulls to one level, the highest of at most `most` at which they fit a triangle budget.

    A hull of v vertices has at most 2 v - 4 triangles. The level never falls below 4, a tetrahedron.
    """
    for level in range(most, 4, -1):
        cut = [min(count, level) for count in vertices]
        if sum(2 * count - 4 for count in cut) <= triangles:
            return cut
    return [4] * len(vertices)


def decompose(mesh: Mesh, most: int, vertices: int, seed: int, *, folder: Path, timeout: float, triangles: int = 4000) -> Hulls:
    """Split into at most `most` hulls of at most `vertices` vertices each with CoACD, in a child process.

    All hulls together have at most `triangles`: there are no more than leave ten vertices to each, and the vertices of the
    largest are cut first.
    Reduced options (threshold 0.1, resolution 1000, tree search 60/10/2): 9 CPU seconds for 10,000 faces where the defaults
    take 74, at 3 % more hull volume. Where CoACD hangs or crashes, one convex hull of everything.
    """
    options = {"most": min(most, max(1, triangles // PER_HULL)), "seed": seed}
    whole = min(vertices, triangles // 2 + 2)
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
    try:
        made, facts = call("forge_batch.ops.coacd_parts:find_parts", arrays, options, folder=folder, timeout=timeout)
        parts = [made[f"{i:03}"] for i in range(facts["count"])]
        needed = [len(convex_hull(part, len(part) + 8).vertices) for part in parts]
        hulls = [convex_hull(part, few) for part, few in zip(parts, share_out(needed, vertices, triangles), strict=True)]
    except (ChildFailedError, QhullError) as failure:
        return Hulls([convex_hull(mesh.vertices, whole)], str(failure).splitlines()[0])
    if not hulls:
        return Hulls([convex_hull(mesh.vertices, whole)], "the decomposition is empty")
    if (total := sum(len(hull.faces) for hull in hulls)) > triangles:  # parts that lie apart are never merged
        return Hulls([convex_hull(mesh.vertices, whole)], f"{len(hulls)} parts need {total} triangles, {triangles} are allowed")
    return Hulls(hulls, "")


def volume_ratio(hulls: list[Mesh], mesh: Mesh) -> float:
    """Give the volume of the hulls' union (manifold3d) over the mesh's.

    Raises:
        StageError: The mesh encloses nothing.
    """
    volume = signed_volume(mesh)
    if volume <= 0:
        raise StageError(f"the mesh encloses {volume:g} cubic metres", "collision needs a closed mesh: run repair before it")
    solids = [manifold3d.Manifold.hull_points(hull.vertices.astype(np.float64)) for hull in hulls]
    union = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    return float(union.volume()) / volume


def _thick(points: np.ndarray) -> np.ndarray:
    """Give points in one plane or line a thickness, along the directions they lack."""
    middle = points.mean(axis=0)
    directions = np.linalg.svd(points - middle, full_matrices=False)[2]
    extent = np.ptp((points - middle) @ directions.T, axis=0)
    least = 1e-3 * max(float(extent.max()), 1e-9)
    for k in np.flatnonzero(extent < 1e-3 * least):
        points = np.concatenate([points - 0.5 * least * directions[k], points + 0.5 * least * directions[k]])
    return points


def _off_plane(rim: np.ndarray, chosen: list[int]) -> list[int]:
    """Give the points that make a first simplex of the extremes: the farthest from their plane, on both sides."""
    middle = rim[chosen].mean(axis=0)
    normal = np.linalg.svd(rim[chosen] - middle, full_matrices=False)[2][-1]
    height = (rim - middle) @ normal
    return [i for i in dict.fromkeys([int(np.argmin(height)), int(np.argmax(height))]) if i not in chosen]
