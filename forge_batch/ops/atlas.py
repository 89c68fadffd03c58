"""Cut a surface into charts and pack them on square pages; runs in a child process, because xatlas may never come back.

xatlas (MIT) cuts and flattens. What it may leave is mended after it: whole charts that are mirrored are turned over, faces that
are folded or squashed inside a chart become charts of their own, laid flat without stretch, what lies over another part of its
own chart is cut out, and every chart is scaled to the area it has in space, so that texel density is the same everywhere. Then
`chart_merging` joins what lies flat together, and `chart_packing` packs. xatlas's own packer lost: it keeps the padding on both
sides of a gap and used 22 to 58 % of a page of 1024 texels where this one uses 51 to 75 % (five objects, 10,000 faces), took
longer, and found no place for 1,083 charts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import xatlas

from forge_batch.ops.box_charts import cut_out, lay_apart
from forge_batch.ops.chart_merging import merge_charts
from forge_batch.ops.chart_packing import find_covering, place_charts
from forge_batch.ops.components import face_components
from forge_batch.ops.normals import weld_index
from forge_batch.ops.sheet import MOST, corner, sheet_side
from forge_batch.ops.topology import edge_pairs, find_edges

SQUASHED = 0.05
"""A face with less than this share of its fair UV area becomes a chart of its own."""

TRIES = 10
"""Packings tried for the largest density that fits; each costs 0.02 to 0.5 s at 10,000 faces."""

ROUNDS = 6
"""Packings after which a page that still has a texel covered twice is given up; from the third on, faces go one by one."""

FILLED = 0.8
"""Share of the page that charts with the padding due to them are first tried to fill."""


class Charts(NamedTuple):
    """Be flat charts that share no vertex.

    Attributes:
        origin: (n,) the vertex each vertex comes from.
        corners: (f, 3).
        uv: (n, 2) in metres, counter-clockwise, charts anywhere.
        labels: (f,) the chart of each face.
    """

    origin: np.ndarray
    corners: np.ndarray
    uv: np.ndarray
    labels: np.ndarray


class Packed(NamedTuple):
    """Be charts on a sheet of `atlases` pages: uv (n, 2) float32 in texels from the top left."""

    uv: np.ndarray
    atlases: int


def build_atlas(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Chart, mend and pack; no texel's centre lies inside two faces.

    Args:
        arrays: `vertices` (v, 3) and `faces` (f, 3); with `uv` (v, 2) in metres the charts are given and only packed.
        options: `size` of a page and `padding` in texels; `density` in texels per metre, or None for the largest that fits;
            `atlases`, how many pages there may be; `crease` in degrees: charts that meet at a sharper edge stay two.

    Returns:
        `origin` (n,) the vertex each new one comes from, `faces` (f, 3), `uv` (n, 2) in texels from the top left of the sheet
        (see `sheet`). And `density` (texels per metre, 0 if the asked one does not fit), `fits` (the largest seen to fit),
        `charts`, `recharted`, `atlases` (how many pages it took; where the density asked for does not fit, how many more than
        allowed would hold it, or 0).

    Raises:
        ValueError: Texels stay covered twice; cannot happen while a face on its own can be laid flat.
    """
    vertices, faces = arrays["vertices"], arrays["faces"]
    if "uv" in arrays:
        origin, corners, uv = np.arange(len(vertices)), faces, arrays["uv"]
    else:
        origin, corners, uv = _chart(vertices, faces, options["padding"])
    corners = corners.astype(np.int64)
    charts = _separate(origin, corners, uv, face_components(corners.astype(np.int32)))
    charts, recharted = _lay_flat(vertices, charts)
    charts = _cut_layers(charts, options["size"])
    charts = _cut_layers(_join(vertices, charts, options), options["size"])
    first, second = _neighbours(charts.corners)
    density = None
    for turn in range(ROUNDS):
        charts = _even_out(vertices, charts)
        packed, density, fits = _fit(charts, options, density)
        result = {"origin": charts.origin.astype(np.int32), "faces": charts.corners.astype(np.int32), "uv": packed.uv}
        facts = {"density": density, "fits": fits, "charts": int(charts.labels.max()) + 1, "recharted": recharted}
        facts["atlases"] = packed.atlases
        if density == 0.0:
            return result, facts
        sheet = options["size"] * sheet_side(packed.atlases)
        covering = find_covering(packed.uv.astype(np.float64)[charts.corners], sheet)
        if not covering.any():
            return result, facts
        labels = cut_out(charts.labels, covering, first, second, alone=turn > 1)
        recharted += int(covering.sum())
        charts = _separate(charts.origin, charts.corners, charts.uv, labels)
    raise ValueError(f"{int(covering.sum())} faces lie over others")


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


