"""Lay shapes out and look at the page."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.box_charts import box_charts
from forge_batch.ops.collapse import collapse
from forge_batch.ops.lod import build_lod
from forge_batch.ops.measure_atlas import count_overlap, measure_layout
from forge_batch.ops.measure_shape import compare_outlines, draw_outlines
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.plane_charts import plane_charts
from forge_batch.ops.screen_sizes import screen_sizes, sphere_diameter
from forge_batch.ops.sheet import taken_apart
from forge_batch.ops.simplify import simplify
from forge_batch.ops.solid import make_solid
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.ops.topology import face_areas, link, measure_topology
from forge_batch.ops.unwrap import WAYS, Way, measure_uv, unwrap
from forge_batch.ops.weld import welded
from tests.shapes import blob, box


@cache
def _low() -> Mesh:
    return simplify(make_solid(blob(60), 1e-6, 1.0).mesh, 2000, preview=False, solid=True)


def _coverage(mesh: Mesh, size: int) -> np.ndarray:
    """Draw the charts, one number each."""
    assert mesh.uv is not None
    page = np.zeros((size, size), np.int32)
    charts = link(len(mesh.vertices), mesh.faces[:, [0, 1]].ravel(), mesh.faces[:, [1, 2]].ravel())
    for face in mesh.faces:
        corners = np.round((mesh.uv[face] * size - 0.5) * 256).astype(np.int32)
        cv2.fillPoly(page, [corners], int(charts[face[0]]) + 1, shift=8)
    return page


def _overlap(mesh: Mesh, size: int) -> int:
    """Count texel centres strictly inside more than one face."""
    assert mesh.uv is not None
    count = np.zeros((size, size), np.int32)
    for a, b, c in mesh.uv[mesh.faces].astype(np.float64) * size:
        low, high = np.floor(np.min([a, b, c], 0)).astype(int), np.ceil(np.max([a, b, c], 0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        inside = np.all([s < -1e-6 for s in sides], axis=0) | np.all([s > 1e-6 for s in sides], axis=0)
        count[low[1] : high[1], low[0] : high[0]] += inside
    return int((count > 1).sum())


@pytest.mark.parametrize("way", [None, plane_charts, box_charts], ids=["xatlas", "planes", "box"])
def test_charts_neither_overlap_nor_mirror_nor_touch(tmp_path: Path, way: Way | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By xatlas and by both fallbacks: inside the page, no texel twice, no face mirrored or empty, padding between charts."""
    mesh = _low()
    if way is not None:
        monkeypatch.setattr("forge_batch.ops.unwrap.CHARTING_SHARE", 1e-6)
        monkeypatch.setattr("forge_batch.ops.unwrap.WAYS", (None, way))
    made = unwrap(mesh, 512, 8, None, folder=tmp_path, timeout=60.0)
    assert bool(made.fallback) == (way is not None)
    assert made.mesh.uv is not None
    assert made.mesh.uv.min() >= 4 / 512 - 1e-6
    assert made.mesh.uv.max() <= 1 - 4 / 512 + 1e-6
    found = measure_uv(made.mesh)
    assert (found.mirrored_faces, found.empty_faces) == (0, 0)
    assert _overlap(made.mesh, 512) == 0
    page = _coverage(made.mesh, 512)
    round_window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    for chart in range(1, min(page.max(), 40) + 1):
        near = cv2.dilate((page == chart).astype(np.uint8), round_window) > 0
        assert not (near & (page != chart) & (page > 0)).any()
    assert measure_topology(welded(made.mesh).faces).closed


def test_planes_come_before_the_box() -> None:
    """Where xatlas gives up, fewer charts are tried first; a box of unequal sides has one for each side either way."""
    assert (None, plane_charts, box_charts) == WAYS
    for way in (plane_charts, box_charts):
        _, faces, uv = way(box((1, 2, 3)))
        a, b, c = np.moveaxis(uv[faces], 1, 0)
        area = 0.5 * ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
        assert area.sum() == pytest.approx(2 * (2 + 3 + 6))
        assert area.min() > 0
        assert len(np.unique(link(len(uv), faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()))) == 6


def test_density_is_the_same_everywhere(tmp_path: Path) -> None:
    """Texels per metre differ by chart no more than 5 % from what was said, and an asked density is kept."""
    made = unwrap(_low(), 1024, 8, 60.0, folder=tmp_path, timeout=60.0)
    assert made.density == 60.0
    assert made.mesh.uv is not None
    uv = made.mesh.uv[made.mesh.faces].astype(np.float64) * 1024
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    flat = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    charts = link(len(made.mesh.vertices), made.mesh.faces[:, [0, 1]].ravel(), made.mesh.faces[:, [1, 2]].ravel())
    owner = charts[made.mesh.faces[:, 0]]
    ratio = np.sqrt(np.bincount(owner, weights=flat) / np.bincount(owner, weights=face_areas(made.mesh)))
    weight = np.bincount(owner, weights=face_areas(made.mesh))
    big = weight > 1e-3 * weight.sum()
    assert np.abs(ratio[big] / 60.0 - 1).max() < 0.05


def test_a_density_that_does_not_fit_is_refused_with_what_does(tmp_path: Path) -> None:
    """The error names the largest density that fits and the texture size that would do."""
    with pytest.raises(StageError, match=r"the largest that fits is \d+ px/m") as caught:
        unwrap(box(), 512, 8, 240.0, folder=tmp_path, timeout=60.0)
    assert "texture_size: 1024 or unwrap.atlases: 2" in caught.value.hint


