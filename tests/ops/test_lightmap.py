from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.lightmap import PADDING, with_lightmap_uv
from forge_batch.ops.measure_atlas import find_charts, measure_layout
from forge_batch.ops.mesh import Mesh
from tests import winged_box
from tests.ops.test_fbx import corners
from tests.ops.test_tangents import reference


def stacked() -> Mesh:
    """Make the winged box with all its charts on one another, as a tiling or mirrored texture has them."""
    mesh = winged_box.levels()[0]
    assert mesh.uv is not None
    side = 5  # cells of the page, see winged_box.finished
    return replace(mesh, uv=np.ascontiguousarray((mesh.uv * side) % 1.0, np.float32))


MESHES = {"winged": winged_box.levels()[0], "stacked": stacked(), "crate": reference("ammo_crate")}


@pytest.mark.parametrize("resolution", [128, 256])
@pytest.mark.parametrize("name", MESHES)
def test_nothing_overlaps_and_gaps_are_kept(name: str, resolution: int) -> None:
    """On the lightmap's own page no texel is covered twice, two texels stay free between charts, and all lies inside."""
    lit = with_lightmap_uv(MESHES[name], resolution)
    assert lit.lightmap_uv is not None
    layout = measure_layout(replace(lit, uv=lit.lightmap_uv), resolution, PADDING)
    assert layout.overlap == 0
    assert layout.gap >= PADDING
    assert lit.lightmap_uv.min() > 0
    assert lit.lightmap_uv.max() < 1


@pytest.mark.parametrize("name", MESHES)
def test_what_was_there_stays(name: str) -> None:
    """Corner by corner positions, first uv, normals and faces are untouched; only vertices that charts shared are split."""
    mesh = MESHES[name]
    lit = with_lightmap_uv(mesh, 128)
    for before, after in ((mesh.vertices, lit.vertices), (mesh.uv, lit.uv), (mesh.normals, lit.normals)):
        if before is not None:
            np.testing.assert_array_equal(corners(mesh, before), corners(lit, after))
    assert len(lit.vertices) >= len(np.unique(mesh.faces))


def test_charts_keep_their_shape() -> None:
    """Within a chart the second set is the first one moved and scaled, by the same factor everywhere."""
    mesh = reference("ammo_crate")
    lit = with_lightmap_uv(mesh, 256)
    one, two = corners(lit, lit.uv).reshape(-1, 3, 2), corners(lit, lit.lightmap_uv).reshape(-1, 3, 2)
    edges, moved = np.diff(one, axis=1), np.diff(two, axis=1)
    scale = np.linalg.norm(moved) / np.linalg.norm(edges)
    np.testing.assert_allclose(moved, edges * scale, atol=2e-6)
    assert len(set(find_charts(mesh))) > 1


def test_a_page_that_is_too_small_says_which_would_do() -> None:
    """24 charts with two texels between them do not lie on 8 texels: the author reads what to write."""
    with pytest.raises(StageError, match="does not hold 24 charts") as error:
        with_lightmap_uv(winged_box.levels()[0], 8)
    assert "export.lightmap_resolution: 16" in error.value.hint
