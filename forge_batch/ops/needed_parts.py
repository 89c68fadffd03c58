"""Drop the loose parts of a carved solid that no outline asks for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32

from forge_batch.ops.camera import Camera
from forge_batch.ops.components import component_areas, face_components
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.silhouette import Silhouette
from forge_batch.ops.topology import compact
from forge_batch.ops.zbuffer import see

LOOSE = 0.05  # share of the area below which a component must justify itself
NEEDED = 0.3  # share of a component's outline that nothing larger covers, in some view, from which it stays


def drop_needless_parts(mesh: Mesh, silhouettes: Sequence[Silhouette]) -> Mesh:
    """Drop small components that hardly cover a pixel of any outline that the rest leaves open.

    What outlines alone allow often breaks into flakes beside the real part. Links of a chain stay, since nothing else covers
    their pixels; so do parts of more than a twentieth of the surface.
    """
    labels = face_components(mesh.faces)
    areas = component_areas(mesh, labels)
    small = areas < LOOSE * areas.sum()
    small[int(np.argmax(areas))] = False
    if not small.any():
        return mesh
    need = np.zeros(len(areas))
    loose = np.flatnonzero(small[labels])
    for silhouette in silhouettes:
        rows, columns = silhouette.bulge.shape
        points = _on_plane(mesh.vertices, silhouette.camera, columns, rows)
        covered = see(points, mesh.faces[~small[labels]], max(rows, columns), cull=False).face >= 0
        shown = see(points, mesh.faces[loose], max(rows, columns), cull=False).face
        seen = shown >= 0
        owner = labels[loose[shown[seen]]]
        outline = cv2.resize(silhouette.mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
        asked = np.zeros(shown.shape, bool)
        asked[:rows, :columns] = outline
        alone = (asked & ~covered)[seen]
        total = np.bincount(owner, minlength=len(areas))
        need = np.maximum(need, np.bincount(owner, alone, minlength=len(areas)) / np.maximum(total, 1))
    keep = ~small | (need >= NEEDED)
    return mesh if keep.all() else compact(Mesh(mesh.vertices, mesh.faces[keep[labels]]))


def _on_plane(vertices: Float32[np.ndarray, "v 3"], camera: Camera, columns: int, rows: int) -> np.ndarray:
    """Give pixel and depth (v, 3) of each vertex on a picture of another size."""
    pixels, depth = camera.project(vertices)
    return np.column_stack([pixels * [columns / camera.size[0], rows / camera.size[1]], depth])
