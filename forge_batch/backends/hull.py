"""Make a solid from outlines alone: no weights to fetch, no licence to ask, seconds on a CPU.

Two to four views at right angles carve a visual hull, whose sections are then rounded where the outlines speak for a round body
(see ops.cross_section). A single view, or front and back alone, is inflated. Colours come from the views that see a point; the
rest is continued smoothly and marked as unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from forge_batch.backends.catalog import CATALOG
from forge_batch.backends.contract import Fineness
from forge_batch.errors import StageError
from forge_batch.ops.bleed import bleed_colors
from forge_batch.ops.camera import Camera
from forge_batch.ops.cross_section import eccentricity, flatness, keep_outlines, superellipse
from forge_batch.ops.inflated_solid import inflated_field
from forge_batch.ops.iso_surface import iso_surface
from forge_batch.ops.needed_parts import drop_needless_parts
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.shading import brightness_trend, unevenness
from forge_batch.ops.silhouette import Silhouette, measure_silhouette
from forge_batch.ops.smooth import smooth
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.straightness import straightness
from forge_batch.ops.view_alignment import align_views
from forge_batch.ops.view_colors import color_from_views
from forge_batch.ops.visual_hull import Grid, hull_bounds, hull_field, spread

info = CATALOG["hull"]

CELLS = {"fast": 128, "balanced": 192, "hero": 256}
"""Cells along the longest side by quality."""

THICKNESS = 0.5  # metres that one unit of eccentricity stands for: at least the half width, so that outlines stay the hull's
MARGIN = 6.0  # cells, how far a lost part of an outline is raised
SMOOTH = 1.0  # cells, blur of the rounded sections before they are cut by the hull
NEEDLES = 3  # passes of smoothing over the finished surface
PAIRS = (("front", "back"), ("right", "left"))
WORST_VIEW, WORST_MEAN = 0.7, 0.8
"""Silhouette IoU below which views are taken to show different things."""


def generate(
    cutouts: Mapping[str, np.ndarray],
    cameras: Mapping[str, Camera] | None,
    fineness: Fineness,
    seed: int,
    progress: Callable[[float, str], None],
) -> SourceMesh:
    """Build a closed, coloured solid from one to four cut-outs.

    Args:
        cutouts: (h, w, 4) uint8 sRGB with straight alpha by view name (front, right, back, left), of any size each.
        cameras: By view name, for all cut-outs; None for orthographic views of unknown scale.
        fineness: Its quality, a key of CELLS; nothing else is looked at.
        seed: Not used: the result depends on the pictures alone.
        progress: Told a fraction and a few words.

    Returns:
        One welded surface, every edge with two faces, in the space of the cameras; without cameras centred with largest side 1.

    Raises:
        StageError: No views, a view without camera, or views that contradict each other (says which and by how much).
    """
    del seed
    if not cutouts:
        raise StageError("no view was given", "name a picture front.png")
    silhouettes = _measure(cutouts, cameras)
    progress(0.15, "outlines measured")
    bounds = hull_bounds(silhouettes)
    if bounds is None:
        raise _contradiction(silhouettes, "their outlines have no point in common")
    pictures = {name: bleed_colors(cutout) for name, cutout in cutouts.items()}
    grid = Grid.around(*bounds, CELLS[fineness.quality])
    mesh = iso_surface(_solid(grid, silhouettes, pictures), grid)
    if not len(mesh.faces):
        raise _contradiction(silhouettes, "their outlines have no point in common")
    mesh = smooth(drop_needless_parts(mesh, silhouettes), NEEDLES)
    mesh = replace(mesh, normals=vertex_normals(mesh.vertices, mesh.faces))
    progress(0.6, "surface built")
    overlap = {s.name: outline_overlap(mesh, s.mask.astype(np.uint8) * 255, s.camera) for s in silhouettes}
    if min(overlap.values()) < WORST_VIEW or np.mean(list(overlap.values())) < WORST_MEAN:
        measured = ", ".join(f"{name} {iou:.2f}" for name, iou in overlap.items())
        raise _contradiction(silhouettes, f"a body that fits all of them fills their outlines only to {measured} (IoU)")
    source = color_from_views(mesh, pictures, silhouettes, grid.step)
    progress(1.0, "colours projected")
    return source


def _measure(cutouts: Mapping[str, np.ndarray], cameras: Mapping[str, Camera] | None) -> list[Silhouette]:
    """Give each cut-out its camera and outline."""
    chosen = cameras or align_views({name: cutout[..., 3] for name, cutout in cutouts.items()})
    silhouettes = []
    for name, cutout in cutouts.items():
        camera = chosen.get(name)
        if camera is None:
            raise StageError(f"the view {name} has no camera, there is one for {', '.join(chosen)}", "add it to camera.json")
        height, width = cutout.shape[:2]
        if camera.size != (width, height):
            raise StageError(
                f"the {name} picture is {width} x {height}, its camera is for {camera.size[0]} x {camera.size[1]} pixels",
                "render the picture again at the camera's size, or correct camera.json",
            )
        if not (cutout[..., 3] > 127).any():
            raise StageError(f"the {name} view is empty: no pixel is more than half opaque", "check its background removal")
        silhouettes.append(measure_silhouette(name, cutout[..., 3], camera))
    return silhouettes


def _solid(grid: Grid, silhouettes: Sequence[Silhouette], pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Give the field of the solid: the hull, its sections rounded, or an inflated outline."""
    field = hull_field(grid, silhouettes)
    sides = [[s for s in silhouettes if s.name in pair] for pair in PAIRS]
    if not all(sides):
        return inflated_field(grid, field, silhouettes)
    a, b = (_over_pair(grid, field, side, [eccentricity(s) for s in side]) for side in sides)
    straight = [_over_pair(grid, field, side, [straightness(s) for s in side]) for side in sides]
    trends = [brightness_trend(s, pictures[s.name]) for s in silhouettes]
    flat = flatness(np.maximum(*straight), *unevenness(grid, field, silhouettes, trends))
    section = superellipse(a, b, flat) * np.float32(THICKNESS)
    section = ndimage.gaussian_filter(section, SMOOTH)
    return np.asarray(np.minimum(field, keep_outlines(grid, field, section, silhouettes, MARGIN * grid.step)))


def _over_pair(grid: Grid, hull: np.ndarray, side: Sequence[Silhouette], planes: Sequence[np.ndarray]) -> np.ndarray:
    """Look up a plane of each view of a pair at every cell; the greater value counts."""
    return np.asarray(np.maximum.reduce([spread(grid, hull, plane, s.camera) for s, plane in zip(side, planes, strict=True)]))


def _contradiction(silhouettes: Sequence[Silhouette], found: str) -> StageError:
    names = ", ".join(s.name for s in silhouettes)
    return StageError(
        f"the views {names} contradict each other: {found}",
        "check which picture is which side, that all show the same pose, and that cameras belong to these pictures",
    )
