"""Fill a room with the things that are worth most, when what several of them share takes room as well."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CELLS = 10_000
"""Room above which the table counts in units larger than one."""


GAP = 1e-3
"""What a further set of needs must promise to be tried; so far from the optimum the result may be."""


@dataclass(frozen=True)
class Item:
    """Be a thing to be taken or left.

    Attributes:
        size: Room that it takes.
        worth: Above 0.
        needs: What must be there for it, and the room that takes; it takes it once, however many things need it.
    """

    size: int
    worth: float
    needs: Mapping[Hashable, int]


def fill(items: Sequence[Item], room: int | None) -> list[int]:
    """Solve the 0-1 knapsack with shared needs.

    For every set of needs that some items have together, the fractional optimum over the items that need no others is an
    upper bound (Dantzig 1957); the sets are tried from the highest bound down, each by dynamic programming, until no bound is
    left well above the best that was found. Within GAP of the optimum up to a room of CELLS; beyond that sizes are rounded up
    to a coarser unit, and the greedy choice is taken where it is better. Meant for few needs: up to 2^n sets are looked at.

    Args:
        items: Earlier ones are preferred among equals, and so are fewer needs.
        room: None if there is no limit.

    Returns:
        Numbers of the items taken, ascending.
    """
    needs = _needs(items)
    if room is None or sum(item.size for item in items) + sum(needs.values()) <= room:
        return list(range(len(items)))
    sizes = np.array([item.size for item in items], np.int64)
    worth = np.array([item.worth for item in items], np.float64)
    best, taken, count = 0.0, np.zeros(0, np.int64), 0
    for bound, used, numbers, left in _candidates(items, needs, room):
        if bound < best * (1 - 1e-9) or (bound <= best * (1 + GAP) and used >= count):
            continue
        found = _knapsack(sizes[numbers], worth[numbers], left)
        value = float(worth[numbers[found]].sum())
        if value > best * (1 + 1e-9) or (value >= best * (1 - 1e-9) and used < count):
            best, taken, count = value, numbers[found], used
    return [int(number) for number in taken]


def upper_bound(items: Sequence[Item], room: int) -> float:
    """Give a worth that no choice exceeds."""
    needs = _needs(items)
    return max((candidate[0] for candidate in _candidates(items, needs, room)), default=0.0)


def _needs(items: Sequence[Item]) -> dict[Hashable, int]:
    """Give all needs of these items."""
    shapes = {id(item.needs): item.needs for item in items}  # many items share one
    return {need: size for shape in shapes.values() for need, size in shape.items()}


def _candidates(items: Sequence[Item], needs: Mapping[Hashable, int], room: int) -> list[tuple[float, int, np.ndarray, int]]:
    """List sets of needs, the highest bound first: bound, number of needs, items that need no others, and the room left."""
    sizes = np.array([item.size for item in items], np.int64)
    worth = np.array([item.worth for item in items], np.float64)
    bits = {need: 1 << number for number, need in enumerate(needs)}
    shapes = {id(item.needs): item.needs for item in items}
    mask_of = {shape: sum(bits[need] for need in shared) for shape, shared in shapes.items()}
    masks = np.array([mask_of[id(item.needs)] for item in items], np.int64)
    order = np.argsort(-worth / np.maximum(sizes, 1e-9), kind="stable")
    ordered_masks, ordered_sizes = masks[order], sizes[order]
    found = []
    for mask in _unions(set(mask_of.values())):
        chosen = [need for need in needs if bits[need] & mask]
        left = room - sum(needs[need] for need in chosen)
        inside = order[(ordered_masks & ~mask == 0) & (ordered_sizes <= left)]
        if left >= 0 and len(inside):
            found.append((_bound(sizes[inside], worth[inside], left), len(chosen), np.sort(inside), left))
    return sorted(found, key=lambda candidate: (-candidate[0], candidate[1]))


def _unions(masks: Iterable[int]) -> list[int]:
    """Give every union of these sets, ascending; sets are bits of a number."""
    unions: set[int] = set()
    for mask in masks:
        unions |= {mask, *(mask | union for union in unions)}
    return sorted(unions)


def _bound(sizes: np.ndarray, worth: np.ndarray, room: int) -> float:
    """Give the optimum if things could be cut; both (n,), the greatest worth by size first."""
    filled = np.cumsum(sizes)
    whole = int(np.searchsorted(filled, room, side="right"))
    value = float(worth[:whole].sum())
    if whole < len(sizes):
        value += float(worth[whole] * (room - (filled[whole - 1] if whole else 0)) / sizes[whole])
    return value


def _knapsack(sizes: np.ndarray, worth: np.ndarray, room: int) -> np.ndarray:
    """Solve the plain 0-1 knapsack; sizes (n,) at most `room`, worth (n,); gives the numbers taken, ascending.

    Where flipping one item against the fractional optimum costs so much that the greedy choice is better, that item is settled
    (Ingargiola and Korsh 1973); what is left over is a small core.
    """
    greedy = _greedy(sizes, worth, room)
    order = np.argsort(-worth / np.maximum(sizes, 1e-9), kind="stable")
    whole = int(np.searchsorted(np.cumsum(sizes[order]), room, side="right"))
    if whole == len(sizes):
        return np.arange(len(sizes))
    density = worth[order[whole]] / sizes[order[whole]]
    costs = np.abs(worth - density * sizes)
    settled = _bound(sizes[order], worth[order], room) - costs < worth[greedy].sum() * (1 - 1e-9)
    inside = np.zeros(len(sizes), bool)
    inside[order[:whole]] = True
    sure, core = np.flatnonzero(settled & inside), np.flatnonzero(~settled)
    taken = np.concatenate([sure, core[_table(sizes[core], worth[core], room - int(sizes[sure].sum()))]])
    return np.sort(taken if worth[taken].sum() >= worth[greedy].sum() else greedy)


def _table(sizes: np.ndarray, worth: np.ndarray, room: int) -> np.ndarray:
    """Fill a room exactly, by dynamic programming over units of it; gives the numbers taken, descending."""
    unit = max(1, math.ceil(room / CELLS))
    units, width = -(-sizes // unit), room // unit
    value = np.zeros(width + 1)
    took = np.zeros((len(sizes), width + 1), bool)
    for number, (size, weight) in enumerate(zip(units.tolist(), worth.tolist(), strict=True)):
        if size <= width:
            with_it = value[: width + 1 - size] + weight
            better = with_it > value[size:] * (1 + 1e-12)
            took[number, size:] = better
            value[size:] = np.where(better, with_it, value[size:])
    left, taken = width, []
    for number in range(len(sizes) - 1, -1, -1):
        if took[number, left]:
            taken.append(number)
            left -= int(units[number])
    return np.array(taken, np.int64)


def _greedy(sizes: np.ndarray, worth: np.ndarray, room: int) -> np.ndarray:
    """Take what fits, the greatest worth by size first."""
    taken = []
    for number in np.argsort(-worth / np.maximum(sizes, 1e-9), kind="stable").tolist():
        if sizes[number] <= room:
            taken.append(number)
            room -= int(sizes[number])
    return np.array(taken, np.int64)
