"""Do the collapses of one pass, in compiled loops; what they mean stands in ops.collapse.

Arrays: `faces` (f, 3) of wedges, the place that each wedge belongs to, its point and its uv in metres; `start` and `order` list
the faces around each place, `ends` the two places of each edge.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

UV_WEIGHT = 0.5
"""What a metre of slide along the texture counts, against a metre off the surface."""

FLAT = 0.25
"""Least cosine between a face's normal before and after."""

MOST_WEDGES = 8
"""Wedges of a position beyond which it never moves."""


@njit(cache=True)
@no_type_check
def _cost(quadric, point, uv):
    x = np.empty(6)
    x[:3] = point
    x[3:5] = UV_WEIGHT * uv
    x[5] = 1.0
    total = 0.0
    for i in range(6):
        for j in range(6):
            total += x[i] * quadric[i, j] * x[j]
    return total


@njit(cache=True)
@no_type_check
def _find(values, count, value):
    for i in range(count):
        if values[i] == value:
            return i
    return -1


@njit(cache=True)
@no_type_check
def _at(face, place, position):
    """Give the wedge of a face at a position, or -1."""
    for k in range(3):
        if place[face[k]] == position:
            return face[k]
    return -1


@njit(cache=True)
@no_type_check
def _targets(gone, keep, faces, place, start, order, wedge, target):
    """List the wedges at `gone` and the wedge at `keep` each goes to, -1 if none; -1 if there is more than one for some."""
    n = 0
    for i in range(start[gone], start[gone + 1]):
        face = faces[order[i]]
        w, x = _at(face, place, gone), _at(face, place, keep)
        where = _find(wedge, n, w)
        if where < 0:
            if n == len(wedge):
                return -1
            wedge[n], target[n] = w, -1
            where = n
            n += 1
        if x >= 0:
            if target[where] >= 0 and target[where] != x:
                return -1
            target[where] = x
    return n


@njit(cache=True)
@no_type_check
def _worsens(p, q, s, t, smallest):
    """Tell whether a face that goes from p, s (space, texture) to q, t turns over or becomes too small or thin."""
    a = np.cross(p[1] - p[0], p[2] - p[0])
    b = np.cross(q[1] - q[0], q[2] - q[0])
    la, lb = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    if lb < 2 * smallest or (a * b).sum() < FLAT * la * lb:
        return True
    longest = max(((q[1] - q[0]) ** 2).sum(), ((q[2] - q[1]) ** 2).sum(), ((q[0] - q[2]) ** 2).sum())
    if lb < 0.01 * longest and lb < 0.5 * la:
        return True
    u0 = (s[1, 0] - s[0, 0]) * (s[2, 1] - s[0, 1]) - (s[1, 1] - s[0, 1]) * (s[2, 0] - s[0, 0])
    u1 = (t[1, 0] - t[0, 0]) * (t[2, 1] - t[0, 1]) - (t[1, 1] - t[0, 1]) * (t[2, 0] - t[0, 0])
    return u0 * u1 <= 0 or abs(u1) < 0.1 * lb


@njit(cache=True)
@no_type_check
def _keeps_shape(gone, keep, there, faces, place, points, uv, start, order, wedge, target, n, smallest):
    """Tell whether no face round `gone` that stays turns over, in space or in the texture, or becomes too small."""
    for i in range(start[gone], start[gone + 1]):
        old = faces[order[i]]
        if _at(old, place, keep) >= 0:
            continue
        p, s = points[old], uv[old]
        q, t = p.copy(), s.copy()
        for k in range(3):
            if place[old[k]] == gone:
                q[k] = there
                to = target[_find(wedge, n, old[k])]
                if to >= 0:
                    t[k] = uv[to]
        if _worsens(p, q, s, t, smallest):
            return False
    return True


@njit(cache=True)
@no_type_check
def _shared(a, b, faces, place, start, order, mark, stamp):
    """Count the positions next to both `a` and `b`."""
    for i in range(start[a], start[a + 1]):
        for k in range(3):
            mark[place[faces[order[i], k]]] = stamp
    count = 0
    for i in range(start[b], start[b + 1]):
        for k in range(3):
            v = place[faces[order[i], k]]
            if mark[v] == stamp:
                mark[v] = -stamp
                if v not in (a, b):
                    count += 1
    return count


@njit(cache=True)
@no_type_check
def _segment_distance(point, a, b):
    d, e = b - a, point - a
    length = (d * d).sum()
    along = min(max((d * e).sum() / length, 0.0), 1.0) if length > 0 else 0.0
    off = e - along * d
    return np.sqrt((off * off).sum())


