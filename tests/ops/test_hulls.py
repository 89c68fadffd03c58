"""Wrap shapes into hulls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.hulls import box_hull, capsule_hull, convex_hull, decompose, share_out, triangle_budget, volume_ratio
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.orient import orient_outwards
from forge_batch.ops.topology import measure_topology, signed_volume
from tests.shapes import blob, box, join


def _is_convex(mesh: Mesh) -> bool:
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    height = np.einsum("fk,vfk->fv", normal, mesh.vertices[:, None] - corners[None, :, 0])
    return bool((height <= 1e-5 * np.linalg.norm(normal, axis=1, keepdims=True)).all())


def test_a_ball_keeps_its_volume_in_32_vertices() -> None:
    """The hull of 500 points of a sphere, reduced to 32, is convex, closed, outward and of the same volume."""
    points = np.random.default_rng(0).normal(size=(500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    full, few = convex_hull(points, 500), convex_hull(points, 32)
    assert len(few.vertices) <= 32
    assert measure_topology(few.faces).closed
    assert _is_convex(few)
    assert signed_volume(few) == pytest.approx(signed_volume(full), rel=0.02)


def test_flat_points_get_a_thickness() -> None:
    """Four corners of a square still give a closed hull."""
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]], dtype=np.float32)
    result = convex_hull(square, 32)
    assert measure_topology(result.faces).closed
    assert signed_volume(result) > 0


def test_the_box_of_a_box_is_the_box() -> None:
    """Volume ratio one."""
    assert volume_ratio([box_hull(box((1, 2, 3)))], box((1, 2, 3))) == pytest.approx(1.0)


def test_hulls_that_overlap_count_once() -> None:
    """Two equal boxes make one box of volume."""
    assert volume_ratio([box_hull(box()), box_hull(box())], box()) == pytest.approx(1.0)


def test_two_boxes_become_two_hulls(tmp_path: Path) -> None:
    """An L of two boxes is split into hulls that together have its volume; twice the same."""
    mesh = join(box((3, 1, 1)), box((1, 3, 1), (4, 0, 0)))
    one, two = (decompose(mesh, 16, 32, 0, folder=tmp_path, timeout=60.0) for _ in range(2))
    assert one.fallback == ""
    assert len(one.hulls) == 2
    assert all(_is_convex(hull) and measure_topology(hull.faces).closed for hull in one.hulls)
    assert volume_ratio(one.hulls, mesh) == pytest.approx(1.0, abs=0.05)
    assert [h.vertices.tobytes() for h in one.hulls] == [h.vertices.tobytes() for h in two.hulls]


def test_out_of_time_gives_one_hull_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With no time for CoACD there is one convex hull, the reason, and nothing on the terminal."""
    made = decompose(blob(30), 16, 32, 0, folder=tmp_path, timeout=0.05)
    assert len(made.hulls) == 1
    assert "did not finish" in made.fallback
    assert capfd.readouterr() == ("", "")


def test_a_child_that_raises_says_why(tmp_path: Path) -> None:
    """The last line of the child's traceback comes back, and its folder is gone."""
    with pytest.raises(ChildFailedError, match="KeyError"):
        call("forge_batch.ops.coacd_parts:find_parts", {}, {}, folder=tmp_path, timeout=60.0)
    assert list(tmp_path.iterdir()) == []


def test_a_triangle_budget_is_shared_out() -> None:
    """The largest hulls are cut first, to the highest level that fits; the budget is below 1 % of LOD0's triangles, or 20."""
    assert share_out([100, 20, 8], 32, 1000) == [32, 20, 8]
    # 2 * 12 - 4 twice and 2 * 8 - 4 once make 52; with 13 vertices it would be 56
    assert share_out([100, 20, 8], 32, 55) == [12, 12, 8]
    assert (triangle_budget(None, 30_000), triangle_budget(None, 500), triangle_budget(400, 500)) == (299, 20, 400)


@pytest.mark.parametrize("budget", [20, 100, 300])
def test_hulls_fit_their_budget(tmp_path: Path, budget: int) -> None:
    """Whatever the budget, the hulls of a lumpy thing fit it, and are convex and closed."""
    made = decompose(orient_outwards(blob(30)), 16, 32, 0, folder=tmp_path, timeout=60.0, triangles=budget)
    assert made.fallback == ""
    assert sum(len(hull.faces) for hull in made.hulls) <= budget
    assert all(_is_convex(hull) and measure_topology(hull.faces).closed for hull in made.hulls)


@pytest.mark.parametrize("most", [8, 14, 32])
def test_a_capsule_is_as_long_and_thick_as_the_box_that_it_stands_for(most: int) -> None:
    """Upright 1 x 3 x 1: within 1/2 of the axis, 3 high, closed, convex, with no more vertices than allowed."""
    hull = capsule_hull(box((1, 3, 1), (0, 5, 0)), most)
    assert len(hull.vertices) <= most
    assert hull.vertices[:, 1].min() == pytest.approx(3.5)
    assert hull.vertices[:, 1].max() == pytest.approx(6.5)
    assert np.hypot(hull.vertices[:, 0], hull.vertices[:, 2]).max() == pytest.approx(0.5, rel=1e-5)
    assert measure_topology(hull.faces).closed
    if most == 32:  # of the true capsule's volume, pi/4 * 2 + pi/6, a seven-sided one holds some five sixths
        assert 0.8 < signed_volume(hull) / (np.pi / 2 + np.pi / 6) < 1.0
