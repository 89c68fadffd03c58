"""Measure how much a map jumps where charts meet: what a seam looks like on the object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import read_linear

_STEPS = 4
"""Points looked at along an edge."""


class SeamJumps(NamedTuple):
    """Be the mean difference of colour, 0..255, across edges: where charts meet (`seam`), and inside charts (`inside`).

    `inside` reads a texel to either side of edges that are no seam: what the texture itself changes over such a distance.
    """

    seam: float
    inside: float
    points: int


def seam_jumps(mesh: Mesh, image: UInt8[np.ndarray, "s s 3"], where: Bool[np.ndarray, "s s"]) -> SeamJumps:
    """Compare colours half a texel inside the two faces of every edge.

    Args:
        mesh: With uv; faces that meet at a seam have vertices of their own at equal positions.
        image: sRGB atlas.
        where: Texels that count; a point counts if either side lies in one.

    Returns:
        NaN where there is nothing to compare.
    """
    assert mesh.uv is not None
    size = len(image)
    first, second, split = _edge_pairs(mesh)
    t = (np.arange(_STEPS) + 0.5) / _STEPS
    sides = [_inside(mesh, side, t, size, flip) for side, flip in ((first, False), (second, True))]
    colors = [read_linear(image, uv.reshape(-1, 2)) * 255 for uv in sides]
    marks = [where[tuple(np.clip((uv.reshape(-1, 2)[:, ::-1] * size).astype(int), 0, size - 1).T)] for uv in sides]
    jump = np.abs(colors[0] - colors[1]).mean(axis=1)
    counts = marks[0] | marks[1]
    seam = np.repeat(split, _STEPS)
    chosen = jump[counts & seam], jump[counts & ~seam]
    means = [float(values.mean()) if len(values) else float("nan") for values in chosen]
    return SeamJumps(means[0], means[1], len(chosen[0]))


def _edge_pairs(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair half-edges at the same place: (n, 3) corners (start, end, opposite) of either face; and whether uv differ."""
    assert mesh.uv is not None
    _, point = np.unique(mesh.vertices, axis=0, return_inverse=True)
    point = point.reshape(-1)
    half = np.concatenate([mesh.faces[:, [0, 1, 2]], mesh.faces[:, [1, 2, 0]], mesh.faces[:, [2, 0, 1]]])
    start, end = point[half[:, 0]].astype(np.int64), point[half[:, 1]].astype(np.int64)
    count = int(point.max()) + 1
    key, back = start * count + end, end * count + start
    order = np.argsort(key, kind="stable")
    place = np.searchsorted(key[order], back)
    place = np.minimum(place, len(key) - 1)
    mate = order[place]
    good = (key[mate] == back) & (start < end)
    first, second = half[good], half[mate[good]]
    split = (np.abs(mesh.uv[first[:, 0]] - mesh.uv[second[:, 1]]).max(axis=1) > 1e-6) | (
        np.abs(mesh.uv[first[:, 1]] - mesh.uv[second[:, 0]]).max(axis=1) > 1e-6
    )
    return first, second, split


def _inside(mesh: Mesh, corners: np.ndarray, t: np.ndarray, size: int, flip: bool) -> np.ndarray:
    """Give uv (n, k, 2) of points along edges, moved half a texel into the face, at right angles to the edge."""
    assert mesh.uv is not None
    a, b, c = (mesh.uv[corners[:, k]].astype(np.float64)[:, None] for k in range(3))
    steps = (1.0 - t if flip else t)[None, :, None]
    edge = (b - a) / np.maximum(np.linalg.norm(b - a, axis=2, keepdims=True), 1e-12)
    into = (c - a) - ((c - a) * edge).sum(axis=2, keepdims=True) * edge
    height = np.maximum(np.linalg.norm(into, axis=2, keepdims=True), 1e-12)
    return np.asarray(a + (b - a) * steps + into * np.minimum(0.5 / size / height, 0.33))
