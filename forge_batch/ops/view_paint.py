"""Repaint unseen surface in pictures of the object instead of in its atlas.

A painter that works on the atlas sees scattered charts: what it paints ends at every chart's rim. In a picture of the object
neighbouring charts lie side by side, so what is painted runs across their borders. Views are taken one after the other, each
showing what the ones before it painted, until too little is left to see (the way of Richardson et al., "TEXTure", 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.padding import nearest_known, spread
from forge_batch.ops.raster import rasterize
from forge_batch.ops.render import read_linear
from forge_batch.ops.source_search import interpolate
from forge_batch.ops.unseen import fill_unseen
from forge_batch.ops.zbuffer import View, frame_view, project, see

Painter = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Given a picture (h, w, 3) uint8 sRGB, a mask (h, w) bool and the number of the view: the picture, masked pixels repainted."""

ANGLES = (
    *((float(azimuth), elevation) for elevation in (0.0, 40.0, -40.0) for azimuth in range(0, 360, 45)),
    (0.0, 90.0),
    (0.0, -90.0),
)
"""Views that are chosen from: azimuth and elevation in degrees."""

LEAST = 0.01
"""Share of the unseen texels that a further view must show."""

MOST = 8
"""Views at most."""

GRAZING = 0.35
"""Cosine below which a view shows a surface too slanted to be painted in it."""

_PAPER = 128


class _Texels(NamedTuple):
    """Be the covered texels: `at` indexes the flattened atlas, position and unit normal (n, 3)."""

    at: np.ndarray
    position: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class _Look:
    """Be one view of the texels: which it shows well, and where (pixels, centres at +0.5)."""

    view: View
    shown: np.ndarray
    pixels: np.ndarray


def paint_unseen(
    mesh: Mesh,
    base_color: UInt8[np.ndarray, "s s 3"],
    unseen: Bool[np.ndarray, "s s"],
    painter: Painter,
    size: int = 1024,
    progress: Callable[[float, str], None] = lambda *_: None,
) -> tuple[UInt8[np.ndarray, "s s 3"], int]:
    """Repaint unseen texels in views of the object; texels that no view shows well keep a smooth blend of what is round them.

    Seen texels keep their bytes; the background of the atlas is filled anew.

    Args:
        mesh: With uv.
        base_color: sRGB.
        unseen: Where the colour is to be replaced.
        painter: Who paints.
        size: Edge of the pictures, pixels.
        progress: Told a fraction and a few words.

    Returns:
        The atlas, and how many views were painted.

    Raises:
        ValueError: Nothing was seen.
    """
    assert mesh.uv is not None
    result = fill_unseen(mesh, base_color, unseen)
    texels = _texels(mesh, len(base_color))
    left = unseen.ravel()[texels.at]
    asked = max(int(left.sum()), 1)
    looks = [_look(mesh, texels, angles, size) for angles in ANGLES] if left.any() else []
    count = 0
    while count < MOST and looks:
        gains = [int((look.shown & left).sum()) for look in looks]
        best = int(np.argmax(gains))
        if gains[best] < LEAST * asked:
            break
        progress(count / MOST, f"view {count + 1}")
        look = looks.pop(best)
        _paint(mesh, result, texels, left, look, painter, size, count)
        count += 1
    covered = np.zeros(unseen.size, bool)
    covered[texels.at] = True
    return np.asarray(spread(result, nearest_known(covered.reshape(unseen.shape)))), count


def _texels(mesh: Mesh, size: int) -> _Texels:
    assert mesh.uv is not None
    coverage = rasterize(mesh.uv, mesh.faces, size, conservative=True)
    index = np.flatnonzero(coverage.face.ravel() >= 0)
    corners = mesh.faces[coverage.face.ravel()[index]]
    weights = coverage.barycentric.reshape(-1, 3)[index]
    normals = vertex_normals(mesh.vertices, mesh.faces) if mesh.normals is None else mesh.normals
    normal = interpolate(normals, corners, weights)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    return _Texels(index, interpolate(mesh.vertices, corners, weights), normal)


def _look(mesh: Mesh, texels: _Texels, angles: tuple[float, float], size: int) -> _Look:
    """Find which texels a view shows: facing it, not hidden, not at a silhouette, where reads mix in what is behind."""
    view = frame_view(mesh.bounds, *angles)
    points = project(mesh.vertices, view, size)
    hits = see(points, mesh.faces, size, cull=False)
    depth = np.full((size, size), np.inf, np.float32)
    seen = hits.face >= 0
    depth[seen] = np.einsum("nk,nk->n", hits.weights[seen], points[:, 2][mesh.faces[hits.face[seen]]])
    # the nearest surface within a pixel: a texel must not lie behind it by more than the surface's slant explains
    nearest = cv2.erode(depth, np.ones((3, 3), np.uint8))
    farthest = cv2.dilate(depth, np.ones((3, 3), np.uint8))
    place = project(texels.position, view, size)
    column, row = (np.clip(place[:, axis].astype(int), 0, size - 1) for axis in (0, 1))
    cosine = -(texels.normal @ view.axes[2].astype(np.float32))
    pixel = 2 * view.half / size
    slack = pixel * (2.0 + 2.0 / np.maximum(cosine, GRAZING))
    shown = (cosine > GRAZING) & (place[:, 2] < nearest[row, column] + slack) & np.isfinite(farthest[row, column])
    return _Look(view, shown, place[:, :2])


def _paint(
    mesh: Mesh,
    atlas: np.ndarray,
    texels: _Texels,
    left: np.ndarray,
    look: _Look,
    painter: Painter,
    size: int,
    number: int,
) -> None:
    """Paint one view and carry its colours back; `atlas` and `left` change."""
    assert mesh.uv is not None
    flat = atlas.reshape(-1, 3)
    ours = look.shown & left
    points = project(mesh.vertices, look.view, size)
    hits = see(points, mesh.faces, size, cull=True)
    seen = hits.face >= 0
    uv = np.einsum("nk,nkc->nc", hits.weights[seen], mesh.uv[mesh.faces[hits.face[seen]]])
    picture = np.full((size, size, 3), _PAPER, np.uint8)
    picture[seen] = np.rint(read_linear(atlas, uv) * 255)
    mark = np.zeros(len(flat), np.uint8)
    mark[texels.at[ours]] = 255
    mask = np.zeros((size, size), bool)
    mask[seen] = read_linear(mark.reshape(*atlas.shape[:2], 1), uv)[:, 0] > 0.25
    # texels are read bilinearly: their four pixels are painted, too
    mask = (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & seen
    painted = painter(picture, mask, number)
    flat[texels.at[ours]] = np.rint(read_linear(painted, look.pixels[ours] / size) * 255)
    left[ours] = False
