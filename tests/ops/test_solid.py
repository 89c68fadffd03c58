"""Break boxes and blobs in known ways and look at what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from skimage.measure import marching_cubes

from forge_batch.ops.components import face_components, find_floaters, find_inner_shells, keep_largest
from forge_batch.ops.degenerate import collapse_slivers, count_slivers, drop_duplicates
from forge_batch.ops.holes import boundary_loops, close_holes
from forge_batch.ops.manifold import drop_fins, split_nonmanifold
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.orient import orient_outwards
from forge_batch.ops.smooth import has_stairs, smooth
from forge_batch.ops.solid import make_solid
from forge_batch.ops.topology import Topology, face_areas, measure_topology, signed_volume
from forge_batch.ops.weld import weld, weld_exact, welded
from forge_batch.ops.winding import winding_numbers
from tests.shapes import blob, box, join

CLEAN = Topology(0, 0, 0, 0)


def _soup(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3))


def test_a_box_is_closed_and_has_its_volume() -> None:
    """The counts of a box are all zero, its volume is the product of its sides, its area twice the sum of its faces."""
    mesh = box((1, 2, 3))
    assert measure_topology(mesh.faces) == CLEAN
    assert signed_volume(mesh) == pytest.approx(6.0)
    assert face_areas(mesh).sum() == pytest.approx(2 * (2 + 3 + 6))


def test_topology_counts_what_is_wrong() -> None:
    """Leaving out a face opens three edges, turning one puts three in conflict, a fin adds one edge of three faces."""
    mesh = box()
    assert measure_topology(mesh.faces[1:]) == Topology(3, 0, 0, 0)
    turned = mesh.faces.copy()
    turned[0] = turned[0][::-1]
    assert measure_topology(turned).conflicting_edges == 3
    a, b, _ = mesh.faces[0]
    fin = np.vstack([mesh.faces, [[a, b, 8]]]).astype(np.int32)
    assert measure_topology(fin).nonmanifold_edges == 1


def test_a_soup_is_welded_to_the_shape_it_was() -> None:
    """Triangles that share no vertex become the box's eight corners, exactly and within a distance."""
    mesh = box()
    soup = _soup(mesh)
    assert len(welded(soup).vertices) == 8
    first, index = weld_exact(soup.vertices)
    assert np.array_equal(soup.vertices[first][index], soup.vertices)
    noise = np.random.default_rng(0).uniform(-1e-4, 1e-4, soup.vertices.shape).astype(np.float32)
    assert len(weld(Mesh(soup.vertices + noise, soup.faces), 1e-3).vertices) == 8


def test_coincident_faces_go_and_opposite_pairs_go_altogether() -> None:
    """A face given twice stays once; a face and its reverse leave nothing."""
    mesh = box()
    twice = np.vstack([mesh.faces, mesh.faces[3][None, [1, 2, 0]]]).astype(np.int32)
    assert len(drop_duplicates(Mesh(mesh.vertices, twice)).faces) == 12
    points = np.vstack([mesh.vertices, [[3, 0, 0], [4, 0, 0], [3, 1, 0]]]).astype(np.float32)
    pair = np.vstack([mesh.faces, [[8, 9, 10], [8, 10, 9]]]).astype(np.int32)
    assert len(drop_duplicates(Mesh(points, pair)).faces) == 12


def test_winding_is_unified_outwards() -> None:
    """Two boxes with randomly turned faces, one of them inside out, come back with positive volume and no conflict."""
    mesh = join(box(), box((1, 1, 1), (5, 0, 0)))
    turn = np.random.default_rng(1).random(24) < 0.5
    faces = np.where(turn[:, None], mesh.faces[:, ::-1], mesh.faces).astype(np.int32)
    result = orient_outwards(Mesh(mesh.vertices, faces))
    assert measure_topology(result.faces) == CLEAN
    assert signed_volume(result) == pytest.approx(2.0, rel=1e-5)


