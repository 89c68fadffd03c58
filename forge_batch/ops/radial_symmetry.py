"""Find the axis of a thing that is alike all round, and the plane between its wedges."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from forge_batch.ops.deviation import sample_surface
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.symmetry import SAMPLES, SEARCH, TILT, find_plane

BETTER = 0.8
"""What is turned, tilted or off the middle must lie nearer to its image than what stands straight, by this factor: samples are
noisy, and a thing that is nearly upright is meant to stand upright."""

STEPS = 24
"""Directions of the first plane that are tried, within one wedge."""


def find_pose(mesh: Mesh, count: int) -> Float64[np.ndarray, "4 4"]:
    """Find how a thing of `count` mirrored wedges stands: the rigid matrix that takes a thing round +Y to where it is.

    It takes the axis +Y to the thing's, and the half plane towards +X to where two of its wedges meet. The axis is looked for
    within some ten degrees of the vertical and near the middle, the plane all round.
    """
    points = sample_surface(mesh, SAMPLES)
    tree, probes = cKDTree(points), points[::17]
    low, high = mesh.bounds
    middle = np.array([find_plane(mesh, 0), 0.5 * float(low[1] + high[1]), find_plane(mesh, 2)])

    def away(pose: np.ndarray, local: np.ndarray) -> float:
        matrix = pose @ local @ np.linalg.inv(pose)
        return float(tree.query(probes @ matrix[:3, :3].T + matrix[:3, 3])[0].mean())

    def stand(x: np.ndarray) -> np.ndarray:
        return _pose(middle + mesh.diagonal * np.array([x[0], 0.0, x[1]]), x[2:])

    def cost(x: np.ndarray) -> float:
        return away(stand(x), turn_about_y(2 * np.pi / count)) + mesh.diagonal * max(0.0, float(np.abs(x[2:]).max()) - TILT)

    starts = [np.zeros(4), *(np.array([0.0, 0.0, s * t, s * (1 - t)]) for s in (-0.1, 0.1) for t in (0, 1))]
    step = np.vstack([np.zeros(4), np.diag([0.02, 0.02, 0.04, 0.04])])
    found = [minimize(cost, x, method="Nelder-Mead", options=SEARCH | {"initial_simplex": x + step}) for x in starts]
    best = min(found, key=lambda one: round(float(one.fun), 12)).x
    pose = stand(best if cost(best) < BETTER * cost(np.zeros(4)) else np.zeros(4))
    wedge = np.pi / count
    mirror = np.diag([1.0, 1.0, -1.0, 1.0])

    def off(angle: float) -> float:
        return away(pose @ turn_about_y(angle), mirror)

    angle = min(wedge * np.arange(STEPS) / STEPS, key=off)
    width = wedge / STEPS
    while width > 1e-4:
        width /= 2
        angle = min((angle, angle - width, angle + width), key=off)
    return np.asarray(pose @ turn_about_y(angle if off(angle) < BETTER * off(0.0) else 0.0))


def _pose(centre: np.ndarray, slope: np.ndarray) -> Float64[np.ndarray, "4 4"]:
    """Give the matrix that takes the origin to a centre and +Y to (slope, 1, slope), by the shortest turn."""
    x, y, z = np.array([slope[0], 1.0, slope[1]]) / np.sqrt(1.0 + slope @ slope)
    cross = np.array([[0.0, x, 0.0], [-x, 0.0, -z], [0.0, z, 0.0]])
    matrix = np.eye(4)
    matrix[:3, :3] += cross + cross @ cross / (1.0 + y)
    matrix[:3, 3] = centre
    return matrix


def turn_about_y(angle: float) -> Float64[np.ndarray, "4 4"]:
    """Give the turn about +Y by an angle in radians, from +Z towards +X."""
    matrix = np.eye(4)
    matrix[[0, 0, 2, 2], [0, 2, 0, 2]] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    return matrix
