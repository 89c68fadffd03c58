"""Take in what a learned generator calls a mesh, or say why it is none."""

from __future__ import annotations

import numpy as np

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.orient import orient_outwards
from forge_batch.ops.voxel_field import VoxelField

MOST_FACES = 16_000_000
"""A mesh of 16 M faces takes about 6 GB through repair and decimation."""

_AGAIN = "try another seed, or another picture of it"


def raw_surface(vertices: np.ndarray, faces: np.ndarray, who: str) -> Mesh:
    """Make a mesh whose neighbouring faces agree and look outwards, without faces that name a vertex twice.

    Args:
        vertices: (v, 3), in any unit, house axes.
        faces: (f, 3).
        who: Name of the generator, for messages.

    Raises:
        StageError: It is empty, not finite, has no extent, faces out of range, or more faces than can be worked on.
    """
    if not len(vertices) or not len(faces):
        raise StageError(f"{who} gave an empty mesh: {len(vertices)} vertices, {len(faces)} faces", _AGAIN)
    if len(faces) > MOST_FACES:
        raise StageError(
            f"{who} gave {len(faces) / 1e6:.0f} million faces, at most {MOST_FACES / 1e6:.0f} million can be worked on",
            "write a lower generate: {resolution: ...}",
        )
    bad = int(np.count_nonzero(~np.isfinite(vertices).all(axis=1)))
    if bad:
        raise StageError(f"{who} gave {bad} of {len(vertices)} vertices that are not finite", _AGAIN)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise StageError(f"{who} gave faces that name vertices it did not give", _AGAIN)
    if not np.ptp(vertices, axis=0).max() > 1e-6:
        raise StageError(f"{who} gave a mesh without extent", _AGAIN)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    if not len(faces):
        raise StageError(f"{who} gave only faces that name a vertex twice", _AGAIN)
    used, renumbered = np.unique(faces, return_inverse=True)
    mesh = Mesh(vertices[used].astype(np.float32), renumbered.reshape(-1, 3).astype(np.int32))
    return orient_outwards(mesh)


def raw_field(coordinates: np.ndarray, values: np.ndarray, frame: np.ndarray, who: str) -> VoxelField:
    """Make a field of material from voxels whose values may lie outside 0..1.

    Args:
        coordinates: (n, 3), whole numbers, 0 or more.
        values: (n, 5): base colour in sRGB, metallic, roughness.
        frame: (4, 4), brings a point of house space to voxel space.
        who: Name of the generator, for messages.

    Raises:
        StageError: There are no voxels, not five channels, or values that are not finite.
    """
    if not len(coordinates):
        raise StageError(f"{who} gave a mesh without voxels to colour it", _AGAIN)
    if values.shape != (len(coordinates), 5):
        raise StageError(
            f"{who} gave material of shape {values.shape} for {len(coordinates)} voxels", "forge-batch vendor verify"
        )
    if not np.isfinite(values).all():
        raise StageError(f"{who} gave colours that are not finite", _AGAIN)
    clipped = np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    return VoxelField(coordinates.astype(np.int16), clipped, frame)
