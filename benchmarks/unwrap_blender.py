"""Unwrap in Blender's own Python: unwrap_blender.py IN.npz OUT.npz none|ANGLE_BASED|MINIMUM_STRETCH; writes uv (3 f, 2)."""

import sys

import bpy
import numpy as np

given, made, method = sys.argv[-3:]
with np.load(given) as arrays:
    vertices, faces = arrays["vertices"], arrays["faces"]
mesh = bpy.data.meshes.new("mesh")
mesh.from_pydata(vertices.tolist(), [], faces.tolist())
thing = bpy.data.objects.new("thing", mesh)
bpy.context.collection.objects.link(thing)
bpy.context.view_layer.objects.active = thing
thing.select_set(True)
bpy.ops.object.mode_set(mode="EDIT")
bpy.ops.mesh.select_all(action="SELECT")
bpy.ops.uv.smart_project(angle_limit=np.radians(66), island_margin=0.004)
if method != "none":
    bpy.ops.uv.select_all(action="SELECT")
    bpy.ops.uv.seams_from_islands()
    bpy.ops.uv.unwrap(method=method, margin=0.004)
bpy.ops.object.mode_set(mode="OBJECT")
uv = np.empty(2 * len(mesh.loops))
mesh.uv_layers.active.data.foreach_get("uv", uv)
np.savez(made, uv=uv.reshape(-1, 2))
