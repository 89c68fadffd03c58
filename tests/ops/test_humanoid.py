from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from forge_batch.backends.humanoid import make_rig
from forge_batch.errors import StageError
from forge_batch.ops.humanoid import CELLS, Humanoid, fit_humanoid, upright_solid
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import posed
from forge_batch.packages.mannequin import mannequin_names
from tests import shapes
from tests.figures import figure, human, union


def fit(mesh: Mesh) -> Humanoid:
    """Fit a skeleton as the stage does."""
    return fit_humanoid(upright_solid(mesh))


def errors(mesh: Mesh, joints: dict[str, np.ndarray]) -> dict[str, float]:
    """Give how far each known joint was missed, as a share of the height."""
    found = fit(mesh)
    height = float(np.ptp(mesh.vertices[:, 1]))
    places = dict(zip(found.names, found.joints, strict=True))
    return {name: float(np.linalg.norm(places[name] - place)) / height for name, place in joints.items()}


@pytest.mark.parametrize("drop", [0.0, 30.0, 45.0, 60.0])
def test_joints_of_a_figure_are_found(drop: float) -> None:
    """From T-pose to arms 60 degrees down joints of a figure are found to 5 % of its height, hips and ankles to 3 %."""
    missed = errors(*figure(drop))
    assert max(missed.values()) < 0.05, missed
    assert missed["thigh_l"] < 0.03
    assert missed["foot_r"] < 0.03


@pytest.mark.parametrize(("legs", "head"), [(0.6, 0.1), (0.75, 0.2), (1.1, 0.09)])
def test_proportions_may_be_unlike_a_grown_person(legs: float, head: float) -> None:
    """With short legs, with a large head and with long legs it stays within 6 %."""
    missed = errors(*figure(20.0, legs=legs, head=head))
    assert max(missed.values()) < 0.06, missed


def test_joints_of_a_person_are_where_people_set_them() -> None:
    """Limb joints, neck and head of the public figure lie within 3.5 % of its height from those of its own rig."""
    mesh, joints = human()
    missed = errors(mesh, {name: place for name, place in joints.items() if not name.startswith("spine")})
    assert max(missed.values()) < 0.035, missed


@pytest.mark.parametrize("lift", [45.0, 20.0, -12.0])
def test_the_pose_of_the_arms_does_not_matter(lift: float) -> None:
    """A person's arms lifted to T-pose, half of that, or lowered to 60 degrees: every joint is found again within 3 %."""
    mesh, _ = human()
    rig = make_rig(mesh, lambda *_: None).rig
    turns = np.tile(np.eye(3), (len(rig.names), 1, 1))
    for side, sign in (("l", 1.0), ("r", -1.0)):
        turns[rig.names.index(f"upperarm_{side}")] = Rotation.from_euler("z", sign * lift, degrees=True).as_matrix()
    every = np.arange(len(rig.names), dtype=np.int32)[:, None]
    alone = replace(rig, influences=every, weights=np.ones((len(every), 1), np.float32))
    moved = posed(alone, rig.joints, turns)
    missed = errors(
        Mesh(posed(rig, mesh.vertices, turns).astype(np.float32), mesh.faces), dict(zip(rig.names, moved, strict=True))
    )
    del missed["root"]
    assert max(missed.values()) < 0.03, missed


def test_a_symmetric_body_gets_a_symmetric_skeleton() -> None:
    """Left and right joints of a person are mirror images to a tenth of a millimetre; the middle ones stand in the middle."""
    mesh, _ = human()
    found = fit(Mesh(np.concatenate([mesh.vertices, mesh.vertices * np.float32([-1, 1, 1])]), np.vstack([
        mesh.faces, mesh.faces[:, ::-1] + np.int32(len(mesh.vertices))
    ])))  # fmt: skip
    places = dict(zip(found.names, found.joints.astype(np.float64), strict=True))
    middle = places["pelvis"][0]
    assert abs(middle) < 0.002
    for name, place in places.items():
        if name.endswith("_l"):
            turned = places[f"{name[:-1]}r"] * (-1, 1, 1) + (2 * middle, 0, 0)
            np.testing.assert_allclose(place, turned, atol=1e-4, err_msg=name)
        elif not name.endswith("_r") and name != "root":
            assert abs(place[0] - middle) < 1e-4


