"""Give a mesh UVs on one square page, or on several where asked, whatever the mesh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from forge_batch.errors import StageError
from forge_batch.ops.atlas import signed_areas
from forge_batch.ops.box_charts import box_charts
from forge_batch.ops.child_process import Arrays, ChildFailedError, call
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.plane_charts import plane_charts
from forge_batch.ops.sheet import sheet_side
from forge_batch.ops.topology import face_areas

CHARTING_SHARE = 0.75
"""Part of the time that xatlas may take to chart; packing the fallback's charts gets the rest."""


Facts = dict[str, Any]
Way = Callable[[Mesh], tuple[np.ndarray, np.ndarray, np.ndarray]]

WAYS: tuple[Way | None, ...] = (None, plane_charts, box_charts)
"""How a mesh is charted, first to last; None leaves it to xatlas."""


class Unwrapped(NamedTuple):
    """Be a mesh with UVs.

    Attributes:
        mesh: Split where charts meet, with `uv` and no other attribute.
        density: Texels per metre.
        charts: How many.
        atlases: Pages that they lie on; of several, uv are those of the sheet that holds them (see ops.sheet).
        recharted: Faces that became charts of their own, because the chart they were in squashed or folded them.
        fallback: Why xatlas did not chart it, empty if it did.
    """

    mesh: Mesh
    density: float
    charts: int
    atlases: int
    recharted: int
    fallback: str


class Distortion(NamedTuple):
    """Be what UVs do to the surface, by area: L2 stretch (Sander et al. 2001; 1 is none), share of the page, bad faces."""

    stretch_mean: float
    stretch_p95: float
    utilisation: float
    mirrored_faces: int
    empty_faces: int


def unwrap(
    mesh: Mesh,
    size: int,
    padding: int,
    density: float | None,
    *,
    folder: Path,
    timeout: float,
    atlases: int = 1,
    crease: float = 180.0,
) -> Unwrapped:
    """Cut, flatten and pack, with `padding` texels between charts and around the page.

    xatlas in a child process; where it hangs or crashes, charts projected on planes of their own, and where these cannot be
    packed in time, on the sides of a box; all packed likewise.

    Args:
        mesh: Welded, metres.
        size: Texels of the page's edge.
        padding: Texels.
        density: Texels per metre, or None for the largest that fits.
        folder: Where the child leaves its files for a moment.
        timeout: CPU seconds for charting; packing the charts of a fallback gets 30 in any case.
        atlases: Most pages; more than one are taken only where a density is asked for that one does not hold.
        crease: Degrees; charts that meet at a sharper edge are not joined, so that it may be shaded hard.

    Raises:
        StageError: The density asked for does not fit, or no way worked.
    """
    options = {"size": size, "padding": padding, "density": density, "crease": crease}
    options["atlases"] = 1 if density is None else atlases
    base, made, facts, fallback = _lay_out(mesh, options, folder, timeout)
    if facts["density"] == 0.0:
        raise _does_not_fit(options, facts["fits"], facts["atlases"])
    vertices = mesh.vertices[base[made["origin"]]]
    pages = facts["atlases"]
    uv = np.clip(made["uv"] / np.float32(size * sheet_side(pages)), 0.0, 1.0).astype(np.float32)
    whole = Mesh(vertices, made["faces"], uv=uv)
    return Unwrapped(whole, facts["density"], facts["charts"], pages, facts["recharted"], fallback)


