from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.padding import nearest_known, spread


def test_every_texel_takes_a_value_as_near_as_any() -> None:
    """Within 8 % of the distance of the truly nearest (brute force), for all texels; known ones keep their own."""
    rng = np.random.default_rng(3)
    known = rng.random((40, 60)) < 0.01
    nearest = nearest_known(known)
    places = np.argwhere(known)
    grid = np.argwhere(np.ones_like(known))
    best = np.linalg.norm(grid[:, None] - places[None], axis=2).min(axis=1)
    taken = np.stack(np.unravel_index(nearest.ravel(), known.shape), axis=1)
    assert known[tuple(taken.T)].all()
    assert (np.linalg.norm(grid - taken, axis=1) <= best * 1.08 + 1e-9).all()
    image = rng.integers(0, 255, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(spread(image, nearest)[known], image[known])


def test_an_empty_map_has_nothing_to_spread() -> None:
    """Without a known texel there is an error, not a black map."""
    with pytest.raises(ValueError, match="no texel"):
        nearest_known(np.zeros((4, 4), bool))
