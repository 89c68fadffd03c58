"""Build a closed surface round any set of triangles, by voxels: the last resort where nothing else closes it."""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool
from numba import njit
from scipy import ndimage

from forge_batch.ops.iso_surface import iso_surface
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.nearest import FaceTree
from forge_batch.ops.smooth import relax
from forge_batch.ops.visual_hull import Grid

SHELL = 0.75
"""Cells within which a node belongs to the surface. From half a cell on, no path of nodes slips through an unbroken surface."""

REACH = 1.75
"""Cells to which distances are known."""

SKIN = 0.15
"""Cells by which the result stays outside: what was a bare sheet becomes a plate 0.3 cells thick instead of nothing."""

GAPS = (1, 2, 4, 7, 11)
"""Closing radii that are tried where the surface has holes, in cells: holes up to twice as wide are bridged."""

LEAK = 0.03
"""Share of the solid that pockets must have to be taken for its inside behind a hole, and of them that may stay open."""


class Rebuilt(NamedTuple):
    """Be the new surface, the edge of a cell in metres, and the closing radius in cells."""

    mesh: Mesh
    cell: float
    gap: int


def rebuild(mesh: Mesh, cells: int) -> Rebuilt:
    """Give the outside of a set of triangles: closed, manifold, wound outwards, without anything inside.

    Winding, connections and holes of the input play no part. The nodes that can be reached from afar without coming near a
    triangle are outside; the boundary of all others is triangulated and drawn back onto the triangles, so that edges stay
    sharp to about a cell. Holes are bridged by the smallest closing radius of `GAPS` that shuts off the spaces behind them.

    Args:
        mesh: Any triangles, finite.
        cells: Along the longest side. Memory is 10 bytes a cell of the box; 256 take about 2 s.
    """
    low, high = mesh.bounds.astype(np.float64)
    step = float((high - low).max()) / cells
    margin = GAPS[-1] + 4
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / step).astype(int) + 2 * margin + 1)
    grid = Grid(low - margin * step, step, (nx, ny, nz))
    distance = np.full(grid.shape, np.float32(REACH))
    _spread((mesh.vertices.astype(np.float64) - grid.origin) / step, mesh.faces, distance, REACH)
    near = distance <= SHELL
    outside, gap = _outside(near)
    field = np.where(outside | near, np.float32(SHELL) - distance, np.float32(0.5))
    surface = iso_surface(np.asarray(step * field, np.float32), grid)
    return Rebuilt(_drawn(surface, mesh, step), step, gap)


def _outside(near: Bool[np.ndarray, "x y z"]) -> tuple[Bool[np.ndarray, "x y z"], int]:
    """Tell which nodes lie outside, and the closing radius that it took.

    A pocket is what a closing of some radius cuts off although a ball of that radius fits into it: the inside behind a hole.
    The space between two legs is none: what a closing takes of it is narrower than the ball.
    """
    open_air = _reached(near)
    pockets = np.zeros(near.shape, bool)
    closings = {}
    for gap in GAPS:
        blocked = ndimage.binary_dilation(near, iterations=gap)
        afar = _reached(blocked)
        pockets |= open_air & ~blocked & ~afar
        closings[gap] = np.packbits(ndimage.binary_dilation(afar, iterations=gap, mask=~near))
    total = int(pockets.sum())
    if total <= LEAK * (total + int((~open_air).sum())):
        return open_air, 0
    for gap in GAPS:
        outside = np.unpackbits(closings[gap], count=near.size).astype(bool).reshape(near.shape)
        if int((outside & pockets).sum()) <= LEAK * total:
            break
    return outside, gap