def test_a_density_that_one_page_does_not_hold_takes_as_few_as_do(tmp_path: Path) -> None:
    """Four sides of 240 texels a page: the box takes two of four, and on the sheet charts keep density and padding."""
    made = unwrap(box(), 512, 8, 240.0, folder=tmp_path, timeout=60.0, atlases=4)
    assert made.atlases == 2
    layout = measure_layout(made.mesh, 1024, 8.0)
    assert (layout.overlap, layout.mirrored, layout.empty_faces) == (0, 0, 0)
    assert layout.gap >= 8.0
    assert layout.density == pytest.approx(240.0, rel=1e-3)
    apart = taken_apart(made.mesh, 2)
    assert apart.uv is not None
    assert apart.atlas is not None
    assert set(apart.atlas) == {0, 1}
    assert apart.uv.min() >= 4 / 512
    assert apart.uv.max() <= 508 / 512


def test_a_flat_side_of_a_box_is_not_stretched(tmp_path: Path) -> None:
    """Six squares need no stretch; the fallback's box charts of a box are its six sides."""
    found = measure_uv(unwrap(box(), 512, 8, None, folder=tmp_path, timeout=60.0).mesh)
    assert found.stretch_mean == pytest.approx(1.0, abs=1e-3)
    origin, faces, uv = box_charts(box())
    assert (len(origin), len(faces), len(uv)) == (24, 12, 24)


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """Lay 2,000 faces out on 1024 texels."""
    made = unwrap(_low(), 1024, 8, None, folder=tmp_path_factory.mktemp("textured"), timeout=60.0).mesh
    return split_by_tangent(replace(made, normals=split_vertex_normals(made.vertices, made.faces)))


def test_lods_use_the_same_vertices_and_stay_closed(textured: Mesh) -> None:
    """Places and what they carry are LOD0's; welded, the LOD is closed; no face is turned in the texture."""
    mesh = textured

    def rows(*parts: np.ndarray | None) -> set[bytes]:
        return {row.tobytes() for row in np.hstack([part for part in parts if part is not None])}

    for ratio in (0.8, 0.6):
        lod = collapse(mesh, int(ratio * len(mesh.faces)), 4 / 1024, 0.01)
        assert len(lod.faces) <= ratio * len(mesh.faces)
        assert rows(lod.vertices) <= rows(mesh.vertices)
        assert rows(lod.uv, lod.normals, lod.tangents) <= rows(mesh.uv, mesh.normals, mesh.tangents)
        assert measure_topology(welded(lod).faces).closed
        found = measure_uv(lod)
        assert (found.mirrored_faces, found.empty_faces) == (0, 0)
        assert _overlap(lod, 1024) == 0


def test_no_lod_lays_two_faces_on_one_texel(tmp_path: Path) -> None:
    """On a page so small that moving borders alone make faces meet, the LOD is built without."""
    made = unwrap(_low(), 192, 4, None, folder=tmp_path, timeout=60.0).mesh
    mesh = split_by_tangent(replace(made, normals=split_vertex_normals(made.vertices, made.faces)))
    assert count_overlap(collapse(mesh, len(mesh.faces) // 20, 4 / 192, 0.1), 192) > 0
    lod = build_lod(mesh, 0.05, 4 / 192, 192, draw_outlines(welded(mesh)))
    assert lod.overlap == count_overlap(lod.mesh, 192) == 0
    assert len(lod.mesh.faces) < 0.2 * len(mesh.faces)


def test_charts_do_not_hold_a_lod(tmp_path: Path) -> None:
    """A quarter of 2,000 faces in 200 charts is reached, closed and unturned: corners of charts collapse, small charts go."""
    low = _low()
    noise = np.random.default_rng(1).normal(0, 0.02 * low.diagonal, low.vertices.shape)
    made = unwrap(Mesh((low.vertices + noise).astype(np.float32), low.faces), 1024, 8, None, folder=tmp_path, timeout=60.0)
    assert made.charts >= 200
    mesh = split_by_tangent(replace(made.mesh, normals=split_vertex_normals(made.mesh.vertices, made.mesh.faces)))
    lod = collapse(mesh, 500, 8 / 1024, 0.1)
    assert len(lod.faces) <= 500
    assert measure_topology(welded(lod).faces).closed
    assert measure_uv(lod).mirrored_faces == 0


def test_outlines_outweigh_the_ratio(textured: Mesh) -> None:
    """A rod that a tenth of the triangles would lose keeps more of them, and its outlines."""
    mesh = textured
    outlines = draw_outlines(welded(mesh))
    lod = build_lod(mesh, 0.1, 8 / 1024, 1024, outlines)
    assert 1.0 - compare_outlines(lod.mesh, outlines) <= 0.06
    assert len(lod.mesh.faces) > 0.1 * len(mesh.faces)


def test_screen_sizes_fall_and_hold_one_pixel() -> None:
    """At its size each deviation covers at most a pixel of 1080, the first is 1 and each is smaller than the last."""
    sizes = screen_sizes([0.0, 1e-9, 0.004, 0.02], 2.0)
    assert sizes[0] == 1.0
    assert all(b < a for a, b in pairwise(sizes))
    assert sizes[2] / 2.0 * 0.004 * 1080 <= 1.0
    assert sizes[3] == pytest.approx(2.0 / (0.02 * 1080), rel=1e-3)
    assert sphere_diameter(box((1, 2, 2))) == pytest.approx(3.0)
