"""Fit a skeleton to an upright figure in A-pose or T-pose.

What can be measured is: crotch, shoulders, tips of the arms, neck, top and feet (ops.humanoid_landmarks). Between them the
joints stand as they do in a grown person, along the middle of the limb. Proportions were read off the twelve figures of
benchmarks/humanoid.py, whose results say how far the joints lie from those that people set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32
from scipy import ndimage

from forge_batch.errors import StageError
from forge_batch.ops.geodesic_skin import Bone
from forge_batch.ops.humanoid_landmarks import POSE_HINT, Landmarks, Limb, find_landmarks
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.voxel_solid import VoxelSolid, voxelize

CELLS = 160
"""Voxels along the height: a wrist is then four wide."""
WIDEST = 3.0
"""Times its height that a figure may measure in width or depth, swords and wings included."""
ELBOW, WRIST = 0.40, 0.80
"""Along the arm from the shoulder to where fingers grow too thin to be followed."""
KNEE = 0.5
"""From hip to ankle."""
HIP = 1.1
"""Radii of the thigh from the crotch up."""
ANKLE, BALL_UP, BALL = 0.27, 0.08, 0.68
"""Of the foot's length: height of the ankle and of the ball, and how far the ball stands from the heel."""
HIGHEST_ANKLE = 0.35
"""Of the leg."""
SPINE = (0.15, 0.40, 0.65)
"""From pelvis to neck."""
NECK, HEAD, LONGEST_NECK = -0.05, 0.36, 0.05
"""Of the head's length from the thinnest row up; the neck is at most the last, of the whole height."""
COLLAR = (0.2, 0.28)
"""From the neck's foot to the shoulder sideways, and from the shoulder to it upwards."""
SAME = 0.03
"""Joints of the two sides that are mirror images to within this share of the height become so exactly."""

PARENTS = {
    "root": "",
    "pelvis": "root",
    "spine_01": "pelvis",
    "spine_02": "spine_01",
    "spine_03": "spine_02",
    "neck_01": "spine_03",
    "head": "neck_01",
    "clavicle": "spine_03",
    "upperarm": "clavicle",
    "lowerarm": "upperarm",
    "hand": "lowerarm",
    "thigh": "pelvis",
    "calf": "thigh",
    "foot": "calf",
    "ball": "foot",
}
"""Each joint's parent, parents first; those after the head are there once a side."""

ENDS = {
    "pelvis": "spine_01",
    "spine_01": "spine_02",
    "spine_02": "spine_03",
    "spine_03": "neck_01",
    "neck_01": "head",
    "head": "head_tip",
    "clavicle": "upperarm",
    "upperarm": "lowerarm",
    "lowerarm": "hand",
    "hand": "hand_tip",
    "thigh": "calf",
    "calf": "foot",
    "foot": "ball",
    "ball": "ball_tip",
}
"""Where each bone ends."""

SIDED = tuple(PARENTS)[7:]
MEASURED = {"pelvis": 0.9, "neck_01": 0.85, "head": 0.75, "upperarm": 0.9, "hand": 0.8, "thigh": 0.9, "foot": 0.85}
GUESSED = 0.7
"""How sure a joint is that stands where a grown person has it, between measured ones."""


@dataclass(frozen=True, eq=False)
class Humanoid:
    """Be a fitted skeleton.

    Attributes:
        names: Those of Unreal's Mannequin, `root` first, parents before children.
        joints: Metres, house space.
        parents: Joint that each hangs on, -1 for the root.
        tips: End of each joint's bone, metres: where skin is bound to, from the joint to here.
        confidence: 0..1 of each joint: less where it was not measured but placed by proportion, where the two sides disagree,
            and where the joint lies outside the solid.
    """

    names: tuple[str, ...]
    joints: Float32[np.ndarray, "j 3"]
    parents: Int32[np.ndarray, " j"]
    tips: Float32[np.ndarray, "j 3"]
    confidence: Float64[np.ndarray, " j"]


