"""Cut a surface apart where more than two faces meet."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, corner_fans, edge_pairs, find_edges


def drop_fins(mesh: Mesh, passes: int = 16) -> Mesh:
    """Drop faces that hang on an edge of three or more by one side and are open on another, until there are none."""
    for _ in range(passes):
        edges = find_edges(mesh.faces)
        count = edges.uses[edges.of_corner]
        fins = (count > 2).any(axis=1) & (count == 1).any(axis=1)
        if not fins.any():
            break
        mesh = compact(Mesh(mesh.vertices, mesh.faces[~fins]))
    return mesh


def split_nonmanifold(mesh: Mesh, gap: float) -> Mesh:
    """Give every fan of faces a vertex of its own, so that no edge has more than two faces and no vertex more than one fan.

    At an edge of more than two faces, those that bound one wedge of solid stay together (the faces sorted by angle around
    the edge, each paired with the next if that one faces it); what finds no partner becomes boundary. Needs faces wound
    outwards. Copies of a vertex move `gap` towards their own fan, so that welding does not join them again. Where two wedges
    share both ends of their edge by going round, a vertex is put into the edge; call again to be sure of those.
    """
    mesh = _divide_double_edges(mesh, gap)
    edges = find_edges(mesh.faces)
    first, second = edge_pairs(edges, (edges.uses == 2) & (edges.balance == 0))
    more_first, more_second = _pair_wedges(mesh, edges.of_corner, edges.uses)
    first, second = np.concatenate([first, more_first]), np.concatenate([second, more_second])
    fans = corner_fans(mesh.faces, first, second)
    where = np.unique(fans, return_index=True)[1]
    origin = mesh.faces.ravel()[where]
    if len(origin) == np.unique(origin).size:
        return mesh
    faces = fans.reshape(-1, 3)
    vertices = mesh.vertices[origin]
    copies = np.bincount(origin, minlength=len(mesh.vertices))[origin] > 1
    middle = np.zeros((len(origin), 3))
    np.add.at(middle, faces.ravel(), np.repeat(vertices[faces].mean(axis=1), 3, axis=0))
    middle /= np.bincount(faces.ravel(), minlength=len(origin))[:, None]
    away = middle - vertices
    length = np.linalg.norm(away, axis=1, keepdims=True)
    moved = vertices + away / np.maximum(length, 1e-30) * np.minimum(gap, 0.5 * length)
    vertices = np.where(copies[:, None], moved, vertices).astype(np.float32)
    return Mesh(vertices, np.ascontiguousarray(faces, dtype=np.int32))


def _divide_double_edges(mesh: Mesh, gap: float) -> Mesh:
    """Put a vertex into the edge of every wedge that cutting alone does not separate from the others at its edge."""
    edges = find_edges(mesh.faces)
    first, second = edge_pairs(edges, (edges.uses == 2) & (edges.balance == 0))
    one, two = _pair_wedges(mesh, edges.of_corner, edges.uses)
    fans = corner_fans(mesh.faces, np.concatenate([first, one]), np.concatenate([second, two]))
    after = np.arange(mesh.faces.size).reshape(-1, 3)[:, [1, 2, 0]].ravel()
    ends = np.sort(np.stack([fans[one], fans[after[one]]], axis=1), axis=1)
    _, group, size = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    faces = mesh.faces.tolist()
    extra: list[np.ndarray] = []
    changed: set[int] = set()
    points = mesh.vertices.astype(np.float64)
    for i in np.flatnonzero(size[group.ravel()] > 1):
        halves = (int(one[i]), int(two[i]))
        if changed.intersection(h // 3 for h in halves):
            continue
        tips = [int(mesh.faces[h // 3, (h % 3 + 2) % 3]) for h in halves]
        a, b = int(mesh.faces.ravel()[halves[0]]), int(mesh.faces.ravel()[after[halves[0]]])
        middle = 0.5 * (points[a] + points[b])
        away = points[tips].mean(axis=0) - middle
        length = float(np.linalg.norm(away))
        extra.append(middle + away / max(length, 1e-30) * min(gap, 0.5 * length))
        new = len(points) + len(extra) - 1
        for h, tip in zip(halves, tips, strict=True):
            start, stop = int(mesh.faces.ravel()[h]), int(mesh.faces.ravel()[after[h]])
            faces[h // 3] = [start, new, tip]
            faces.append([new, stop, tip])
            changed.add(h // 3)
    if not extra:
        return mesh
    return Mesh(np.concatenate([mesh.vertices, np.array(extra, np.float32)]), np.array(faces, dtype=np.int32))


def _pair_wedges(
    mesh: Mesh, of_corner: np.ndarray, count: np.ndarray
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Pair the half-edges at edges of more than two faces by the wedge of solid they bound."""
    flat = of_corner.ravel()
    halves = np.flatnonzero((count > 2)[flat])
    halves = halves[np.argsort(flat[halves], kind="stable")]
    groups = np.split(halves, np.flatnonzero(np.diff(flat[halves])) + 1) if len(halves) else []
    points = mesh.vertices.astype(np.float64)
    corner = mesh.faces.ravel()
    pairs: list[tuple[int, int]] = []
    for group in groups:
        start = corner[group]
        stop = mesh.faces[group // 3, (group % 3 + 1) % 3]
        tip = mesh.faces[group // 3, (group % 3 + 2) % 3]
        low, high = min(start[0], stop[0]), max(start[0], stop[0])
        axis = points[high] - points[low]
        axis /= max(float(np.linalg.norm(axis)), 1e-30)
        arm = points[tip] - points[low]
        arm -= np.outer(arm @ axis, axis)
        side = arm[0] / max(float(np.linalg.norm(arm[0])), 1e-30)
        angle = np.arctan2(arm @ np.cross(axis, side), arm @ side)
        # Counter-clockwise about low -> high, solid follows a face that runs from high to low.
        opens = start == high
        order = np.argsort(angle, kind="stable")
        left = [int(i) for i in order]
        k = 0
        while len(left) > 1 and k < len(left):
            one, two = left[k], left[(k + 1) % len(left)]
            if opens[one] and not opens[two]:
                pairs.append((int(group[one]), int(group[two])))
                left = [i for i in left if i not in (one, two)]
                k = 0
            else:
                k += 1
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
