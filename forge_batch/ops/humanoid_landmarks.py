"""Find legs, arms, trunk and head of an upright figure in its solid, or say why it has none.

Nothing is learned. A limb is followed slice by slice along the thickest place (where the largest disc fits), so sheets such as
capes, and things held in the hand, do not lead it astray. Legs are two columns that stand on the floor and meet at the crotch;
an arm is what reaches out sideways until it joins a trunk much taller than itself; the neck is the thinnest place above the
shoulders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from forge_batch.errors import StageError
from forge_batch.ops.voxel_solid import VoxelSolid

FEET = (0.02, 0.1)
"""Between these shares of the height two separate columns must stand."""
SHARE = 0.12
"""Share of the largest column's section from which another counts."""
SHORTEST_LEG, LONGEST_LEG = 0.1, 0.65
START = 0.6
"""An arm is looked for at this share of the reach, and followed from there both ways."""
TALLEST_ARM = 0.3
"""Of the height: what is taller where the arm should be is no arm."""
TRUNK, FLANK = 2.2, 0.17
"""From so many times an arm's median height in a slice, and at least this share of the figure's height, a slice is trunk: a
steep arm is thick in upright slices, too."""
NEAR = 0.8
"""Share of the largest disc's radius from which a place counts as the middle, too."""

