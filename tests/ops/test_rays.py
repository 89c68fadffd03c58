from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from forge_batch.errors import BackendUnavailable
from forge_batch.ops.embree import library_of
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rays import RayScene


def scene_of(shape: trimesh.Trimesh) -> RayScene:
    """Make a shape ready for queries."""
    return RayScene(Mesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32)))


def square() -> RayScene:
    """Make the unit square in the XY plane of two faces."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    return RayScene(Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))


def test_a_cast_ray_finds_face_place_and_distance() -> None:
    """Barycentric weights name the corners in the face's own order, from either side of the face."""
    scene = square()
    origins = np.array([[0.75, 0.25, 2], [0.25, 0.75, -3], [2, 2, 1]], np.float32)
    hits = scene.cast(origins, np.array([[0, 0, -1], [0, 0, 1], [0, 0, -1]], np.float32))
    np.testing.assert_array_equal(hits.face, [0, 1, -1])
    np.testing.assert_allclose(hits.distance, [2, 3, np.inf])
    np.testing.assert_allclose(hits.barycentric, [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "path", ["embreex.libs/libembree4-4aef3270.so.4", "embreex/.dylibs/libembree4.4.dylib", "embreex.libs/embree4.dll"]
)
def test_embree_is_found_where_wheels_put_it(path: str, tmp_path: Path) -> None:
    """On Linux, macOS and Windows; where there is none, it is said how to get it."""
    (tmp_path / "embreex").mkdir()
    with pytest.raises(BackendUnavailable, match="brings no library of Embree 4"):
        library_of(tmp_path / "embreex")
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()
    assert library_of(tmp_path / "embreex") == tmp_path / path


@pytest.mark.parametrize("watertight", [True, False])
def test_a_scene_that_is_let_go_frees_its_tree_alone(watertight: bool) -> None:
    """Of two scenes one goes; the other answers as before, and packets that are not full are answered whole."""
    ball = trimesh.creation.icosphere(3)
    mesh = Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32))
    one, other = RayScene(mesh, watertight), RayScene(mesh, watertight)
    points = np.float32(2) * mesh.vertices[:21]
    before = one.cast(points, -points)
    del other
    after = one.cast(points, -points)
    np.testing.assert_array_equal(before.face, after.face)
    assert (after.face >= 0).all()
    assert one.occluded(points, -points).all()
    assert not one.occluded(points, points).any()


def test_distance_bounds_a_ray() -> None:
    """What lies farther than the given distance is neither hit nor in the way."""
    scene = square()
    origins, down = np.array([[0.5, 0.25, 1]], np.float32), np.array([[0, 0, -1]], np.float32)
    assert scene.cast(origins, down, 1.01).face[0] == 0
    assert scene.cast(origins, down, 0.99).face[0] == -1
    assert scene.occluded(origins, down, 1.01)[0]
    assert not scene.occluded(origins, down, 0.99)[0]


def test_occluded_is_true_for_every_face_and_false_for_a_free_ray() -> None:
    """Embree's answer is read the right way round: face 0, another face, nothing."""
    scene = square()
    origins = np.array([[0.75, 0.25, 1], [0.25, 0.75, 1], [2, 2, 1], [0.5, 0.5, 1]], np.float32)
    along = np.array([[0, 0, -1], [0, 0, -1], [0, 0, -1], [0, 0, 1]], np.float32)
    np.testing.assert_array_equal(scene.occluded(origins, along), [True, True, False, False])


def test_rays_that_are_not_finite_miss() -> None:
    """NaN, infinity and a zero direction are answered with a miss and leave their neighbours alone."""
    scene = square()
    origins = np.array([[0.5, 0.2, 1], [np.nan, 0, 0], [0.5, 0.2, 1], [0.5, np.inf, 1], [0.5, 0.2, 1]], np.float32)
    along = np.array([[0, 0, -1], [0, 0, -1], [0, 0, 0], [0, 0, -1], [0, np.nan, 0]], np.float32)
    np.testing.assert_array_equal(scene.cast(origins, along).face, [0, -1, -1, -1, -1])
    np.testing.assert_array_equal(scene.occluded(origins, along), [True, False, False, False, False])
    np.testing.assert_array_equal(scene.nearest(origins).face >= 0, [True, False, True, False, True])


def test_many_rays_are_answered_in_order_by_several_threads() -> None:
    """A sphere of radius 1 is hit at distance 1 from its double, ray by ray, and the weights give the point back."""
    ball = trimesh.creation.icosphere(4)
    points = np.random.default_rng(5).normal(size=(300_000, 3))
    points = (2 * points / np.linalg.norm(points, axis=1)[:, None]).astype(np.float32)
    hits = scene_of(ball).cast(points, -points / 2)
    assert (hits.face >= 0).all()
    place = np.einsum("nk,nkx->nx", hits.barycentric, ball.vertices[ball.faces[hits.face]])
    np.testing.assert_allclose(place, points * (1 - hits.distance[:, None] / 2), atol=1e-5)


@pytest.mark.parametrize("spread", [0.05, 2.0])
def test_nearest_equals_a_search_through_all_faces(spread: float) -> None:
    """The distance is the smallest over every face (brute force), near the surface and far from it."""
    shape = trimesh.creation.torus(1.0, 0.4, major_sections=24, minor_sections=12)
    rng = np.random.default_rng(1)
    points = shape.triangles_center[rng.integers(0, len(shape.faces), 200)] + rng.normal(size=(200, 3)) * spread
    hits = scene_of(shape).nearest(points)
    brute = np.array(
        [
            np.linalg.norm(
                trimesh.triangles.closest_point(shape.triangles, np.tile(p, (len(shape.faces), 1))) - p, axis=1
            ).min()
            for p in points
        ]
    )
    np.testing.assert_allclose(hits.distance, brute, atol=1e-6)
    place = np.einsum("nk,nkx->nx", hits.barycentric, shape.vertices[shape.faces[hits.face]])
    np.testing.assert_allclose(np.linalg.norm(place - points, axis=1), brute, atol=1e-6)


def test_nearest_prefers_the_lowest_of_equal_faces_and_survives_faces_without_area() -> None:
    """On the shared diagonal face 0 wins; a face that is a line is as near as the line."""
    assert square().nearest(np.array([[0.5, 0.5, 1.0]])).face[0] == 0
    line = Mesh(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(RayScene(line).nearest(np.array([[1.5, 3.0, 4.0]])).distance, [5.0])


def test_a_mesh_without_faces_is_never_met() -> None:
    """Rays miss it and nothing is nearest."""
    empty = RayScene(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)))
    ray = np.ones((1, 3), np.float32)
    assert empty.cast(ray, ray).face[0] == -1
    assert not empty.occluded(ray, ray)[0]
    assert empty.nearest(ray).face[0] == -1
