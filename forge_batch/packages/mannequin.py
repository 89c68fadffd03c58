"""Give joints the names of Unreal's Mannequin where it is plain which is meant, and say which have none.

Names suffice for the IK Retargeter, which knows the Mannequin's chains by them. They do not suffice to play the Mannequin's own
animations: its bones also have other axes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MIDDLE = {"hips": "pelvis", "hip": "pelvis", "pelvis": "pelvis", "head": "head", "root": "root"}
SPINE = re.compile(r"(spine|chest|upperchest|torso)\d*")
NECK = re.compile(r"neck\d*")
SIDES = {
    "shoulder": "clavicle",
    "clavicle": "clavicle",
    "collar": "clavicle",
    "arm": "upperarm",
    "upperarm": "upperarm",
    "forearm": "lowerarm",
    "lowerarm": "lowerarm",
    "hand": "hand",
    "wrist": "hand",
    "upleg": "thigh",
    "upperleg": "thigh",
    "thigh": "thigh",
    "leg": "calf",
    "lowerleg": "calf",
    "calf": "calf",
    "shin": "calf",
    "foot": "foot",
    "ankle": "foot",
    "toebase": "ball",
    "toe": "ball",
    "toes": "ball",
    "ball": "ball",
}
FINGER = re.compile(r"(?:hand)?(thumb|index|middle|ring|pinky|little)(?:finger)?0?([1-3])")
MOST_SPINES, MOST_NECKS = 5, 2


class Named(NamedTuple):
    """Be what became of a skeleton's names.

    Attributes:
        names: In the order of the joints, all different, of A-Z, a-z, 0-9 and _.
        matched: The Mannequin's name of each joint that has one, by the joint's own.
        unmatched: Joints that have none and keep their own names.
    """

    names: list[str]
    matched: dict[str, str]
    unmatched: list[str]


def mannequin_names(joints: Sequence[str]) -> Named:
    """Match joints, parents before children, with the Mannequin's bones; no bone is given twice."""
    matched: dict[str, str] = {}
    spines = necks = 0
    for joint in joints:
        side, word = _split(joint)
        bone = "" if side else MIDDLE.get(word, "")
        if not side and SPINE.fullmatch(word) and spines < MOST_SPINES:
            spines += 1
            bone = f"spine_{spines:02d}"
        elif not side and NECK.fullmatch(word) and necks < MOST_NECKS:
            necks += 1
            bone = f"neck_{necks:02d}"
        elif side and (finger := FINGER.fullmatch(word)):
            bone = f"{finger[1].replace('little', 'pinky')}_{int(finger[2]):02d}_{side}"
        elif side and word in SIDES:
            bone = f"{SIDES[word]}_{side}"
        if bone and bone not in matched.values():
            matched[joint] = bone
    names: list[str] = []
    for joint in joints:
        plain = matched.get(joint) or re.sub(r"[^A-Za-z0-9_]+", "_", joint).strip("_") or "bone"
        taken = {*names, *(matched.values() if joint not in matched else ())}
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}_{number}"
        names.append(name)
    return Named(names, matched, [joint for joint in joints if joint not in matched])


def _split(joint: str) -> tuple[str, str]:
    """Tell a joint's side, `l`, `r` or none, from the rest of its name, without prefixes, numbers' zeros and punctuation."""
    name = joint.rpartition(":")[2]
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
    for mark, side in (("left", "l"), ("right", "r"), ("l", "l"), ("r", "r")):
        if mark in words:
            words.remove(mark)
            return side, "".join(words)
    return "", "".join(words)
