"""Cut a surface into charts and pack them on one square page; runs in a child process, because xatlas may never come back.

xatlas (MIT) charts and packs. What it may leave is mended between the two: whole charts that are mirrored are turned over,
faces that are folded or squashed inside a chart become charts of their own, laid flat without stretch, and every chart is
scaled to the area it has in space, so that texel density is the same everywhere.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import xatlas

from forge_batch.ops.topology import link

SQUASHED = 0.05
"""A face with less than this share of its fair UV area becomes a chart of its own."""

TRIES = 8
"""Packings tried for the largest density that fits; each costs 0.2 to 0.6 s at 10,000 faces."""


def build_atlas(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Chart, mend and pack.

    Args:
        arrays: `vertices` (v, 3) and `faces` (f, 3); with `uv` (v, 2) in metres the charts are given and only packed.
        options: `size` and `padding` in texels; `density` in texels per metre, or None for the largest that fits.

    Returns:
        `origin` (n,) the vertex each new one comes from, `faces` (f, 3), `uv` (n, 2) in texels from the top left. And
        `density` (texels per metre, 0 if the asked one does not fit), `fits` (the largest seen to fit), `charts`, `recharted`.
    """
    vertices, faces = arrays["vertices"], arrays["faces"]
    if "uv" in arrays:
        origin, corners, uv = np.arange(len(vertices)), faces, arrays["uv"]
    else:
        origin, corners, uv = _chart(vertices, faces, options["padding"])
    origin, corners, uv, recharted = _lay_flat(vertices, origin, corners, uv)
    uv, labels = _even_out(vertices, origin, corners, uv)
    area = _areas3(vertices[origin[corners]]).sum()
    packed, density, fits = _fit(uv, corners, float(area), options)
    result = {"origin": origin.astype(np.int32), "faces": corners.astype(np.int32), "uv": packed.astype(np.float32)}
    return result, {"density": density, "fits": fits, "charts": int(labels.max()) + 1, "recharted": recharted}


