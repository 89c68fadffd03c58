"""Read the mesh, skeleton and weights of a skinned FBX that somebody else wrote, with ufbx in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.fbx_reader import held, items, triangles
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig

TIMEOUT = 120.0


def read_skinned_fbx(path: Path, folder: Path) -> tuple[Mesh, Rig]:
    """Give everything skinned in a file as one mesh in its rest pose, in the file's own frame and unit, and the skeleton.

    Weights are as in the file.

    Args:
        path: The file.
        folder: Where the process may write.

    Raises:
        BackendUnavailable: ufbx is not installed.
        StageError: It cannot be read, or holds no mesh with a skin.
    """
    if importlib.util.find_spec("ufbx") is None:
        raise BackendUnavailable("reading FBX needs ufbx", "pip install forge-batch[check]")
    try:
        arrays, meta = call(f"{__name__}:parse", {}, {"path": str(path)}, folder=folder, timeout=TIMEOUT)
    except ChildFailedError as error:
        raise StageError(f"{path.name} is not an FBX that ufbx can read", "look into the rigger's log") from error
    if not meta["names"] or "points" not in arrays:
        raise StageError(f"{path.name} holds no skin", "the rigger found no skeleton: try another seed")
    rig = Rig(
        tuple(meta["names"]),
        arrays["joints"].astype(np.float32),
        np.array(meta["parents"], np.int32),
        arrays["influences"].astype(np.int32),
        arrays["weights"].astype(np.float32),
    )
    return Mesh(arrays["points"].astype(np.float32), arrays["faces"].astype(np.int32)), rig


def parse(_: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Be the child: load the file and give what is skinned in it."""
    ufbx = importlib.import_module("ufbx")
    scene = held(ufbx.load_file(options["path"]))
    bones: list[tuple[str, int, np.ndarray]] = []
    meshes: list[Any] = []
    waiting = [(node, -1) for node in reversed(items(held(scene.root_node).children))]
    while waiting:
        node, parent = waiting.pop()
        if node.attrib_type == ufbx.ElementType.BONE:
            bones.append((node.name, parent, _matrix(node.node_to_world)[:, 3]))
            parent = len(bones) - 1
        elif node.attrib_type == ufbx.ElementType.MESH and len(items(held(node.mesh).skin_deformers)):
            meshes.append(node)
        waiting += [(child, parent) for child in reversed(items(node.children))]
    number = {name: index for index, (name, _, _) in enumerate(bones)}
    arrays: dict[str, np.ndarray] = {"joints": np.array([place for _, _, place in bones]).reshape(-1, 3)}
    if meshes:
        arrays |= _joined([_skinned(node, number) for node in meshes])
    return arrays, {"names": [name for name, _, _ in bones], "parents": [parent for _, parent, _ in bones]}


def _skinned(node: Any, number: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give points in the world, faces, and the weight of each joint at each point."""
    mesh = held(node.mesh)
    matrix = _matrix(node.geometry_to_world)
    points = np.array([(v.x, v.y, v.z) for v in items(mesh.vertex_position.values)]) @ matrix[:, :3].T + matrix[:, 3]
    corners = np.array(items(mesh.vertex_position.indices), np.int64)[triangles(mesh)]
    weights = np.zeros((len(points), len(number)))
    for cluster in items(items(mesh.skin_deformers)[0].clusters):
        bone = held(cluster.bone_node).name
        if bone in number:
            weights[np.array(items(cluster.vertices), np.int64), number[bone]] = items(cluster.weights)
    return points, corners.reshape(-1, 3), weights


def _joined(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put meshes into one, and keep the strongest eight joints of each point."""
    start = np.cumsum([0] + [len(points) for points, _, _ in parts])
    weights = np.concatenate([part[2] for part in parts])
    keep = np.argsort(-np.nan_to_num(weights, nan=np.inf), axis=1, kind="stable")[:, :8]
    return {
        "points": np.concatenate([part[0] for part in parts]),
        "faces": np.concatenate([part[1] + first for part, first in zip(parts, start, strict=False)]),
        "influences": keep,
        "weights": np.take_along_axis(weights, keep, axis=1),
    }


def _matrix(m: Any) -> np.ndarray:
    """Give an affine matrix (3, 4)."""
    return np.array([[getattr(column, axis) for column in (m.c0, m.c1, m.c2, m.c3)] for axis in "xyz"])
