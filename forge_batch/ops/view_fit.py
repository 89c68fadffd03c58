"""Bring what a learned generator made into the space of its views, and say how well it fills their outlines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from forge_batch.errors import StageError
from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.silhouette import Silhouette, measure_silhouette
from forge_batch.ops.view_alignment import align_views
from forge_batch.ops.visual_hull import hull_bounds

_ROUNDS = 5


def view_silhouettes(cutouts: Mapping[str, np.ndarray], cameras: Mapping[str, Camera] | None) -> list[Silhouette]:
    """Give each cut-out (h, w, 4) its camera, or one that is guessed, and its outline.

    Raises:
        StageError: A view has no camera.
    """
    chosen = cameras or align_views({name: cutout[..., 3] for name, cutout in cutouts.items()})
    lost = [name for name in cutouts if name not in chosen]
    if lost:
        raise StageError(f"the view {lost[0]} has no camera, there is one for {', '.join(chosen)}", "add it to camera.json")
    return [measure_silhouette(name, cutout[..., 3], chosen[name]) for name, cutout in cutouts.items()]


def fit_to_views(mesh: Mesh, silhouettes: list[Silhouette]) -> Float64[np.ndarray, "4 4"]:
    """Give the scale and translation that make the mesh as high in the views as their outlines, and centred alike.

    Nothing is turned: the mesh faces +Z as the front view's object does.

    Raises:
        StageError: The outlines have no point in common.
    """
    box = hull_bounds(silhouettes)
    if box is None:
        raise StageError(
            f"the outlines of {', '.join(s.name for s in silhouettes)} have no point in common",
            "check which picture is which side, and that cameras belong to these pictures",
        )
    points = mesh.vertices.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    # the hull's box is known to 2 % only and serves as a start
    scale = float((box[1] - box[0])[1] / max((high - low)[1], 1e-9))
    offset = (box[0] + box[1]) / 2 - scale * (low + high) / 2
    for _ in range(_ROUNDS):
        ratio, shift = _misfit(scale * points + offset, silhouettes)
        middle = scale * (low + high) / 2 + offset
        scale *= ratio
        offset = middle - scale * (low + high) / 2 + shift
    matrix = np.eye(4)
    matrix[:3, :3] *= scale
    matrix[:3, 3] = offset
    return matrix


def _misfit(points: np.ndarray, silhouettes: list[Silhouette]) -> tuple[float, np.ndarray]:
    """Say by how much the outlines are higher than the points (a factor), and where these must move to lie behind them."""
    ratios, rows, values = [], [], []
    for silhouette in silhouettes:
        camera = silhouette.camera
        pixels, depth = camera.project(points)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        row, column = np.nonzero(silhouette.mask)
        first, last = np.array([column.min(), row.min()]), np.array([column.max(), row.max()]) + 1.0
        ratios.append((last - first)[1] / max((high - low)[1], 1e-9))
        away = 1.0 if camera.orthographic else float(depth.mean())
        rows.append(camera.view[:2, :3])
        values.append(((first + last) - (low + high)) / 2 / camera.focal * away)
    # of the least squares the shortest: a direction that no view measures is left alone
    shift = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=1e-6)[0]
    return float(np.mean(ratios)), shift


def mean_overlap(mesh: Mesh, silhouettes: list[Silhouette]) -> float:
    """Give the mean over the views of intersection over union, 0..1, of the mesh's outline and the view's."""
    return float(np.mean([outline_overlap(mesh, s.mask.astype(np.uint8) * 255, s.camera) for s in silhouettes]))
