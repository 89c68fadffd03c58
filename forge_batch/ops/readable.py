"""Refuse meshes that nothing can be made of, and drop from others what is no face."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, face_areas

MOST_FACES = 16_000_000
"""A mesh of 16 M faces takes about 6 GB through repair and decimation."""

_AGAIN = "try another seed, or another picture of it"


def readable(mesh: Mesh) -> tuple[Mesh, int]:
    """Give a mesh of finite vertices that faces use, and how many faces had corners that are not finite.

    Raises:
        StageError: As of `finite_faces`, and where more than a hundredth of the faces have corners that are not finite.
    """
    sound = finite_faces(mesh, _AGAIN, "write a lower generate: {resolution: ...}")
    dropped = int((~sound).sum())
    if dropped > 0.01 * len(mesh.faces):
        raise StageError(f"{dropped} of {len(mesh.faces)} faces have corners that are not finite", _AGAIN)
    return compact(Mesh(mesh.vertices, mesh.faces[sound])), dropped


def finite_faces(mesh: Mesh, again: str, fewer: str) -> Bool[np.ndarray, " f"]:
    """Mark the faces whose corners are finite.

    Args:
        mesh: Anything that was read.
        again: What to do about a mesh of which nothing can be made.
        fewer: What to do about one of too many faces.

    Raises:
        StageError: There is no face, a face names a vertex that is not there, no face has area, or there are more faces than
            can be worked on; with the numbers.
    """
    if not len(mesh.faces):
        raise StageError("the mesh has no faces", "look at the cut-outs: the generator found nothing")
    if len(mesh.faces) > MOST_FACES:
        found, most = len(mesh.faces) / 1e6, MOST_FACES / 1e6
        raise StageError(f"the mesh has {found:.0f} million faces, at most {most:.0f} million can be worked on", fewer)
    low, high = int(mesh.faces.min()), int(mesh.faces.max())
    if low < 0 or high >= len(mesh.vertices):
        raise StageError(f"a face names vertex {low if low < 0 else high}, there are {len(mesh.vertices)}", again)
    sound = np.isfinite(mesh.vertices).all(axis=1)[mesh.faces].all(axis=1)
    if not sound.any():
        raise StageError(f"{len(mesh.faces)} of {len(mesh.faces)} faces have corners that are not finite", again)
    if not mesh_has_area(Mesh(mesh.vertices, mesh.faces[sound])):
        raise StageError(f"none of {len(mesh.faces)} faces has any area", again)
    return np.asarray(sound)


def mesh_has_area(mesh: Mesh) -> bool:
    """Tell whether any face covers more than rounding."""
    used = compact(mesh)
    return bool(face_areas(used).max() > 1e-12 * used.diagonal**2)