def _lay_out(mesh: Mesh, options: dict[str, Any], folder: Path, timeout: float) -> tuple[np.ndarray, Arrays, Facts, str]:
    """Try each way of charting until one can be packed.

    Returns:
        The vertices that what was made starts from, what was made and said of it, and why it was not made by xatlas.
    """
    reasons: list[str] = []
    for way in WAYS:
        base, limit = np.arange(len(mesh.vertices)), CHARTING_SHARE * timeout
        arrays: Arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
        if way is not None:
            base, faces, uv = way(mesh)
            arrays, limit = {"vertices": mesh.vertices[base], "faces": faces, "uv": uv}, max(30.0, timeout / 4)
        try:
            made, facts = call("forge_batch.ops.atlas:build_atlas", arrays, options, folder=folder, timeout=limit)
        except ChildFailedError as failure:
            reasons.append(str(failure) if way is None else f"{way.__name__}: {failure}")
        else:
            return base, made, facts, "; ".join(reasons)
    raise StageError(f"no UV layout: {'; '.join(reasons)}", "lower decimate.triangles")


def measure_uv(mesh: Mesh) -> Distortion:
    """Measure stretch, use of the page and orientation; stretch is relative to the density of the whole."""
    assert mesh.uv is not None
    flat, area, stretch = signed_areas(_page(mesh)), face_areas(mesh), face_stretch(mesh)
    known = np.isfinite(stretch)
    order = np.argsort(stretch[known], kind="stable")
    share = np.cumsum(area[known][order]) / area[known].sum()
    p95 = stretch[known][order][np.searchsorted(share, 0.95)]
    mean = np.average(stretch[known], weights=area[known])
    used = float(np.abs(flat).sum())
    return Distortion(float(mean), float(p95), used, int((flat < 0).sum()), int((flat == 0).sum()))


def _page(mesh: Mesh) -> np.ndarray:
    """Give the corners of the faces (f, 3, 2) on a page whose v grows upwards."""
    assert mesh.uv is not None
    return np.asarray(mesh.uv.astype(np.float64)[mesh.faces] * (1.0, -1.0))


def face_stretch(mesh: Mesh) -> Float64[np.ndarray, " f"]:
    """Give the L2 stretch of each face (Sander et al. 2001), 1 where texels have their mean size; NaN without area in uv."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    uv = _page(mesh)
    flat = signed_areas(uv)
    area = face_areas(mesh)
    (s1, t1), (s2, t2), (s3, t3) = (uv[:, k].T for k in range(3))
    q1, q2, q3 = (corners[:, k] for k in range(3))
    twice = np.where(np.abs(flat) > 0, 2 * flat, np.nan)[:, None]
    ds = (q1 * (t2 - t3)[:, None] + q2 * (t3 - t1)[:, None] + q3 * (t1 - t2)[:, None]) / twice
    dt = (q1 * (s3 - s2)[:, None] + q2 * (s1 - s3)[:, None] + q3 * (s2 - s1)[:, None]) / twice
    stretch = np.sqrt(0.5 * ((ds**2).sum(axis=1) + (dt**2).sum(axis=1)))
    return np.asarray(stretch * np.sqrt(np.abs(flat).sum() / area.sum()))


def _does_not_fit(options: Mapping[str, Any], fits: float, more: int) -> StageError:
    """Say what does: `fits` is the largest density seen to fit, `more` how many atlases hold the one asked for, or 0."""
    size, padding, density, atlases = (options[name] for name in ("size", "padding", "density", "atlases"))
    if density is None or fits == 0.0:
        return StageError(
            f"the charts do not fit a page of {size} texels with {padding} texels of padding", "raise unwrap.texture_size"
        )
    needed = size
    while (needed - padding) / (size - padding) * fits < density:
        needed *= 2
    ways = [f"unwrap.texture_size: {needed}"] if needed <= 4096 else []
    ways += [f"unwrap.atlases: {more}"] if more else []
    advice = f"write {' or '.join(ways)}" if ways else "no texture size up to 4096 holds it"
    where = f"a {size} x {size} page" if atlases == 1 else f"{atlases} pages of {size} x {size}"
    found = f"texel_density {density:g} px/m does not fit {where}, the largest that fits is {fits:.0f} px/m"
    return StageError(found, f"{advice}, or lower unwrap.texel_density, or leave it out to fill the page")