def _chart(vertices: np.ndarray, faces: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let xatlas cut and flatten; uv in metres."""
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices.astype(np.float32), faces.astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.rotate_charts = False
    pack.padding = padding
    pack.resolution = 2048
    chart = xatlas.ChartOptions()
    chart.max_cost = 4.0  # 546 charts for 607 at the default 2, on a rough figure of 10,000 faces; more changes nothing
    atlas.generate(chart, pack)
    origin, corners, uv = atlas.get_mesh(0)
    return origin, corners, uv.astype(np.float64) * (atlas.width, atlas.height) / atlas.texels_per_unit


def _lay_flat(
    vertices: np.ndarray, origin: np.ndarray, corners: np.ndarray, uv: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Turn mirrored charts over, and give folded or squashed faces charts of their own."""
    labels = link(len(origin), corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel())
    area = signed_areas(uv[corners])
    chart = labels[corners[:, 0]]
    turned = np.bincount(chart, weights=area) < 0
    flip = turned[labels]
    uv = np.where(flip[:, None], uv * (-1.0, 1.0), uv)
    area = np.where(turned[chart], -area, area)
    bad = np.flatnonzero(area < SQUASHED * _areas3(vertices[origin[corners]]))
    flat = flatten_triangles(vertices[origin[corners[bad]]])
    corners = corners.astype(np.int64)
    new = len(origin) + np.arange(3 * len(bad)).reshape(-1, 3)
    origin = np.concatenate([origin, origin[corners[bad]].ravel()])
    uv = np.concatenate([uv, flat.reshape(-1, 2)])
    corners[bad] = new
    used, index = np.unique(corners, return_inverse=True)
    return origin[used], index.reshape(-1, 3), uv[used], len(bad)


def _even_out(vertices: np.ndarray, origin: np.ndarray, corners: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale every chart to its area in space and straighten it; also give the chart of every vertex."""
    labels = link(len(origin), corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel())
    chart = labels[corners[:, 0]]
    wanted = np.bincount(chart, weights=_areas3(vertices[origin[corners]]))
    has = np.bincount(chart, weights=np.abs(signed_areas(uv[corners])))
    return _straighten(uv * np.sqrt(wanted / np.maximum(has, 1e-30))[labels][:, None], labels), labels


def _fit(uv: np.ndarray, corners: np.ndarray, area: float, options: dict[str, Any]) -> tuple[np.ndarray, float, float]:
    """Find the largest density whose packing stays on one page, or pack at the one asked for."""
    size, padding, asked = options["size"], options["padding"], options["density"]
    if asked is not None:
        packed = _pack(uv, corners, asked, size, padding)
        if packed is not None:
            return packed, asked, asked
    step, best, fits = 1.06, None, 0.0
    density = 0.8 * (size - padding) / np.sqrt(area)
    too_much = np.inf
    for _ in range(TRIES):
        packed = _pack(uv, corners, density, size, padding)
        if packed is not None and density > fits:
            best, fits = packed, density
        if packed is None:
            too_much = min(too_much, density)
        if best is None:
            density /= step**2
        elif np.isinf(too_much):
            density *= step
        elif too_much / fits < 1.01:
            break
        else:
            density = np.sqrt(fits * too_much)
    if best is None or asked is not None:
        return uv, 0.0, fits
    return best, float(fits), float(fits)


def _pack(uv: np.ndarray, corners: np.ndarray, density: float, size: int, padding: int) -> np.ndarray | None:
    """Pack charts at a density: uv in texels, half the padding free at the page's border; None if a second page is needed."""
    labels = link(len(uv), corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel())
    corner = _lowest(uv, labels)
    atlas = xatlas.Atlas()
    # Side by side: xatlas takes charts that share a place in the texture for one.
    width = -_lowest(corner[labels] - uv, labels)[:, 0]
    aside = np.cumsum(width + 0.01 * width.max()) - width
    row = uv - corner[labels] + np.stack([aside, np.zeros(len(aside))], axis=1)[labels]
    atlas.add_uv_mesh(row.astype(np.float32), corners.astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.rotate_charts = False
    pack.rotate_charts_to_axis = False
    pack.padding = padding
    pack.resolution = size - padding
    pack.texels_per_unit = density
    atlas.generate(xatlas.ChartOptions(), pack)
    if atlas.atlas_count != 1:
        return None
    _, faces, placed = atlas.get_mesh(0)
    back = np.empty((len(uv), 2))
    back[corners.ravel()] = placed[faces.ravel()] * (atlas.width, atlas.height)
    # xatlas stretches every chart to whole texels (13 % on a small one): keep its places and put the charts there as they are.
    texels = _lowest(back, labels)[labels] + density * (uv - corner[labels]) + padding / 2
    return np.stack([texels[:, 0], size - texels[:, 1]], axis=1)


def _lowest(uv: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Give the lower corner of every chart's box."""
    low = np.full((int(labels.max()) + 1, 2), np.inf)
    np.minimum.at(low, labels, uv)
    return low


def _straighten(uv: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Turn every chart so that its smallest enclosing rectangle lies along the axes; that packs better."""
    order = np.argsort(labels, kind="stable")
    result = uv.copy()
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        middle = uv[members].mean(axis=0)
        local = uv[members] - middle
        scale = max(float(np.abs(local).max()), 1e-30)
        angle = np.radians(cv2.minAreaRect((local / scale).astype(np.float32))[2])
        c, s = np.cos(angle), np.sin(angle)
        result[members] = local @ np.array([[c, -s], [s, c]])
    return result


def flatten_triangles(corners: np.ndarray) -> np.ndarray:
    """Lay triangles (n, 3, 3) flat without stretch, counter-clockwise: (n, 3, 2)."""
    a, b, c = np.moveaxis(corners.astype(np.float64), 1, 0)
    length = np.linalg.norm(b - a, axis=1)
    along = np.einsum("ij,ij->i", c - a, b - a) / np.maximum(length, 1e-30)
    height = np.linalg.norm(np.cross(b - a, c - a), axis=1) / np.maximum(length, 1e-30)
    zero = np.zeros(len(a))
    return np.stack([np.stack([zero, zero], 1), np.stack([length, zero], 1), np.stack([along, height], 1)], axis=1)


def signed_areas(uv: np.ndarray) -> np.ndarray:
    """Give the signed areas of flat triangles (n, 3, 2), positive if counter-clockwise with v up."""
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return np.asarray(0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]))


def _areas3(corners: np.ndarray) -> np.ndarray:
    corners = corners.astype(np.float64)
    return np.asarray(0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1))
