from __future__ import annotations

import numpy as np
import trimesh

from forge_batch.ops.normals import hard_vertex_normals, split_vertex_normals, vertex_normals
from tests.shapes import box


def test_normals_of_a_cube_point_from_its_centre() -> None:
    """Whichever diagonal splits a cube's sides, angle weights give the eight diagonals."""
    cube = trimesh.creation.box()
    normals = vertex_normals(cube.vertices, cube.faces)
    np.testing.assert_allclose(normals, cube.vertices / np.linalg.norm(cube.vertices, axis=1)[:, None], atol=1e-6)


def test_normals_of_a_sphere_are_its_positions() -> None:
    """On an icosphere of 1,280 faces normals differ from the exact ones by less than half a degree."""
    ball = trimesh.creation.icosphere(3)
    cosine = np.einsum("vx,vx->v", vertex_normals(ball.vertices, ball.faces), ball.vertices)
    assert np.degrees(np.arccos(cosine.min())) < 0.5


def test_opposite_faces_and_bare_vertices_still_get_unit_normals() -> None:
    """A double-sided triangle takes its first side, a face without area and a vertex without face some unit direction."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [6, 6, 6], [7, 7, 7], [2, 2, 2]], np.float32)
    normals = vertex_normals(vertices, np.array([[0, 1, 2], [2, 1, 0], [3, 4, 5]], np.int32))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(normals[:3], [[0, 0, 1]] * 3, atol=1e-6)


def test_vertices_split_at_a_seam_share_their_normal() -> None:
    """A cube whose every corner stands apart has the normals of the welded cube."""
    cube = trimesh.creation.box()
    apart = cube.vertices[cube.faces].reshape(-1, 3)
    normals = split_vertex_normals(apart, np.arange(36).reshape(-1, 3))
    np.testing.assert_allclose(normals, vertex_normals(cube.vertices, cube.faces)[cube.faces.ravel()], atol=1e-6)


def test_charts_that_meet_sharply_are_shaded_hard() -> None:
    """Where the six sides of a box are charts, every normal is its side's from 60 degrees on, and the corner's at 180."""
    solid = box()
    side = np.repeat(np.arange(6), 2)  # two triangles each
    used, index = np.unique(np.stack([side.repeat(3), solid.faces.ravel()], axis=1), axis=0, return_inverse=True)
    vertices, faces = solid.vertices[used[:, 1]], index.reshape(-1, 3).astype(np.int32)
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    hard = hard_vertex_normals(vertices, faces, 60.0)
    assert np.allclose(hard[faces], flat[:, None] / np.linalg.norm(flat, axis=1)[:, None, None], atol=1e-6)
    assert np.allclose(
        hard_vertex_normals(vertices, faces, 180.0), vertices / np.linalg.norm(vertices, axis=1)[:, None], atol=1e-6
    )
