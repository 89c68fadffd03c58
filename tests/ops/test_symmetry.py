"""Fold shapes at planes and lay them out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.pose import similarity
from forge_batch.ops.solid import make_solid
from forge_batch.ops.source import Projection, SourceMesh
from forge_batch.ops.symmetric_copy import find_symmetry, make_source_symmetric, make_symmetric
from forge_batch.ops.symmetry import asymmetry, find_plane, mirror
from forge_batch.ops.topology import measure_topology, signed_volume
from tests.shapes import blob, box

DATA = Path(__file__).parent.parent / "data"


def _rows(vertices: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(row) for row in np.round(vertices.astype(np.float64), 5) + 0.0}


def test_the_plane_of_a_shifted_box_is_found() -> None:
    """A box moved to x = 3 has its mirror plane there."""
    assert find_plane(box(centre=(3, 0, 0)), 0) == pytest.approx(3.0, abs=1e-3)
    assert asymmetry(box(centre=(3, 0, 0)), mirror(0, 3.0)) < 1e-5


@pytest.mark.parametrize(("mode", "axis"), [("bilateral_x", 0), ("bilateral_y", 1)])
def test_a_mirrored_blob_is_closed_and_equals_its_image(mode: str, axis: int) -> None:
    """Every vertex has its image across the plane, and the surface is closed."""
    mesh = make_solid(blob(40), 1e-6, 1.0).mesh
    symmetry = find_symmetry(mesh, mode, 0)  # type: ignore[arg-type]
    result = make_symmetric(mesh, symmetry)
    assert measure_topology(result.faces).closed
    offset = float(symmetry.planes[0][0][axis])
    centred = result.vertices.astype(np.float64)
    centred[:, axis] -= offset
    image = centred * np.where(np.arange(3) == axis, -1.0, 1.0)
    assert _rows(centred) == _rows(image)


def test_a_box_survives_its_symmetries() -> None:
    """Bilateral and 4-fold radial copies of a cube have its volume and are closed."""
    for mode in ("bilateral_x", "bilateral_y", "radial"):
        result = make_symmetric(box(), find_symmetry(box(), mode, 4))  # type: ignore[arg-type]
        assert measure_topology(result.faces).closed
        assert signed_volume(result) == pytest.approx(1.0, rel=1e-4)


def test_a_blob_is_not_symmetric() -> None:
    """The measured asymmetry of a lumpy blob is far from zero."""
    mesh = make_solid(blob(40), 1e-6, 1.0).mesh
    assert find_symmetry(mesh, "bilateral_x", 0).asymmetry > 0.01


def test_the_source_is_mirrored_with_its_picture() -> None:
    """The left half shows the right half's colour: of the vertices, and of the picture through a mirrored camera."""
    mesh = box()
    right = mesh.vertices[:, 0] > 0
    color = np.where(right[:, None], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]).astype(np.float32)
    one = np.ones(len(mesh.vertices), np.float32)
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :, 0] = np.arange(64)[None] * 4
    view = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 5.0]])
    camera = Camera(view, np.array([60.0, 60.0]), np.array([32.0, 32.0]), (64, 64), orthographic=True)
    source = SourceMesh(mesh, color, 0 * one, one, one, (Projection(picture, camera, one),))
    symmetry = find_symmetry(mesh, "bilateral_x", 0)
    result = make_source_symmetric(source, symmetry)
    assert np.allclose(result.base_color[np.abs(result.mesh.vertices[:, 0]) > 0.1], [0, 1, 0])
    corners = result.mesh.vertices[result.mesh.faces]
    faces = np.flatnonzero(np.abs(corners[:, :, 0]).max(axis=1) > 0.4)
    middle = np.full((len(faces), 3), 1 / 3, np.float32)
    red = result.sample(faces, middle).base_color[:, 0]
    x = corners[faces].mean(axis=1)[:, 0]
    plain = SourceMesh(mesh, color, 0 * one, one, one, source.projections)
    assert len(plain.projections) == 1
    assert len(result.projections) == 2
    for left in np.flatnonzero(x < -0.1):
        twin = np.argmin(
            np.abs(x - -x[left]) + np.abs(corners[faces].mean(axis=1)[:, 1:] - corners[faces[left]].mean(axis=0)[1:]).sum(1)
        )
        assert red[left] == pytest.approx(red[twin], abs=0.02)
        assert red[left] > 0.2


