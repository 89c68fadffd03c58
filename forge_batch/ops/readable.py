"""Refuse meshes that nothing can be made of, and drop from others what is no face."""

from __future__ import annotations

import numpy as np

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, face_areas

MOST_FACES = 16_000_000
"""A mesh of 16 M faces takes about 6 GB through repair and decimation."""

_AGAIN = "try another seed, or another picture of it"


def readable(mesh: Mesh) -> tuple[Mesh, int]:
    """Give a mesh of finite vertices that faces use, and how many faces had corners that are not finite.

    Raises:
        StageError: There is no face, a face names a vertex that is not there, more than a hundredth of the faces have corners
            that are not finite, no face has area, or there are more faces than can be worked on; with the numbers.
    """
    if not len(mesh.faces):
        raise StageError("the mesh has no faces", "look at the cut-outs: the generator found nothing")
    if len(mesh.faces) > MOST_FACES:
        raise StageError(
            f"the mesh has {len(mesh.faces) / 1e6:.0f} million faces, at most {MOST_FACES / 1e6:.0f} million can be worked on",
            "write a lower generate: {resolution: ...}",
        )
    low, high = int(mesh.faces.min()), int(mesh.faces.max())
    if low < 0 or high >= len(mesh.vertices):
        raise StageError(f"a face names vertex {low if low < 0 else high}, there are {len(mesh.vertices)}", _AGAIN)
    sound = np.isfinite(mesh.vertices).all(axis=1)[mesh.faces].all(axis=1)
    dropped = int((~sound).sum())
    if dropped > 0.01 * len(mesh.faces):
        raise StageError(f"{dropped} of {len(mesh.faces)} faces have corners that are not finite", _AGAIN)
    whole = compact(Mesh(mesh.vertices, mesh.faces[sound]))
    if not mesh_has_area(whole):
        raise StageError(f"none of {len(mesh.faces)} faces has any area", _AGAIN)
    return whole, dropped


def mesh_has_area(mesh: Mesh) -> bool:
    """Tell whether any face covers more than rounding."""
    return bool(face_areas(mesh).max() > 1e-12 * mesh.diagonal**2)
