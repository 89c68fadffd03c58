"""Join charts along their borders for as long as the whole can be laid flat: fewer seams, and less stretch.

Bottom up, as PartUV (Wang et al. 2025) merges the charts of a part, but with what xatlas cut as the leaves. The pair that
shares most of the smaller one's outline is tried first: the two are laid side by side, relaxed as rigidly as possible (Liu et
al. 2008, the local/global method), and stay together if nothing folds, stretches or comes to lie over itself, and if they take
no more of the page than they did apart.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int32, Int64

from forge_batch.ops.flat_charts import cross, lies_well, own_shapes, relax, smallest_rectangle
from forge_batch.ops.topology import Edges, edge_pairs, find_edges

MISFIT = 0.3
"""Largest distance (root mean square) between the two sides of a border laid over each other, in lengths of the border."""

FULL = 0.75
"""Share of its smallest rectangle from which a joined chart may take more of the page than its two parts did. Without such a
limit a horse's 65 charts become 15 instead of 31, but use 37 % of the page instead of 50."""

PAGE = 0.6
"""Share of the page that is filled, as a rule: says how long the page is, and no joined chart may be longer."""

WORK = 400
"""How many times the faces of the mesh may be laid flat in all, so that no mesh takes for ever."""


class Join(NamedTuple):
    """Be a border along which two charts may become one.

    Attributes:
        length: Metres.
        kept: Layout vertices of the first chart along the border,
        gone: and those of the second, which become them.
        turn: What the second chart is turned by (a unit complex number) so that the border's sides meet,
        here: about this point, the middle of its own side,
        there: which comes to lie here.
        misfit: How far apart the sides then lie, in lengths of the border.
    """

    length: float
    kept: np.ndarray
    gone: np.ndarray
    turn: complex
    here: complex
    there: complex
    misfit: float


class Flat(NamedTuple):
    """Be faces laid flat together: their numbers, layout vertices (f, 3), the distinct ones of these, and where they lie."""

    faces: np.ndarray
    corner: np.ndarray
    used: np.ndarray
    at: np.ndarray
    rectangle: tuple[float, float]


