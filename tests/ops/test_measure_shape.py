"""Compare outlines."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from forge_batch.ops.measure_shape import compare_outlines, draw_outlines
from forge_batch.ops.mesh import Mesh
from tests.shapes import box


def _grown(by: float) -> Mesh:
    """Give a box of edge 1 that is larger by so much on every side."""
    return box((1 + 2 * by, 1 + 2 * by, 1 + 2 * by))


@pytest.mark.parametrize("side", [-1, 1])
def test_half_a_voxel_of_the_source_is_no_shape(side: int) -> None:
    """Of a source of voxels 0.02 wide, 0.006 more or less on a side agrees and 0.03 does not; without voxels neither does."""
    source = box()
    voxels, plain = draw_outlines(source, 0.02), draw_outlines(source)
    assert compare_outlines(_grown(0.006 * side), voxels) > 0.9999
    assert compare_outlines(_grown(0.006 * side), plain) < 0.99
    assert compare_outlines(_grown(0.03 * side), voxels) < 0.96


def test_fine_voxels_forgive_little() -> None:
    """Of voxels a thousandth as wide as a box, half of one on every side agrees, and ten do not."""
    outlines = draw_outlines(box(), 0.001)
    assert compare_outlines(_grown(0.0005), outlines) > 0.9995
    assert compare_outlines(_grown(-0.01), outlines) < 0.98


@pytest.mark.parametrize("voxels", [50, 200])
def test_one_voxel_off_is_found(voxels: int) -> None:
    """Of sources 50 and 200 voxels across, an outline one voxel off on every side costs what it does to the pixel."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    radius, faces = 0.5 * voxels, ball.faces.astype(np.int32)
    source = Mesh((radius * ball.vertices).astype(np.float32), faces)
    for side in (-1.0, 1.0):
        off = Mesh(((radius + side) * ball.vertices).astype(np.float32), faces)
        found = compare_outlines(off, draw_outlines(source, 1.0))
        assert found < 0.995
        assert 1 - found > 0.9 * (1 - compare_outlines(off, draw_outlines(source)))


@pytest.mark.parametrize("lost", [True, False])
def test_a_rod_of_one_voxel_is_seen(lost: bool) -> None:
    """A rod one voxel thick that only one of both has costs what it does to the pixel, lost or added."""
    body, rod = box(), box((0.02, 0.6, 0.02), (0.3, -0.8, 0.3))
    both = Mesh(np.concatenate([body.vertices, rod.vertices]), np.concatenate([body.faces, rod.faces + len(body.vertices)]))
    source, result = (both, body) if lost else (body, both)
    cost = 1 - compare_outlines(result, draw_outlines(source))
    assert cost > 0.002
    assert 1 - compare_outlines(result, draw_outlines(source, 0.02)) > 0.9 * cost


def test_a_lost_part_is_seen_however_coarse_the_voxels() -> None:
    """Without a leg of 4 voxels a thing does not agree."""
    body = box()
    leg = box((0.08, 0.6, 0.08), (0.3, -0.7, 0.3))
    both = Mesh(np.concatenate([body.vertices, leg.vertices]), np.concatenate([body.faces, leg.faces + len(body.vertices)]))
    assert compare_outlines(body, draw_outlines(both, 0.02)) < 0.99