def _separate(origin: np.ndarray, corners: np.ndarray, uv: np.ndarray, labels: np.ndarray) -> Charts:
    """Give every chart vertices of its own; charts that touch in a vertex only are two."""
    key = labels.astype(np.int64).repeat(3) * len(origin) + corners.ravel()
    used, index = np.unique(key, return_inverse=True)
    vertex = used % len(origin)
    return Charts(origin[vertex], index.reshape(-1, 3), uv[vertex], labels)


def _neighbours(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the pairs of faces that share an edge of the layout."""
    edges = find_edges(corners)
    first, second = edge_pairs(edges, edges.uses == 2)
    return first // 3, second // 3


def _lay_flat(vertices: np.ndarray, charts: Charts) -> tuple[Charts, int]:
    """Turn mirrored charts over, and give folded or squashed faces charts of their own."""
    origin, corners, uv, labels = charts
    area = signed_areas(uv[corners])
    turned = np.bincount(labels, weights=area) < 0
    flip = np.zeros(len(origin), bool)
    flip[corners] = turned[labels][:, None]
    uv = np.where(flip[:, None], uv * (-1.0, 1.0), uv)
    area = np.where(turned[labels], -area, area)
    bad = np.flatnonzero(area < SQUASHED * _areas3(vertices[origin[corners]]))
    flat = flatten_triangles(vertices[origin[corners[bad]]])
    new = len(origin) + np.arange(3 * len(bad)).reshape(-1, 3)
    origin = np.concatenate([origin, origin[corners[bad]].ravel()])
    uv = np.concatenate([uv, flat.reshape(-1, 2)])
    corners = corners.copy()
    corners[bad] = new
    return _separate(origin, corners, uv, face_components(corners.astype(np.int32))), len(bad)


def _cut_layers(charts: Charts, size: int) -> Charts:
    """Cut out what lies over its own chart, on a grid of half the texels the page will have."""
    first, second = _neighbours(charts.corners)
    flat = charts.uv[charts.corners]
    cell = 0.5 * float(np.sqrt(np.abs(signed_areas(flat)).sum())) / size
    return _separate(charts.origin, charts.corners, charts.uv, lay_apart(flat, charts.labels, first, second, cell))


def _join(vertices: np.ndarray, charts: Charts, options: dict[str, Any]) -> Charts:
    """Join charts while they still lie flat, and on a page if its length in metres is known."""
    charts = _even_out(vertices, charts)
    points = vertices[charts.origin].astype(np.float64)
    longest = (options["size"] - options["padding"]) / options["density"] if options["density"] else np.inf
    layout = (charts.corners, charts.uv, charts.labels)
    corners, uv, labels = merge_charts(points, weld_index(points)[1], *layout, options["crease"], longest)
    return _separate(charts.origin, corners, uv, labels)


def _even_out(vertices: np.ndarray, charts: Charts) -> Charts:
    """Scale every chart to its area in space and straighten it."""
    corners = charts.corners
    wanted = np.bincount(charts.labels, weights=_areas3(vertices[charts.origin[corners]]))
    has = np.bincount(charts.labels, weights=np.abs(signed_areas(charts.uv[corners])))
    owner = np.empty(len(charts.origin), np.int64)
    owner[corners] = charts.labels[:, None]
    uv = charts.uv * np.sqrt(wanted / np.maximum(has, 1e-30))[owner][:, None]
    return charts._replace(uv=_straighten(uv, owner))


def _fit(charts: Charts, options: dict[str, Any], known: float | None) -> tuple[Packed, float, float]:
    """Find the largest density whose packing stays on the pages, or pack at the one asked for.

    Args:
        charts: As they will be, in metres.
        options: See `build_atlas`.
        known: A density that fitted almost the same charts.

    Returns:
        The charts packed, the density, 0 if the one asked for does not fit, and the largest seen to fit.
    """
    asked = options["density"]
    page = (options["size"], options["padding"], options["atlases"])
    if asked is not None:
        packed = _pack(charts, asked, *page)
        if packed is not None:
            return packed, asked, asked
    step = 1.005 if known else 1.04
    best, fits, too_much = None, 0.0, np.inf
    density = known or _guess(charts, *page)
    for _ in range(TRIES):
        packed = _pack(charts, density, *page)
        if packed is None:
            too_much = min(too_much, density)
        elif density > fits:
            best, fits = packed, density
        if best is None:
            density /= step
            step *= step
        elif np.isinf(too_much):
            density *= step
        elif too_much / fits < 1.01:
            break
        else:
            density = np.sqrt(fits * too_much)
    if best is None or asked is not None:
        more = None if asked is None else _pack(charts, asked, options["size"], options["padding"], MOST)
        return Packed(charts.uv.astype(np.float32), more.atlases if more else 0), 0.0, float(fits)
    return best, float(fits), float(fits)


def _guess(charts: Charts, size: int, padding: int, atlases: int) -> float:
    """Give the density at which the charts, grown by half the padding, have FILLED of the pages' area."""
    flat = charts.uv[charts.corners]
    edges = find_edges(charts.corners)
    rim = (edges.uses == 1)[edges.of_corner]
    outline = float((np.linalg.norm(np.roll(flat, -1, axis=1) - flat, axis=2) * rim).sum())
    area = float(signed_areas(flat).sum())
    count = int(charts.labels.max()) + 1
    grown = padding / 2 + 0.5  # a chart takes the whole of a cell that it touches
    free = max(FILLED * atlases * size**2 - count * np.pi * grown**2, 0.05 * size**2)
    half = 0.5 * outline * grown
    return float((np.sqrt(half**2 + area * free) - half) / area)


def _pack(charts: Charts, density: float, size: int, padding: int, atlases: int) -> Packed | None:
    """Pack charts at a density, half the padding free at the border of each page; None if the pages are too small."""
    uv = charts.uv * density
    places = place_charts(uv[charts.corners], charts.labels, size, float(padding), atlases)
    if places is None:
        return None
    owner = np.empty(len(uv), np.int64)
    owner[charts.corners] = charts.labels[:, None]
    texels = uv + places.offset[owner]
    texels = np.stack([texels[:, 0], size - texels[:, 1]], axis=1)
    taken = int(places.page.max()) + 1
    if taken > 1:
        texels += size * corner(places.page[owner], sheet_side(taken))
    return Packed(texels.astype(np.float32), taken)


def _straighten(uv: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Turn every chart so that its smallest enclosing rectangle stands upright along the axes; that packs better."""
    order = np.argsort(labels, kind="stable")
    result = uv.copy()
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        middle = uv[members].mean(axis=0)
        local = uv[members] - middle
        scale = max(float(np.abs(local).max()), 1e-30)
        _, (wide, high), degrees = cv2.minAreaRect((local / scale).astype(np.float32))
        angle = np.radians(degrees + (90.0 if wide > high else 0.0))
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
