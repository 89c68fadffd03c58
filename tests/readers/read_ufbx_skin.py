"""Print what ufbx finds of a skeleton and its skins as JSON. See read_ufbx.py for why it is a process of its own.

python read_ufbx_skin.py FILE.fbx
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ufbx
from read_ufbx_held import held, items


def matrix(m: Any) -> list[list[float]]:
    """Write a 3 x 4 matrix row by row."""
    columns = (m.c0, m.c1, m.c2, m.c3)
    return [[getattr(column, axis) for column in columns] for axis in "xyz"]


def bones(node: Any, parent: str | None, found: list[dict[str, Any]]) -> None:
    """List every node from the root down, with its place below its parent."""
    for child in items(node.children):
        kind = ufbx.ElementType(child.attrib_type).name
        found.append({"name": child.name, "parent": parent, "kind": kind, "to_parent": matrix(child.node_to_parent)})
        bones(child, child.name, found)


def meshes(node: Any, found: list[dict[str, Any]]) -> None:
    """List every skinned mesh: control points, corners, and what each bone moves."""
    for child in items(node.children):
        meshes(child, found)
        if child.attrib_type != ufbx.ElementType.MESH:
            continue
        mesh = held(child.mesh)
        (skin,) = items(mesh.skin_deformers)
        clusters = [
            {
                "bone": held(cluster.bone_node).name,
                "geometry_to_bone": matrix(cluster.geometry_to_bone),
                "bind_to_world": matrix(cluster.bind_to_world),
                "vertices": items(cluster.vertices),
                "weights": items(cluster.weights),
            }
            for cluster in items(skin.clusters)
        ]
        found.append(
            {
                "name": child.name,
                "points": [[v.x, v.y, v.z] for v in items(mesh.vertex_position.values)],
                "corners": items(mesh.vertex_position.indices),
                "most": skin.max_weights_per_vertex,
                "clusters": clusters,
            }
        )


def main(path: str) -> None:
    """Load and print."""
    scene = held(ufbx.load_file(path))
    root = held(scene.root_node)
    found: dict[str, Any] = {"nodes": [], "meshes": [], "warnings": [one.description for one in items(scene.metadata.warnings)]}
    bones(root, None, found["nodes"])
    meshes(root, found["meshes"])
    found["bind_poses"] = [bool(pose.is_bind_pose) for pose in items(scene.poses)]
    json.dump(found, sys.stdout)


main(sys.argv[1])
