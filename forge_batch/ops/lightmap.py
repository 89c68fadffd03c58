"""Lay a mesh's charts out a second time, for baked light: nothing overlaps, and gaps are counted in texels of the lightmap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from forge_batch.errors import StageError
from forge_batch.ops.chart_packing import place_charts
from forge_batch.ops.measure_atlas import find_charts
from forge_batch.ops.mesh import PER_VERTEX, Mesh

PADDING = 2.0
"""Texels between charts: one of each chart's own bleeds under bilinear filtering."""

TRIES = 24


def with_lightmap_uv(mesh: Mesh, resolution: int) -> Mesh:
    """Give the mesh with a second uv set on a page of `resolution` texels; same mesh, same result.

    Charts are those of the first set, scaled alike, so that light is sampled as evenly as the textures are. A vertex that
    several charts share becomes one for each. A chart that lies on itself in the first set, which `unwrap` makes none of, still
    does.

    Raises:
        StageError: The page does not hold the charts at any scale.
        ValueError: The mesh has no uv (a bug of the caller).
    """
    if mesh.uv is None:
        raise ValueError("a lightmap is laid out from the first uv set")
    labels = find_charts(mesh)
    mesh = _apart(mesh, labels)
    assert mesh.uv is not None
    owner = np.empty(len(mesh.vertices), np.int64)
    owner[mesh.faces] = labels[:, None]
    flat = mesh.uv.astype(np.float64)
    page = _fit(flat, mesh, labels, owner, resolution)
    if page is None:
        count = int(labels.max()) + 1
        raise StageError(
            f"a lightmap of {resolution} texels does not hold {count} charts with {PADDING:g} texels between them",
            f"write export.lightmap_resolution: {2 * resolution}, or lower decimate.triangles",
        )
    return replace(mesh, lightmap_uv=(page / resolution).astype(np.float32))


def _apart(mesh: Mesh, labels: np.ndarray) -> Mesh:
    """Give every chart vertices of its own."""
    corners = np.stack([mesh.faces.ravel().astype(np.int64), np.repeat(labels.astype(np.int64), 3)], axis=1)
    pairs, faces = np.unique(corners, axis=0, return_inverse=True)
    picked = {name: rows[pairs[:, 0]] for name in PER_VERTEX if (rows := getattr(mesh, name)) is not None}
    return replace(mesh, faces=faces.reshape(-1, 3).astype(np.int32), **picked)


def _fit(
    flat: Float64[np.ndarray, "v 2"], mesh: Mesh, labels: np.ndarray, owner: np.ndarray, size: int
) -> Float64[np.ndarray, "v 2"] | None:
    """Find the largest scale at which the charts fit on the page, to 1 %; None if none does."""
    corners = flat[mesh.faces]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    corners[area < 0] = corners[area < 0][:, [0, 2, 1]]  # packing wants all faces wound alike
    best, fits, too_much = None, 0.0, np.inf
    scale = size * np.sqrt(0.7 / max(np.abs(area).sum(), 1e-12))
    for _ in range(TRIES):
        places = place_charts(corners * scale, labels, size, PADDING)
        if places is None:
            too_much = scale
        else:
            best, fits = flat * scale + places.offset[owner], scale
        if fits == 0.0:
            scale *= 0.8
        elif np.isinf(too_much):
            scale *= 1.1
        elif too_much / fits < 1.01:
            break
        else:
            scale = np.sqrt(fits * too_much)
    return best
