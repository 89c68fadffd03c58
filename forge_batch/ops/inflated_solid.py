"""Blow an outline up to a closed solid where no view from the side tells its depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from forge_batch.ops.silhouette import Silhouette
from forge_batch.ops.visual_hull import Grid, spread


def inflated_field(
    grid: Grid, hull: Float32[np.ndarray, "x y z"], silhouettes: Sequence[Silhouette]
) -> Float32[np.ndarray, "x y z"]:
    """Give a field whose zero level is the inflated outline, mirrored about the plane through the grid's middle.

    Args:
        grid: Where the cells stand.
        hull: What hull_field gave for the same silhouettes.
        silhouettes: Views along one line only: one, or front and back. The axis of depth is that of the first one's camera.
    """
    camera = silhouettes[0].camera
    forward = camera.view[2, :3] / np.linalg.norm(camera.view[2, :3])
    middle = grid.origin + (np.array(grid.shape) - 1) / 2 * grid.step
    axes = [(grid.origin[k] - middle[k] + np.arange(grid.shape[k]) * grid.step) * forward[k] for k in range(3)]
    depth = (axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]).astype(np.float32)
    squares = [spread(grid, hull, s.bulge, s.camera) * np.float32(_area(s, middle)) for s in silhouettes]
    square = np.minimum.reduce(squares)
    # (r^2 - d^2) / (r + |d|) is r - |d| without the infinite slope of r = sqrt(square) at the outline.
    field = (square - depth**2) / (np.sqrt(square) + np.abs(depth) + np.float32(grid.step))
    return np.asarray(np.minimum(hull, field), np.float32)


def _area(silhouette: Silhouette, point: np.ndarray) -> float:
    """Give the area of a pixel at a point, square metres."""
    camera = silhouette.camera
    scale = float(np.linalg.norm(camera.view[2, :3]))
    depth = 1.0 if camera.orthographic else float(camera.project(point[None])[1][0])
    return float((depth / scale / camera.focal.mean()) ** 2)
