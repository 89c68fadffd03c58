from __future__ import annotations

import numpy as np

from forge_batch.ops.dither import dithered_normals


def test_a_slope_between_two_steps_keeps_its_mean() -> None:
    """A value 0.3 of the way from 140 to 141 becomes 141 on 30 % of texels and 140 on the others, in any 16 x 16 within 3 %."""
    value = np.uint16(round(140.3 * 257))
    image = dithered_normals(np.full((64, 64, 3), value, np.uint16))
    assert set(np.unique(image)) == {140, 141}
    blocks = (image == 141).reshape(4, 16, 4, 16, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, 0.3, atol=0.03)
    assert (image[..., 0] != image[..., 1]).any()


def test_flat_stays_flat_and_the_ends_stay_in_range() -> None:
    """(128, 128, 255) of flat ground, and 0 and 65535 are 0 and 255 everywhere."""
    flat = np.full((32, 32, 3), (32768, 32767, 65535), np.uint16)
    assert (dithered_normals(flat) == [128, 128, 255]).all()
    assert (dithered_normals(np.full((32, 32, 3), (0, 65535, 65535), np.uint16)) == [0, 255, 255]).all()


def test_no_value_moves_by_more_than_a_step() -> None:
    """Every value is one of its two neighbours of 8 bits."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    assert np.abs(dithered_normals(ramp).astype(float) - ramp / 257.0).max() < 1.0 + 1e-9