def test_mirrored_input_gives_the_mirrored_skeleton() -> None:
    """A figure with a staff in its right hand, mirrored, has its joints mirrored: to one voxel."""
    mesh, _ = figure(0.0, more=[((-0.8, 1.44, 0.1), (-0.8, 1.44, 0.7), 0.03)])
    other = Mesh(mesh.vertices * np.float32([-1, 1, 1]), np.ascontiguousarray(mesh.faces[:, ::-1]))
    first, second = fit(mesh), fit(other)
    swapped = [second.names.index(name[:-1] + {"l": "r", "r": "l"}[name[-1]] if name[-2:-1] == "_" else name)
               if name[-2:] in {"_l", "_r"} else second.names.index(name) for name in first.names]  # fmt: skip
    np.testing.assert_allclose(second.joints[swapped] * (-1, 1, 1), first.joints, atol=np.ptp(mesh.vertices[:, 1]) / CELLS)


def test_things_held_and_worn_move_no_joint() -> None:
    """A sword forwards out of one hand and a sheet down the back leave every joint within 6 %."""
    held = ((-0.8, 1.44, 0.0), (-0.8, 1.44, 0.9), 0.03)
    sheet = [((x, 0.5, -0.14), (x, 1.4, -0.14), 0.02) for x in np.linspace(-0.3, 0.3, 16)]
    mesh, joints = figure(0.0, more=[held, *sheet])
    missed = errors(mesh, joints)
    assert max(missed.values()) < 0.06, missed


def test_every_joint_is_one_of_the_mannequins() -> None:
    """All names are matched, each parent comes before its child, and `root` stands at the origin."""
    found = fit(human()[0])
    named = mannequin_names(found.names)
    assert (named.unmatched, named.names) == ([], list(found.names))
    assert found.names[0] == "root"
    assert found.joints[0].tolist() == [0, 0, 0]
    assert (found.parents < np.arange(len(found.names))).all()
    assert ((found.confidence > 0.5) & (found.confidence <= 1)).all()


def test_confidence_falls_where_the_sides_disagree() -> None:
    """One arm bent forward makes shoulders to hands less sure than those of a straight figure, and leaves the legs as sure."""
    straight = fit(figure(0.0)[0])
    bent, _ = figure(0.0, more=[((0.7, 1.3, 0.0), (0.7, 1.62, 0.0), 0.07)])
    found = fit(bent)
    at = {name: index for index, name in enumerate(found.names)}
    assert found.confidence[at["hand_l"]] < straight.confidence[at["hand_l"]]
    assert found.confidence[at["thigh_l"]] == straight.confidence[at["thigh_l"]]


def quadruped() -> Mesh:
    """Make a body on four legs that looks along +Z."""
    legs = [((x, 0.05, z), (x, 0.6, z), 0.05) for x in (-0.15, 0.15) for z in (-0.4, 0.4)]
    return union([*legs, ((0, 0.65, -0.4), (0, 0.65, 0.4), 0.17), ((0, 0.7, 0.45), (0, 1.0, 0.6), 0.1)])


def turned(mesh: Mesh) -> Mesh:
    """Let it face +X."""
    return Mesh(np.ascontiguousarray(mesh.vertices[:, [2, 1, 0]]), np.ascontiguousarray(mesh.faces[:, ::-1]))


def robed() -> Mesh:
    """Put the legs into a robe that leaves the feet out."""
    return figure(30.0, more=[((0, 0.3, 0), (0, 0.9, 0), 0.22)])[0]


def headless() -> Mesh:
    """End a body at its arms."""
    legs = [((x, 0.05, 0), (x, 0.9, 0), 0.08) for x in (-0.12, 0.12)]
    return union([*legs, ((0, 0.95, 0), (0, 1.35, 0), 0.1), ((-0.7, 1.4, 0), (0.7, 1.4, 0), 0.05)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (quadruped, "the number of columns that stand on the floor is 4"),
        (lambda: shapes.box((1.0, 1e-4, 1.0)), "1 m wide, 0.0001 m tall and 1 m deep, which is no upright figure"),
        (shapes.box, "the number of columns that stand on the floor is 1"),
        (lambda: turned(figure(45.0)[0]), "one behind the other"),
        (lambda: figure(45.0, arms=False)[0], "no left arm was found|no shoulder"),
        (lambda: figure(87.0)[0], "no left arm was found"),
        (robed, "the legs are [45]% of the height.*in a robe"),
        (headless, "no head was found: only 3% of the height is above the arms"),
    ],
    ids=["four legs", "a sheet", "a box", "facing aside", "no arms", "arms at the sides", "a robe", "no head"],
)
def test_what_is_no_upright_figure_is_refused(make: Callable[[], Mesh], words: str) -> None:
    """It says what was measured and what to do, and gives no skeleton."""
    with pytest.raises(StageError, match=words) as caught:
        fit(make())
    assert "rig: off" in caught.value.hint
