from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.seams import seam_jumps
from forge_batch.ops.view_paint import paint_unseen
from tests.ops.test_seams import two_charts

SIZE = 128


def rings(image: np.ndarray, mask: np.ndarray, _: int) -> np.ndarray:
    """Paint rings of 16 pixels into the masked part, as a painter does that knows nothing of charts."""
    row, column = np.indices(mask.shape)
    wave = 127 + 120 * np.sin(np.hypot(row - 40, column - 30) * 2 * np.pi / 32)
    return np.where(mask[..., None], wave[..., None], image).astype(np.uint8)


def red(image: np.ndarray, mask: np.ndarray, _: int) -> np.ndarray:
    """Paint the masked part red."""
    return np.where(mask[..., None], np.array([255, 0, 0]), image).astype(np.uint8)


def half_seen() -> tuple[np.ndarray, np.ndarray]:
    """Give a grey atlas of which the lower half was not seen."""
    unseen = np.zeros((SIZE, SIZE), bool)
    unseen[SIZE // 2 :] = True
    return np.full((SIZE, SIZE, 3), 90, np.uint8), unseen


def test_seen_texels_keep_their_bytes_and_unseen_ones_are_painted() -> None:
    """Everything unseen and covered is red, everything seen and covered is as it was."""
    image, unseen = half_seen()
    painted, views = paint_unseen(two_charts(), image, unseen, red, 256)
    chart = slice(2, 48)
    assert views == 1
    assert (painted[: SIZE // 2 - 1, chart] == 90).all()
    assert (painted[SIZE // 2 + 1 : -2, chart] == [255, 0, 0]).all()


def test_what_is_painted_runs_across_chart_borders() -> None:
    """Rings painted in views jump across the border no more than inside charts; painted in the atlas they jump far more."""
    mesh = two_charts()
    image, unseen = half_seen()
    unseen[:] = True
    unseen[0, 0] = False
    in_views = seam_jumps(mesh, paint_unseen(mesh, image, unseen, rings, 256)[0], unseen)
    in_atlas = seam_jumps(mesh, rings(image, unseen, 0), unseen)
    assert in_views.seam < 2 * in_views.inside + 1
    assert in_atlas.seam > 5 * in_views.seam


def test_hidden_surface_is_not_painted_from_in_front_of_it() -> None:
    """A plate behind another gets its own view; the colours of the one in front do not shine through."""
    front = two_charts()
    # the second square goes behind the first, facing the same way, and is seen by nobody from the front
    vertices = front.vertices.copy()
    vertices[4:] += np.array([-1.0, 0.0, -0.5], np.float32)
    mesh = Mesh(vertices, front.faces, uv=front.uv)
    image, unseen = half_seen()
    unseen[:] = True
    unseen[:, :64] = False
    seen: list[int] = []

    def painter(picture: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
        seen.append(int(mask.sum()))
        return red(picture, mask, number)

    painted, views = paint_unseen(mesh, image, unseen, painter, 256)
    assert (painted[4:-4, 4:48] == 90).all()
    assert views == len(seen)
    # only slanted views see part of it: none shows more than half of what it would cover unhidden
    assert max(seen, default=0) < 0.5 * (256 / 1.06) ** 2 / 2


def test_nothing_unseen_asks_nobody() -> None:
    """Without unseen texels the painter is not called."""
    image, unseen = half_seen()
    unseen[:] = False
    painted, views = paint_unseen(two_charts(), image, unseen, lambda *_: pytest.fail("painted"), 64)
    assert views == 0
    assert (painted == 90).all()
