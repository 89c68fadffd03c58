"""Bake with Blender's Cycles, as an independent judge: run by a Python that has bpy, never imported by ours.

python cycles_bake.py PAIR.npz OUT.npy --kind NORMAL|AO|EMIT --size N --samples N --cage METRES --distance METRES

PAIR.npz holds low_vertices, low_faces, low_uv (per vertex, origin top left), low_normals (per vertex), high_vertices,
high_faces and high_normals, and for EMIT, which bakes it, high_color (linear, per vertex). OUT.npy gets (size, size, 3)
float32, row 0 on top. Prints one JSON line with the CPU and wall seconds of the bake alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import bpy
import numpy as np


def add_mesh(name, vertices, faces, normals, uv=None):
    """Make an object with smooth faces and our own normals."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    if uv is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        corner = uv[faces.ravel()].astype(np.float64)
        corner[:, 1] = 1 - corner[:, 1]
        layer.data.foreach_set("uv", corner.astype(np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.normals_split_custom_set(normals[faces.ravel()].tolist())
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def prepare(samples, distance):
    """Start from an empty scene that renders with Cycles on the CPU, noise and all."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    if scene.world is None:
        scene.world = bpy.data.worlds.new("world")
    scene.world.light_settings.distance = distance


def add_target(low, size):
    """Give the low poly an image to bake into."""
    image = bpy.data.images.new("target", size, size, float_buffer=True, is_data=True)
    material = bpy.data.materials.new("material")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    material.node_tree.nodes.active = node
    low.data.materials.append(material)
    return image


def show_colors(high, color):
    """Let an object shine in the colours of its vertices."""
    layer = high.data.color_attributes.new("shown", "FLOAT_COLOR", "POINT")
    layer.data.foreach_set("color", np.hstack([color, np.ones((len(color), 1))]).astype(np.float32).ravel())
    material = bpy.data.materials.new("shining")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    source, light = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeEmission")
    source.attribute_name = "shown"
    links.new(source.outputs["Color"], light.inputs["Color"])
    links.new(light.outputs["Emission"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    high.data.materials.append(material)


def bake(low, high, kind, cage):
    """Bake from high to low; give the seconds it took."""
    settings = bpy.context.scene.render.bake
    settings.use_selected_to_active = True
    settings.cage_extrusion = cage
    settings.max_ray_distance = 2 * cage
    settings.margin = 0
    settings.normal_space = "TANGENT"
    high.select_set(True)
    low.select_set(True)
    bpy.context.view_layer.objects.active = low
    cpu, wall = time.process_time(), time.time()
    bpy.ops.object.bake(type=kind)
    return {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.time() - wall}


def main():
    """Bake one map."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pair")
    parser.add_argument("out")
    parser.add_argument("--kind", choices=["NORMAL", "AO", "EMIT"], default="NORMAL")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--cage", type=float, required=True)
    parser.add_argument("--distance", type=float, default=1000.0)
    options = parser.parse_args()

    prepare(options.samples, options.distance)
    pair = np.load(options.pair)
    low = add_mesh("low", pair["low_vertices"], pair["low_faces"], pair["low_normals"], pair["low_uv"])
    high = add_mesh("high", pair["high_vertices"], pair["high_faces"], pair["high_normals"])
    if options.kind == "EMIT":
        show_colors(high, pair["high_color"])
    image = add_target(low, options.size)
    spent = bake(low, high, options.kind, options.cage)

    pixels = np.empty(options.size * options.size * 4, np.float32)
    image.pixels.foreach_get(pixels)
    np.save(options.out, pixels.reshape(options.size, options.size, 4)[::-1, :, :3])
    sys.stdout.write(json.dumps(spent) + "\n")


main()
