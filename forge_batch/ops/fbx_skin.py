"""Write a skinned mesh with levels of detail as binary FBX, in Unreal's frame or Unity's (see ops.fbx).

Bones stand in the bind pose unturned, in the file's own axes, and no leaf bones are added. They hang on an empty object
`Armature`, which Unreal leaves out by that very name; their top one is `root`. In the file a cluster's `Transform` carries the
mesh into the bone's space, `TransformLink` is the bone in the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forge_batch.ops.fbx import level_name
from forge_batch.ops.fbx_file import object_name, properties, record
from forge_batch.ops.fbx_geometry import point_owners, surface
from forge_batch.ops.fbx_graph import ROOT, Graph
from forge_batch.ops.fbx_header import UNREAL, Frame
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, hung, rig_fault
from forge_batch.ops.writable import check_surface

ARMATURE = "Armature"


@dataclass(frozen=True, eq=False)
class SkinnedScene:
    """Be what the FBX of a character holds, in the file's own frame and unit.

    Attributes:
        name: Of the asset and of LOD0; the others get `_LOD1`, `_LOD2`, the group `_LodGroup`.
        lods: The finest first, with uv, normals and tangents.
        rigs: The same joints for each level, with weights for its vertices.
        thresholds: Distances at which LOD1, LOD2, ... take over; one less than `lods`.
        materials: The slots that all levels share; see FbxScene.
        sockets: Position by name; an empty object `SOCKET_<name>` below the nearest bone. Unreal would take it for a bone.
        frame: Axes and unit that the file declares.
        grouped: Whether levels stand in an LOD group; see FbxScene.
    """

    name: str
    lods: Sequence[Mesh]
    rigs: Sequence[Rig]
    thresholds: Sequence[float]
    materials: Mapping[str, Mapping[str, str]]
    sockets: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    frame: Frame = UNREAL
    grouped: bool = True

    def level_name(self, level: int) -> str:
        """Name an LOD's object and mesh data."""
        return level_name(self.name, level, len(self.lods), self.grouped)


def encode_skinned_fbx(scene: SkinnedScene) -> bytes:
    """Give the bytes of an FBX 7.4 binary file with skins, bones and their bind pose; same scene, same bytes.

    Raises:
        ValueError: A level or its rig cannot be written, or levels, rigs and thresholds do not match (a bug of the caller).
    """
    _check(scene)
    graph = Graph()
    slots = [graph.add_material(name, textures) for name, textures in scene.materials.items()]
    rig = scene.rigs[0]
    armature = graph.add_empty(ARMATURE, (0.0, 0.0, 0.0), ROOT)
    bones: list[np.int64] = []
    for name, joint, parent in zip(rig.names, rig.joints.astype(np.float64), rig.parents, strict=True):
        x, y, z = (joint - (rig.joints[parent] if parent >= 0 else 0.0)).tolist()
        bones.append(graph.add_bone(name, (x, y, z), bones[parent] if parent >= 0 else armature))
    for name, place in scene.sockets.items():
        joint, (x, y, z) = hung(rig, place)
        graph.add_empty(f"SOCKET_{name}", (x, y, z), bones[joint])
    grouped = scene.grouped and scene.thresholds
    parent = graph.add_lod_group(f"{scene.name}_LodGroup", scene.thresholds) if grouped else ROOT
    meshes = []
    for level, (mesh, weights) in enumerate(zip(scene.lods, scene.rigs, strict=True)):
        number = graph.add_mesh(scene.level_name(level), surface(mesh), parent)
        for slot in slots:
            graph.connect(slot, number)
        _add_skin(graph, np.int64(number + 1), mesh, weights, bones)
        meshes.append(number)
    _add_bind_pose(graph, [armature, *meshes], bones, rig)
    return graph.encode(scene.frame)


def _check(scene: SkinnedScene) -> None:
    if not scene.lods or len(scene.rigs) != len(scene.lods) or len(scene.thresholds) != len(scene.lods) - 1:
        raise ValueError("each level needs a rig, and each but the first a threshold")
    for level, (mesh, rig) in enumerate(zip(scene.lods, scene.rigs, strict=True)):
        check_surface(mesh, f"level {level} of {scene.name}")
        if fault := rig_fault(rig, len(mesh.vertices)):
            raise ValueError(f"level {level} of {scene.name}: {fault}")
        if list(rig.names) != list(scene.rigs[0].names):
            raise ValueError(f"level {level} of {scene.name} has other joints than level 0")


def _add_skin(graph: Graph, geometry: np.int64, mesh: Mesh, rig: Rig, bones: Sequence[np.int64]) -> None:
    """Hang a skin on a geometry, with a cluster for each bone that moves anything."""
    rows = [record("Version", 101), record("Link_DeformAcuracy", 50.0)]
    skin = graph.add(record("Deformer", object_name("Skin", "Deformer"), "Skin", children=rows))
    graph.connect(skin, geometry)
    owners = point_owners(mesh.vertices, mesh.faces)
    dense = np.zeros((len(owners), len(bones)))
    for influence, weight in zip(rig.influences[owners].T, rig.weights[owners].T, strict=True):
        np.add.at(dense, (np.arange(len(owners)), influence), weight.astype(np.float64))
    dense /= dense.sum(axis=1, keepdims=True)
    for joint, bone in enumerate(bones):
        moved = np.flatnonzero(dense[:, joint])
        if not len(moved):
            continue
        children = [
            record("Version", 100),
            record("UserData", "", ""),
            record("Indexes", moved.astype(np.int32)),
            record("Weights", dense[moved, joint]),
            record("Transform", _matrix(-rig.joints[joint])),
            record("TransformLink", _matrix(rig.joints[joint])),
        ]
        cluster = graph.add(record("Deformer", object_name(rig.names[joint], "SubDeformer"), "Cluster", children=children))
        graph.connect(cluster, skin)
        graph.connect(bone, cluster)


def _add_bind_pose(graph: Graph, still: Sequence[np.int64], bones: Sequence[np.int64], rig: Rig) -> None:
    """Write down where everything stands when nothing is bent; `still` stands at the origin."""
    places = [(number, np.zeros(3)) for number in still]
    places += [(bone, joint.astype(np.float64)) for bone, joint in zip(bones, rig.joints, strict=True)]
    nodes = [
        record("PoseNode", children=[record("Node", number), record("Matrix", _matrix(place))]) for number, place in places
    ]
    head = [record("Type", "BindPose"), record("Version", 100), record("NbPoseNodes", len(nodes))]
    graph.add(record("Pose", object_name("BindPose", "Pose"), "BindPose", children=[properties(), *head, *nodes]))


def _matrix(place: np.ndarray) -> np.ndarray:
    """Give a translation as FBX keeps matrices: 16 numbers, column by column."""
    matrix = np.eye(4)
    matrix[3, :3] = place
    return matrix.ravel()
