from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.bleed import bleed_colors
from forge_batch.ops.cross_section import eccentricity, flatness, keep_outlines, superellipse
from forge_batch.ops.iso_surface import iso_surface
from forge_batch.ops.shading import brightness_trend
from forge_batch.ops.silhouette import Silhouette, inflate, measure_silhouette, outline_distance
from forge_batch.ops.straightness import straightness
from forge_batch.ops.topology import measure_topology, signed_volume
from forge_batch.ops.view_alignment import align_views
from forge_batch.ops.visual_hull import Grid, hull_bounds, hull_field


def measured(alpha: np.ndarray, name: str = "front") -> Silhouette:
    """Measure an alpha as an orthographic view."""
    return measure_silhouette(name, alpha, align_views({name: alpha})[name])


def bar(width: int = 80, height: int = 320) -> np.ndarray:
    """Draw an upright bar in 400 x 400 pixels."""
    alpha = np.zeros((400, 400), np.uint8)
    top, left = (400 - height) // 2, (400 - width) // 2
    alpha[top : top + height, left : left + width] = 255
    return alpha


def disc(radius: float = 150.0) -> np.ndarray:
    """Draw a disc in 400 x 400 pixels."""
    y, x = np.indices((400, 400)) + 0.5 - 200
    return (np.clip(radius - np.hypot(x, y) + 0.5, 0, 1) * 255).astype(np.uint8)


def test_distance_is_measured_from_the_edge_of_pixels() -> None:
    """In the middle of a bar of 80 pixels the outline is 40 away, and outside it counts down below zero."""
    distance = outline_distance(bar())
    assert (distance[200, 199] + distance[200, 200]) / 2 == pytest.approx(39.5, abs=0.6)
    assert distance[200, 100] == pytest.approx(-59.5, abs=0.1)


def test_a_long_strip_inflates_to_a_round_rod() -> None:
    """Half way along a strip of half width w the thickness is sqrt(w^2 - x^2), whatever the solver's grid."""
    bulge = inflate(bar())
    assert np.sqrt(bulge[50].max()) == pytest.approx(40.0, rel=0.06)
    assert np.sqrt(bulge[50, 45]) == pytest.approx(np.sqrt(40.0**2 - 18.0**2), rel=0.08)


def test_eccentricity_runs_from_the_middle_to_the_outline() -> None:
    """Across a strip it is |x| / half width: 0 in the middle, 1 outside."""
    values = eccentricity(measured(bar()))
    assert values[50, 49:51].max() < 0.1
    assert values[50, 45] == pytest.approx(0.45, abs=0.08)
    assert values[50, 20] == 1.0


def test_upright_sides_are_straight_and_curved_ones_are_not() -> None:
    """A bar counts as straight all along, a disc nowhere."""
    assert straightness(measured(bar()))[200, 200] == pytest.approx(1.0)
    assert straightness(measured(disc()))[60:340, 200].max() < 0.5


def test_the_trend_tells_a_lit_cylinder_from_a_painted_board() -> None:
    """Light from the left darkens a round part to its right by 0.2; a dark frame around a bright board has no trend."""
    alpha = bar(160)
    x = (np.arange(400) + 0.5 - 200) / 80
    lit = np.repeat(np.broadcast_to(150 * np.exp(-0.2 * x), (400, 400))[..., None], 3, axis=2).astype(np.uint8)
    board = np.full((400, 400, 3), 200, np.uint8)
    board[:, (np.abs(x) > 0.8)] = 60
    assert np.nanmedian(brightness_trend(measured(alpha), lit)) == pytest.approx(-0.2, abs=0.02)
    assert np.nanmedian(np.abs(brightness_trend(measured(alpha), board))) < 0.02


def test_superellipse_is_an_ellipse_at_0_and_a_square_at_1() -> None:
    """(0.6, 0.8) lies on the circle; the corner (0.9, 0.9) lies inside the square and outside the circle."""
    a, b = np.full((1, 1, 2), 0.6, np.float32), np.full((1, 1, 2), 0.8, np.float32)
    a[..., 1] = b[..., 1] = 0.9
    assert superellipse(a, b, np.zeros((1, 1, 2), np.float32))[0, 0, 0] == pytest.approx(0.0, abs=1e-5)
    assert superellipse(a, b, np.zeros((1, 1, 2), np.float32))[0, 0, 1] < 0
    assert superellipse(a, b, np.ones((1, 1, 2), np.float32))[0, 0, 1] == pytest.approx(0.1, abs=1e-5)