def test_holes_are_closed_up_to_a_length() -> None:
    """A box without a corner face is closed again flat; a rim longer than allowed stays."""
    mesh = Mesh(box().vertices, box().faces[1:])
    assert len(boundary_loops(mesh)) == 1
    result = close_holes(mesh, 10.0)
    assert (result.closed, result.left) == (1, 0)
    assert measure_topology(result.mesh.faces) == CLEAN
    assert signed_volume(result.mesh) == pytest.approx(1.0)
    assert close_holes(mesh, 1.0).left == 1


def test_a_large_hole_in_a_blob_is_closed() -> None:
    """Cutting off everything above a height and closing the rim gives a closed solid of the volume below."""
    mesh = make_solid(blob(40), 1e-6, 1.0).mesh
    cut = Mesh(mesh.vertices, mesh.faces[(mesh.vertices[mesh.faces][:, :, 1] < 0.3).all(axis=1)])
    result = make_solid(cut, 1e-6, 20.0)
    assert result.topology == CLEAN
    assert result.closed >= 1
    assert 0.6 * signed_volume(mesh) < signed_volume(result.mesh) < signed_volume(mesh)


def test_boxes_that_touch_in_an_edge_come_apart() -> None:
    """Two boxes on one edge (four faces there) become two closed boxes of the same volume, still apart after welding."""
    mesh = welded(join(box(), box(centre=(1, 1, 0))))
    assert measure_topology(mesh.faces).nonmanifold_edges == 1
    result = split_nonmanifold(mesh, 1e-4)
    assert measure_topology(welded(result).faces) == CLEAN
    assert signed_volume(result) == pytest.approx(2.0, rel=1e-3)


def test_fins_are_dropped() -> None:
    """A triangle that hangs on a closed box by one edge goes, the box stays."""
    mesh = box()
    points = np.vstack([mesh.vertices, [[2, 2, 2]]]).astype(np.float32)
    faces = np.vstack([mesh.faces, [[mesh.faces[0, 0], mesh.faces[0, 1], 8]]]).astype(np.int32)
    assert len(drop_fins(Mesh(points, faces)).faces) == 12


def test_slivers_vanish_without_a_hole() -> None:
    """A vertex put onto an edge makes two faces without area; they go and the box stays closed."""
    mesh = box()
    a, b = mesh.faces[0, 0], mesh.faces[0, 1]
    points = np.vstack([mesh.vertices, (mesh.vertices[a] + mesh.vertices[b])[None] / 2]).astype(np.float32)
    faces = mesh.faces.tolist()
    faces[0] = [int(mesh.faces[0, 0]), 8, int(mesh.faces[0, 2])]
    faces += [[8, int(b), int(mesh.faces[0, 2])], [int(a), int(b), 8]]
    cracked = Mesh(points, np.array(faces, dtype=np.int32))
    assert count_slivers(cracked, 1e-9) == 1
    result = collapse_slivers(cracked, 1e-9)
    assert count_slivers(result, 1e-9) == 0
    assert measure_topology(result.faces) == CLEAN
    assert signed_volume(result) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_blob_is_solid_again(seed: int) -> None:
    """Soup, random turns, doubled faces, fins and missing faces together leave a closed solid within 1 % of the volume."""
    rng = np.random.default_rng(seed)
    mesh = make_solid(blob(40), 1e-6, 1.0).mesh
    faces = mesh.faces[rng.random(len(mesh.faces)) > 0.02]
    turn = rng.random(len(faces)) < 0.3
    faces = np.where(turn[:, None], faces[:, ::-1], faces)
    fins = np.stack([faces[:20, 0], faces[:20, 1], len(mesh.vertices) + np.arange(20)], axis=1)
    points = np.concatenate([mesh.vertices, 1.2 * mesh.vertices[faces[:20, 2]]]).astype(np.float32)
    broken = _soup(Mesh(points, np.concatenate([faces, faces[:50], fins]).astype(np.int32)))
    result = make_solid(broken, 1e-6, 2.0)
    assert result.topology == CLEAN
    assert signed_volume(result.mesh) == pytest.approx(signed_volume(mesh), rel=0.01)


