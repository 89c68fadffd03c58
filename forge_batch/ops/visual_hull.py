"""Carve the visual hull of silhouettes as a smooth field on a grid.

The visual hull (Laurentini, "The Visual Hull Concept for Silhouette-Based Image Understanding", 1994) is the largest body all
outlines allow. Taken as the minimum over the views of the distance to the outline, it is a field whose zero level runs between
cells, so that its surface has no stairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from forge_batch.ops.camera import Camera
from forge_batch.ops.silhouette import Silhouette

_COARSE = 64  # cells of the longest side while the bounds are still unknown


@dataclass(frozen=True, eq=False)
class Grid:
    """Be a box of cubic cells: `origin` (3,) is the centre of cell (0, 0, 0), `step` the edge of a cell, metres."""

    origin: Float64[np.ndarray, " 3"]
    step: float
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, low: np.ndarray, high: np.ndarray, cells: int, margin: int = 2) -> Grid:
        """Lay `cells` cells along the longest side of a box and `margin` cells around it."""
        step = float(np.max(high - low)) / cells
        count = np.ceil((high - low) / step).astype(int) + 2 * margin
        origin = (low + high) / 2 - (count - 1) / 2 * step
        return cls(origin, step, (int(count[0]), int(count[1]), int(count[2])))

    @property
    def place(self) -> Float64[np.ndarray, " 4"]:
        """Origin and step, as the kernels take them."""
        return np.append(self.origin, self.step)


def hull_field(grid: Grid, silhouettes: Sequence[Silhouette]) -> Float32[np.ndarray, "_ _ _"]:
    """Give the distance in metres to the nearest outline of any view, positive inside the hull.

    Exact near the surface; deep outside it is only surely negative.
    """
    field = np.full(grid.shape, np.inf, np.float32)
    for silhouette in silhouettes:
        _carve(field, silhouette.distance, _lens(silhouette.camera, silhouette.distance.shape), grid.place)
    return field


def spread(
    grid: Grid, field: Float32[np.ndarray, "x y z"], plane: Float32[np.ndarray, "h w"], camera: Camera
) -> Float32[np.ndarray, "x y z"]:
    """Look up an image at every cell in or near the hull `field` (elsewhere 0), bilinearly, clamped at its border.

    The image may be smaller than the camera's picture, if it shows the same.
    """
    values = np.zeros(grid.shape, np.float32)
    _spread(values, field, plane, _lens(camera, plane.shape), grid.place)
    return values


def ray_maximum(
    grid: Grid,
    hull: Float32[np.ndarray, "x y z"],
    values: Float32[np.ndarray, "x y z"],
    camera: Camera,
    shape: tuple[int, int],
) -> Float32[np.ndarray, "_ _"]:
    """Give for every pixel of a smaller picture (rows, columns) the greatest value of the cells inside the hull that it shows.

    A pixel that shows none is -inf.
    """
    best = np.full(shape, -np.inf, np.float32)
    _ray_maximum(best, hull, values, _lens(camera, shape), grid.place)
    return best


def hull_bounds(silhouettes: Sequence[Silhouette]) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]] | None:
    """Find the box (low, high) of the visual hull to about 2 % of its size; None if the hull is empty."""
    middle, half = _first_guess(silhouettes)
    grid = Grid.around(middle - half, middle + half, _COARSE)
    field = hull_field(grid, silhouettes)
    # A part thinner than a cell shows as a field just below 0 beside it.
    cells = np.argwhere(field > -0.9 * grid.step)
    if not len(cells) or field.max() <= -0.5 * grid.step:
        return None
    return grid.origin + (cells.min(axis=0) - 0.5) * grid.step, grid.origin + (cells.max(axis=0) + 0.5) * grid.step


def _first_guess(silhouettes: Sequence[Silhouette]) -> tuple[np.ndarray, float]:
    """Give the point nearest to the rays through the middles of all outlines, and half the edge of a cube round the object."""
    normal, target = 1e-6 * np.eye(3), np.zeros(3)
    boxes = []
    for silhouette in silhouettes:
        rows, columns = np.nonzero(silhouette.mask)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1.0
        boxes.append(high - low)
        camera = silhouette.camera
        xy = ((low + high) / 2 - camera.centre) / camera.focal
        inverse = np.linalg.inv(camera.view[:, :3])
        if camera.orthographic:
            start, along = inverse @ (np.append(xy, 0.0) - camera.view[:, 3]), inverse[:, 2]
        else:
            start, along = -inverse @ camera.view[:, 3], inverse @ np.append(xy, 1.0)
        along = along / np.linalg.norm(along)
        across = np.eye(3) - np.outer(along, along)
        normal += across
        target += across @ start
    middle = np.linalg.solve(normal, target)
    half = 0.0
    for box, silhouette in zip(boxes, silhouettes, strict=True):
        half = max(half, float((box * _pixel_size(silhouette.camera, middle)).max()) / 2)
    return middle, 1.15 * half


def _pixel_size(camera: Camera, point: np.ndarray) -> float:
    """Give the edge of a pixel at a point, metres."""
    scale = float(np.linalg.norm(camera.view[2, :3]))
    depth = 1.0 if camera.orthographic else float(camera.project(point[None])[1][0])
    return depth / scale / float(camera.focal.mean())


def _lens(camera: Camera, shape: tuple[int, ...]) -> np.ndarray:
    """Give a camera as the kernels take it, for a picture of another size: view, focal, centre, orthographic, scale."""
    factor = np.array([shape[1] / camera.size[0], shape[0] / camera.size[1]])
    scale = float(np.linalg.norm(camera.view[2, :3]))
    rest = [float(camera.orthographic), scale]
    return np.concatenate([camera.view.ravel(), camera.focal * factor, camera.centre * factor, rest])


@njit(cache=True)
@no_type_check
def _project(lens, x, y, z):  # pragma: no cover - compiled
    """Give pixel and pixel size in metres; a size of 0 behind the camera."""
    forward = lens[8] * x + lens[9] * y + lens[10] * z + lens[11]
    depth = 1.0 if lens[16] > 0.0 else forward
    if depth <= 0.0:
        return -1.0, -1.0, 0.0
    u = lens[12] * (lens[0] * x + lens[1] * y + lens[2] * z + lens[3]) / depth + lens[14]
    v = lens[13] * (lens[4] * x + lens[5] * y + lens[6] * z + lens[7]) / depth + lens[15]
    return u, v, depth / (lens[12] * lens[17])


@njit(cache=True)
@no_type_check
def _read(image, u, v):  # pragma: no cover - compiled
    h, w = image.shape
    x = min(max(u - 0.5, 0.0), w - 1.0)
    y = min(max(v - 0.5, 0.0), h - 1.0)
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    k, m = min(i + 1, w - 1), min(j + 1, h - 1)
    return (image[j, i] * (1 - fx) + image[j, k] * fx) * (1 - fy) + (image[m, i] * (1 - fx) + image[m, k] * fx) * fy


@njit(cache=True)
@no_type_check
def _carve(field, image, lens, place):  # pragma: no cover - compiled
    nx, ny, nz = field.shape
    h, w = image.shape
    step = place[3]
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if field[i, j, k] < -4.0 * step:
                    continue
                u, v, size = _project(lens, place[0] + i * step, place[1] + j * step, place[2] + k * step)
                if size == 0.0:
                    field[i, j, k] = -10.0 * step
                    continue
                # beyond the picture the outline is at least as far as the picture's border
                beyond = max(-u, u - w, -v, v - h, 0.0)
                field[i, j, k] = min(field[i, j, k], (_read(image, u, v) - beyond) * size)


@njit(cache=True)
@no_type_check
def _spread(values, field, image, lens, place):  # pragma: no cover - compiled
    nx, ny, nz = field.shape
    step = place[3]
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if field[i, j, k] >= -2.0 * step:
                    u, v, _ = _project(lens, place[0] + i * step, place[1] + j * step, place[2] + k * step)
                    values[i, j, k] = _read(image, u, v)


@njit(cache=True)
@no_type_check
def _ray_maximum(best, hull, values, lens, place):  # pragma: no cover - compiled
    nx, ny, nz = hull.shape
    h, w = best.shape
    step = place[3]
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if hull[i, j, k] <= 0.0:
                    continue
                u, v, _ = _project(lens, place[0] + i * step, place[1] + j * step, place[2] + k * step)
                x, y = int(u), int(v)
                if 0 <= x < w and 0 <= y < h:
                    best[y, x] = max(best[y, x], values[i, j, k])
