from __future__ import annotations

import re

import pytest

from forge_batch.packages.mannequin import mannequin_names

MIXAMO = {
    "mixamorig:Hips": "pelvis",
    "mixamorig:Spine": "spine_01",
    "mixamorig:Spine1": "spine_02",
    "mixamorig:Spine2": "spine_03",
    "mixamorig:Neck": "neck_01",
    "mixamorig:Head": "head",
    "mixamorig:LeftShoulder": "clavicle_l",
    "mixamorig:LeftArm": "upperarm_l",
    "mixamorig:LeftForeArm": "lowerarm_l",
    "mixamorig:LeftHand": "hand_l",
    "mixamorig:LeftHandThumb1": "thumb_01_l",
    "mixamorig:LeftHandPinky3": "pinky_03_l",
    "mixamorig:RightUpLeg": "thigh_r",
    "mixamorig:RightLeg": "calf_r",
    "mixamorig:RightFoot": "foot_r",
    "mixamorig:RightToeBase": "ball_r",
}
OTHERS = {
    "root": "root",
    "upper_arm.L": "upperarm_l",
    "forearm.R": "lowerarm_r",
    "thigh_l": "thigh_l",
    "shin.R": "calf_r",
    "l_upperLeg": "thigh_l",
    "J_Bip_R_UpperArm": None,
    "hand_R": "hand_r",
    "chest": "spine_01",
    "index_01_l": "index_01_l",
    "tail_3": None,
    "bone_17": None,
    "Flügel": None,
}


def test_mixamos_joints_are_the_mannequins() -> None:
    """Sixteen joints of a common skeleton get the Mannequin's names, and none is left."""
    found = mannequin_names(list(MIXAMO))
    assert dict(zip(MIXAMO, found.names, strict=True)) == MIXAMO
    assert found.matched == MIXAMO
    assert found.unmatched == []


@pytest.mark.parametrize(("joint", "bone"), OTHERS.items())
def test_one_joint_at_a_time(joint: str, bone: str | None) -> None:
    """Other conventions of naming sides are read; what is not plain stays unmatched and is said to be."""
    found = mannequin_names([joint])
    assert found.matched == ({joint: bone} if bone else {})
    assert found.unmatched == ([] if bone else [joint])
    assert re.fullmatch(r"[A-Za-z0-9_]+", found.names[0])


def test_the_mannequins_own_names_stay() -> None:
    """A skeleton that has them already keeps every one."""
    own = ["root", "pelvis", "spine_01", "spine_02", "neck_01", "head", "clavicle_l", "upperarm_r", "calf_l", "ball_r"]
    assert mannequin_names(own).names == own


def test_no_name_is_given_twice() -> None:
    """Two hips: the first is the pelvis, the other keeps its name and is reported; equal remains get numbers."""
    found = mannequin_names(["Hips", "hip", "pelvis!", "pelvis?"])
    assert found.matched == {"Hips": "pelvis"}
    assert found.unmatched == ["hip", "pelvis!", "pelvis?"]
    assert found.names == ["pelvis", "hip", "pelvis_2", "pelvis_3"]
    assert len(set(found.names)) == 4
