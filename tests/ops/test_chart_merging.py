"""Join charts of shapes whose unfolding is known."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.atlas import signed_areas
from forge_batch.ops.box_charts import covers_twice
from forge_batch.ops.chart_merging import merge_charts
from forge_batch.ops.components import face_components
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.plane_charts import plane_charts
from forge_batch.ops.simplify import simplify
from forge_batch.ops.solid import make_solid
from forge_batch.ops.topology import face_areas
from tests.shapes import blob, box


def _merged(mesh: Mesh, crease: float = 180.0) -> tuple[np.ndarray, np.ndarray, int]:
    """Chart by planes and join; give the flat corners of the faces, the chart of each, and how many there were before."""
    origin, faces, uv = plane_charts(mesh)
    labels = face_components(faces)
    corners, uv, joined = merge_charts(mesh.vertices[origin], origin, faces, uv, labels, crease)
    assert (origin[corners] == mesh.faces).all()
    return uv[corners], joined, int(labels.max()) + 1


def _tube(sides: int, rings: int) -> Mesh:
    """Make an open tube of flat sides, wound outwards, with a radius of 1 and a length of 6."""
    angle = 2 * np.pi * np.arange(sides) / sides
    points = [(np.cos(a), 6 * k / rings, -np.sin(a)) for k in range(rings + 1) for a in angle]
    faces = []
    for k in range(rings):
        for s in range(sides):
            a, b = k * sides + s, k * sides + (s + 1) % sides
            faces += [(a, b, b + sides), (a, b + sides, a + sides)]
    return Mesh(np.array(points, np.float32), np.array(faces, np.int32))


def test_a_box_is_unfolded_without_stretch() -> None:
    """The six sides of a box become fewer charts, each face keeps its shape, and none lies over another of its chart."""
    flat, charts, before = _merged(box((1.0, 2.0, 3.0)))
    assert before == 6
    assert 1 < charts.max() + 1 <= 3
    assert signed_areas(flat) == pytest.approx(face_areas(box((1.0, 2.0, 3.0))), rel=1e-5)
    for chart in range(charts.max() + 1):
        assert not covers_twice(flat[charts == chart], 0.05)


def test_charts_that_meet_at_a_sharp_edge_stay_apart() -> None:
    """A box keeps its six sides where edges of 60 degrees and more are to be hard."""
    _, charts, _ = _merged(box(), crease=60.0)
    assert charts.max() == 5


def test_a_tube_becomes_one_strip() -> None:
    """A tube of 24 sides, charted in four or more, is rolled out whole: 2 pi wide but for its flat sides, and cut once."""
    mesh = _tube(24, 6)
    flat, charts, before = _merged(mesh)
    assert before >= 4
    assert charts.max() == 0
    spread = np.linalg.svd(flat.reshape(-1, 2) - flat.reshape(-1, 2).mean(axis=0), compute_uv=False)
    assert spread[0] / spread[1] == pytest.approx(24 * 2 * np.sin(np.pi / 24) / 6, rel=0.05)
    assert signed_areas(flat) == pytest.approx(face_areas(mesh), rel=1e-4)


def test_what_bends_is_joined_within_the_limits() -> None:
    """A lumpy thing gets less than two thirds of its charts; no face is turned or squashed, no chart covers itself."""
    mesh = simplify(make_solid(blob(40), 1e-6, 1.0).mesh, 1500, preview=False, solid=True)
    flat, charts, before = _merged(mesh)
    assert charts.max() + 1 < before * 2 / 3
    assert (signed_areas(flat) > 0.05 * face_areas(mesh)).all()
    for chart in range(charts.max() + 1):
        own = flat[charts == chart]
        assert not covers_twice(own, float(np.sqrt(signed_areas(own).sum())) / 150)
