from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.geodesic_skin import INFLUENCES, Bone, bind_skin
from forge_batch.ops.humanoid import fit_humanoid, humanoid_bones
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, posed, rig_fault
from forge_batch.ops.voxel_solid import voxelize
from forge_batch.ops.walk import Followed, follow, walk_pose
from tests import shapes
from tests.figures import figure, human, union

PHASES = (0.0, 0.25, 0.5, 0.75)


def rigged(mesh: Mesh) -> Rig:
    """Rig a figure as the stage does."""
    solid = voxelize(mesh, 160)
    found = fit_humanoid(solid)
    return Rig(found.names, found.joints, found.parents, *bind_skin(mesh, solid, humanoid_bones(found)))


def share(rig: Rig, joint: str) -> np.ndarray:
    """Give how much a joint moves each vertex."""
    return np.asarray((rig.weights * (rig.influences == rig.names.index(joint))).sum(axis=1))


def walked(mesh: Mesh) -> list[Followed]:
    """Measure four moments of a walk."""
    rig = rigged(mesh)
    return [follow(rig, mesh, walk_pose(rig, phase)) for phase in PHASES]


def test_a_bar_follows_its_two_bones() -> None:
    """Round the joint of two equal bones both weigh a half on average; towards the ends the nearer one has over 95 %."""
    bar = union([((0, 0, 0), (2, 0, 0), 0.15)], 0.03)
    ends = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    joints, weights = bind_skin(bar, voxelize(bar, 16), [Bone(4, ends[0], ends[1]), Bone(7, ends[1], ends[2])])
    first = (weights * (joints == 4)).sum(axis=1)
    x = bar.vertices[:, 0]
    assert abs(first[np.abs(x - 1) < 0.1].mean() - 0.5) < 0.05
    assert first[np.abs(x - 1) < 0.02].max() < 0.85
    assert first[x < 0.5].min() > 0.95
    assert first[x > 1.5].max() < 0.05
    assert set(np.unique(joints)) <= {4, 7}


def test_nothing_goes_across_the_air() -> None:
    """The tines of a fork are nearer to each other than to the root, and neither moves the other."""
    fork = union([((0, 0, 0), (0.3, 0, 0), 0.06), ((0, 0, 0), (0, 1, 0), 0.06), ((0.3, 0, 0), (0.3, 1, 0), 0.06)], 0.02)
    left, right = np.array([[0, 0.2, 0], [0, 1.0, 0]]), np.array([[0.3, 0.2, 0], [0.3, 1.0, 0]])
    stem = np.array([[0.0, 0, 0], [0.3, 0, 0]])
    bones = [Bone(0, stem[0], stem[1]), Bone(1, left[0], left[1]), Bone(2, right[0], right[1])]
    joints, weights = bind_skin(fork, voxelize(fork, 60), bones)
    upper = (fork.vertices[:, 1] > 0.5) & (fork.vertices[:, 0] < 0.15)
    assert upper.sum() > 100
    assert (weights * (joints == 2)).sum(axis=1)[upper].max() == 0
    assert (weights * (joints == 1)).sum(axis=1)[upper].min() > 0.9


def test_a_loose_part_follows_what_it_is_nearest_to() -> None:
    """A box that floats beside one end of a bar moves as that end does, and in one piece."""
    bar = union([((0, 0, 0), (2, 0, 0), 0.15)], 0.03)
    both = shapes.join(bar, shapes.box((0.1, 0.1, 0.1), (2.0, 0.4, 0.0)))
    ends = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    joints, weights = bind_skin(both, voxelize(both, 30), [Bone(0, ends[0], ends[1]), Bone(1, ends[1], ends[2])])
    loose = (weights * (joints == 1)).sum(axis=1)[-8:]
    assert loose.min() > 0.95


def test_weights_are_sound() -> None:
    """A person's weights sum to 1 over at most four joints, nothing hangs on `root`, and split vertices move as one."""
    mesh, _ = human()
    soup = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3))
    rig = rigged(soup)
    assert rig_fault(rig, len(soup.vertices)) is None
    assert rig.weights.shape[1] == INFLUENCES
    assert share(rig, "root").max() == 0
    _, back = np.unique(soup.vertices, axis=0, return_inverse=True)
    for joint in ("calf_l", "hand_r", "spine_02"):
        moved = share(rig, joint)
        most, least = np.full(back.max() + 1, -1.0), np.full(back.max() + 1, 2.0)
        np.maximum.at(most, back.reshape(-1), moved)
        np.minimum.at(least, back.reshape(-1), moved)
        np.testing.assert_array_equal(most, least)


def test_each_limb_follows_its_own_bones() -> None:
    """A person's head, hands, shins and feet are moved by their own joints, and no leg by the other's."""
    mesh, joints = human()
    rig = rigged(mesh)
    x, y, _ = mesh.vertices.T
    assert share(rig, "head")[y > joints["head"][1] + 0.03].mean() > 0.95
    assert share(rig, "hand_l")[x > joints["hand_l"][0] + 0.04].mean() > 0.9
    shin = (x > 0.05) & (y < 0.35) & (y > 0.15)
    assert share(rig, "calf_l")[shin].mean() > 0.9
    for other in ("thigh_r", "calf_r", "foot_r"):
        assert share(rig, other)[(x > 0.05) & (y < 0.7)].max() < 0.05


@pytest.mark.parametrize("drop", [0.0, 45.0])
def test_a_figure_walks_without_tearing(drop: float) -> None:
    """At four moments of a walk edges stretch at most 1.5 times (p99), 0.5 % of the area folds, the volume stays."""
    for moment in walked(figure(drop)[0]):
        assert moment.stretch < 1.5
        assert moment.shrink < 1.6
        assert moment.turned < 0.005
        assert abs(moment.volume - 1) < 0.06


def test_a_person_walks_without_tearing() -> None:
    """At four moments of a walk edges stretch at most 1.35 times (p99), 0.2 % of the area folds, the volume stays."""
    for moment in walked(human()[0]):
        assert moment.stretch < 1.35
        assert moment.shrink < 1.5
        assert moment.turned < 0.002
        assert abs(moment.volume - 1) < 0.04


def test_a_rigid_skin_is_measured_to_tear() -> None:
    """Bound to the nearest joint alone and unsmoothed the same walk tears: the measure does see it."""
    mesh, _ = human()
    rig = rigged(mesh)
    torn = Rig(rig.names, rig.joints, rig.parents, rig.influences[:, :1].copy(), np.ones((len(mesh.vertices), 1), np.float32))
    soft, hard = (follow(one, mesh, walk_pose(one, 0.25)) for one in (rig, torn))
    assert hard.stretch > 1.1 * soft.stretch
    assert hard.turned > 0.004 > 2 * soft.turned


def test_a_walk_lets_the_arms_hang_and_swings_the_legs() -> None:
    """In mid-stride the left ankle is in front of the right one, and both hands are below their shoulders."""
    mesh, _ = figure(0.0)
    rig = rigged(mesh)
    at = {name: index for index, name in enumerate(rig.names)}
    where = Rig(rig.names, rig.joints, rig.parents, np.arange(len(rig.names), dtype=np.int32)[:, None],
                np.ones((len(rig.names), 1), np.float32))  # fmt: skip
    places = posed(where, rig.joints, walk_pose(rig, 0.25))
    assert places[at["foot_l"], 2] > places[at["foot_r"], 2] + 0.4
    for side in "lr":
        assert places[at[f"hand_{side}"], 1] < places[at[f"upperarm_{side}"], 1] - 0.35
