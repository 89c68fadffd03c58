"""Measure a UV layout on its page of texels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, no_type_check

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, UInt8
from numba import njit

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import weld_index
from forge_batch.ops.sheet import cut_out, faces_atlas
from forge_batch.ops.topology import face_areas, find_edges, link


class Layout(NamedTuple):
    """Be what a page looks like.

    Attributes:
        overlap: Texels whose centre lies inside more than one face.
        empty_faces: Faces without area in the atlas (below 1e-14 of the page).
        use: Share of texels whose centre a face covers.
        gap: Least number of free texels between two charts; the page's edge if there is one chart.
        density: Texels per metre, over the whole surface.
        variation: Standard deviation over mean of the charts' densities, by area.
        thin: Share of charts whose mean width is below the padding.
        charts: How many there are.
        mirrored: Faces that are laid out as seen from behind.
    """

    overlap: int
    empty_faces: int
    use: float
    gap: float
    density: float
    variation: float
    thin: float
    charts: int
    mirrored: int


def measure_layout(mesh: Mesh, size: int, padding: float) -> Layout:
    """Measure the layout of a mesh with uv on a page of `size` x `size` texels."""
    assert mesh.uv is not None
    texels = mesh.uv.astype(np.float64) * size
    faces, chart = _seamed(mesh)
    count = int(chart.max(initial=-1)) + 1
    cover, owner = _draw(texels, mesh.faces, chart, size)
    corners = texels[mesh.faces]
    signed = -0.5 * _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # v grows downwards
    flat = np.abs(signed)
    area = face_areas(mesh)
    flat_of, area_of = (np.bincount(chart, weights=values, minlength=count) for values in (flat, area))
    real = area_of > 0
    density = np.sqrt(flat_of[real] / area_of[real])
    mean = float(np.average(density, weights=area_of[real]))
    spread = float(np.sqrt(np.average((density - mean) ** 2, weights=area_of[real])))
    return Layout(
        int((cover > 1).sum()),
        int((flat < 1e-14 * size * size).sum()),
        float((owner >= 0).mean()),
        least_gap(owner) if count > 1 else float(size),
        float(np.sqrt(flat.sum() / max(area.sum(), 1e-30))),
        spread / max(mean, 1e-12),
        float((_widths(corners, faces, chart, flat_of) < padding).mean()),
        count,
        int((signed < -1e-14 * size * size).sum()),
    )


class AtlasUse(NamedTuple):
    """Be the share of an atlas's texels that faces cover, and its texels per metre."""

    use: float
    density: float


