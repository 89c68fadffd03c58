"""Find the parts of an outline with upright, straight sides: boxes, posts, cans, extrusions."""

from __future__ import annotations

from typing import no_type_check

import cv2
import numpy as np
from jaxtyping import Float32
from numba import njit

from forge_batch.ops.silhouette import Silhouette

TOLERANCE = 1e-3  # of the outline's height: how far a straight side may wander
SHORT, LONG = 0.15, 0.3  # length of a straight side over the part's width that speaks for curved and for straight


def straightness(silhouette: Silhouette) -> Float32[np.ndarray, "h w"]:
    """Tell for every pixel whether the run of object pixels it lies in has straight upright ends, 0..1.

    Both ends count: each is followed up and down for as long as it stays within the tolerance of its column, and the shorter
    one is compared with the width of the run.
    """
    rows = np.flatnonzero(silhouette.mask.any(axis=1))
    tall = int(rows[-1] - rows[0] + 1) if len(rows) else 1
    starts, stops = _run_ends(silhouette.distance, int(_most_runs(silhouette.mask)))
    tolerance = max(0.6, TOLERANCE * tall)
    score = np.zeros(silhouette.mask.shape, np.float32)
    _score_runs(score, starts, stops, tolerance)
    return np.asarray(cv2.GaussianBlur(score, (1, 0), sigmaX=0.1, sigmaY=max(1.0, 0.004 * tall)), np.float32)


def _most_runs(mask: np.ndarray) -> int:
    begins = mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]
    return int(begins.sum(axis=1).max(initial=0)) + 8


@njit(cache=True)
@no_type_check
def _run_ends(distance, most):  # pragma: no cover - compiled
    """Give where each row enters and leaves the object, sub-pixel; -1 where there are no more runs."""
    h, w = distance.shape
    starts = np.full((h, most), -1.0)
    stops = np.full((h, most), -1.0)
    for y in range(h):
        n = 0
        for x in range(1, w):
            a, b = distance[y, x - 1], distance[y, x]
            if a <= 0.0 < b and n < most:
                starts[y, n] = x - 1 - a / (b - a)
            elif b <= 0.0 < a and n < most and starts[y, n] >= 0.0:
                stops[y, n] = x - 1 + a / (a - b)
                n += 1
    return starts, stops


@njit(cache=True)
@no_type_check
def _follow(ends, y, x, step, tolerance):  # pragma: no cover - compiled
    """Count the rows from y in one direction in which an end of the same kind stays within the tolerance of column x."""
    h, most = ends.shape
    length = 0
    row = y + step
    while 0 <= row < h:
        found = False
        for n in range(most):
            if ends[row, n] < 0.0:
                break
            if abs(ends[row, n] - x) <= tolerance:
                found = True
                break
        if not found:
            break
        length += 1
        row += step
    return length


@njit(cache=True)
@no_type_check
def _score_runs(score, starts, stops, tolerance):  # pragma: no cover - compiled
    h, most = starts.shape
    for y in range(h):
        for n in range(most):
            if stops[y, n] < 0.0:
                break
            shortest = h
            for ends in (starts, stops):
                x = ends[y, n]
                shortest = min(shortest, 1 + _follow(ends, y, x, -1, tolerance) + _follow(ends, y, x, 1, tolerance))
            ratio = shortest / max(stops[y, n] - starts[y, n], 1.0)
            value = min(max((ratio - SHORT) / (LONG - SHORT), 0.0), 1.0)
            for x in range(int(np.ceil(starts[y, n])), int(stops[y, n]) + 1):
                score[y, x] = value
