"""Colour a surface from the pictures it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.silhouette import Silhouette
from forge_batch.ops.source import Projection, SourceMesh, read_srgb
from forge_batch.ops.view_weights import fill_unseen, view_weights

ROUGHNESS = 0.7
"""Of everything: pictures do not tell."""


def color_from_views(
    mesh: Mesh, pictures: Mapping[str, np.ndarray], silhouettes: Sequence[Silhouette], step: float
) -> SourceMesh:
    """Project pictures onto a surface, and continue their colours over what none of them sees.

    A single picture is projected onto the hidden side as well: it is the best guess there is.

    Args:
        mesh: With normals, in the space of the cameras.
        pictures: (h, w, 3) uint8 sRGB by view, colour bled outwards over the background.
        silhouettes: Outline and camera of every picture.
        step: How far rays start above the surface, over 1.5: about an edge of the mesh.
    """
    weights = view_weights(mesh, [s.camera for s in silhouettes], [s.distance for s in silhouettes], 1.5 * step)
    seen = (weights.sum(axis=0) > 0).astype(np.float32)
    color = np.zeros((len(mesh.vertices), 3), np.float32)
    projections = []
    for silhouette, weight in zip(silhouettes, weights, strict=True):
        image = pictures[silhouette.name]
        height, width = image.shape[:2]
        rows, columns = silhouette.mask.shape
        factor = np.array([width / columns, height / rows])
        plane = silhouette.camera
        camera = Camera(plane.view, plane.focal * factor, plane.centre * factor, (width, height), plane.orthographic)
        projections.append(Projection(image, camera, weight))
        used = np.flatnonzero(weight > 0)
        color[used] += weight[used, None] * read_srgb(image, camera.project(mesh.vertices[used])[0])
    if len(silhouettes) == 1:
        hidden = seen == 0
        color[hidden] = read_srgb(projections[0].image, projections[0].camera.project(mesh.vertices[hidden])[0])
    else:
        color = fill_unseen(mesh, color, seen)
    count = len(mesh.vertices)
    return SourceMesh(
        mesh=mesh,
        base_color=np.clip(color, 0.0, 1.0),
        metallic=np.zeros(count, np.float32),
        roughness=np.full(count, ROUGHNESS, np.float32),
        seen=seen,
        projections=tuple(projections),
    )