def upright_solid(mesh: Mesh) -> VoxelSolid:
    """Fill a figure with CELLS voxels along its height.

    Raises:
        StageError: It is far wider or deeper than tall.
    """
    width, height, depth = (float(side) for side in np.ptp(mesh.vertices, axis=0))
    if max(width, depth) > WIDEST * height:
        raise StageError(
            f"it is {width:.3g} m wide, {height:.3g} m tall and {depth:.3g} m deep, which is no upright figure", POSE_HINT
        )
    return voxelize(mesh, CELLS)


def fit_humanoid(solid: VoxelSolid) -> Humanoid:
    """Give a skeleton for a figure.

    Args:
        solid: From upright_solid.

    Raises:
        StageError: It is no upright figure in A-pose or T-pose; says what was measured.
    """
    marks = find_landmarks(solid)
    places: dict[str, np.ndarray] = {"root": solid.place(np.zeros(3)), **_body(marks)}
    for side, sign, leg, arm in (("l", 1.0, marks.legs[0], marks.arms[0]), ("r", -1.0, marks.legs[1], marks.arms[1])):
        places |= {f"{name}_{side}": place for name, place in _leg(marks, solid, leg).items()}
        places |= {f"{name}_{side}": place for name, place in _arm(marks, arm, places["neck_01"], sign).items()}
    off = _make_symmetric(places, marks)
    parents = {name: parent for name, parent in PARENTS.items() if name not in SIDED}
    for side in ("l", "r"):
        parents |= {f"{name}_{side}": f"{PARENTS[name]}_{side}" if PARENTS[name] in SIDED else PARENTS[name] for name in SIDED}
    names = tuple(parents)
    joints = solid.point(np.array([places[name] for name in names]))
    joints[0] = 0.0
    tips = solid.point(np.array([places[_end(name)] for name in names]))
    return Humanoid(
        names,
        joints.astype(np.float32),
        np.array([names.index(parent) if parent else -1 for parent in parents.values()], np.int32),
        tips.astype(np.float32),
        _confidence(names, places, off, marks, solid),
    )


def humanoid_bones(fit: Humanoid) -> list[Bone]:
    """Give the pieces that skin is bound to: from each joint but the root to its children, or to its tip where it has none."""
    bones = []
    for joint in range(1, len(fit.names)):
        children = np.flatnonzero(fit.parents == joint)
        ends = fit.joints[children] if len(children) else fit.tips[joint : joint + 1]
        bones += [Bone(joint, fit.joints[joint].astype(np.float64), end.astype(np.float64)) for end in ends]
    return bones


def _along(line: np.ndarray, share: float) -> np.ndarray:
    """Give the place at a share of a line's length."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    return np.array([np.interp(share * lengths[-1], lengths, line[:, axis]) for axis in range(3)])


def _at_row(line: np.ndarray, row: float) -> np.ndarray:
    """Give the place of a line that runs up or down at a row; the end's x and z beyond it."""
    order = np.argsort(line[:, 1], kind="stable")
    x, y, z = line[order].T
    return np.array([np.interp(row, y, x), row, np.interp(row, y, z)])


def _smooth(limb: Limb) -> np.ndarray:
    """Give a limb's middle without the steps of the voxels."""
    size = min(9, len(limb.middle))
    return np.asarray(ndimage.uniform_filter1d(limb.middle, size, axis=0, mode="nearest"))