@njit(cache=True)
@no_type_check
def _border_shift(gone, keep, faces, place, uv, ends_of, wedge, target, n, moved):
    """Give how far charts at `gone` will have grown beyond their borders in the texture when it goes to `keep` along a seam."""
    worst = 0.0
    for other in ends_of[gone]:
        if other < 0 or other == keep:
            continue
        for i in range(len(faces)):
            w, z = _at(faces[i], place, gone), _at(faces[i], place, other)
            t = target[_find(wedge, n, w)]
            if z < 0 or t < 0:
                continue
            third = faces[i, 0] + faces[i, 1] + faces[i, 2] - w - z
            if _turn(uv[w], uv[z], uv[third]) * _turn(uv[t], uv[z], uv[w]) > 0:  # a corner that goes makes a chart smaller
                worst = max(worst, moved[w] + _segment_distance(uv[w], uv[t], uv[z]))
    return worst


@njit(cache=True)
@no_type_check
def _turn(a, b, c):
    """Give twice the signed area of a triangle."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@njit(cache=True)
@no_type_check
def _costs(faces, place, points, uv, quadrics, ends, seam, locked, start, order, ends_of):
    """Give the cost of every half-edge collapse, infinite where there is none."""
    wedge, target = np.empty(MOST_WEDGES, np.int64), np.empty(MOST_WEDGES, np.int64)
    cost = np.full(2 * len(ends), np.inf)
    for c in range(2 * len(ends)):
        gone, keep = ends[c // 2, c % 2], ends[c // 2, 1 - c % 2]
        if locked[gone] or (ends_of[gone, 0] >= 0 and not seam[c // 2]):
            continue
        n = _targets(gone, keep, faces, place, start, order, wedge, target)
        if n > 0:
            cost[c], there = 0.0, points[target[:n].max()]
            for m in range(n):
                cost[c] += _cost(quadrics[wedge[m]], there, uv[target[m] if target[m] >= 0 else wedge[m]])
    return cost


@njit(cache=True)
@no_type_check
def _seam_ends(count, ends, seam):
    """List the positions that seams lead to from every position; -1 where there are no more."""
    ends_of = np.full((count, MOST_WEDGES), -1)
    filled = np.zeros(count, np.int64)
    for e in range(len(ends)):
        if seam[e]:
            for k in range(2):
                p = ends[e, k]
                if filled[p] < MOST_WEDGES:
                    ends_of[p, filled[p]] = ends[e, 1 - k]
                filled[p] += 1
    return ends_of


@njit(cache=True)
@no_type_check
def run_pass(
    faces, place, points, uv, quadrics, weights, ends, seam, locked, start, order, moved, slack, smallest, error, most
):
    """Do up to `most` collapses that do not touch one another, cheapest first; give how many and where each wedge went."""
    count = len(start) - 1
    merged = np.arange(len(place))
    ends_of = _seam_ends(count, ends, seam)
    cost = _costs(faces, place, points, uv, quadrics, ends, seam, locked, start, order, ends_of)
    wedge, target = np.empty(MOST_WEDGES, np.int64), np.empty(MOST_WEDGES, np.int64)
    touched = np.zeros(count, np.bool_)
    mark = np.zeros(count, np.int64)
    done = 0
    for rank, c in enumerate(np.argsort(cost)):
        if done >= most or not np.isfinite(cost[c]):
            break
        gone, keep = ends[c // 2, c % 2], ends[c // 2, 1 - c % 2]
        if touched[gone] or touched[keep]:
            continue
        n = _targets(gone, keep, faces, place, start, order, wedge, target)
        there = points[target[:n].max()].copy()
        ring = faces[order[start[gone] : start[gone + 1]]]
        shift = _border_shift(gone, keep, ring, place, uv, ends_of, wedge, target, n, moved)
        if (
            shift > slack
            or cost[c] > error * error * weights[wedge[:n]].sum()
            or not _keeps_shape(gone, keep, there, faces, place, points, uv, start, order, wedge, target, n, smallest)
            or _shared(gone, keep, faces, place, start, order, mark, rank + 1) != 2
        ):
            continue
        for m in range(n):
            if target[m] < 0:
                points[wedge[m]] = there
                place[wedge[m]] = keep
                continue
            merged[wedge[m]] = target[m]
            moved[target[m]] = max(moved[target[m]], shift)
            quadrics[target[m]] += quadrics[wedge[m]]
            weights[target[m]] += weights[wedge[m]]
        for p in (gone, keep):
            for i in range(start[p], start[p + 1]):
                for k in range(3):
                    touched[place[faces[order[i], k]]] = True
        done += 1
    return done, merged