def test_winding_numbers_tell_inside_from_outside() -> None:
    """1 in the middle of a box, 0 far outside, one half on average just where a face is."""
    points = np.array([[0.0, 0.1, 0.05], [3.0, 0.0, 0.0]])
    assert winding_numbers(box().vertices, box().faces, points) == pytest.approx([1.0, 0.0], abs=1e-9)


def test_floaters_and_inner_shells_are_told_apart() -> None:
    """A tiny box beside is a floater, a box inside is an inner shell whichever way it faces, one poking out is neither."""
    hidden = box((0.3, 0.3, 0.3))
    mesh = join(
        box(), box((0.01, 0.01, 0.01), (2, 0, 0)), Mesh(hidden.vertices, hidden.faces[:, ::-1].copy()), box((0.2, 0.2, 1.5))
    )
    labels = face_components(mesh.faces)
    assert find_floaters(mesh, labels, 0.001).tolist() == [False, True, False, False]
    assert find_inner_shells(mesh, labels).tolist() == [False, False, True, False]
    assert face_components(mesh.faces).max() + 1 == 4
    assert face_components(keep_largest(mesh, 2).faces).max() + 1 == 2


def test_the_stairs_of_voxels_are_known_and_go() -> None:
    """Ten rounds bring a ball of voxels nearer to the ball, and its faces to half the error; no vertex moves half a voxel."""
    axis = np.arange(64) - 31.5
    ball = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 25**2).astype(np.float32)
    points, faces, _, _ = marching_cubes(ball, 0.5)
    rough = make_solid(Mesh((points - 31.5).astype(np.float32), faces.astype(np.int32)), 1e-6, 1.0).mesh
    result = smooth(rough, 10)
    assert has_stairs(rough)
    assert np.linalg.norm(result.vertices, axis=1).std() < 0.6 * np.linalg.norm(rough.vertices, axis=1).std()
    assert _ball_error(result) < 0.5 * _ball_error(rough)
    assert np.linalg.norm(smooth(rough, 50, 0.5).vertices - rough.vertices, axis=1).max() < 0.5001


def test_what_is_smooth_or_coarse_has_no_stairs() -> None:
    """Neither a fine blob nor a box, nor a ball of few triangles."""
    coarse = trimesh.creation.icosphere(subdivisions=2)
    for mesh in (blob(100), box(), Mesh(coarse.vertices.astype(np.float32), coarse.faces.astype(np.int32))):
        assert not has_stairs(mesh)


def _ball_error(mesh: Mesh) -> float:
    """Give the mean angle between faces and the ball about the origin."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    out = solid.triangles_center / np.linalg.norm(solid.triangles_center, axis=1, keepdims=True)
    return float(np.arccos(np.clip((out * solid.face_normals).sum(axis=1), -1, 1)).mean())


def test_smoothing_removes_noise_and_keeps_the_volume() -> None:
    """Noise on a blob's vertices halves at least, and the volume stays within one percent."""
    mesh = make_solid(blob(50), 1e-6, 1.0).mesh
    noise = np.random.default_rng(0).normal(0, 0.005, mesh.vertices.shape).astype(np.float32)
    rough = Mesh(mesh.vertices + noise, mesh.faces)
    result = smooth(rough, 10)
    before = np.linalg.norm(rough.vertices - mesh.vertices, axis=1).mean()
    after = np.linalg.norm(result.vertices - smooth(mesh, 10).vertices, axis=1).mean()
    assert after < 0.5 * before
    assert signed_volume(result) == pytest.approx(signed_volume(mesh), rel=0.01)
