"""Find the vertices that outlines run along, so that a simplification can spare them."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float64

from forge_batch.ops.measure_shape import OUTLINE, VIEWS
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.zbuffer import frame_view, project, see

REACH = 1.5
"""Pixels of a view from the outline inwards that count as on it."""


def outline_shares(mesh: Mesh) -> Float64[np.ndarray, " v"]:
    """Give for every vertex in which share of the 24 views of the silhouette gates it lies on the outline, 0..1.

    Three of five vertices of a usual thing lie on some outline, none on all; edges and limbs on most.
    """
    bounds = mesh.bounds
    times = np.zeros(len(mesh.vertices))
    for azimuth, elevation in VIEWS:
        points = project(mesh.vertices, frame_view(bounds, azimuth, elevation), OUTLINE)
        inside = see(points, mesh.faces, OUTLINE, cull=False).face >= 0
        depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        column, row = np.clip(points[:, :2].astype(np.int64), 0, OUTLINE - 1).T
        times += depth[row, column] <= REACH
    return times / len(VIEWS)
