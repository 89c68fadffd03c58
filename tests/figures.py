"""Make figures whose joints are known: bodies of capsules, and a person with the joints that people set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from skimage.measure import marching_cubes

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import decode_mesh

CELL = 0.015
HUMAN = Path(__file__).parent / "data" / "human"
Capsule = tuple[Sequence[float], Sequence[float], float]
"""Both ends and the radius, metres."""


def human() -> tuple[Mesh, dict[str, np.ndarray]]:
    """Give a person of 1.67 m in A-pose with 4,000 triangles, and its joints by the Mannequin's names."""
    mesh = decode_mesh((HUMAN / "mesh.ply").read_bytes(), "ply", "human")
    return mesh, {name: np.array(place) for name, place in json.loads((HUMAN / "joints.json").read_text()).items()}


def union(capsules: Sequence[Capsule], cell: float = CELL) -> Mesh:
    """Join capsules to one closed outward surface; it lies within half a cell of the true one."""
    ends = np.array([end for capsule in capsules for end in capsule[:2]], np.float64)
    room = max(radius for *_, radius in capsules) + 3 * cell
    low, high = ends.min(axis=0) - room, ends.max(axis=0) + room
    axes = [np.arange(low[axis], high[axis], cell) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    field = np.full(points.shape[:3], np.inf)
    for a, b, radius in capsules:
        start, way = np.array(a, np.float64), np.subtract(b, a).astype(np.float64)
        along = np.clip((points - start) @ way / max(float(way @ way), 1e-12), 0.0, 1.0)
        field = np.minimum(field, np.linalg.norm(points - start - along[..., None] * way, axis=-1) - radius)
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(cell,) * 3)
    return Mesh((vertices + low).astype(np.float32), np.ascontiguousarray(faces[:, ::-1], np.int32))


def figure(
    drop: float = 45.0, *, legs: float = 0.95, head: float = 0.1, more: Sequence[Capsule] = (), arms: bool = True
) -> tuple[Mesh, dict[str, np.ndarray]]:
    """Make a figure of capsules, facing +Z on y = 0, and say where its joints are.

    Args:
        drop: Degrees of the arms below the horizontal: 0 is T-pose, 45 A-pose.
        legs: Height of the hips, metres; the trunk above is always 0.5 m.
        head: Radius of the head, metres.
        more: Capsules that it wears or holds.
        arms: Whether it has any.
    """
    joints: dict[str, np.ndarray] = {}
    body: list[Capsule] = [*more]
    collar = legs + 0.49
    out = np.array([np.cos(np.radians(drop)), -np.sin(np.radians(drop)), 0.0])
    for name, sign in (("l", 1.0), ("r", -1.0)):
        side = np.array([sign, 1.0, 1.0])
        hip, ankle = np.array([0.1, legs, 0.0]) * side, np.array([0.12, 0.08, 0.0]) * side
        knee = (hip + ankle) / 2
        ball, toe = np.array([0.12, 0.045, 0.1]) * side, np.array([0.12, 0.045, 0.15]) * side
        heel = np.array([0.12, 0.045, -0.03]) * side
        body += [(hip, knee, 0.075), (knee, ankle, 0.05), (heel, toe, 0.045)]
        joints |= {f"thigh_{name}": hip, f"calf_{name}": knee, f"foot_{name}": ankle, f"ball_{name}": ball}
        body += [(np.array([0.07, legs + 0.04, 0]) * side, np.array([0.07, collar - 0.06, 0]) * side, 0.1)]
        if arms:
            shoulder = np.array([0.18, collar, 0.0]) * side
            elbow, wrist, tip = (shoulder + length * out * side for length in (0.28, 0.53, 0.68))
            body += [(np.array([0.0, collar, 0.0]), shoulder, 0.055), (shoulder, elbow, 0.045), (elbow, tip, 0.037)]
            joints |= {f"upperarm_{name}": shoulder, f"lowerarm_{name}": elbow, f"hand_{name}": wrist}
    chin = collar + 0.1
    body += [((0, collar, 0), (0, chin + head, 0), 0.05), ((0, chin + head, 0), (0, chin + 1.3 * head, 0), head)]
    joints |= {"pelvis": np.array([0, legs, 0]), "neck_01": np.array([0, collar + 0.05, 0])}
    return union(body), joints
