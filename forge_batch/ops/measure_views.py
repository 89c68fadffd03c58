"""Measure what a viewer sees of the textures: whether the back is as rich as the front."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from forge_batch.ops.measure_maps import luminance
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import read_linear
from forge_batch.ops.zbuffer import frame_view, project, see

EDGE = 256  # pixels
PLAIN = 0.5  # levels of 255: a front with less detail has none that the back could lack


def detail_picture(mesh: Mesh, base_color: UInt8[np.ndarray, "h w 3"], azimuth: float) -> Float32[np.ndarray, "k k"]:
    """Draw the detail of the base colour seen from one side: |Laplacian| of luminance in levels; NaN at the rim and beyond.

    Args:
        mesh: With uv.
        base_color: sRGB; halved until its edge is 1024 at most, so that noise of single texels does not count.
        azimuth: Degrees; 0 looks from +Z.
    """
    assert mesh.uv is not None
    while base_color.shape[0] > 4 * EDGE:
        base_color = np.asarray(cv2.resize(base_color, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    view = frame_view(mesh.bounds, azimuth, 0.0)
    hits = see(project(mesh.vertices, view, EDGE), mesh.faces, EDGE, cull=True)
    seen = hits.face >= 0
    uv = np.einsum("nk,nkc->nc", hits.weights[seen], mesh.uv[mesh.faces[hits.face[seen]]])
    picture = np.zeros((EDGE, EDGE), np.float32)
    picture[seen] = luminance(read_linear(base_color, uv) * 255.0)
    inside = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    return np.where(inside, np.abs(cv2.Laplacian(picture, cv2.CV_32F)), np.float32(np.nan))


def detail(mesh: Mesh, base_color: UInt8[np.ndarray, "h w 3"], azimuth: float) -> float:
    """Give the mean of `detail_picture`, 0 where nothing is seen."""
    found = detail_picture(mesh, base_color, azimuth)
    known = np.isfinite(found)
    return float(found[known].mean()) if known.any() else 0.0


def back_detail(mesh: Mesh, base_color: UInt8[np.ndarray, "h w 3"], front: float) -> float | None:
    """Give the detail of the back over that of the front; None where the front has none.

    Args:
        mesh: With uv.
        base_color: sRGB.
        front: Azimuth of the front, degrees.
    """
    seen = detail(mesh, base_color, front)
    return None if seen < PLAIN else detail(mesh, base_color, front + 180.0) / seen
