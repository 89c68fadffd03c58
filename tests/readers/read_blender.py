"""Print what Blender finds in an FBX or GLB file as JSON; run by a Python that has bpy, never imported by ours.

python read_blender.py FILE [--importer addon|native|gltf]

Positions are in metres in Blender's world (Z up, right-handed). Blender reads no tangents: these are its own MikkTSpace.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np

import addon_utils  # isort: skip  (exists only once bpy is there)


def load(path, importer):
    """Import into an empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if importer == "gltf":
        addon_utils.enable("io_scene_gltf2")
        bpy.ops.import_scene.gltf(filepath=path)
    elif importer == "addon":
        addon_utils.enable("io_scene_fbx")
        bpy.ops.import_scene.fbx(filepath=path)
    else:
        bpy.ops.wm.fbx_import(filepath=path, validate_meshes=False)
    bpy.context.view_layer.update()


def describe(thing):
    """Describe one mesh object, corner by corner in world space."""
    mesh = thing.data
    world = np.array(thing.matrix_world)
    turn = np.linalg.inv(world[:3, :3]).T
    corners = np.array([loop.vertex_index for loop in mesh.loops])
    points = np.array([vertex.co for vertex in mesh.vertices]) @ world[:3, :3].T + world[:3, 3]
    normals = np.array([normal.vector for normal in mesh.corner_normals]) @ turn.T
    uv, second, tangents, signs = [], [], [], []
    if len(mesh.uv_layers) > 1:
        second = [list(value.uv) for value in mesh.uv_layers[1].data]
    if mesh.uv_layers:
        uv = [list(value.uv) for value in mesh.uv_layers.active.data]
        mesh.calc_tangents(uvmap=mesh.uv_layers.active.name)
        turned = np.array([loop.tangent for loop in mesh.loops]) @ world[:3, :3].T
        tangents = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).tolist()
        signs = [loop.bitangent_sign for loop in mesh.loops]
    return {
        "name": thing.name,
        "data_name": mesh.name,
        "parent": thing.parent.name if thing.parent else None,
        "scale": list(thing.matrix_world.to_scale()),
        "triangles": len(mesh.polygons),
        "control_points": len(mesh.vertices),
        "positions": points[corners].tolist(),
        "normals": (normals / np.linalg.norm(normals, axis=1, keepdims=True)).tolist(),
        "uv": uv,
        "second_uv": second,
        "tangents": tangents,
        "signs": signs,
        "materials": [material.name for material in mesh.materials if material],
        "smooth": [polygon.use_smooth for polygon in mesh.polygons],
        "uv_sets": [layer.name for layer in mesh.uv_layers],
    }


def linked_images(material):
    """Find, for each input of the material's shader, the file of the image that feeds it."""
    found = {}
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    for socket in shader.inputs:
        waiting = [link.from_node for link in socket.links]
        while waiting:
            node = waiting.pop()
            if node.type == "TEX_IMAGE" and node.image:
                found[socket.name] = Path(node.image.filepath.replace("\\", "/")).name or node.image.name
            waiting += [link.from_node for entry in node.inputs for link in entry.links]
    return found


def main():
    """Import and print; the importers' own words go to stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--importer", choices=["addon", "native", "gltf"], default="native")
    options = parser.parse_args()
    stdout = os.dup(1)
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        load(options.file, options.importer)
        things = list(bpy.data.objects)
        found = {
            "meshes": [describe(thing) for thing in things if thing.type == "MESH"],
            "groups": [
                {"name": thing.name, "children": sorted(child.name for child in thing.children)}
                for thing in things
                if thing.type == "EMPTY"
            ],
            "places": [
                {
                    "name": thing.name,
                    "parent": thing.parent.name if thing.parent else None,
                    "place": list(thing.matrix_world.translation),
                }
                for thing in things
                if thing.type == "EMPTY"
            ],
            "textures": {key: value for m in bpy.data.materials if m.users for key, value in linked_images(m).items()},
        }
    with os.fdopen(stdout, "w") as out:
        json.dump(found, out)


main()
