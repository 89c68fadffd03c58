"""Finish broken meshes of every kind; benchmarks/broken.py runs them all, and four libraries beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.orient import orient_outwards
from forge_batch.ops.readable import readable
from forge_batch.ops.topology import measure_topology
from tests.broken.cases import CASES, Case
from tests.broken.damage import KINDS, broken
from tests.broken.finishers import TRIANGLES, by_forge_batch
from tests.broken.judge import faults
from tests.broken.trial import sound_shapes, try_case
from tests.shapes import blob, box, join

FEW = tuple(
    case
    for index, kind in enumerate(KINDS)
    for case in CASES
    if case.kind == kind and case.severity == 1.0 and case.shape == ("horse", "bone", "crate")[index % 3]
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mesh]:
    """Make the sound shapes of the cases once."""
    return sound_shapes({case.shape for case in FEW}, Path(tmp_path_factory.mktemp("shapes")))


def test_there_are_four_hundred_cases() -> None:
    """At least 20 kinds of damage, 10 shapes and 400 cases, no two alike."""
    assert len(set(CASES)) == len(CASES) >= 400
    assert len(KINDS) >= 20
    assert len({case.shape for case in CASES}) >= 10


@pytest.mark.parametrize("case", FEW, ids=str)
def test_a_broken_shape_is_ready_for_a_package(case: Case, shapes: dict[str, Mesh]) -> None:
    """Closed, manifold, wound outwards, one budget, nothing floating or hidden, and on the outer surface that was spared."""
    sound = shapes[case.shape]
    made = by_forge_batch(broken(sound, case.kind, case.severity, case.seed))
    assert faults(made, sound, KINDS[case.kind].spares, TRIANGLES) == []


def test_damage_is_reproducible_and_damages(shapes: dict[str, Mesh]) -> None:
    """The same case gives the same bytes twice, and something else than the sound shape."""
    for case in FEW:
        one, two = (broken(shapes[case.shape], case.kind, case.severity, case.seed) for _ in range(2))
        assert one.vertices.tobytes() + one.faces.tobytes() == two.vertices.tobytes() + two.faces.tobytes(), case
        same = one.faces.tobytes() == shapes[case.shape].faces.tobytes()
        assert not (same and one.vertices.tobytes() == shapes[case.shape].vertices.tobytes()), case


def test_the_judge_finds_what_is_wrong() -> None:
    """A sound shape has no fault; a hole, a turned face, a floater, an inner shell and too many faces are each named."""
    sound = orient_outwards(blob(24))
    assert faults(sound, sound, spared=True, budget=None) == []
    assert faults(sound, sound, spared=True, budget=100) == ["budget"]
    assert "watertight" in faults(Mesh(sound.vertices, sound.faces[1:]), sound, spared=True, budget=None)
    turned = np.concatenate([sound.faces[:1, ::-1], sound.faces[1:]])
    assert "winding" in faults(Mesh(sound.vertices, turned), sound, spared=True, budget=None)
    assert "inverted" in faults(Mesh(sound.vertices, sound.faces[:, ::-1].copy()), sound, spared=True, budget=None)
    assert "floaters" in faults(join(sound, box((0.01, 0.01, 0.01), (1, 1, 1))), sound, spared=True, budget=None)
    assert "inner shell" in faults(join(sound, box((0.3, 0.3, 0.3))), sound, spared=True, budget=None)
    grown = Mesh(1.1 * sound.vertices, sound.faces)
    assert faults(grown, sound, spared=False, budget=None) == []
    assert faults(grown, sound, spared=True, budget=None)[0].startswith("p99")


def test_a_crash_is_an_outcome(shapes: dict[str, Mesh]) -> None:
    """What a library refuses or does wrong is told apart from what is ready, by a child process."""
    case = Case("cut_off", "bone", 1.0)
    assert try_case(case, shapes["bone"], "manifold3d").verdict == "refused"


_BOX = box((1, 2, 3))
_BAD = {
    "empty": (Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)), "the mesh has no faces"),
    "no faces": (Mesh(_BOX.vertices, np.zeros((0, 3), np.int32)), "the mesh has no faces"),
    "all nan": (Mesh(np.full((8, 3), np.nan, np.float32), _BOX.faces), "12 of 12 faces have corners that are not finite"),
    "some infinite": (
        Mesh(np.where(np.arange(8)[:, None] == 3, np.inf, _BOX.vertices).astype(np.float32), _BOX.faces),
        r"\d of 12 faces have corners that are not finite",
    ),
    "out of range": (Mesh(_BOX.vertices, _BOX.faces + np.int32(1)), "a face names vertex 8, there are 8"),
    "negative": (Mesh(_BOX.vertices, _BOX.faces - np.int32(1)), "a face names vertex -1, there are 8"),
    "all repeated corners": (
        Mesh(_BOX.vertices, np.repeat(_BOX.faces[:, :1], 3, axis=1)),
        "none of 12 faces has any area",
    ),
    "all on a line": (
        Mesh((_BOX.vertices[:, :1] * np.ones(3)).astype(np.float32), _BOX.faces),
        "none of 12 faces has any area",
    ),
    "one point": (Mesh(np.ones((8, 3), np.float32), _BOX.faces), "none of 12 faces has any area"),
    "20 million faces": (
        Mesh(_BOX.vertices, np.broadcast_to(_BOX.faces[:1], (20_000_000, 3))),
        "the mesh has 20 million faces, at most 16 million can be worked on",
    ),
}


@pytest.mark.parametrize("name", _BAD)
def test_what_nothing_can_be_made_of_is_refused(name: str) -> None:
    """What is no surface at all ends in a StageError with the numbers at once, before anything works on it."""
    mesh, message = _BAD[name]
    with pytest.raises(StageError, match=message) as caught:
        readable(mesh)
    assert caught.value.hint


def test_a_single_triangle_becomes_a_thin_plate() -> None:
    """Nothing says that it is a sheet, so it gets two sides and a rim: closed, and as large as the triangle."""
    triangle = Mesh(_BOX.vertices, _BOX.faces[:1])
    made = by_forge_batch(triangle)
    assert measure_topology(made.faces).closed
    assert measure_deviation(made, readable(triangle)[0]).largest < 0.02 * made.diagonal


def test_a_few_corners_that_are_not_finite_cost_their_faces_alone() -> None:
    """Three of thousands of vertices infinite or NaN: the holes are closed and the rest is as it was."""
    sound = orient_outwards(blob(60))
    points = sound.vertices.copy()
    points[[10, 500, 900]] = np.array([[np.nan], [np.inf], [-np.inf]], np.float32)
    assert faults(by_forge_batch(Mesh(points, sound.faces)), sound, spared=True, budget=TRIANGLES) == []


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1e5, 1e9])
def test_size_does_not_matter(scale: float) -> None:
    """A blob a nanometre or a million kilometres large is finished as one of a metre is."""
    mesh = orient_outwards(blob(60))
    made = by_forge_batch(Mesh((mesh.vertices * np.float32(scale)).astype(np.float32), mesh.faces))
    assert faults(Mesh((made.vertices / np.float32(scale)).astype(np.float32), made.faces), mesh, True, TRIANGLES) == []
