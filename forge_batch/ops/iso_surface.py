"""Turn a field on a grid into a closed triangle mesh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32
from skimage.measure import marching_cubes

from forge_batch.ops.components import face_components
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact
from forge_batch.ops.visual_hull import Grid

_CRUMB = 24.0  # cells of volume below which a component is noise of the grid


def iso_surface(field: Float32[np.ndarray, "x y z"], grid: Grid) -> Mesh:
    """Triangulate the zero level: closed, counter-clockwise seen from below 0, every edge with exactly two faces.

    Marching cubes after Lewiner et al., "Efficient Implementation of Marching Cubes' Cases with Topological Guarantees" (2003).
    Components of less than a few cells and hollows inside the body are dropped.

    Args:
        field: Positive inside. What reaches the border of the grid is closed there.
        grid: Where the cells stand.

    Returns:
        Mesh without faces if the field is nowhere positive.
    """
    # A sample of exactly 0 would make triangles without area and edges of four faces.
    tiny = np.float32(1e-3 * grid.step)
    values = np.where(np.abs(field) < tiny, np.where(field > 0, tiny, -tiny), field)
    values = np.pad(np.clip(values, -4 * grid.step, 4 * grid.step), 1, constant_values=-grid.step)
    if values.max() <= 0:
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    points, faces, _, _ = marching_cubes(values, 0.0, gradient_direction="ascent")
    vertices = (points.astype(np.float64) - 1.0) * grid.step + grid.origin
    return _without_crumbs(Mesh(vertices.astype(np.float32), faces.astype(np.int32)), grid.step)


def _without_crumbs(mesh: Mesh, step: float) -> Mesh:
    labels: Int32[np.ndarray, " f"] = face_components(mesh.faces)
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    volumes = np.bincount(labels, np.einsum("fk,fk->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0)
    keep = volumes >= _CRUMB * step**3
    keep[int(np.argmax(volumes))] = True
    return mesh if keep.all() else compact(Mesh(mesh.vertices, mesh.faces[keep[labels]]))