POSE_HINT = "make it stand upright in A-pose or T-pose, facing +Z (place.yaw_degrees), or write rig: off"
Centre = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Limb:
    """Be the middle of a limb, slice by slice from the trunk outwards.

    Attributes:
        middle: Places in voxels.
        radius: Of the largest disc round each, voxels.
    """

    middle: Float64[np.ndarray, "n 3"]
    radius: Float64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Be what was found, in voxels; pairs are left (+X) and right.

    Attributes:
        middle: x of the plane between left and right.
        floor: Lowest row.
        top: Highest row of the head.
        height: Rows from the floor to the top of all.
        crotch: Row where the legs meet.
        neck: Thinnest row above the shoulders.
        narrowing: The neck's radius over the head's.
        legs: From the crotch down.
        arms: From the shoulder out to the tip, or as far as the other arm goes: things held reach farther.
        trunk: From the crotch up to the top of the head.
    """

    middle: float
    floor: int
    top: int
    height: int
    crotch: int
    neck: int
    narrowing: float
    legs: tuple[Limb, Limb]
    arms: tuple[Limb, Limb]
    trunk: Limb


def find_landmarks(solid: VoxelSolid) -> Landmarks:
    """Measure a figure.

    Raises:
        StageError: It has not two legs, two arms and a head where an upright figure in A-pose or T-pose has them; says what
            was found instead.
    """
    core = ndimage.binary_opening(solid.filled, np.ones((3, 3, 3), np.bool_))
    labels, count = ndimage.label(core, np.ones((3, 3, 3)))
    if not count:
        raise StageError("there is no solid to rig", "give a closed surface")
    core = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    rows = np.flatnonzero(core.any(axis=(0, 2)))
    floor, height = int(rows[0]), len(rows)
    left, right, crotch = _legs(core, floor, height)
    middle = float(np.mean([left.middle[:, 0].mean(), right.middle[:, 0].mean()]))
    arms = _arms(core, (left, right), middle, height)
    shoulders = float(np.mean([arm.middle[0, 1] for arm in arms]))
    if shoulders < crotch + 0.08 * height:
        share = (shoulders - floor) / height
        raise StageError(f"what reaches out sideways does so at {share:.0%} of the height, which is no shoulder", POSE_HINT)
    depth = float(np.mean([left.middle[0, 2], right.middle[0, 2]]))
    trunk = _trunk(core, middle, crotch, depth)
    top = int(trunk.middle[-1, 1])
    neck, narrowing = _neck(trunk, shoulders, height)
    return Landmarks(middle, floor, top, height, crotch, neck, narrowing, (left, right), arms, trunk)


def _thickest(plane: Bool[np.ndarray, "a b"], near: Centre, reach: int) -> tuple[Centre, float] | None:
    """Give the middle and radius of the largest disc within a window round a place; None if nothing is there."""
    a, b = (max(0, round(value) - reach) for value in near)
    c, d = (round(value) + reach + 1 for value in near)
    # a disc that matters here is seldom larger than the margin, and one that is cut is still the largest
    margin = 24
    a0, b0 = max(0, a - margin), max(0, b - margin)
    away = ndimage.distance_transform_edt(np.pad(plane[a0 : c + margin, b0 : d + margin], 1))[1:-1, 1:-1]
    window = away[a - a0 : c - a0, b - b0 : d - b0]
    if not window.size or window.max() <= 0:
        return None
    best = float(window.max())
    places = np.argwhere(window >= NEAR * best)
    weights = window[window >= NEAR * best] ** 2
    centre = (places * weights[:, None]).sum(axis=0) / weights.sum()
    return (float(centre[0]) + a, float(centre[1]) + b), best


def _follow(
    core: np.ndarray, axis: int, slices: Iterable[int], start: Centre, reach: int
) -> tuple[list[tuple[float, float, float]], list[float]]:
    """Follow the thickest place through slices across an axis until nothing is there."""
    middle, radius, near = [], [], start
    for index in slices:
        found = _thickest(np.take(core, index, axis), near, reach)
        if found is None:
            break
        near = found[0]
        place = [near[0], near[1]]
        place.insert(axis, float(index))
        middle.append((place[0], place[1], place[2]))
        radius.append(found[1])
    return middle, radius


def _columns(plane: np.ndarray) -> list[Centre]:
    """Give the middle of each column that stands in a horizontal slice, the largest first."""
    labels, count = ndimage.label(plane, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = [index for index in np.argsort(-sizes, kind="stable") if sizes[index] >= SHARE * sizes.max()]
    found = []
    for index in order:
        away = ndimage.distance_transform_edt(labels == index + 1)
        places = np.argwhere(away >= NEAR * away.max())
        found.append((float(places[:, 0].mean()), float(places[:, 1].mean())))
    return found


def _legs(core: np.ndarray, floor: int, height: int) -> tuple[Limb, Limb, int]:
    """Find two columns on the floor, and follow them up to where they meet."""
    low, high = (floor + round(share * height) for share in FEET)
    columns = {y: _columns(core[:, y]) for y in range(low, high + 1)}
    pair = next((y for y, found in columns.items() if len(found) == 2), None)
    if pair is None:
        least, most = (pick(len(found) for found in columns.values()) for pick in (min, max))
        found = f"{least}" if least == most else f"{least} to {most}"
        raise StageError(f"no two legs were found: the number of columns that stand on the floor is {found}", POSE_HINT)
    (ax, az), (bx, bz) = sorted(columns[pair], reverse=True)
    if abs(az - bz) > abs(ax - bx):
        raise StageError("the legs stand one behind the other, not side by side", POSE_HINT)
    ups = [_follow(core, 1, range(pair, floor + round(LONGEST_LEG * height)), start, 3) for start in ((ax, az), (bx, bz))]
    crotch = None
    closed = 0
    for index, (a, b) in enumerate(zip(ups[0][0], ups[1][0], strict=False)):
        closed = closed + 1 if _joined(core, a, b) else 0
        if closed == 3:
            crotch = index - 2
            break
    if crotch is None:
        raise StageError(f"the legs do not meet below {LONGEST_LEG:.0%} of the height", POSE_HINT)
    if crotch + pair - floor < SHORTEST_LEG * height:
        share = (crotch + pair - floor) / height
        raise StageError(
            f"the legs are {share:.0%} of the height, at least {SHORTEST_LEG:.0%} was expected: is it seated, or in a robe?",
            POSE_HINT,
        )
    limbs = []
    for (middle, radius), start in zip(ups, ((ax, az), (bx, bz)), strict=True):
        down, thin = _follow(core, 1, range(pair - 1, floor - 1, -1), start, 3)
        limbs.append(Limb(np.array([*middle[:crotch][::-1], *down]), np.array([*radius[:crotch][::-1], *thin])))
    return limbs[0], limbs[1], pair + crotch


def _joined(core: np.ndarray, a: tuple[float, float, float], b: tuple[float, float, float]) -> bool:
    """Tell whether the straight way between two places is solid."""
    steps = 2 * int(np.ceil(np.linalg.norm(np.subtract(a, b)))) + 1
    way = np.rint(np.linspace(a, b, steps)).astype(np.int64)
    return bool(core[way[:, 0], way[:, 1], way[:, 2]].all())


def _arms(core: np.ndarray, legs: tuple[Limb, Limb], middle: float, height: int) -> tuple[Limb, Limb]:
    """Find what reaches out on either side."""
    rest = core.copy()
    for leg in legs:
        for x, y, z in leg.middle:
            labels, _ = ndimage.label(core[:, int(y)], np.ones((3, 3)))
            rest[:, int(y)][labels == labels[round(x), round(z)]] = False
    columns = np.flatnonzero(rest.any(axis=(1, 2)))
    reach = min(columns[-1] - middle, middle - columns[0])
    found = [_arm(rest, side, middle, reach, height) for side in (1, -1)]
    size = min(len(arm.middle) for arm in found)
    left, right = (Limb(arm.middle[:size], arm.radius[:size]) for arm in found)
    return left, right


def _arm(rest: np.ndarray, side: int, middle: float, reach: float, height: int) -> Limb:
    """Follow one arm from where it is surely alone, out to its tip and in to the trunk."""
    word = "left" if side > 0 else "right"
    start = round(middle + side * START * reach)
    away = ndimage.distance_transform_edt(rest[start])
    first = np.unravel_index(int(np.argmax(away)), away.shape)
    begin = (float(first[0]), float(first[1]))
    inwards, thin = _follow(rest, 0, range(start, round(middle), -side), begin, 4)
    # no further than the shorter side reaches: what sticks out of one hand is no arm
    outwards, far = _follow(rest, 0, range(start + side, round(middle + side * reach) + side, side), begin, 4)
    heights = np.array([_tallness(rest, place) for place in inwards])
    usual = float(np.median([heights[0], *(_tallness(rest, place) for place in outwards)]))
    if not outwards or heights[0] > TALLEST_ARM * height:
        raise StageError(
            f"no {word} arm was found: {START:.0%} of the way out the figure is {heights[0] / height:.0%} of its height tall",
            POSE_HINT,
        )
    trunk = np.flatnonzero(heights > max(TRUNK * usual, FLANK * height))
    if not len(trunk):
        raise StageError(f"the {word} arm was not found to join a trunk", POSE_HINT)
    end = max(int(trunk[0]), 1)
    return Limb(np.array([*inwards[:end][::-1], *outwards]), np.array([*thin[:end][::-1], *far]))


def _tallness(rest: np.ndarray, place: tuple[float, float, float]) -> int:
    """Count the filled voxels above and below a place without a gap, itself included."""
    x, y, z = (round(value) for value in place)
    empty = np.flatnonzero(~rest[x, :, z])
    after = int(np.searchsorted(empty, y))
    low = int(empty[after - 1]) if after else -1
    high = int(empty[after]) if after < len(empty) else rest.shape[1]
    return max(high - low - 1, 0)


def _trunk(core: np.ndarray, middle: float, crotch: int, depth: float) -> Limb:
    """Follow the thick of the body up to the top of the head, in the plane between left and right."""
    near = (middle, depth)
    places, radius = [], []
    for y in range(crotch, core.shape[1]):
        found = _thickest(core[:, y], near, 3)
        if found is None:
            break
        near = (middle, found[0][1])
        places.append((middle, float(y), found[0][1]))
        radius.append(found[1])
    if len(places) < 3:
        raise StageError("no trunk was found above the legs", POSE_HINT)
    return Limb(np.array(places), np.array(radius))


def _neck(trunk: Limb, shoulders: float, height: int) -> tuple[int, float]:
    """Find the thinnest row above the shoulders, and how thin it is beside the head."""
    rows = trunk.middle[:, 1]
    above = rows[-1] - shoulders
    if above < 0.05 * height:
        raise StageError(f"no head was found: only {above / height:.0%} of the height is above the arms", POSE_HINT)
    inside = np.flatnonzero((rows >= shoulders) & (rows <= rows[-1] - 0.35 * above))
    neck = int(inside[np.argmin(trunk.radius[inside])])
    head = float(trunk.radius[neck:].max())
    return int(rows[neck]), float(trunk.radius[neck]) / head
