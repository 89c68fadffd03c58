"""Measure size, pivot and heading of a finished asset, and whether it looks as its pictures do."""

from __future__ import annotations

import numpy as np

from forge_batch.ops.camera import Camera
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.measure_shape import front_overlap, pivot_offset
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.source import Projection

VIEWS = ("front", "right", "back", "left")

HEADINGS = (90.0, 180.0, 270.0)
CLEARLY = 0.05
"""By how much another heading must fit the front picture better to say that the thing looks that way."""


def measure_placement(asset: Finished) -> Values:
    """Measure size, pivot, and agreement with the pictures."""
    values: Values = {}
    height = asset.wish("place", "height_cm", None)
    if height is not None:
        measured = 100.0 * float(np.ptp(asset.mesh.vertices[:, 1]))
        values["height"] = Measured(
            100.0 * abs(measured / float(height) - 1.0), f"{measured:.2f} cm, wanted {float(height):g} cm"
        )
        values["pivot"] = Measured(100.0 * pivot_offset(asset.mesh.vertices, asset.wish("place", "pivot", "bottom_center")))
    if asset.source is None:
        return values
    masks = {view: asset.cutouts[view][..., 3] >= 128 for view in VIEWS if view in asset.cutouts}
    if "front" in masks:
        values["front_axis"] = _front_axis(asset, masks["front"])
    overlaps = {
        view: outline_overlap(asset.source.mesh, asset.cutouts[view][..., 3], camera)
        for view, camera in view_cameras(asset).items()
    }
    if overlaps:
        note = ", ".join(f"{view} {overlap:.3f}" for view, overlap in overlaps.items())
        values["input_agreement"] = Measured(min(overlaps.values()), note)
    else:
        values["input_agreement"] = Measured(None, "the generator gives no cameras for these pictures")
    return values


def _front_axis(asset: Finished, mask: np.ndarray) -> Measured:
    """Compare the front with its picture; where no other heading fits better, a poor likeness is no wrong heading."""
    yaw = float(asset.wish("place", "yaw_degrees", 0.0))
    front, *others = (front_overlap(asset.mesh.vertices, asset.mesh.faces, mask, yaw + turn) for turn in (0.0, *HEADINGS))
    if max(others) < front + CLEARLY:
        return Measured(front, breach="warn")
    turn = HEADINGS[int(np.argmax(others))]
    return Measured(front, f"turned by {turn:g} degrees it would be {max(others):.3f}")


def view_cameras(asset: Finished) -> dict[str, Camera]:
    """Give the camera of every view that the generator knew one for."""
    if asset.source is None:
        return {}
    return {
        view: projection.camera
        for view in VIEWS
        for projection in asset.source.projections
        if view in asset.cutouts and _shows(projection, asset.cutouts[view])
    }


def _shows(projection: Projection, cutout: np.ndarray) -> bool:
    """Tell whether a projection was made from a cut-out.

    Projections carry no view name, so their pixels must say it. A generator may have changed colours along the rim.
    """
    if projection.image.shape[:2] != cutout.shape[:2]:
        return False
    solid = cutout[..., 3] >= 250
    same = (projection.image[solid] == cutout[solid, :3]).all(axis=1)
    return bool(same.mean() > 0.5) if len(same) else False
