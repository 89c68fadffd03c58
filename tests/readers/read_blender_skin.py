"""Bend the skeleton that Blender finds in an FBX or GLB file and print where corners go, in metres of its world, as JSON.

python read_blender_skin.py FILE POSES.json [--importer addon|native|gltf]

POSES.json: a list of poses, each the 4 x 4 matrix by which a bone moves what hangs on it, in metres of the world, by name.
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
from mathutils import Matrix

import addon_utils  # isort: skip  (exists only once bpy is there)


def load(path, importer):
    """Import into an empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if importer == "addon":
        addon_utils.enable("io_scene_fbx")
        bpy.ops.import_scene.fbx(filepath=path)
    elif importer == "gltf":
        addon_utils.enable("io_scene_gltf2")
        bpy.ops.import_scene.gltf(filepath=path)
        for layer in bpy.context.view_layer.layer_collection.children:
            layer.exclude = False  # what is switched off is not evaluated
    else:
        bpy.ops.wm.fbx_import(filepath=path, validate_meshes=False)
    bpy.context.view_layer.update()


def bend(armature, pose):
    """Move every bone so that what hangs on it moves as the pose says; parents first."""
    world = armature.matrix_world
    for bone in armature.pose.bones:
        move = Matrix(pose.get(bone.name, np.eye(4).tolist()))
        bone.matrix = world.inverted() @ move @ world @ bone.bone.matrix_local
        bpy.context.view_layer.update()


def corners(thing):
    """Give the corners of a bent mesh in the world."""
    graph = bpy.context.evaluated_depsgraph_get()
    bent = thing.evaluated_get(graph)
    mesh = bent.to_mesh()
    world = np.array(bent.matrix_world)
    points = np.array([vertex.co for vertex in mesh.vertices]) @ world[:3, :3].T + world[:3, 3]
    return points[[loop.vertex_index for loop in mesh.loops]].tolist()


def main():
    """Import, bend and print; the importers' own words go to stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("poses")
    parser.add_argument("--importer", choices=["addon", "native", "gltf"], default="native")
    options = parser.parse_args()
    stdout = os.dup(1)
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        load(options.file, options.importer)
        (armature,) = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
        meshes = [thing for thing in bpy.data.objects if any(m.type == "ARMATURE" for m in thing.modifiers)]
        found = {"armature": armature.name, "bones": [bone.name for bone in armature.data.bones], "poses": []}
        found["parents"] = [bone.parent.name if bone.parent else None for bone in armature.data.bones]
        for pose in json.loads(Path(options.poses).read_text()):
            bend(armature, pose)
            found["poses"].append({thing.name: corners(thing) for thing in meshes})
    with os.fdopen(stdout, "w") as out:
        json.dump(found, out)


main()
