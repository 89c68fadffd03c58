"""Measure how well a mesh fills the outline a camera saw."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.zbuffer import see

_PLANE = 512  # pixels: longest edge of the picture that is compared


def outline_overlap(mesh: Mesh, alpha: UInt8[np.ndarray, "h w"], camera: Camera) -> float:
    """Give intersection over union, 0..1, of the mesh's outline and an alpha of 50 % and more; see `draw_both`."""
    return overlap(*draw_both(mesh, alpha, camera))


def overlap(drawn: Bool[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> float:
    """Give intersection over union, 0..1, of two pictures; 0 where both are empty."""
    return int(np.count_nonzero(drawn & mask)) / max(int(np.count_nonzero(drawn | mask)), 1)


def draw_both(
    mesh: Mesh, alpha: UInt8[np.ndarray, "h w"], camera: Camera
) -> tuple[Bool[np.ndarray, "k l"], Bool[np.ndarray, "k l"]]:
    """Draw the mesh's outline as a camera sees it, and the one that the camera saw.

    Args:
        mesh: Of at least one face.
        alpha: What the camera saw; drawn at 512 pixels along its longest edge at most.
        camera: Of the full picture.
    """
    height, width = alpha.shape
    scale = min(1.0, _PLANE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    mask = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)) > 127
    factor = np.array([size[0] / width, size[1] / height])
    pixels, depth = replace(camera, focal=camera.focal * factor, centre=camera.centre * factor).project(mesh.vertices)
    hits = see(np.column_stack([pixels, depth]), mesh.faces, max(size), cull=False).face
    return hits[: size[1], : size[0]] >= 0, mask
