"""Measure the outline of a cut-out: how far every pixel lies from it, and how deep a plump body of that outline would be."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve

from forge_batch.ops.camera import Camera

PLANE = 1024  # pixels: longest edge at which outlines are measured; a cell of the finest grid is 4 of them
COARSE = 4  # the inflation is smooth, so it is solved on every fourth pixel


@dataclass(frozen=True, eq=False)
class Silhouette:
    """Be the outline one camera saw.

    Attributes:
        name: The view.
        camera: Of this plane: pixels are those of `mask`, whatever size the picture had.
        mask: (h, w), where the object is.
        distance: (h, w), pixels to the outline, positive inside.
        bulge: (h / 4, w / 4), squared half thickness in square pixels of `mask` of the inflated outline, see `inflate`.
    """

    name: str
    camera: Camera
    mask: Bool[np.ndarray, "h w"]
    distance: Float32[np.ndarray, "h w"]
    bulge: Float32[np.ndarray, "k l"]


def measure_silhouette(name: str, alpha: UInt8[np.ndarray, "h w"], camera: Camera) -> Silhouette:
    """Measure a cut-out's alpha; 50 % and more is the object."""
    height, width = alpha.shape
    scale = min(1.0, PLANE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    plane = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) if scale < 1 else alpha
    factor = np.array([size[0] / width, size[1] / height])
    scaled = Camera(camera.view, camera.focal * factor, camera.centre * factor, size, camera.orthographic)
    mask = plane > 127
    return Silhouette(name, scaled, mask, outline_distance(plane), inflate(plane))


def outline_distance(alpha: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Give the distance in pixels from every pixel centre to the outline, positive inside.

    Within a pixel and a half of the outline the alpha itself says where it runs, so that slanted edges show no stairs.
    """
    mask = (alpha > 127).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.where(mask > 0, inside - 0.5, 0.5 - outside).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), np.float32)


def inflate(alpha: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "k l"]:
    """Solve -laplace(b) = 2 inside the outline with b = 0 on it, at a quarter of the size.

    sqrt(b) is the half thickness of a plump body: exactly round along a straight strip (b = w^2 - x^2), a little flat where the
    outline is as tall as wide (a disc gets sqrt(1/2) of its radius). After Nealen et al., FiberMesh (2007), without strokes.
    """
    height, width = alpha.shape
    size = (max(1, width // COARSE), max(1, height // COARSE))
    mask = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 127
    mask[[0, -1]] = False
    mask[:, [0, -1]] = False
    rows, columns = np.nonzero(mask)
    count = len(rows)
    bulge = np.zeros(mask.shape, np.float32)
    if count == 0:
        return bulge
    index = np.full(mask.shape, -1)
    index[rows, columns] = np.arange(count)
    first, second = [], []
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        neighbour = index[rows + dy, columns + dx]
        joined = np.flatnonzero(neighbour >= 0)
        first.append(joined)
        second.append(neighbour[joined])
    ends = (np.concatenate(first), np.concatenate(second))
    matrix = 4.0 * identity(count, format="csc") - csr_matrix((np.ones(len(ends[0])), ends), (count, count))
    bulge[rows, columns] = spsolve(matrix.tocsc(), np.full(count, 2.0)) * (width / size[0]) * (height / size[1])
    return bulge
