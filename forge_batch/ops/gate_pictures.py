"""Draw what a failed gate found, so that a person sees where it is.

Every function here and in map_pictures takes the asset and gives a picture and what its colours mean, or nothing where there is
nothing to see. PICTURES says which gate has which. None takes more than two CPU seconds on a source of a million triangles, and
none more than 200 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from forge_batch.ops import gate_canvas as canvas
from forge_batch.ops.components import component_volumes, face_components, find_floaters, find_inner_shells
from forge_batch.ops.deviation import distances
from forge_batch.ops.exposure import measure_exposure
from forge_batch.ops.finished import Finished
from forge_batch.ops.gate_canvas import Drawn
from forge_batch.ops.map_pictures import MAP_PICTURES
from forge_batch.ops.measure_atlas import chart_widths, close_charts, draw_cover
from forge_batch.ops.measure_hulls import find_uncovered
from forge_batch.ops.measure_placement import view_cameras
from forge_batch.ops.measure_shape import FLOATER, SLIVER, count_open_edges, front_outlines, weld, worst_outline
from forge_batch.ops.outline_overlap import draw_both, overlap
from forge_batch.ops.topology import face_areas, find_edges
from forge_batch.ops.unwrap import face_stretch

Draw = Callable[[Finished], Drawn | None]


def draw_gate(name: str, asset: Finished, title: str) -> bytes | None:
    """Draw what a gate is about as a PNG; None where no picture makes sense, or what it needs is not there.

    Args:
        name: Of the gate.
        asset: What was measured.
        title: One line on top: gate, value and limit.
    """
    drawn = PICTURES[name](asset) if name in PICTURES else None
    return None if drawn is None else canvas.encode(drawn.picture, title, [drawn.says])


def _edges(which: str, says: str) -> Draw:
    def draw(asset: Finished) -> Drawn | None:
        mesh = weld(asset.mesh)
        edges = find_edges(mesh.faces)
        bad = {
            "open": edges.uses == 1,
            "crowded": edges.uses > 2,
            "conflicting": (edges.uses == 2) & (edges.balance != 0),
        }[which]
        ends = canvas.segments(mesh, edges.ends[bad][:20_000])
        return Drawn(canvas.with_lines(mesh, ends, np.tile(canvas.MARK, (len(ends), 1))), says)

    return draw


def _lod_edges(asset: Finished) -> Drawn | None:
    worst = max(asset.lods[1:], key=count_open_edges, default=None)
    if worst is None:
        return None
    mesh = weld(worst)
    edges = find_edges(mesh.faces)
    ends = canvas.segments(mesh, edges.ends[edges.uses == 1][:20_000])
    return Drawn(
        canvas.with_lines(mesh, ends, np.tile(canvas.MARK, (len(ends), 1))),
        f"the level of {len(mesh.faces)} triangles; red: open edges",
    )


def _pivot(asset: Finished) -> Drawn:
    vertices = asset.mesh.vertices.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    wanted = 0.5 * (low + high)
    if asset.wish("place", "pivot", "bottom_center") == "bottom_center":
        wanted[1] = low[1]
    axes = 0.15 * asset.mesh.diagonal * np.eye(3)
    crosses = [np.stack([at - axis, at + axis]) for at in (np.zeros(3), wanted) for axis in axes]
    colors = np.repeat(np.stack([canvas.MARK, canvas.BLUE]), 3, axis=0)
    return Drawn(
        canvas.with_lines(asset.mesh, np.stack(crosses), colors, rings=False), "red: the pivot, blue: where it should be"
    )


def _parts(which: str, says: str) -> Draw:
    def draw(asset: Finished) -> Drawn | None:
        mesh = weld(asset.mesh)
        labels = face_components(mesh.faces)
        inner = find_inner_shells(mesh, labels)
        volumes = component_volumes(mesh, labels)
        bad = {
            "floating": find_floaters(mesh, labels, FLOATER),
            "inner": inner,
            "inverted": (volumes < -1e-9 * mesh.diagonal**3) & ~inner,
        }[which]
        return Drawn(canvas.marked(mesh, bad[labels], through=True), says)

    return draw


def _slivers(asset: Finished) -> Drawn:
    areas = face_areas(asset.mesh)
    ends = asset.mesh.faces[areas < SLIVER * asset.mesh.diagonal**2][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    lines = canvas.segments(asset.mesh, ends)
    return Drawn(canvas.with_lines(asset.mesh, lines, np.tile(canvas.MARK, (len(lines), 1))), "red: faces without area")


def _hidden(asset: Finished) -> Drawn:
    exposure = measure_exposure(asset.mesh)
    blind = np.zeros(len(asset.mesh.faces), bool)
    blind[exposure.face[exposure.seen == 0]] = True
    return Drawn(canvas.marked(asset.mesh, blind, through=True), "red, seen through the rest: faces that nobody can see")


def _silhouette(level: int) -> Draw:
    def draw(asset: Finished) -> Drawn | None:
        levels = asset.lods or [asset.mesh]
        if asset.source is None or level >= len(levels):
            return None
        mine, theirs = worst_outline(levels[level], asset.outlines)
        return Drawn(canvas.difference(mine, theirs), f"the worst of 24 views; red: only LOD{level}, blue: only the source")

    return draw


def _deviation(asset: Finished) -> Drawn | None:
    if asset.source is None:
        return None
    middle = asset.mesh.vertices[asset.mesh.faces].mean(axis=1)
    away = 100.0 * distances(middle.astype(np.float64), asset.source.mesh) / asset.mesh.diagonal
    return Drawn(canvas.heat(asset.mesh, away, 0.0, 0.4), "distance to the source: blue 0, red 0.4 % of the diagonal and more")


def _lod_error(level: int) -> Draw:
    def draw(asset: Finished) -> Drawn | None:
        if level >= min(len(asset.lods), len(asset.screen_sizes)):
            return None
        lod = asset.lods[level]
        away = distances(lod.vertices[lod.faces].mean(axis=1).astype(np.float64), asset.lods[0])
        pixels = away / asset.mesh.diagonal * float(asset.screen_sizes[level]) * 1080.0
        return Drawn(canvas.heat(lod, pixels, 0.0, 2.0), f"LOD{level} at its switch: blue 0, red 2 pixels from LOD0 and more")

    return draw


def _overlap(asset: Finished) -> Drawn:
    cover = draw_cover(asset.mesh, asset.texture_size)
    return Drawn(canvas.page(asset.mesh, asset.atlases, cover > 1), "the atlas; red: texels covered more than once")


def _lod_overlap(asset: Finished) -> Drawn | None:
    pages = [(lod, draw_cover(lod, asset.texture_size) > 1) for lod in asset.lods[1:] if lod.uv is not None]
    if not pages:
        return None
    lod, marks = max(pages, key=lambda pair: int(pair[1].sum()))
    return Drawn(
        canvas.page(lod, asset.atlases, marks),
        f"the atlas of the level of {len(lod.faces)} triangles; red: covered more than once",
    )


def _no_marks() -> np.ndarray:
    return np.zeros((8, 8), bool)


def _faces_on_page(which: str, says: str) -> Draw:
    def draw(asset: Finished) -> Drawn | None:
        assert asset.mesh.uv is not None
        corners = asset.mesh.uv.astype(np.float64)[asset.mesh.faces]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        signed = 0.5 * (a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1])
        if which == "flat":
            return Drawn(canvas.marked(asset.mesh, np.abs(signed) < 1e-14, through=True), says)
        return Drawn(canvas.page(asset.mesh, asset.atlases, _no_marks(), signed < -1e-14), says)

    return draw


def _stretch(asset: Finished) -> Drawn:
    says = "stretch of the texture: blue 1 (none), red 2 and more"
    return Drawn(canvas.heat(asset.mesh, face_stretch(asset.mesh), 1.0, 2.0), says)


def _thin(asset: Finished) -> Drawn:
    size = asset.texture_size
    widths, chart = chart_widths(asset.mesh, size)
    thin = widths[chart] < asset.least_gap
    return Drawn(canvas.page(asset.mesh, asset.atlases, _no_marks(), thin), "the atlas; red: charts narrower than the padding")


def _density(asset: Finished) -> Drawn:
    assert asset.mesh.uv is not None
    _, chart = chart_widths(asset.mesh, asset.texture_size)
    corners = asset.mesh.uv.astype(np.float64)[asset.mesh.faces]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    flat, area = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]), face_areas(asset.mesh)
    of_chart = np.sqrt(np.bincount(chart, flat) / np.maximum(np.bincount(chart, area), 1e-30))
    ratio = of_chart[chart] / max(float(np.sqrt(flat.sum() / area.sum())), 1e-30)
    return Drawn(
        canvas.heat(asset.mesh, np.log2(np.maximum(ratio, 1e-6)), -1.0, 1.0),
        "texels per metre: blue half the mean, green the mean, red twice",
    )


def _use(asset: Finished) -> Drawn:
    return Drawn(canvas.page(asset.mesh, asset.atlases, _no_marks()), "the atlas: greys are charts, the dark ground is unused")


def _padding(asset: Finished) -> Drawn:
    close = close_charts(asset.mesh, asset.texture_size, asset.least_gap)
    return Drawn(canvas.page(asset.mesh, asset.atlases, close), "the atlas; red: where charts come too close")


def _front(asset: Finished) -> Drawn | None:
    if "front" not in asset.cutouts:
        return None
    mask, yaw = asset.cutouts["front"][..., 3] >= 128, float(asset.wish("place", "yaw_degrees", 0.0))
    mine, theirs = front_outlines(asset.mesh.vertices, asset.mesh.faces, mask, yaw)
    return Drawn(
        _enlarged(canvas.difference(mine, theirs)), "from the front; red: only the model, blue: only the front picture"
    )


def _inputs(asset: Finished) -> Drawn | None:
    if asset.source is None:
        return None
    pairs = {
        view: draw_both(asset.source.mesh, asset.cutouts[view][..., 3], camera) for view, camera in view_cameras(asset).items()
    }
    if not pairs:
        return None
    worst = min(pairs, key=lambda view: overlap(*pairs[view]))
    return Drawn(canvas.difference(*pairs[worst]), f"{worst}; red: only the source, blue: only the picture")


def _enlarged(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)


def _hulls(asset: Finished) -> Drawn | None:
    if not asset.hulls:
        return None
    lines, colors = [], []
    for number, hull in enumerate(asset.hulls):
        ends = canvas.segments(hull, find_edges(hull.faces).ends)
        lines.append(ends)
        hue = np.array([[[(number * 47) % 180, 200, 255]]], np.uint8)
        colors.append(np.tile(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0], (len(ends), 1)))
    picture = canvas.with_lines(asset.mesh, np.concatenate(lines), np.concatenate(colors))
    return Drawn(picture, f"the edges of {len(asset.hulls)} hulls over LOD0, a colour each")


def _uncovered(asset: Finished) -> Drawn | None:
    if not asset.hulls:
        return None
    bare = find_uncovered(asset.hulls, asset.mesh, asset.mesh.vertices[asset.mesh.faces].mean(axis=1).astype(np.float64))
    return Drawn(canvas.marked(asset.mesh, bare), "red: surface farther than 2 % of the diagonal from every hull")


_HULLED = {"collision_hulls", "collision_vertices", "collision_triangles", "collision_convexity"}
_HULLED |= {"collision_volume", "collision_volume_least"}
PICTURES: Mapping[str, Draw] = {
    "watertight": _edges("open", "red: open edges"),
    "manifold": _edges("crowded", "red: edges with more than two faces"),
    "winding": _edges("conflicting", "red: edges whose faces disagree on what is outside"),
    "inverted_parts": _parts("inverted", "red: parts that face inwards"),
    "degenerate_faces": _slivers,
    "floaters": _parts("floating", "red: parts of less than 0.1 % of the area"),
    "inner_shells": _parts("inner", "red, seen through the rest: parts inside others"),
    "hidden_surface": _hidden,
    **{f"silhouette_lod{level}": _silhouette(level) for level in range(3)},
    **{f"lod{level}_pixels": _lod_error(level) for level in (1, 2)},
    "surface_deviation": _deviation,
    "uv_overlap": _overlap,
    "lod_uv_overlap": _lod_overlap,
    "uv_mirrored": _faces_on_page("mirrored", "the atlas; red: faces laid out as seen from behind"),
    "degenerate_uv": _faces_on_page("flat", "red: faces without area in the atlas"),
    "uv_stretch_mean": _stretch,
    "uv_stretch_p95": _stretch,
    "thin_charts": _thin,
    "density_variation": _density,
    "density_error": _density,
    "atlas_use": _use,
    "padding": _padding,
    "front_axis": _front,
    "input_agreement": _inputs,
    "lod_watertight": _lod_edges,
    "pivot": _pivot,
    **MAP_PICTURES,
    **dict.fromkeys(_HULLED, _hulls),
    "collision_coverage": _uncovered,
}
"""How each gate is drawn; sizes, counts of triangles and joints, and maps of one colour have no place to be shown."""
