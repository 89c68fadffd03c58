"""Bring shapes down to a number of triangles and measure what is left."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.components import face_components
from forge_batch.ops.deviation import distances, measure_deviation, sample_surface
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outline_weights import outline_shares
from forge_batch.ops.simplify import _quadric, simplify
from forge_batch.ops.solid import make_solid
from forge_batch.ops.topology import face_areas, measure_topology, signed_volume
from forge_batch.ops.zbuffer import silhouette
from tests.shapes import blob, box, join


def _fine_box() -> Mesh:
    """Divide a box's faces into a grid of 20 x 20."""
    axis = np.linspace(-0.5, 0.5, 21)
    u, v = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    i = (np.arange(20)[:, None] * 21 + np.arange(20)).ravel()
    quads = np.concatenate([np.stack([i, i + 21, i + 22], 1), np.stack([i, i + 22, i + 1], 1)])
    points: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for k in range(3):
        for side in (-0.5, 0.5):
            face = np.empty((len(u), 3))
            face[:, k], face[:, (k + 1) % 3], face[:, (k + 2) % 3] = side, u, v
            faces.append((quads if side > 0 else quads[:, ::-1]) + len(points) * len(u))
            points.append(face)
    return make_solid(Mesh(np.concatenate(points).astype(np.float32), np.concatenate(faces).astype(np.int32)), 1e-6, 1.0).mesh


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("triangles", [3000, 500, 100])
def test_the_budget_is_a_ceiling_and_the_solid_stays_closed(triangles: int, *, preview: bool) -> None:
    """Whatever the method, no more faces than asked, at least 90 % of them, and still closed."""
    mesh = make_solid(blob(60), 1e-6, 1.0).mesh
    result = simplify(mesh, triangles, preview=preview, solid=True)
    assert 0.9 * triangles <= len(result.faces) <= triangles
    assert measure_topology(result.faces).closed


def test_a_box_stays_a_box() -> None:
    """4,800 faces of a box reduced to 12 give its eight corners back."""
    result = simplify(_fine_box(), 12, preview=False, solid=True)
    assert len(result.faces) == 12
    assert signed_volume(result) == pytest.approx(1.0, rel=1e-4)
    assert measure_deviation(result, _fine_box()).largest < 1e-3


def test_outlines_are_spared() -> None:
    """Of a ball with a hair along x, vertices of the hair lie on more outlines than those of the ball, and at most on all."""
    ball = make_solid(blob(40), 1e-6, 1.0).mesh
    hair = Mesh((ball.vertices * np.array([3.0, 0.02, 0.02])).astype(np.float32), ball.faces)
    shares = outline_shares(join(ball, hair))
    assert 0.0 <= shares.min() < shares.max() <= 1.0
    far = np.abs(hair.vertices[:, 0]) > 1.5
    assert shares[len(ball.vertices) :][far].mean() > 3 * shares[: len(ball.vertices)].mean()


def test_outlines_stay_nearer_than_without_weights() -> None:
    """Of a flat thing at 600 triangles, outlines in views that were not weighed differ a fifth less from the whole's."""
    round_one = make_solid(blob(40), 1e-6, 1.0).mesh
    mesh = Mesh((round_one.vertices * np.array([1.0, 1.0, 0.2])).astype(np.float32), round_one.faces)
    shares = outline_shares(mesh)
    plain, weighted = (_quadric(mesh, 600, weights) for weights in (0.0 * shares, shares))
    assert len(plain.faces) == len(weighted.faces)
    bounds = np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])
    off = [0, 0]
    for azimuth, elevation in [(45.0 * k + 29.0, e) for k in range(8) for e in (-35.0, 28.0)]:
        wanted, *found = (silhouette(m.vertices, m.faces, azimuth, elevation, 512, bounds) for m in (mesh, plain, weighted))
        off = [count + int((drawn != wanted).sum()) for count, drawn in zip(off, found, strict=True)]
    assert off[1] < 0.8 * off[0]


def test_a_mesh_within_budget_is_left_alone() -> None:
    """Nothing happens to a mesh that has few enough faces."""
    mesh = box()
    assert simplify(mesh, 12, preview=False, solid=True) is mesh


def test_the_same_mesh_gives_the_same_bytes() -> None:
    """Two runs agree to the bit."""
    mesh = make_solid(blob(50), 1e-6, 1.0).mesh
    one, two = (simplify(mesh, 800, preview=False, solid=True) for _ in range(2))
    assert one.vertices.tobytes() == two.vertices.tobytes()
    assert one.faces.tobytes() == two.faces.tobytes()


def test_distances_are_exact() -> None:
    """Points above the middle of a box's side, beyond an edge and inside lie as far as geometry says."""
    points = np.array([[0.0, 0.75, 0.0], [0.8, 0.9, 0.0], [0.0, 0.0, 0.4]])
    assert distances(points, box()) == pytest.approx([0.25, 0.5, 0.1], abs=1e-6)


def test_samples_lie_on_the_surface_in_proportion_to_area() -> None:
    """All samples have distance zero; a side four times as large gets four times as many."""
    mesh = box((1, 1, 4))
    points = sample_surface(mesh, 9000)
    assert distances(points, mesh).max() < 1e-6
    assert np.isclose(points[:, 2], 2.0, atol=1e-6).sum() == pytest.approx(500, abs=10)
    assert np.isclose(points[:, 0], 0.5, atol=1e-6).sum() == pytest.approx(2000, abs=20)


def test_two_boxes_deviate_by_their_difference() -> None:
    """Growing a box by 0.1 on every side moves its corners by 0.1 * sqrt(3)."""
    found = measure_deviation(box(), box((1.2, 1.2, 1.2)), 2000)
    assert found.largest == pytest.approx(0.1 * np.sqrt(3), rel=1e-4)


@pytest.mark.parametrize(("share", "shrunk", "parts"), [(0.002, 0.0005, 1), (0.002, 0.0015, 2), (0.0006, 0.0005, 2)])
def test_a_part_that_shrinks_to_debris_is_dropped(
    share: float, shrunk: float, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part below 0.1 % of the area goes, unless there was one as small before: then it was left in on purpose."""

    def two(cells: int, size: float) -> Mesh:
        large = make_solid(blob(cells), 1e-6, 1.0).mesh
        edge = float(np.sqrt(size * face_areas(large).sum() / 6))
        return join(large, box((edge, edge, edge), (5, 0, 0)))

    monkeypatch.setattr("forge_batch.ops.simplify._quadric", lambda *_: two(30, shrunk))
    result = simplify(two(40, share), 6000, preview=False, solid=True)
    assert face_components(result.faces).max() + 1 == parts
    assert measure_topology(result.faces).closed
