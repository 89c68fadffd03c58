from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.unseen import fill_unseen
from tests.bake_pairs import UPRIGHT, joined, low_square


def test_a_gap_between_two_colours_becomes_a_blend_of_both() -> None:
    """Between a red and a blue third the unseen third goes from red to blue; seen texels keep their bytes."""
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, :20], image[:, 40:] = (200, 0, 0), (0, 0, 200)
    unseen = np.zeros((60, 60), bool)
    unseen[:, 20:40] = True
    result = fill_unseen(low_square(), image, unseen)
    np.testing.assert_array_equal(result[~unseen], image[~unseen])
    row = result[30].astype(int)
    # a straight ramp in linear light: at a share t of the gap, red is the sRGB of (1 - t) times that of 200
    for column, red in ((21, 193), (25, 173), (30, 143), (35, 101), (38, 59)):
        assert row[column, 0] == pytest.approx(red, abs=14), column
        assert row[59 - column, 2] == pytest.approx(red, abs=14), column


def test_colour_crosses_from_chart_to_chart_in_space() -> None:
    """An unseen plate close above a green one turns green though a red chart lies nearer in the atlas."""
    low, near, far = (low_square(tuple((u * 0.3 + shift, v) for u, v in UPRIGHT)) for shift in (0.0, 0.35, 0.7))
    near.vertices[:, 2] += 5.0
    far.vertices[:, 2] += 0.1
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :20], image[:, 21:42] = (0, 180, 0), (180, 0, 0)
    unseen = np.zeros((64, 64), bool)
    unseen[:, 44:] = True
    filled = fill_unseen(joined(low, near, far), image, unseen)[:, 46:62]
    np.testing.assert_allclose(filled.reshape(-1, 3), np.tile([0, 180, 0], (64 * 16, 1)), atol=1)


def test_without_anything_seen_there_is_nothing_to_carry_on() -> None:
    """The caller hears so."""
    with pytest.raises(ValueError, match="no texel was seen"):
        fill_unseen(low_square(), np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool))
