"""Refuse meshes that no file should carry: what a reader would turn into NaN, a black face or an endless bounding box."""

from __future__ import annotations

import numpy as np

from forge_batch.ops.mesh import Mesh

LENGTH_TOLERANCE = 1e-3
"""How far from 1 a normal or tangent may be; glTF validators allow about 5e-3."""


def check_surface(mesh: Mesh, what: str) -> None:
    """Make sure that a textured level can be written.

    Guarantees faces with some area, indices in range, finite numbers, unit normals and tangents that are not parallel, and
    tangent signs of 1 or -1. Single faces without area pass: they do not harm.

    Args:
        mesh: In any unit.
        what: Name in the message.

    Raises:
        ValueError: One of these does not hold, or uv, normals or tangents are missing (a bug of the caller).
    """
    if mesh.uv is None or mesh.normals is None or mesh.tangents is None:
        raise ValueError(f"{what} needs uv, normals and tangents to be written")
    _check_faces(mesh, what)
    for name, array in (("uv", mesh.uv), ("normals", mesh.normals), ("tangents", mesh.tangents)):
        if not np.isfinite(array).all():
            raise ValueError(f"{what} has {name} that are not finite")
    for name, array in (("normals", mesh.normals), ("tangents", mesh.tangents[:, :3])):
        length = np.linalg.norm(array, axis=1)
        wrong = np.flatnonzero(np.abs(length - 1) > LENGTH_TOLERANCE)
        if len(wrong):
            raise ValueError(f"{what} has {len(wrong)} {name} without unit length; vertex {wrong[0]}: {length[wrong[0]]:g}")
    if (np.abs(np.einsum("vx,vx->v", mesh.normals, mesh.tangents[:, :3])) > 0.99).any():
        raise ValueError(f"{what} has tangents parallel to the normal")
    if not (np.abs(mesh.tangents[:, 3]) == 1).all():
        raise ValueError(f"{what} has tangent signs other than 1 and -1")


def check_hull(mesh: Mesh, what: str) -> None:
    """Make sure that a collision hull can be written: finite, faces in range, wound outwards round some volume.

    Raises:
        ValueError: One of these does not hold (a bug of the caller).
    """
    _check_faces(mesh, what)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64) - mesh.vertices.mean(axis=0), 1, 0)
    volume = float(np.einsum("fx,fx->", a, np.cross(b, c)) / 6)
    if volume <= 1e-9 * mesh.diagonal**3:
        raise ValueError(f"{what} encloses no volume ({volume:g}): it is flat or turned inside out")


def _check_faces(mesh: Mesh, what: str) -> None:
    if not len(mesh.faces):
        raise ValueError(f"{what} has no faces")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(f"{what} has faces that name vertices it does not have")
    if not np.isfinite(mesh.vertices).all():
        raise ValueError(f"{what} has vertices that are not finite")
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
    if not np.cross(b - a, c - a).any():
        raise ValueError(f"{what} has no face with an area")
