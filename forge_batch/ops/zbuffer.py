"""Find which face each pixel of an orthographic view sees.

Views are named as in camera.json: azimuth 0 looks from +Z, 90 from +X (the front then points to the picture's left),
elevation 90 from above. Both are degrees.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int32
from numba import njit

MARGIN = 1.06  # the frame's edge over the object's, so that a silhouette never touches the border


class View(NamedTuple):
    """Be an orthographic camera: rows of `axes` (3, 3) are right, down and forward; `half` is half the frame's edge."""

    axes: np.ndarray
    centre: np.ndarray
    half: float


class Hits(NamedTuple):
    """Be what a view sees: face per pixel (h, w), -1 where nothing, and the barycentric weights (h, w, 3)."""

    face: np.ndarray
    weights: np.ndarray


def view_axes(azimuth: float, elevation: float) -> Float64[np.ndarray, "3 3"]:
    """Give the directions of right, down and forward of a view, one a row."""
    a, e = np.radians(azimuth), np.radians(elevation)
    right = [np.cos(a), 0.0, -np.sin(a)]
    down = [np.sin(a) * np.sin(e), -np.cos(e), np.cos(a) * np.sin(e)]
    forward = [-np.sin(a) * np.cos(e), -np.sin(e), -np.cos(a) * np.cos(e)]
    return np.array([right, down, forward])


def frame_view(bounds: Float[np.ndarray, "2 3"], azimuth: float, elevation: float) -> View:
    """Frame a box (its lower and upper corner) so that it keeps its size in pixels while it turns about the vertical."""
    extent = (bounds[1] - bounds[0]).astype(np.float64)
    across = float(np.hypot(extent[0], extent[2]))
    e = abs(np.radians(elevation))
    tall = float(extent[1] * np.cos(e) + across * np.sin(e))
    centre = bounds.astype(np.float64).mean(axis=0)
    return View(view_axes(azimuth, elevation), centre, 0.5 * MARGIN * max(across, tall, 1e-9))


def project(vertices: Float[np.ndarray, "v 3"], view: View, size: int) -> Float64[np.ndarray, "v 3"]:
    """Give pixel x, pixel y (centres at +0.5, row 0 on top) and depth (grows away from the camera) of each vertex."""
    q = (vertices.astype(np.float64) - view.centre) @ view.axes.T
    q[:, :2] = (q[:, :2] / view.half + 1.0) * (0.5 * size)
    return np.asarray(q)


def see(points: Float64[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], size: int, *, cull: bool) -> Hits:
    """Rasterise projected faces with a depth buffer, sampled at pixel centres.

    Args:
        points: What `project` gave.
        faces: Corners of each face.
        size: Edge of the picture, pixels.
        cull: Leave out faces turned away from the camera, as an engine does.
    """
    face = np.full((size, size), -1, np.int32)
    weights = np.zeros((size, size, 3), np.float32)
    depth = np.full((size, size), np.inf)
    _fill(points, faces, face, weights, depth, cull)
    return Hits(face, weights)


def silhouette(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    azimuth: float,
    elevation: float,
    size: int,
    bounds: Float[np.ndarray, "2 3"],
) -> Bool[np.ndarray, "size size"]:
    """Give the pixels a mesh covers, both sides of its faces counted.

    Args:
        vertices: Positions, metres.
        faces: Corners of each face.
        azimuth: Degrees; 0 looks from +Z, 90 from +X.
        elevation: Degrees; 90 looks from above.
        size: Edge of the picture, pixels.
        bounds: Lower and upper corner of the box to frame; give the same box to compare two meshes.
    """
    view = frame_view(bounds, azimuth, elevation)
    return see(project(vertices, view, size), faces, size, cull=False).face >= 0


@njit(cache=True)
@no_type_check
def _fill(points, faces, face, weights, depth, cull):  # pragma: no cover - compiled
    height, width = face.shape
    for f in range(faces.shape[0]):
        x0, y0, z0 = points[faces[f, 0]]
        x1, y1, z1 = points[faces[f, 1]]
        x2, y2, z2 = points[faces[f, 2]]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        # rows grow downwards, so a counter-clockwise face has a negative area here
        if area == 0.0 or (cull and area > 0.0):
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                w2 = 1.0 - w0 - w1
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z < depth[row, column]:
                    depth[row, column] = z
                    face[row, column] = f
                    weights[row, column, 0] = w0
                    weights[row, column, 1] = w1
                    weights[row, column, 2] = w2
