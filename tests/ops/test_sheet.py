"""Lay atlases on a sheet and take them off again."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.sheet import MOST, cut_out, joined, on_sheet, taken_apart


@pytest.mark.parametrize("atlases", range(1, MOST + 1))
def test_pictures_and_uv_come_back_from_a_sheet(atlases: int) -> None:
    """Each atlas holds its own picture, and a face of it points at the very texels it pointed at on the sheet."""
    pictures = [np.full((4, 4, 3), number + 1, np.uint8) for number in range(atlases)]
    sheet = joined(pictures)
    for number, picture in enumerate(pictures):
        assert (cut_out(sheet, number, atlases) == picture).all()
    triangle = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75]], np.float32)
    uv = np.concatenate([on_sheet(triangle, number, atlases) for number in range(atlases)])
    faces = np.arange(3 * atlases, dtype=np.int32).reshape(-1, 3)
    row, column = (uv[faces].mean(axis=1) * len(sheet)).astype(int).T[::-1]
    assert sheet[row, column, 0].tolist() == list(range(1, atlases + 1))
    apart = taken_apart(Mesh(np.zeros((len(uv), 3), np.float32), faces, uv=uv), atlases)
    assert apart.uv is not None
    assert (apart.uv.reshape(-1, 3, 2) == triangle).all()
    assert (apart.atlas is None) if atlases == 1 else (list(apart.atlas) == list(range(atlases)))