def test_radial_source_keeps_no_picture_but_its_colour() -> None:
    """With more than two copies the pictures are read into the vertices."""
    mesh = box()
    one = np.ones(len(mesh.vertices), np.float32)
    source = SourceMesh(mesh, np.tile(np.float32([0.2, 0.4, 0.6]), (8, 1)), one, one, one)
    result = make_source_symmetric(source, find_symmetry(mesh, "radial", 4))
    assert result.projections == ()
    assert np.allclose(result.base_color, [0.2, 0.4, 0.6])
    assert measure_topology(result.mesh.faces).closed


@pytest.mark.parametrize("pivot", ["bottom_center", "center", "none"])
def test_pose_gives_height_and_pivot(pivot: str) -> None:
    """The box is exactly as tall as asked and its pivot is at the origin."""
    mesh = box((1, 2, 4), (5, 6, 7))
    matrix = similarity(mesh.vertices, 0.5, pivot, 90.0)  # type: ignore[arg-type]
    moved = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = moved.min(axis=0), moved.max(axis=0)
    assert high - low == pytest.approx([1.0, 0.5, 0.25])
    if pivot == "bottom_center":
        assert [low[1], *((low + high) / 2)[[0, 2]]] == pytest.approx([0, 0, 0], abs=1e-6)
    if pivot == "center":
        assert (low + high) / 2 == pytest.approx(np.zeros(3), abs=1e-6)


def test_yaw_turns_the_front_to_plus_x() -> None:
    """At 90 degrees what looked along +Z looks along +X."""
    matrix = similarity(box().vertices, 1.0, "none", 90.0)
    assert matrix[:3, :3] @ [0, 0, 1] == pytest.approx([1, 0, 0], abs=1e-9)


def test_mesh_type_is_plain() -> None:
    """A symmetric copy carries no attributes."""
    result = make_symmetric(box(), find_symmetry(box(), "bilateral_x", 0))
    assert isinstance(result, Mesh)
    assert result.uv is None


def _real(name: str) -> Mesh:
    """Read a shape of tests/data, its vertices welded."""
    shape = trimesh.load(DATA / name, force="mesh", process=True)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32))


@pytest.mark.parametrize(("name", "mode", "most"), [("ammo_crate", "bilateral_x", 0.02), ("human", "bilateral_x", 0.02)])
@pytest.mark.parametrize("degrees", [0.0, 6.0])
def test_a_turned_thing_is_as_symmetric_as_before(name: str, mode: str, most: float, degrees: float) -> None:
    """The mirror plane of a real crate and of a real figure is found where they stand turned about the vertical."""
    mesh = _real(f"{name}/mesh.ply" if name == "human" else f"{name}/reference.glb")
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turned = Mesh((mesh.vertices @ turn.T).astype(np.float32), mesh.faces)
    symmetry = find_symmetry(turned, mode, 0)  # type: ignore[arg-type]
    assert symmetry.asymmetry < most
    normal = symmetry.planes[0][1]
    assert np.degrees(np.arccos(min(1.0, float(normal @ turn[:, 0])))) < 0.7


def test_a_barrel_is_radial_and_a_walking_horse_is_nothing() -> None:
    """Of real shapes the barrel is a regular polygon's, and a horse in mid-stride has no mirror."""
    assert find_symmetry(_real("wood_barrel/reference.glb"), "radial", 4).asymmetry < 0.02
    assert find_symmetry(_real("horse/reference.glb"), "bilateral_x", 0).asymmetry > 0.03


@pytest.mark.parametrize("count", [2, 4])
def test_a_radial_thing_may_lean_and_be_turned(count: int) -> None:
    """A box of 1 x 2 x c that leans by 6 degrees and is turned by 20 is rebuilt: closed, of its volume, axis found."""
    size = (1.0, 2.0, 1.6 if count == 2 else 1.0)
    a, b = np.radians(20.0), np.radians(6.0)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    lean = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    mesh = Mesh((box(size).vertices @ (lean @ turn).T + (0.3, 1.0, -0.2)).astype(np.float32), box(size).faces)
    symmetry = find_symmetry(mesh, "radial", count)
    assert symmetry.asymmetry < 0.005
    axis = np.cross(symmetry.planes[0][1], symmetry.planes[1][1])
    assert abs(axis @ lean[:, 1]) / np.linalg.norm(axis) > np.cos(np.radians(0.5))
    result = make_symmetric(mesh, symmetry)
    assert measure_topology(result.faces).closed
    assert signed_volume(result) == pytest.approx(np.prod(size), rel=0.01)
