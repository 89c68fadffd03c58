from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.seams import seam_jumps


def two_charts() -> Mesh:
    """Give two unit squares that meet at x = 1, each with a chart of its own: columns 0..0.4 and 0.6..1 of the atlas."""
    left = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    right = [(1, 0, 0), (2, 0, 0), (2, 1, 0), (1, 1, 0)]
    square = np.array([(0.0, 1.0), (0.4, 1.0), (0.4, 0.0), (0.0, 0.0)], np.float32)
    return Mesh(
        np.array(left + right, np.float32),
        np.array([(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)], np.int32),
        uv=np.concatenate([square, square + np.array([0.6, 0.0], np.float32)]),
    )


def test_the_jump_is_the_difference_of_the_charts() -> None:
    """Two flat colours 50 apart jump by 50 where the charts meet, and by nothing on their diagonals."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 50:] = 50
    jumps = seam_jumps(two_charts(), image, np.ones((100, 100), bool))
    assert jumps.seam == pytest.approx(50)
    assert jumps.inside == pytest.approx(0)
    assert jumps.points == 4


def test_both_sides_are_read_at_the_same_place() -> None:
    """A gradient along the border that is the same in both charts does not jump, whichever way either edge runs."""
    image = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[:, None], 100, axis=1)[..., None].repeat(3, axis=2)
    assert seam_jumps(two_charts(), image, np.ones((100, 100), bool)).seam < 1


def test_only_what_is_asked_for_counts() -> None:
    """Without any texel that counts there is nothing to compare."""
    jumps = seam_jumps(two_charts(), np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool))
    assert np.isnan(jumps.seam)
    assert jumps.points == 0
