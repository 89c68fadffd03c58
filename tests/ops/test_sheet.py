"""Lay atlases on a sheet and take them off again."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.finished import Finished
from forge_batch.ops.measure_asset import measure_atlas
from forge_batch.ops.measure_atlas import measure_each
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.sheet import MOST, count_atlases, cut_out, joined, on_sheet, taken_apart


@pytest.mark.parametrize("atlases", range(1, MOST + 1))
def test_pictures_and_uv_come_back_from_a_sheet(atlases: int) -> None:
    """Each atlas holds its own picture, and a face of it points at the very texels it pointed at on the sheet, in any order."""
    pictures = [np.full((4, 4, 3), number + 1, np.uint8) for number in range(atlases)]
    sheet = joined(pictures)
    assert len(np.unique(sheet)) == atlases
    for number, picture in enumerate(pictures):
        assert (cut_out(sheet, number, atlases) == picture).all()
    triangle = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75]], np.float32)
    uv = np.concatenate([on_sheet(triangle, number, atlases) for number in range(atlases)])
    faces = np.arange(3 * atlases, dtype=np.int32).reshape(-1, 3)
    row, column = (uv[faces].mean(axis=1) * len(sheet)).astype(int).T[::-1]
    assert sheet[row, column, 0].tolist() == list(range(1, atlases + 1))
    apart = taken_apart(Mesh(np.zeros((len(uv), 3), np.float32), faces[::-1], uv=uv), atlases)
    assert apart.uv is not None
    assert (apart.uv.reshape(-1, 3, 2) == triangle).all()
    if atlases > 1:
        assert apart.atlas is not None
        assert list(apart.atlas) == list(range(atlases))
        assert (apart.faces == faces).all()


def test_each_atlas_is_measured_by_itself() -> None:
    """A quarter of the first page and half of the second are used, at 32 texels per metre; the gate holds both together."""
    small = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    large = small * np.float32([1, 2])
    faces = np.array([[0, 3, 2], [0, 2, 1]], np.int32)
    points = np.pad(np.concatenate([small, large + 5]), ((0, 0), (0, 1)))
    uv = np.concatenate([on_sheet(quad / 2, number, 2) for number, quad in enumerate((small, large))])
    mesh = Mesh(points, np.concatenate([faces, faces + 4]), uv=uv, normals=np.tile(np.float32([0, 0, 1]), (8, 1)))
    first, second = measure_each(mesh, 128, 2)
    assert (first.use, first.density) == (0.25, pytest.approx(32.0))
    assert (second.use, second.density) == (0.5, pytest.approx(32.0))
    values = measure_atlas(Finished(mesh, manifest={"unwrap": {"texture_size": 64, "padding": 4}}, atlases=2))
    assert values["atlas_use"].value == pytest.approx(37.5)
    assert values["atlas_use"].note == "atlas 1 25 %, atlas 2 50 %"


def test_materials_are_atlases_where_each_has_pictures_of_its_own() -> None:
    """Shared or missing pictures, or more materials than a sheet holds, are one page."""
    assert count_atlases([{"a", "b"}, {"c"}]) == 2
    assert count_atlases([{"a", "b"}, {"b"}]) == 1
    assert count_atlases([{"a"}, set()]) == 1
    assert count_atlases([{str(number)} for number in range(MOST + 1)]) == 1
    assert count_atlases([]) == 1