def merge_charts(
    points: Float[np.ndarray, "n 3"],
    place: Int[np.ndarray, " n"],
    corners: Int[np.ndarray, "f 3"],
    uv: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " f"],
    crease: float = 180.0,
    longest: float = np.inf,
) -> tuple[Int64[np.ndarray, "f 3"], Float64[np.ndarray, "n 2"], Int32[np.ndarray, " f"]]:
    """Join charts.

    Args:
        points: Where each vertex of the layout stands in space, metres.
        place: A number for that place: vertices of several charts at one place have the same.
        corners: The layout's faces; charts share no vertex.
        uv: Metres, counter-clockwise, every chart as large as in space.
        labels: The chart of each face, 0 to c - 1.
        crease: Degrees: charts that meet at a sharper edge stay two.
        longest: Metres that a page is long, where that is known before.

    Returns:
        Faces over the same vertices, of which some are used no more; uv; and the chart of each face.
    """
    merging = _Merging(points.astype(np.float64), place, corners.astype(np.int64), uv, labels.astype(np.int64), crease)
    merging.longest = min(merging.longest, longest)
    merging.run()
    kept = np.unique(merging.label, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return merging.corner, np.stack([merging.at.real, merging.at.imag], axis=1), kept


class _Merging:
    """Hold a layout while its charts are joined."""

    def __init__(
        self, points: np.ndarray, place: np.ndarray, corners: np.ndarray, uv: np.ndarray, labels: np.ndarray, crease: float
    ) -> None:
        self.corner, self.label = corners.copy(), labels.copy()
        self.at = np.asarray(uv, np.float64) @ np.array([1, 1j])
        space = points[corners]
        self.own, self.cotangent = own_shapes(space)
        self.area = np.maximum(0.5 * cross(self.own[:, 1] - self.own[:, 0], self.own[:, 2] - self.own[:, 0]), 1e-30)
        self.longest = float(np.sqrt(self.area.sum() / PAGE))
        edges = find_edges(place[corners])
        self.first, self.second = edge_pairs(edges, (edges.uses == 2) & (edges.balance == 0))
        apart = space.reshape(-1, 3)[_next(self.first)] - space.reshape(-1, 3)[self.first]
        self.length = np.linalg.norm(apart, axis=1)
        self.sharp = _turns(space, self.first, self.second) > crease
        self.rename = np.arange(len(points))
        order = np.argsort(labels, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.faces = {int(labels[group[0]]): group for group in groups}
        self.rectangle = {chart: smallest_rectangle(self.at[np.unique(corners[group])]) for chart, group in self.faces.items()}
        self.outline = dict.fromkeys(self.faces, 0.0)
        self.borders: dict[tuple[int, int], np.ndarray] = {}
        self._find_borders(space, edges)

    def _find_borders(self, space: np.ndarray, edges: Edges) -> None:
        """Sort the edges between charts by the two charts, and measure every chart's outline."""
        a, b = self.label[self.first // 3], self.label[self.second // 3]
        between = np.flatnonzero(a != b)
        key = np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)[between]
        pairs, group = np.unique(key, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        parts = np.split(between[order], np.flatnonzero(np.diff(group.ravel()[order])) + 1) if len(between) else []
        self.borders = {(int(x), int(y)): part for (x, y), part in zip(pairs, parts, strict=True)}
        for pair, part in self.borders.items():
            for chart in pair:
                self.outline[chart] += float(self.length[part].sum())
        rim = (edges.uses == 1)[edges.of_corner]
        open_length = (np.linalg.norm(np.roll(space, -1, axis=1) - space, axis=2) * rim).sum(axis=1)
        for chart, faces in self.faces.items():
            self.outline[chart] += float(open_length[faces].sum())

    def run(self) -> None:
        """Join until no pair is left that may be."""
        near: dict[int, set[int]] = {chart: set() for chart in self.faces}
        for a, b in self.borders:
            near[a].add(b)
            near[b].add(a)
        version = dict.fromkeys(self.faces, 0)
        queue: list[tuple[float, int, int, int, int, Join | None]] = []

        def offer(a: int, b: int, join: Join | None = None) -> None:
            length = join.length if join else float(self.length[self.borders[a, b]].sum())
            score = 2 * (join.misfit if join else 0.0) - length / min(self.outline[a], self.outline[b])
            heapq.heappush(queue, (score, a, b, version[a], version[b], join))

        for a, b in self.borders:
            offer(a, b)
        left = WORK * len(self.label)
        while queue and left > 0:
            _, a, b, version_a, version_b, join = heapq.heappop(queue)
            if version.get(a) != version_a or version.get(b) != version_b:
                continue
            if join is None:  # offered as good as it may be; how good it is is found out only if its turn comes
                join = self._find_join(a, b)
                if join is not None:
                    offer(a, b, join)
                continue
            left -= len(self.faces[a]) + len(self.faces[b])
            flat = self._lay_flat(a, b, join)
            if flat is None:
                continue
            self._accept(a, b, join, flat)
            version[a] += 1
            del version[b]
            self._hand_over(a, b, near)
            for other in near[a]:
                offer(min(a, other), max(a, other))

    def _hand_over(self, a: int, b: int, near: dict[int, set[int]]) -> None:
        """Make the borders of chart b, which is no more, those of chart a."""
        for other in near.pop(b):
            near[other].discard(b)
            border = self.borders.pop((min(b, other), max(b, other)))
            if other != a:
                pair = (min(a, other), max(a, other))
                near[other].add(a)
                near[a].add(other)
                self.borders[pair] = np.concatenate([self.borders.get(pair, border[:0]), border])

    def _find_join(self, a: int, b: int) -> Join | None:
        """Find the longest stretch of border between two charts, and what else of it meets when that is laid together."""
        border = self.borders[a, b]
        if self.sharp[border].any():
            return None
        swap = self.label[self.first[border] // 3] != a
        one = np.where(swap, self.second[border], self.first[border])
        two = np.where(swap, self.first[border], self.second[border])
        corner = self.corner.ravel()
        kept = np.stack([corner[one], corner[_next(one)]], axis=1)
        gone = np.stack([corner[_next(two)], corner[two]], axis=1)
        runs = [(float(self.length[border[run]].sum()), run) for run in _runs(kept, gone)]
        length, misfit = 0.0, 0.0
        pairs: dict[tuple[int, int], None] = {}
        turn, here, there = 1 + 0j, 0j, 0j
        for reach, run in sorted(runs, key=lambda one: -one[0]):
            x, y = self.at[kept[run]], self.at[gone[run]]
            if length == 0.0:
                here, there = complex(y.mean()), complex(x.mean())
                turn = complex(((x - there) * (y - here).conj()).sum())
                turn = turn / abs(turn) if abs(turn) > 0 else 1 + 0j
            off = float(np.sqrt((abs(x - there - turn * (y - here)) ** 2).mean())) / max(reach, 1e-30)
            if off <= MISFIT:
                length, misfit = length + reach, max(misfit, off)
                pairs |= dict.fromkeys(zip(gone[run].ravel().tolist(), kept[run].ravel().tolist(), strict=True))
            elif length == 0.0:
                return None
        second, first = (np.array(side) for side in zip(*pairs, strict=True))
        one_to_one = len({*second.tolist()}) == len({*first.tolist()}) == len(pairs)
        return Join(length, first, second, turn, here, there, misfit) if one_to_one else None

    def _lay_flat(self, a: int, b: int, join: Join) -> Flat | None:
        """Lay two charts out as one; None if that folds, stretches, covers itself or takes more of the page."""
        faces = np.concatenate([self.faces[a], self.faces[b]])
        count = len(self.faces[a])
        corner = self.corner[faces]
        self.rename[join.gone] = join.kept
        corner[count:] = self.rename[corner[count:]]
        self.rename[join.gone] = join.gone
        used, local = np.unique(corner, return_inverse=True)
        local = local.reshape(-1, 3)
        if (find_edges(local).uses > 2).any():
            return None
        moved = np.ones(len(used), bool)
        moved[local[:count]] = False
        start = self.at[used]
        start[moved] = join.there + join.turn * (start[moved] - join.here)
        at = relax(self.own[faces], self.cotangent[faces], local, start)
        rectangle, area = smallest_rectangle(at), self.area[faces]
        if not self._fits(rectangle, float(area.sum()), self.rectangle[a], self.rectangle[b]):
            return None
        return Flat(faces, corner, used, at, rectangle) if lies_well(self.own[faces], area, at[local]) else None

    def _fits(self, whole: tuple[float, float], area: float, *parts: tuple[float, float]) -> bool:
        """Tell whether a joined chart packs about as well as its parts: full or no larger, and not longer than the page."""
        larger = whole[0] * whole[1] > sum(long * short for long, short in parts)
        fits = whole[0] <= max(self.longest, *(long for long, _ in parts))
        return fits and (not larger or area >= FULL * whole[0] * whole[1])

    def _accept(self, a: int, b: int, join: Join, flat: Flat) -> None:
        self.corner[flat.faces] = flat.corner
        self.at[flat.used] = flat.at
        self.label[flat.faces] = a
        self.faces[a] = flat.faces
        self.rectangle[a] = flat.rectangle
        self.outline[a] += self.outline[b] - 2 * join.length
        del self.faces[b], self.rectangle[b], self.outline[b]


def _turns(space: np.ndarray, first: np.ndarray, second: np.ndarray) -> Float64[np.ndarray, " n"]:
    """Give the angle in degrees by which the faces of each pair of half-edges are turned against each other."""
    normal = np.cross(space[:, 1] - space[:, 0], space[:, 2] - space[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    return np.asarray(np.degrees(np.arccos(np.clip(np.einsum("nk,nk->n", normal[first // 3], normal[second // 3]), -1, 1))))


def _runs(kept: np.ndarray, gone: np.ndarray) -> list[list[int]]:
    """Sort edges of a border (n, 2 ends on either side) into those that follow one another on both sides."""
    run_of: dict[tuple[int, int], list[int]] = {}
    for number, (ends, others) in enumerate(zip(kept.tolist(), gone.tolist(), strict=True)):
        merged = [number]
        for spot in zip(ends, others, strict=True):
            merged += [one for one in run_of.get(spot, []) if one != number]
        for one in merged:
            for spot in zip(kept[one].tolist(), gone[one].tolist(), strict=True):
                run_of[spot] = merged
    return list({id(run): sorted({*run}) for run in run_of.values()}.values())


def _next(half: np.ndarray) -> np.ndarray:
    """Give the half-edge that follows each (3 * face + corner) in its face."""
    return np.asarray(half - half % 3 + (half + 1) % 3)
