"""Pose a humanoid as it walks, and say how well its skin follows."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, posed

SWING, ELBOW, ROLL = 28.0, 20.0, 20.0
KNEE = (8.0, 45.0)
HANGING = 75.0
"""Degrees: of thigh and arm forth and back, of the elbow's bend, of the foot; the knee's least and further bend; below the
horizontal that arms hang."""


class Followed(NamedTuple):
    """Be what a pose does to the skin.

    Attributes:
        stretch: How many times longer an edge became, 99th percentile by length.
        shrink: How many times shorter, likewise.
        turned: Share of the area whose normal turned against the way its own joints turned it, 0..1.
        volume: Enclosed, over that of the bind pose.
    """

    stretch: float
    shrink: float
    turned: float
    volume: float


def walk_pose(rig: Rig, phase: float) -> Float64[np.ndarray, "j 3 3"]:
    """Give the turn of each joint, in the axes of its parent, at a moment of a walk.

    Joints are known by the Mannequin's names; others stay. Arms hang down, whatever the bind pose.

    Args:
        rig: A humanoid in A-pose or T-pose, facing +Z.
        phase: 0..1; at 0.25 the left leg is foremost.
    """
    turns = np.tile(np.eye(3), (len(rig.names), 1, 1))
    number = {name: index for index, name in enumerate(rig.names)}

    def turn(name: str, axis: str, degrees: float) -> None:
        if name in number:
            turns[number[name]] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix() @ turns[number[name]]

    for side, sign, at in (("l", 1.0, phase), ("r", -1.0, phase + 0.5)):
        swing = np.sin(2 * np.pi * at)
        lift = max(0.0, float(np.cos(2 * np.pi * at)))
        turn(f"thigh_{side}", "x", -SWING * swing)
        turn(f"calf_{side}", "x", KNEE[0] + KNEE[1] * lift)
        turn(f"foot_{side}", "x", -ROLL * swing)
        turn(f"upperarm_{side}", "z", -sign * _drop(rig, number, side))
        turn(f"upperarm_{side}", "x", SWING * swing)
        turn(f"lowerarm_{side}", "x", -ELBOW)
    turn("spine_02", "y", 6.0 * np.sin(2 * np.pi * phase))
    return turns


def _drop(rig: Rig, number: dict[str, int], side: str) -> float:
    """Give by how many degrees an arm must sink to hang."""
    if f"upperarm_{side}" not in number or f"hand_{side}" not in number:
        return 0.0
    x, y, _ = rig.joints[number[f"hand_{side}"]] - rig.joints[number[f"upperarm_{side}"]]
    return float(HANGING + np.degrees(np.arctan2(y, abs(x))))


def follow(rig: Rig, mesh: Mesh, turns: Float64[np.ndarray, "j 3 3"]) -> Followed:
    """Pose a mesh and compare it with its bind pose.

    Edges shorter than a tenth of the mean are left out: a ratio says nothing of them.

    Args:
        rig: For the mesh's vertices.
        mesh: In bind pose.
        turns: As for ops.rig.posed.
    """
    faces, rest = mesh.faces, mesh.vertices.astype(np.float64)
    bent = posed(rig, mesh.vertices, turns)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    before, after = (np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) for points in (rest, bent))
    kept = before > 0.1 * before.mean()
    ratio = after[kept] / before[kept]
    order = np.argsort(ratio, kind="stable")
    share = np.cumsum(before[kept][order]) / before[kept].sum()
    low, high = (float(ratio[order][np.searchsorted(share, limit)]) for limit in (0.01, 0.99))
    normals = [np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]]) for p in (rest, bent)]
    area = np.linalg.norm(normals[0], axis=1)
    against = (normals[1] * _turned_along(rig, mesh, normals[0], turns)).sum(axis=1) < 0
    volumes = [float((p[faces[:, 0]] * np.cross(p[faces[:, 1]], p[faces[:, 2]])).sum()) for p in (rest, bent)]
    return Followed(high, 1.0 / max(low, 1e-9), float(area[against].sum() / area.sum()), volumes[1] / volumes[0])


def _turned_along(rig: Rig, mesh: Mesh, normals: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Give where the joints of each face turn its normal, the mean of its corners."""
    total = np.zeros_like(normals)
    for corner in mesh.faces.T:
        mine = replace(rig, influences=rig.influences[corner], weights=rig.weights[corner])
        ends = [posed(mine, (mesh.vertices[corner] + side * normals).astype(np.float32), turns) for side in (0.0, 1.0)]
        total += ends[1] - ends[0]
    return total
