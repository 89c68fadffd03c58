"""Open what a package holds besides LOD0: further levels, hulls and skeletons, in house space, by independent readers."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh

from forge_batch.ops.fbx_reader import FbxContents
from forge_batch.ops.measure_shape import weld
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import SOLID
from forge_batch.ops.rig import Rig
from forge_batch.ops.skinned_fbx import read_skinned_fbx
from forge_batch.ops.skinned_glb import decode_skinned_glb
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.packages.asset import turned
from forge_batch.packages.ue5 import FBX_AXES


class Parts(NamedTuple):
    """Be what was found.

    Attributes:
        lods: The finest first; empty where no file holds more than one level.
        hulls: Shapes for collision; None if there are none.
        skinned: Everything that is skinned in a file, and its rig, by the file's name.
    """

    lods: list[Mesh]
    hulls: list[Mesh] | None
    skinned: dict[str, tuple[Mesh, Rig]]


def open_parts(files: Mapping[str, bytes], read: Mapping[str, FbxContents]) -> Parts:
    """Open the parts of a package.

    Args:
        files: Content by name.
        read: What ufbx found in each FBX that it read.

    Raises:
        StageError: A model that holds a skin cannot be read.
    """
    lods: list[Mesh] = []
    hulls: list[Mesh] = []
    for fbx in read.values():
        if len(fbx.levels) > len(lods) and len(fbx.levels) > 1:
            lods = [split_by_tangent(_housed(part.mesh, fbx.up, fbx.unit)) for part in fbx.levels]
        hulls += [_housed(part.mesh, fbx.up, fbx.unit) for part in fbx.solids]
    skinned = {name: _skinned_fbx(files[name], fbx) for name, fbx in read.items() if fbx.skinned}
    for name in sorted(name for name in files if name.endswith(".glb")):
        hulls += _solids(files[name])
        if b'"skins"' in files[name]:
            skinned[name] = decode_skinned_glb(files[name], name)
    return Parts(lods, [weld(hull) for hull in hulls] or None, skinned)


def _housed(mesh: Mesh, up: str, unit: float) -> Mesh:
    """Carry a mesh of an FBX into house space: with Z up it is Unreal's file, with Y up it stands there but for its unit."""
    axes = FBX_AXES.T if up == "POSITIVE_Z" else np.eye(3, dtype=np.float32)
    return turned(mesh, axes, unit)


def _skinned_fbx(data: bytes, fbx: FbxContents) -> tuple[Mesh, Rig]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.fbx"
        path.write_bytes(data)
        mesh, rig = read_skinned_fbx(path, Path(folder))
    joints = _housed(Mesh(rig.joints, np.zeros((0, 3), np.int32)), fbx.up, fbx.unit).vertices
    return _housed(mesh, fbx.up, fbx.unit), replace(rig, joints=joints)


def _solids(data: bytes) -> list[Mesh]:
    """Read the shapes for collision of a GLB."""
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
    shapes: list[Any] = [
        scene.geometry[scene.graph[node][1]] for node in sorted(scene.graph.nodes_geometry) if SOLID.search(node)
    ]
    return [Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)) for shape in shapes]
