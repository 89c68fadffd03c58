"""Compare the silhouettes of an object's views: what must agree if each file shows the side it is named after.

Seen from far away, opposite views are each other's mirror image in outline, and all views are of one height. A hull carved
from four silhouettes would say no more: row by row it is the product of the two pairs, so a silhouette has parts that no solid
can fill exactly where it is not its opposite's mirror image.

What silhouettes cannot tell is not guessed at: left and right exchanged (each still mirrors the other), a set mirrored as a
whole, a mirrored view of a symmetric object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

OPPOSITES = (("front", "back"), ("right", "left"))

# Seen on twelve objects from a distance of seven times their size: heights differ by up to 6 %, proportions of opposite
# views by 8 %, since what is nearer looks larger.
HEIGHT_TOLERANCE = 0.12
PROPORTION_TOLERANCE = 0.15
ALIKE = 0.8  # overlap of outlines from which they are taken to be the same
CLEARLY_LESS = 0.06  # overlap by which the mirrored outline must be the worse match
SWAP_GAIN, SWAP_GAIN_OF_THREE = 0.15, 0.25  # overlap that an exchange of files must win
OPPOSITE = 0.65  # overlap of opposite views at least; a seat and its back, seen from near, reach 0.7


class Outline(NamedTuple):
    """Be a silhouette: its box's size in pixels, and what is in the box, scaled to a square."""

    width: int
    height: int
    mask: Bool[np.ndarray, "n n"]

    @property
    def proportion(self) -> float:
        return self.width / self.height


class Disagreement(NamedTuple):
    """Be one thing that does not fit.

    Attributes:
        kind: heights, proportions, mirrored or swapped.
        views: The two views that do not agree; of swapped ones, two that show opposite sides though their names do not say so.
        values: heights: both, in pixels; proportions: both; mirrored: overlap of the outlines as they are and mirrored;
            swapped: overlap of those that should be opposite, and of those that are.
        exchange: Pairs of views whose files to exchange, any one of them.
    """

    kind: str
    views: tuple[str, str]
    values: tuple[float, float]
    exchange: tuple[tuple[str, str], ...] = ()


def compare_views(outlines: Mapping[str, Outline]) -> list[Disagreement]:
    """Find what does not agree between the views of one set; nothing is said about views that are missing."""
    found = _heights(outlines)
    swapped = _swapped(outlines)
    if swapped:
        return [*found, swapped]
    for pair in _complete(outlines):
        first, second = (outlines[view] for view in pair)
        plain, mirrored = _overlap(first.mask, second.mask), _overlap(first.mask, second.mask[:, ::-1])
        if plain >= ALIKE and plain - mirrored >= CLEARLY_LESS:
            found.append(Disagreement("mirrored", pair, (plain, mirrored)))
        elif not _near(first.proportion, second.proportion, PROPORTION_TOLERANCE):
            found.append(Disagreement("proportions", pair, (round(first.proportion, 2), round(second.proportion, 2))))
    return found


def _complete(outlines: Mapping[str, Outline]) -> list[tuple[str, str]]:
    return [pair for pair in OPPOSITES if all(view in outlines for view in pair)]


def _near(first: float, second: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * max(first, second)


def _heights(outlines: Mapping[str, Outline]) -> list[Disagreement]:
    """Name the tallest and the lowest view if they are too far apart."""
    if len(outlines) < 2:
        return []
    lowest = min(outlines, key=lambda view: outlines[view].height)
    tallest = max(outlines, key=lambda view: outlines[view].height)
    low, tall = float(outlines[lowest].height), float(outlines[tallest].height)
    return [] if _near(low, tall, HEIGHT_TOLERANCE) else [Disagreement("heights", (lowest, tallest), (low, tall))]


def _overlap(first: Bool[np.ndarray, "n n"], second: Bool[np.ndarray, "n n"]) -> float:
    return round(int(np.count_nonzero(first & second)) / max(1, int(np.count_nonzero(first | second))), 3)


def _opposite(first: Outline, second: Outline) -> float:
    """Say how well two outlines fit as opposite views, 0 to 1: overlap once mirrored, less where the proportions differ."""
    narrow, wide = sorted((float(first.proportion), float(second.proportion)))
    return _overlap(first.mask, second.mask[:, ::-1]) * narrow / wide


def _swapped(outlines: Mapping[str, Outline]) -> Disagreement | None:
    complete = _complete(outlines)
    if len(complete) == 2:
        return _swapped_of_four(outlines)
    if len(complete) == 1 and len(outlines) == 3:
        return _swapped_of_three(outlines, complete[0])
    return None


def _swapped_of_four(outlines: Mapping[str, Outline]) -> Disagreement | None:
    """See whether front fits one of the sides, and back the other, far better than they fit each other."""

    def fit(first: str, second: str) -> float:
        return _opposite(outlines[first], outlines[second])

    now = (fit("front", "back") + fit("right", "left")) / 2
    fits = {side: (fit("front", side) + fit("back", other)) / 2 for side, other in (("right", "left"), ("left", "right"))}
    side = max(fits, key=lambda name: fits[name])
    other = "left" if side == "right" else "right"
    if fits[side] - now < SWAP_GAIN:
        return None
    return Disagreement("swapped", ("front", side), (round(now, 3), round(fits[side], 3)), (("front", other), ("back", side)))


def _swapped_of_three(outlines: Mapping[str, Outline], pair: tuple[str, str]) -> Disagreement | None:
    """See whether the third view fits one of the pair far better than these fit each other."""
    third = next(view for view in outlines if view not in pair)
    now = _opposite(outlines[pair[0]], outlines[pair[1]])
    fits = {view: _opposite(outlines[view], outlines[third]) for view in pair}
    best = max(fits, key=lambda name: fits[name])
    if fits[best] < OPPOSITE or fits[best] - now < SWAP_GAIN_OF_THREE:
        return None
    wrong = pair[1] if best == pair[0] else pair[0]
    return Disagreement("swapped", (best, third), (round(now, 3), round(fits[best], 3)), ((third, wrong),))