def test_shading_overrules_straight_sides() -> None:
    """A can (straight, shaded) is round, a crate (straight, even) is not; without a verdict the sides decide."""
    straight = np.ones((1, 1, 3), np.float32)
    uneven = np.array([[[0.2, 0.0, 0.0]]], np.float32)
    judged = np.array([[[True, True, False]]])
    np.testing.assert_allclose(flatness(straight, uneven, judged)[0, 0], [0.0, 1.0, 1.0])


def test_kept_outlines_give_back_what_the_guess_lost() -> None:
    """A guess that empties the hull altogether is raised until every pixel of both outlines has a cell again."""
    views = {"front": bar(), "right": bar(160)}
    cameras = align_views(views)
    silhouettes = [measure_silhouette(name, alpha, cameras[name]) for name, alpha in views.items()]
    bounds = hull_bounds(silhouettes)
    assert bounds is not None
    grid = Grid.around(*bounds, 48)
    hull = hull_field(grid, silhouettes)
    kept = keep_outlines(grid, hull, np.full(grid.shape, -0.3, np.float32), silhouettes, 2 * grid.step)
    assert ((np.minimum(hull, kept) > 0).any(axis=2) == (hull > 0).any(axis=2)).mean() > 0.98


def test_the_hull_of_two_bars_is_a_box() -> None:
    """A front of 80 x 320 and a side of 160 x 320 carve a box of their volume, closed, and without stairs in its bounds."""
    views = {"front": bar(), "right": bar(160)}
    cameras = align_views(views)
    silhouettes = [measure_silhouette(name, alpha, cameras[name]) for name, alpha in views.items()]
    bounds = hull_bounds(silhouettes)
    assert bounds is not None
    grid = Grid.around(*bounds, 96)
    mesh = iso_surface(hull_field(grid, silhouettes), grid)
    assert measure_topology(mesh.faces).closed
    assert signed_volume(mesh) == pytest.approx(0.25 * 0.5, rel=0.03)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [0.25, 1.0, 0.5], atol=0.01)


def test_outlines_without_a_common_point_have_no_bounds() -> None:
    """Bars that end below where the other begins leave nothing."""
    top, bottom = bar(80, 320).copy(), bar(80, 320).copy()
    camera = align_views({"front": top})["front"]
    top[200:], bottom[:200] = 0, 0
    assert hull_bounds([measure_silhouette("front", top, camera), measure_silhouette("front", bottom, camera)]) is None


def test_an_iso_surface_drops_crumbs_and_hollows() -> None:
    """Of a ball with a bubble in it and a speck beside it, one closed surface remains."""
    grid = Grid(np.zeros(3), 1.0, (40, 40, 40))
    x, y, z = np.indices(grid.shape).astype(np.float32)
    radius = np.sqrt((x - 18) ** 2 + (y - 20) ** 2 + (z - 20) ** 2)
    speck = 1.2 - np.sqrt((x - 37) ** 2 + (y - 3) ** 2 + (z - 3) ** 2)
    mesh = iso_surface(np.maximum(np.minimum(15 - radius, radius - 5), speck), grid)
    assert measure_topology(mesh.faces).closed
    assert signed_volume(mesh) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)


def test_bleeding_keeps_the_inside_and_fills_the_rest_from_the_nearest() -> None:
    """Two halves of two colours fill the background each on its own side, and the mixed rim is replaced."""
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[10:30, 10:20] = (200, 0, 0, 255)
    picture[10:30, 20:30] = (0, 0, 200, 255)
    picture[10:30, 10] = (90, 90, 90, 255)
    full = bleed_colors(picture)
    np.testing.assert_array_equal(full[20, 0], (200, 0, 0))
    np.testing.assert_array_equal(full[20, 10], (200, 0, 0))
    np.testing.assert_array_equal(full[39, 39], (0, 0, 200))
