"""Draw what a failed gate found in the maps, on the surface or on the atlas that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from forge_batch.ops import gate_canvas as canvas
from forge_batch.ops.baker import ERROR_STEPS
from forge_batch.ops.finished import Finished
from forge_batch.ops.gate_canvas import Drawn
from forge_batch.ops.measure_asset import filled_maps
from forge_batch.ops.measure_maps import luminance
from forge_batch.ops.measure_texels import find_strays
from forge_batch.ops.measure_views import detail_picture
from forge_batch.ops.render import PAPER, read_linear

BRIGHT = (0.02, 0.98)
"""Shares of the surface that are darker than blue and brighter than red where light is shown."""


def _strays(asset: Finished) -> Drawn | None:
    found = {name: find_strays(asset.mesh, image, asset.gutter(len(image))) for name, image in filled_maps(asset).items()}
    if not found:
        return None
    worst = max(found, key=lambda name: float(found[name].mean()))
    what = worst.removesuffix("_map").replace("_", " ")
    says = f"the atlas of the {what}; red: texels that do not go on with their chart"
    return Drawn(canvas.page(asset.mesh, asset.atlases, found[worst]), says)


def _by_face(asset: Finished, values: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Average values at the asset's points over faces; NaN for a face without any."""
    face = asset.points.face if chosen is None else asset.points.face[chosen]
    count = len(asset.mesh.faces)
    total, number = np.bincount(face, values, count), np.bincount(face, minlength=count)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _normals(asset: Finished) -> Drawn | None:
    if asset.source is None or "normal_map" not in asset.maps:
        return None
    angles = asset.normal_angles
    values = _by_face(asset, angles.angle[angles.found], angles.found)
    says = "angle between the mapped and the source's normal: blue 0, red 30 degrees and more"
    return Drawn(canvas.heat(asset.mesh, values, 0.0, 30.0), says)


def _misses(asset: Finished) -> Drawn | None:
    if asset.source is None or "normal_map" not in asset.maps:
        return None
    return Drawn(
        canvas.heat(asset.mesh, _by_face(asset, ~asset.normal_angles.found), 0.0, 1.0), "red: no source within the cage"
    )


def _lost(asset: Finished) -> Drawn | None:
    error = asset.maps.get("normal_error_map")
    if error is None:
        return None
    degrees = read_linear(error[..., None], asset.points.uv)[:, 0] * 255.0 / ERROR_STEPS
    return Drawn(canvas.heat(asset.mesh, _by_face(asset, degrees), 0.0, 10.0), "what the map misses: blue 0, red 10 degrees")


def _stored(asset: Finished) -> np.ndarray:
    """Give the stored normals at the asset's points, -1..1."""
    return read_linear(asset.maps["normal_map"], asset.points.uv).astype(np.float64) * 2.0 - 1.0


def _lengths(asset: Finished) -> Drawn:
    off = 100.0 * np.abs(np.linalg.norm(_stored(asset), axis=1) - 1.0)
    return Drawn(
        canvas.heat(asset.mesh, _by_face(asset, off), 0.0, 10.0), "error of the normals' length: blue 0, red 10 % and more"
    )


def _backward(asset: Finished) -> Drawn:
    found = np.nan_to_num(_by_face(asset, _stored(asset)[:, 2] < 0)) > 0
    return Drawn(canvas.marked(asset.mesh, found, through=True), "red: faces where a normal points into the surface")


def _light(asset: Finished) -> np.ndarray:
    """Give the luminance of the base colour at the asset's points, 0..255."""
    return luminance(read_linear(asset.maps["base_color_map"], asset.points.uv).astype(np.float64) * 255.0)


def _albedo(asset: Finished) -> Drawn:
    light = _light(asset)
    dark, bright = _by_face(asset, light < 30.0), _by_face(asset, light > 243.0)
    values = np.where(dark > 0.5, -0.8, np.where(bright > 0.5, 0.9, np.nan))
    return Drawn(canvas.heat(asset.mesh, values, -1.0, 1.0), "blue: darker than 30 of 255, red: brighter than 243")


def _painted(asset: Finished) -> Drawn:
    light = _light(asset)
    low, high = np.quantile(light, BRIGHT)
    return Drawn(
        canvas.heat(asset.mesh, _by_face(asset, light), float(low), float(high) + 1.0),
        f"the base colour alone: blue {low:.0f} of 255, red {high:.0f}; painted light is red above and blue below or in folds",
    )


def _back(asset: Finished) -> Drawn:
    front = float(asset.wish("place", "yaw_degrees", 0.0))
    sides = [detail_picture(asset.mesh, asset.maps["base_color_map"], front + turn) for turn in (0.0, 180.0)]
    panels = [canvas.tinted(side.astype(np.float64), 0.0, 16.0, PAPER // 2) for side in sides]
    shown = [cv2.resize(panel, (canvas.PANEL, canvas.PANEL), interpolation=cv2.INTER_NEAREST) for panel in panels]
    return Drawn(
        np.concatenate(shown, axis=1), "detail of the base colour: blue none, red much; left the front, right the back"
    )


def _channel(index: int, says: str) -> Callable[[Finished], Drawn]:
    def draw(asset: Finished) -> Drawn:
        values = read_linear(asset.maps["orm_map"], asset.points.uv)[:, index]
        return Drawn(canvas.heat(asset.mesh, _by_face(asset, values), 0.0, 1.0), says)

    return draw


MAP_PICTURES: Mapping[str, Callable[[Finished], Drawn | None]] = {
    "padding_fill": _strays,
    **dict.fromkeys(("normal_map_mean", "normal_map_p95", "normal_map_green"), _normals),
    "normal_map_lost": _lost,
    "normal_map_length": _lengths,
    "normal_map_backward": _backward,
    "bake_misses": _misses,
    "albedo_range": _albedo,
    "baked_light": _painted,
    "back_detail": _back,
    "half_metal": _channel(2, "metallic: blue 0, red 1; between is neither"),
    "occlusion_present": _channel(0, "occlusion: blue 0 (black), red 1 (open)"),
}
"""How each gate of the maps is drawn; they are asked only where the map that was measured is there."""