def measure_each(mesh: Mesh, size: int, atlases: int) -> list[AtlasUse]:
    """Measure the atlases of a mesh whose sheet has `size` x `size` texels (see ops.sheet)."""
    assert mesh.uv is not None
    covered = draw_charts(mesh, size) >= 0
    number, area = faces_atlas(mesh.uv, mesh.faces, atlases), face_areas(mesh)
    corners = mesh.uv.astype(np.float64)[mesh.faces] * size
    flat = 0.5 * np.abs(_cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    texels, metres = (np.bincount(number, weights=values, minlength=atlases) for values in (flat, area))
    density = np.sqrt(texels / np.maximum(metres, 1e-30))
    return [AtlasUse(float(cut_out(covered, one, atlases).mean()), float(density[one])) for one in range(atlases)]


def count_overlap(mesh: Mesh, size: int) -> int:
    """Count the texels of a page of `size` x `size` whose centre lies inside more than one face."""
    return int((draw_cover(mesh, size) > 1).sum())


def draw_charts(mesh: Mesh, size: int) -> Int32[np.ndarray, "h w"]:
    """Give the chart that covers the centre of each texel of a page, -1 for none."""
    assert mesh.uv is not None
    return _draw(mesh.uv.astype(np.float64) * size, mesh.faces, find_charts(mesh), size)[1]


def draw_cover(mesh: Mesh, size: int) -> UInt8[np.ndarray, "h w"]:
    """Count the faces that hold the centre of each texel of a page well inside them."""
    assert mesh.uv is not None
    return _draw(mesh.uv.astype(np.float64) * size, mesh.faces, np.zeros(len(mesh.faces), np.int32), size)[0]


def find_charts(mesh: Mesh) -> Int32[np.ndarray, " f"]:
    """Label faces by chart: joined across edges whose ends agree in position and in uv.

    Vertices that differ in normal or tangent alone do not divide a chart.
    """
    return _seamed(mesh)[1]


def _seamed(mesh: Mesh) -> tuple[Int[np.ndarray, "f 3"], Int32[np.ndarray, " f"]]:
    """Give faces over vertices that are one where position and uv agree, and the chart of each face."""
    assert mesh.uv is not None
    place = weld_index(mesh.vertices)[1]
    spot = weld_index(np.column_stack([mesh.uv, np.zeros(len(mesh.uv), np.float32)]))[1]
    _, vertex = np.unique(place.astype(np.int64) * (int(spot.max(initial=0)) + 1) + spot, return_inverse=True)
    faces = vertex.ravel()[mesh.faces]
    flat = find_edges(faces).of_corner.ravel()
    order = np.argsort(flat, kind="stable")
    same = flat[order][1:] == flat[order][:-1]
    return faces, link(len(faces), order[:-1][same] // 3, order[1:][same] // 3)


def chart_widths(mesh: Mesh, size: int) -> tuple[Float64[np.ndarray, " c"], Int32[np.ndarray, " f"]]:
    """Give the mean width of every chart in texels of a page of `size`, and the chart of each face."""
    assert mesh.uv is not None
    faces, chart = _seamed(mesh)
    corners = mesh.uv.astype(np.float64)[mesh.faces] * size
    flat = 0.5 * np.abs(_cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return _widths(corners, faces, chart, np.bincount(chart, weights=flat)), chart


def least_gap(owner: Int32[np.ndarray, "h w"]) -> float:
    """Give the least number of free texels between texels of different charts (-1 is free), Euclidean, to half a texel."""
    least = float(max(owner.shape))
    for border, gap in _borders(owner):
        if border.any():
            least = min(least, float(gap[border].min()))
    return least


def close_charts(mesh: Mesh, size: int, least: float) -> Bool[np.ndarray, "s s"]:
    """Mark the texels of a page half way between two charts that are nearer to each other than `least` texels."""
    owner = draw_charts(mesh, size)
    found = np.zeros(owner.shape, bool)
    for border, gap in _borders(owner):
        near = border & (gap < least)
        found[: near.shape[0], : near.shape[1]] |= near
    return found


def _borders(owner: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give, along both axes, where the nearest chart changes from a texel to the next, and how many are free between."""
    taken = (owner >= 0).astype(np.uint8)
    distance, labels = cv2.distanceTransformWithLabels(1 - taken, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    chart_of = np.full(labels.max() + 1, -1, np.int32)
    chart_of[labels[taken > 0]] = owner[taken > 0]
    nearest = chart_of[labels]
    for axis in (0, 1):
        a, b = (np.take(nearest, np.arange(start, nearest.shape[axis] - 1 + start), axis) for start in (0, 1))
        da, db = (np.take(distance, np.arange(start, distance.shape[axis] - 1 + start), axis) for start in (0, 1))
        yield a != b, da + db


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _widths(corners: np.ndarray, faces: Int[np.ndarray, "f 3"], chart: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Give the mean width of every chart in texels: twice its area over the length of its outline."""
    edges = find_edges(faces)
    rim = (edges.uses == 1)[edges.of_corner]
    length = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2) * rim
    outline = np.bincount(chart, weights=length.sum(axis=1), minlength=len(area))
    return np.asarray(2.0 * area / np.maximum(outline, 1e-9))


def _draw(texels: np.ndarray, faces: np.ndarray, chart: np.ndarray, size: int) -> tuple[UInt8[np.ndarray, "h w"], np.ndarray]:
    """Count faces that hold each texel centre well inside them, and give the chart it belongs to, -1 for none."""
    cover = np.zeros((size, size), np.uint8)
    owner = np.full((size, size), -1, np.int32)
    _count(texels, faces, chart, cover, owner)
    return cover, owner


@njit(cache=True)
@no_type_check
def _count(texels, faces, chart, cover, owner):  # pragma: no cover - compiled
    size = cover.shape[0]
    for f in range(faces.shape[0]):
        x0, y0 = texels[faces[f, 0]]
        x1, y1 = texels[faces[f, 1]]
        x2, y2 = texels[faces[f, 2]]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0:
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), size - 1)
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), size - 1)
        # a centre on the edge of two faces belongs to both, so only what lies this far inside may count as covered twice
        edge0 = 0.02 * np.hypot(x2 - x1, y2 - y1) / abs(area)
        edge1 = 0.02 * np.hypot(x0 - x2, y0 - y2) / abs(area)
        edge2 = 0.02 * np.hypot(x1 - x0, y1 - y0) / abs(area)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                w2 = 1.0 - w0 - w1
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                owner[row, column] = chart[f]
                if w0 > edge0 and w1 > edge1 and w2 > edge2:
                    cover[row, column] = min(cover[row, column] + 1, 255)