def _hip(marks: Landmarks) -> float:
    """Give the row of the hips."""
    thigh = float(np.mean([leg.radius[: max(1, len(leg.radius) // 10)].mean() for leg in marks.legs]))
    return marks.crotch + HIP * thigh


def _body(marks: Landmarks) -> dict[str, np.ndarray]:
    """Place what stands in the middle."""
    line = _smooth(marks.trunk)
    head = marks.top - marks.neck
    rows = {
        "pelvis": _hip(marks),
        "neck_01": marks.neck + NECK * head,
        "head": marks.neck + min(HEAD * head, LONGEST_NECK * marks.height),
        "head_tip": float(marks.top),
    }
    for number, share in enumerate(SPINE, 1):
        rows[f"spine_{number:02d}"] = rows["pelvis"] + share * (rows["neck_01"] - rows["pelvis"])
    return {name: _at_row(line, row) for name, row in rows.items()}


def _leg(marks: Landmarks, solid: VoxelSolid, leg: Limb) -> dict[str, np.ndarray]:
    """Place hip, knee, ankle and ball of one leg."""
    line = _smooth(leg)
    heel, toe = _foot(marks, solid, leg)
    length = toe - heel
    hip = _hip(marks)
    ankle = marks.floor + min(ANKLE * length, HIGHEST_ANKLE * (hip - marks.floor))
    # the foot leads the middle forward: the shin says where the ankle is
    shin = _at_row(line, ankle + 0.15 * (hip - ankle))
    ball = marks.floor + BALL_UP * length
    top = _at_row(line, marks.crotch - 1.0)
    return {
        "thigh": np.array([top[0], hip, _at_row(_smooth(marks.trunk), hip)[2]]),
        "calf": _at_row(line, ankle + (1.0 - KNEE) * (hip - ankle)),
        "foot": np.array([shin[0], ankle, shin[2]]),
        "ball": np.array([line[-1, 0], ball, heel + BALL * length]),
        "ball_tip": np.array([line[-1, 0], ball, toe]),
    }


def _foot(marks: Landmarks, solid: VoxelSolid, leg: Limb) -> tuple[float, float]:
    """Give the hindmost and foremost z of what stands under a leg."""
    ends = []
    for x, y, z in leg.middle[leg.middle[:, 1] < marks.floor + 0.03 * marks.height]:
        labels, _ = ndimage.label(solid.filled[:, int(y)], np.ones((3, 3)))
        depth = np.flatnonzero((labels == labels[round(x), round(z)]).any(axis=0))
        ends.append((depth[0], depth[-1]))
    return float(np.median([end[0] for end in ends])), float(np.median([end[1] for end in ends]))


def _arm(marks: Landmarks, arm: Limb, neck: np.ndarray, sign: float) -> dict[str, np.ndarray]:
    """Place collar bone, shoulder, elbow and wrist of one arm."""
    line = _smooth(arm)
    shoulder = line[0]
    collar = np.array(
        [
            marks.middle + sign * COLLAR[0] * abs(shoulder[0] - marks.middle),
            shoulder[1] + COLLAR[1] * max(neck[1] - shoulder[1], 0.0),
            (shoulder[2] + neck[2]) / 2,
        ]
    )
    places = {"clavicle": collar, "upperarm": shoulder, "lowerarm": _along(line, ELBOW), "hand": _along(line, WRIST)}
    return {**places, "hand_tip": line[-1]}


def _make_symmetric(places: dict[str, np.ndarray], marks: Landmarks) -> dict[str, float]:
    """Make pairs that are nearly mirror images exactly so; give how far they were apart, as a share of the height."""
    off = {}
    for left in [name for name in places if name.endswith("_l")]:
        right = f"{left[:-1]}r"
        turned = places[right] * (-1.0, 1.0, 1.0) + (2 * marks.middle, 0.0, 0.0)
        off[left] = off[right] = float(np.linalg.norm(places[left] - turned)) / marks.height
        if off[left] <= SAME:
            places[left] = (places[left] + turned) / 2
            places[right] = places[left] * (-1.0, 1.0, 1.0) + (2 * marks.middle, 0.0, 0.0)
    return off


def _end(name: str) -> str:
    """Name the place where a joint's bone ends."""
    stem, side = (name[:-2], name[-2:]) if name[-2:] in {"_l", "_r"} else (name, "")
    return ENDS.get(stem, stem) + side


def _confidence(
    names: tuple[str, ...], places: dict[str, np.ndarray], off: dict[str, float], marks: Landmarks, solid: VoxelSolid
) -> np.ndarray:
    """Say how sure each joint is."""
    result = []
    for name in names:
        stem = name[:-2] if name[-2:] in {"_l", "_r"} else name
        sure = 1.0 if name == "root" else MEASURED.get(stem, GUESSED)
        if stem in {"neck_01", "head"}:
            sure *= min(1.0, max(0.5, 1.6 - marks.narrowing))
        sure *= max(0.5, 1.0 - 5.0 * off.get(name, 0.0))
        x, y, z = np.clip(np.rint(places[name]).astype(np.int64), 0, np.array(solid.filled.shape) - 1)
        if name != "root" and not solid.filled[x, y, z]:
            sure *= 0.5
        result.append(round(sure, 2))
    return np.array(result)