def _reached(blocked: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Tell which nodes a path along the grid leads to from its border."""
    reached = np.zeros(blocked.shape, bool)
    reached[0] = True
    _flood(reached, blocked)
    return reached


def _drawn(surface: Mesh, onto: Mesh, step: float) -> Mesh:
    """Draw vertices onto the triangles where those are near; smooth the others, which bridge holes; fold nothing over."""
    if not len(surface.faces):
        return surface
    start = surface.vertices.astype(np.float64)
    face, weights, distance = FaceTree(onto.vertices, onto.faces).nearest(start)
    goal = np.einsum("nk,nkc->nc", weights.astype(np.float64), onto.vertices.astype(np.float64)[onto.faces[face]])
    bridge = distance > 1.6 * SHELL * step
    length = np.maximum(distance.astype(np.float64), 1e-30)[:, None]
    goal += (start - goal) / length * np.minimum(SKIN * step, length)
    goal[bridge] = start[bridge]
    share = np.ones(len(start))
    before = _normals(start, surface.faces)
    for _ in range(4):
        points = start + share[:, None] * (goal - start)
        turned = np.einsum("fc,fc->f", _normals(points, surface.faces), before) < 0
        if not turned.any():
            break
        share[np.unique(surface.faces[turned])] *= 0.5
    points = start + share[:, None] * (goal - start)
    return (
        relax(Mesh(points.astype(np.float32), surface.faces), bridge, 20)
        if bridge.any()
        else Mesh(points.astype(np.float32), surface.faces)
    )


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


@njit(cache=True)
@no_type_check
def _flood(outside, blocked):  # pragma: no cover - compiled
    """Carry `outside` through nodes that are not blocked, in sweeps to and fro, until nothing changes."""
    nx, ny, nz = outside.shape
    changed = True
    while changed:
        changed = False
        for turn in range(2):
            for i in range(nx):
                x = i if turn == 0 else nx - 1 - i
                for j in range(ny):
                    y = j if turn == 0 else ny - 1 - j
                    for k in range(nz):
                        z = k if turn == 0 else nz - 1 - k
                        if outside[x, y, z] or blocked[x, y, z]:
                            continue
                        if (
                            (x > 0 and outside[x - 1, y, z])
                            or (x < nx - 1 and outside[x + 1, y, z])
                            or (y > 0 and outside[x, y - 1, z])
                            or (y < ny - 1 and outside[x, y + 1, z])
                            or (z > 0 and outside[x, y, z - 1])
                            or (z < nz - 1 and outside[x, y, z + 1])
                        ):
                            outside[x, y, z] = True
                            changed = True


@njit(cache=True)
@no_type_check
def _spread(points, faces, distance, reach):  # pragma: no cover - compiled
    """Write each node's distance to the nearest triangle, where it is under `reach`; everything in cells.

    A triangle is walked along the two axes its normal is farthest from; along the third only the nodes near its plane count.
    """
    shape = distance.shape
    axis = np.empty(3, np.int64)
    node = np.empty(3)
    for f in range(len(faces)):
        a, b, c = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        normal = np.cross(b - a, c - a)
        length = np.sqrt((normal * normal).sum())
        if length < 1e-12:
            continue
        normal = normal / length
        axis[2] = np.argmax(np.abs(normal))
        axis[0], axis[1] = (axis[2] + 1) % 3, (axis[2] + 2) % 3
        low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        slack = reach / abs(normal[axis[2]])
        level = (normal * a).sum()
        for i in range(max(0, int(np.ceil(low[axis[0]] - reach))), min(shape[axis[0]] - 1, int(high[axis[0]] + reach)) + 1):
            for j in range(max(0, int(np.ceil(low[axis[1]] - reach))), min(shape[axis[1]] - 1, int(high[axis[1]] + reach)) + 1):
                middle = (level - normal[axis[0]] * i - normal[axis[1]] * j) / normal[axis[2]]
                first = max(middle - slack, low[axis[2]] - reach)
                last = min(middle + slack, high[axis[2]] + reach)
                for k in range(max(0, int(np.ceil(first))), min(shape[axis[2]] - 1, int(np.floor(last))) + 1):
                    node[axis[0]], node[axis[1]], node[axis[2]] = i, j, k
                    x, y, z = int(node[0]), int(node[1]), int(node[2])
                    if abs((normal * node).sum() - level) < distance[x, y, z]:
                        found = _to_triangle(node, a, b, c)
                        distance[x, y, z] = min(distance[x, y, z], found)


@njit(cache=True)
@no_type_check
def _to_triangle(p, a, b, c):  # pragma: no cover - compiled
    """Give the distance from a point to a triangle (Ericson, Real-Time Collision Detection, 5.1.5)."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = (ab * ap).sum(), (ac * ap).sum()
    bp = p - b
    d3, d4 = (ab * bp).sum(), (ac * bp).sum()
    cp = p - c
    d5, d6 = (ab * cp).sum(), (ac * cp).sum()
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    if d1 <= 0 and d2 <= 0:
        q = ap
    elif d3 >= 0 and d4 <= d3:
        q = bp
    elif d6 >= 0 and d5 <= d6:
        q = cp
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        q = ap - ab * (d1 / (d1 - d3))
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        q = ap - ac * (d2 / (d2 - d6))
    elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        q = bp - (c - b) * ((d4 - d3) / ((d4 - d3) + (d5 - d6)))
    else:
        total = 1.0 / (va + vb + vc)
        q = ap - ab * (vb * total) - ac * (vc * total)
    return np.sqrt((q * q).sum())
