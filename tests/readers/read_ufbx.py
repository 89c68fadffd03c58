"""Print what ufbx finds in an FBX file as JSON; a process of its own, since a crash in C must not end the tests.

python read_ufbx.py FILE.fbx

ufbx 0.0.5 counts references to scene elements one too few (so each one taken is held for good here), crashes on `node.parent`
and on `mesh` of a node without one, and `scene.materials` gives another list: walk down from the root.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import ufbx


def held(value: Any) -> Any:
    """Give an element an owner that never lets go."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
    return value


def items(values: Any) -> list[Any]:
    """List what a ufbx list holds."""
    return [held(held(values)[k]) for k in range(len(values))]


def per_corner(attribute: Any) -> list[list[float]]:
    """List an attribute corner by corner; empty if the file has none."""
    if not attribute.exists:
        return []
    values = [(v.x, v.y, v.z) if hasattr(v, "z") else (v.x, v.y) for v in items(attribute.values)]
    return [list(values[k]) for k in items(attribute.indices)]


def describe(node: Any, parent: str | None) -> dict[str, Any]:
    """Describe one mesh object in the file's own frame and unit."""
    mesh = held(node.mesh)
    t, r, s = node.local_transform.translation, node.local_transform.rotation, node.local_transform.scale
    return {
        "name": node.name,
        "data_name": mesh.name,
        "parent": parent,
        "transform": [t.x, t.y, t.z, r.x, r.y, r.z, r.w, s.x, s.y, s.z],
        "triangles": mesh.num_triangles,
        "polygons": mesh.num_faces,
        "control_points": mesh.num_vertices,
        "positions": per_corner(mesh.vertex_position),
        "normals": per_corner(mesh.vertex_normal) if not mesh.generated_normals else [],
        "uv": per_corner(mesh.vertex_uv),
        "tangents": per_corner(mesh.vertex_tangent),
        "bitangents": per_corner(mesh.vertex_bitangent),
        "materials": [material.name for material in items(mesh.materials)],
        "smooth": [bool(value) for value in items(mesh.face_smoothing)],
        "textures": {
            link.material_prop: held(link.texture).relative_filename
            for m in items(mesh.materials)
            for link in items(m.textures)
        },
        "uv_sets": [uv_set.name for uv_set in items(mesh.uv_sets)],
        "second_uv": per_corner(items(mesh.uv_sets)[1].vertex_uv) if len(mesh.uv_sets) > 1 else [],
    }


def walk(node: Any, parent: str | None, found: dict[str, Any]) -> None:
    """Collect meshes and groups from the root down."""
    for child in items(node.children):
        if child.attrib_type == ufbx.ElementType.MESH:
            found["meshes"].append(describe(child, parent))
        else:
            found["groups"].append({"name": child.name, "children": [c.name for c in items(child.children)]})
            t = child.local_transform.translation
            found["places"].append({"name": child.name, "parent": parent, "place": [t.x, t.y, t.z]})
        walk(child, child.name, found)


def main(path: str) -> None:
    """Load and print."""
    scene = held(ufbx.load_file(path))
    settings = scene.settings
    found: dict[str, Any] = {
        "unit_metres": settings.unit_meters,
        "axes": [ufbx.CoordinateAxis(a).name for a in (settings.axes.right, settings.axes.up, settings.axes.front)],
        "warnings": [warning.description for warning in items(scene.metadata.warnings)],
        "meshes": [],
        "groups": [],
        "places": [],
        "lods": [[level.distance for level in items(group.lod_levels)] for group in items(scene.lod_groups)],
    }
    walk(held(scene.root_node), None, found)
    found["textures"] = found["meshes"][0]["textures"]
    json.dump(found, sys.stdout)


main(sys.argv[1])
