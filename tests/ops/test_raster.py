from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.raster import rasterize

SQUARE = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_square_covers_its_texels_each_once() -> None:
    """A square on texel borders covers exactly its 4 x 4 texels of 8 x 8; texels on the shared diagonal have the lower face."""
    result = rasterize(SQUARE, TWO, 8)
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(result.face >= 0, expected)
    np.testing.assert_array_equal(result.face[2:6, 2:6], np.tril(np.ones((4, 4), int), -1))
    np.testing.assert_array_equal(result.centre, expected)
    assert result.overlap == 0


def test_row_zero_is_on_top_and_weights_name_the_corners() -> None:
    """The texel of uv (0.125, 0.625) is column 0, row 2 of 4, and its weights give that place back."""
    uv = np.array([[0, 0.5], [0.5, 0.5], [0, 1.0]])
    result = rasterize(uv, np.array([[0, 1, 2]], np.int32), 4)
    assert [tuple(place) for place in np.argwhere(result.face == 0)] == [(2, 0), (2, 1), (3, 0)]
    np.testing.assert_allclose(result.barycentric[2, 0] @ uv, [0.125, 0.625], atol=1e-6)


def test_a_fan_leaves_no_texel_out_and_counts_none_twice() -> None:
    """A disc cut into 97 faces of both windings covers every texel whose centre is inside, with no overlap."""
    angle = np.arange(97) * 2 * np.pi / 97
    uv = np.vstack([[0.5, 0.5], 0.5 + 0.45 * np.stack([np.cos(angle), np.sin(angle)], 1)])
    ring = 1 + np.arange(97)
    faces = np.stack([np.zeros(97, int), ring, 1 + np.arange(1, 98) % 97], 1).astype(np.int32)
    faces[::2] = faces[::2, ::-1]
    result = rasterize(uv, faces, 256)
    centres = (np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1) + 0.5) / 256 - 0.5
    assert (result.face[np.linalg.norm(centres, axis=2) < 0.449] >= 0).all()
    assert (result.face[np.linalg.norm(centres, axis=2) > 0.451] < 0).all()
    assert result.overlap == 0


def test_double_coverage_is_reported_and_the_lower_face_wins() -> None:
    """Two equal squares overlap in all their 16 texels but those on the diagonals."""
    faces = np.vstack([TWO, TWO])
    result = rasterize(SQUARE, faces, 8)
    assert result.overlap == 12
    assert result.face.max() == 1


def test_the_conservative_rim_takes_the_nearest_point_of_the_face() -> None:
    """Around a square whose rim runs 0.2 texel short of the next centres one more texel is taken, its weights on the rim."""
    uv = np.array([[0.26, 0.26], [0.71, 0.26], [0.71, 0.71], [0.26, 0.71]])
    plain, grown = rasterize(uv, TWO, 10), rasterize(uv, TWO, 10, conservative=True)
    # centres at 0.35 .. 0.65 are inside; those at 0.25 lie 0.1 texel outside, those at 0.75 lie 0.4 outside
    np.testing.assert_array_equal(np.argwhere(plain.face >= 0).min(axis=0), [3, 3])
    np.testing.assert_array_equal(np.argwhere(plain.face >= 0).max(axis=0), [6, 6])
    np.testing.assert_array_equal(grown.face >= 0, np.pad(np.ones((6, 6), bool), 2))
    np.testing.assert_array_equal(grown.centre, plain.centre)
    np.testing.assert_allclose(grown.barycentric[2, 4] @ uv[TWO[grown.face[2, 4]]], [0.45, 0.26], atol=2e-4)
    np.testing.assert_allclose(grown.barycentric[grown.face >= 0].sum(axis=1), 1, atol=1e-6)


def test_a_chart_thinner_than_a_texel_does_not_vanish() -> None:
    """A sliver between two rows of centres covers none, but conservatively has its texels; without area it has none."""
    uv = np.array([[0.1, 0.26], [0.9, 0.26], [0.9, 0.27], [0.1, 0.27]])
    assert (rasterize(uv, TWO, 8).face < 0).all()
    assert (rasterize(uv, TWO, 8, conservative=True).face[1:3, 1:7] >= 0).all()
    assert (rasterize(uv * [1, 0], TWO, 8, conservative=True).face < 0).all()


def test_uvs_outside_are_cut_off_and_silly_sizes_refused() -> None:
    """A square larger than the atlas covers all of it; an atlas of 0 or 16,384 texels is an error."""
    assert (rasterize(SQUARE * 8 - 3, TWO, 16).face >= 0).all()
    for size in (0, 16384):
        with pytest.raises(ValueError, match="1 to 8192"):
            rasterize(SQUARE, TWO, size)
