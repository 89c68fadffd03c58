"""Bend a skeleton in house space, and ask programs that are not ours to bend the one they find in a file alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, posed
from tests.readers import ask_blender_skin, ask_three_glb_skin, ask_three_skin, ask_ufbx_skin

HOUSE = np.eye(3)
UE5_FBX = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From house space into Unreal's file, and into Blender's world where a file has Y up."""

Turns = Mapping[str, tuple[str, float]]
Bent = list[dict[str, np.ndarray]]
"""Corners of each mesh by name, pose by pose."""


def matrices(rig: Rig, turns: Turns) -> np.ndarray:
    """Give the turn of each joint (axis of the house, degrees) as a matrix in house axes; (j, 3, 3)."""
    every = [Rotation.from_euler(*turns[name], degrees=True) if name in turns else Rotation.identity() for name in rig.names]
    return np.array([one.as_matrix() for one in every])


def expected(rig: Rig, mesh: Mesh, poses: Sequence[Turns]) -> list[np.ndarray]:
    """Give where linear blend skinning puts each corner of a mesh, in house space, pose by pose."""
    return [posed(rig, mesh.vertices, matrices(rig, turns))[mesh.faces.ravel()] for turns in poses]


def by_ufbx(path: Path, rig: Rig, poses: Sequence[Turns], axes: np.ndarray) -> Bent:
    """Bend with the control points, weights and matrices that ufbx read; `axes` lead from the house into the file."""
    read = ask_ufbx_skin(path)
    local = {node["name"]: np.vstack([node["to_parent"], [0, 0, 0, 1]]) for node in read["nodes"]}
    parents = {node["name"]: node["parent"] for node in read["nodes"]}
    result = []
    for turns in poses:
        turned = dict(zip(rig.names, axes @ matrices(rig, turns) @ axes.T, strict=True))
        world: dict[str | None, np.ndarray] = {None: np.eye(4)}
        for name, matrix in local.items():  # parents come first
            own = matrix.copy()
            own[:3, :3] = own[:3, :3] @ turned.get(name, np.eye(3))
            world[name] = world[parents[name]] @ own
        result.append({mesh["name"]: _skinned(mesh, world) for mesh in read["meshes"]})
    return result


def _skinned(mesh: dict, world: Mapping[str | None, np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
    points = np.column_stack([mesh["points"], np.ones(len(mesh["points"]))])
    moved = np.zeros((len(points), 3))
    for cluster in mesh["clusters"]:
        matrix = (world[cluster["bone"]] @ np.vstack([cluster["geometry_to_bone"], [0, 0, 0, 1]]))[:3]
        moved[cluster["vertices"]] += (points[cluster["vertices"]] @ matrix.T) * np.array(cluster["weights"])[:, None]
    return np.asarray(moved[mesh["corners"]])


def by_three(path: Path, rig: Rig, poses: Sequence[Turns], axes: np.ndarray) -> Bent:
    """Bend by quaternions in three.js; an FBX comes back as if Z were up in it."""
    file = path.with_suffix(".quaternions.json")
    rows = []
    for turns in poses:
        turned = Rotation.from_matrix(axes @ matrices(rig, turns) @ axes.T)
        rows.append(dict(zip(rig.names, turned.as_quat().tolist(), strict=True)))
    file.write_text(json.dumps(rows))
    read = ask_three_glb_skin(path, file) if path.suffix == ".glb" else ask_three_skin(path, file)
    return _arrays(read["poses"])


def by_blender(path: Path, rig: Rig, poses: Sequence[Turns], axes: np.ndarray, importer: str) -> Bent:
    """Bend by matrices in Blender's world, in metres; `axes` lead from the house into it."""
    file = path.with_suffix(".matrices.json")
    file.write_text(json.dumps([moves(rig, turns, axes) for turns in poses]))
    return _arrays(ask_blender_skin(path, file, importer)["poses"])


def moves(rig: Rig, turns: Turns, axes: np.ndarray) -> dict[str, list[list[float]]]:
    """Give the matrix by which each joint moves what hangs on it, in metres of a world that `axes` lead to."""
    frame = np.eye(4)
    frame[:3, :3] = axes
    world: list[np.ndarray] = []
    result = {}
    for index, (name, matrix) in enumerate(zip(rig.names, matrices(rig, turns), strict=True)):
        parent, place = int(rig.parents[index]), rig.joints[index].astype(np.float64)
        local, back = np.eye(4), np.eye(4)
        local[:3, :3] = matrix
        local[:3, 3] = place - (rig.joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
        back[:3, 3] = -place
        result[name] = (frame @ world[-1] @ back @ frame.T).tolist()
    return result


def _arrays(poses: Sequence[Mapping[str, Sequence[Sequence[float]]]]) -> Bent:
    return [{name: np.array(rows) for name, rows in pose.items()} for pose in poses]
