"""Pack charts of awkward outlines and look for texels covered twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forge_batch.ops.atlas import build_atlas
from forge_batch.ops.chart_packing import find_covering, place_charts
from forge_batch.ops.measure_atlas import least_gap
from forge_batch.ops.raster import rasterize


def _ring(sides: int, inner: float, outer: float) -> np.ndarray:
    """Give the triangles (2 * sides, 3, 2) of a flat ring, counter-clockwise."""
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    a, b, c, d = inner * circle[:-1], outer * circle[:-1], outer * circle[1:], inner * circle[1:]
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _rings_and_slivers() -> tuple[np.ndarray, np.ndarray]:
    """Give 6 rings with room inside and 200 slanting slivers: corners and charts."""
    random = np.random.default_rng(3)
    rings = [_ring(24, 30.0, 36.0) + 500 * k for k in range(6)]
    slivers = [np.array([[[0, 0], [w, 0], [w + 9, h]]]) for w, h in random.uniform((0.3, 3), (12, 30), (200, 2))]
    parts = rings + slivers
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


@pytest.mark.parametrize("padding", [0, 1, 5, 8])
def test_charts_keep_the_padding_and_lie_in_each_other(padding: int) -> None:
    """No texel twice, the gap asked for and no more, half of it at the border; small charts lie inside the rings."""
    corners, labels = _rings_and_slivers()
    size = 256 + 16 * padding
    places = place_charts(corners, labels, size, float(padding))
    assert places is not None
    placed = corners + places.offset[labels][:, None]
    assert placed.min() >= padding / 2
    assert placed.max() <= size - padding / 2
    assert not find_covering(placed, size).any()
    page = rasterize(placed.reshape(-1, 2) / size, np.arange(placed.size // 2).reshape(-1, 3), size)
    assert page.overlap == 0
    owner = np.where(page.face >= 0, labels[page.face], -1).astype(np.int32)
    assert padding <= least_gap(owner) <= padding + 2
    middles = places.offset[:6] + 500 * np.arange(6)[:, None]
    away = np.linalg.norm(placed[labels >= 6].mean(axis=1)[:, None] - middles, axis=2)
    assert (away < 30).any()


def test_a_page_too_small_is_refused() -> None:
    """Neither a chart wider than the page nor more area than it has finds a place."""
    corners, labels = _rings_and_slivers()
    assert place_charts(corners, labels, 64, 0.0) is None
    assert place_charts(corners, labels, 128, 8.0) is None


def test_what_one_page_does_not_hold_goes_on_to_the_next() -> None:
    """Charts take three pages of four, each page keeps the rule of one, and a lone page is what it always was."""
    corners, labels = _rings_and_slivers()
    places = place_charts(corners, labels, 180, 4.0, 4)
    assert places is not None
    assert set(places.page) == {0, 1, 2}
    placed = corners + places.offset[labels][:, None]
    for page in range(3):
        here = placed[places.page[labels] == page]
        assert here.min() >= 2.0
        assert here.max() <= 178.0
        assert not find_covering(here, 180).any()
    assert place_charts(corners, labels, 180, 4.0, 2) is None
    alone, among = place_charts(corners, labels, 400, 8.0), place_charts(corners, labels, 400, 8.0, 4)
    assert alone is not None
    assert among is not None
    assert (alone.offset == among.offset).all()


def test_faces_that_lie_over_others_are_found_as_the_rasterizer_counts_them() -> None:
    """Random triangles: there are covering faces exactly where texels are covered twice."""
    random = np.random.default_rng(0)
    for count in range(1, 40):
        corners = random.uniform(0, 64, (1, 2)) + random.uniform(-4, 4, (count, 3, 2)) * [[[1 / 4], [1 / 4], [1 / 2]]]
        corners += random.uniform(-15, 15, (count, 1, 2))
        covered = rasterize(corners.reshape(-1, 2) / 64, np.arange(3 * count).reshape(-1, 3), 64).overlap
        assert find_covering(corners, 64).any() == (covered > 0)


def _winding_strip() -> dict[str, np.ndarray]:
    """Give a strip of two and a half turns of a helix with its uv: a flat ring that runs over itself."""
    angle = np.linspace(0, 5 * np.pi, 151)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    uv = np.concatenate([0.7 * circle, circle])
    vertices = np.column_stack([uv, np.tile(0.001 * angle, 2)]).astype(np.float32)
    k = np.arange(150)
    faces = np.concatenate([np.stack([k, k + 151, k + 152], 1), np.stack([k, k + 152, k + 1], 1)])
    return {"vertices": vertices, "faces": faces.astype(np.int32), "uv": uv}


@pytest.mark.parametrize("missed", [False, True])
def test_a_chart_that_lies_over_itself_is_cut(missed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two and a half turns become three pieces; what the first look misses is found on the page, piece by piece."""
    if missed:
        monkeypatch.setattr("forge_batch.ops.atlas.lay_apart", lambda uv, labels, *_: labels)
    options: dict[str, Any] = {"size": 256, "padding": 4, "density": None, "crease": 180.0, "atlases": 1}
    made, facts = build_atlas(_winding_strip(), options)
    assert rasterize(made["uv"] / 256, made["faces"], 256).overlap == 0
    assert 3 <= facts["charts"] <= 5
    assert facts["density"] > 40
