"""Tell what of a surface can be seen from outside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from forge_batch.ops.deviation import distances, sample_points
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rays import RayScene

DIRECTIONS = 96
"""Directions that a point is looked at from: with 64, the floor of a mug three times as deep as wide is sometimes missed."""

SAMPLES = 4000
"""Points of a surface that are asked; a share of 1 % is then known to a third of itself."""

PLAIN = 0.08
"""Share of all directions a point must be seen from to count as outside in a surface that may be full of holes."""


class Exposure(NamedTuple):
    """Be points of a surface, the face of each, and the share of all directions it is seen from."""

    points: Float64[np.ndarray, "n 3"]
    face: Int64[np.ndarray, " n"]
    seen: Float32[np.ndarray, " n"]


def directions(count: int) -> Float64[np.ndarray, "n 3"]:
    """Spread unit vectors evenly over the sphere (Fibonacci's spiral)."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=1)


def measure_exposure(mesh: Mesh, samples: int = SAMPLES, *, fronts: bool = True) -> Exposure:
    """Look at points of a surface from every side.

    Args:
        mesh: At least one face with area.
        samples: Points, spread by area.
        fronts: Whether only the side that a face is wound to counts; else both do, for surfaces wound at random.
    """
    points, face = sample_points(mesh, samples)
    corners = mesh.vertices.astype(np.float64)[mesh.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    scene, step = RayScene(mesh), 2e-5 * mesh.diagonal
    seen = np.zeros(len(points), np.float32)
    for direction in directions(DIRECTIONS):
        facing = normal @ direction
        asked = np.flatnonzero(facing > 0.02 if fronts else np.abs(facing) > 0.02)
        start = points[asked] + step * np.sign(facing[asked])[:, None] * normal[asked]
        free = ~scene.occluded(start, np.broadcast_to(direction, start.shape))
        seen[asked[free]] += 1
    return Exposure(points, face, seen / DIRECTIONS)


def find_hidden(mesh: Mesh, labels: Int32[np.ndarray, " f"], most: float = 0.02) -> Bool[np.ndarray, " c"]:
    """Mark components of which at most the share `most` can be seen; the one that is seen most is never marked.

    Needs components wound outwards. One without a sample is not marked.
    """
    count = int(labels.max(initial=-1)) + 1
    if count < 2:
        return np.zeros(count, bool)
    exposure = measure_exposure(mesh, max(SAMPLES, min(64 * count, 40_000)))
    owner = labels[exposure.face]
    asked = np.bincount(owner, minlength=count)
    visible = np.bincount(owner, weights=exposure.seen > 0, minlength=count)
    hidden = (asked > 0) & (visible <= most * asked)
    hidden[int(np.argmax(visible))] = False
    return np.asarray(hidden)


def hidden_share(mesh: Mesh) -> float:
    """Give the share of the area of which nothing is seen, 0..1."""
    return float((measure_exposure(mesh).seen == 0).mean())


def lost_distance(result: Mesh, given: Mesh) -> float:
    """Give how far the outside of a given mess lies from a result: 99th percentile over its visible points, in diagonals.

    What the result has beyond the mess, a closed hole say, does not count.
    """
    exposure = measure_exposure(given, fronts=False)
    plain = exposure.points[exposure.seen >= PLAIN]
    if not len(plain):
        return 0.0
    return float(np.quantile(distances(plain, result), 0.99) / given.diagonal)
