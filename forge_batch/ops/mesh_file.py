"""Read a mesh that somebody else wrote."""

from __future__ import annotations

import io
import re

import numpy as np
import trimesh

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh

KINDS = ("glb", "obj", "ply", "stl")
SOLID = re.compile(r"^(UBX|UCX|MCDCX|USP|UCP)_|-(conv)?colonly$|_Collider_\d\d$")
"""Names of objects that are shapes for collision and not to be seen: Unreal's, Godot's and ours for Unity."""


def decode_textured(data: bytes, kind: str, name: str) -> tuple[Mesh, dict[str, np.ndarray]]:
    """Give what `decode_mesh` gives, and of a GLB with one material its textures under the names of their slots.

    `normal_map` is spread over 16 bits, `orm_map` has the occlusion texture's red, or 255 where there is none.
    """
    mesh = decode_mesh(data, kind, name)
    return mesh, _textures(data) if kind == "glb" and mesh.uv is not None else {}


def _textures(data: bytes) -> dict[str, np.ndarray]:
    """Read the images of the one material that what is seen of a GLB has; nothing if there are more."""
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
    shapes = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry if not SOLID.search(node)]
    materials = {id(material): material for shape in shapes if (material := getattr(shape.visual, "material", None))}
    if len(materials) != 1:
        return {}
    (material,) = materials.values()

    def image(word: str) -> np.ndarray | None:
        found = getattr(material, f"{word}Texture", None)
        return None if found is None else np.asarray(found.convert("RGB"))

    color, normal, rough, light = (image(word) for word in ("baseColor", "normal", "metallicRoughness", "occlusion"))
    if rough is not None:
        red = light[..., 0] if light is not None and light.shape == rough.shape else np.full(rough.shape[:2], 255, np.uint8)
        rough = np.dstack([red, rough[..., 1:]])
    deep = None if normal is None else normal.astype(np.uint16) * np.uint16(257)
    maps = {"base_color_map": color, "normal_map": deep, "orm_map": rough}
    return {slot: pixels for slot, pixels in maps.items() if pixels is not None}


def decode_mesh(data: bytes, kind: str, name: str) -> Mesh:
    """Give everything in a mesh file as one Mesh with its uv if all parts have one, in the file's own frame and unit.

    Shapes for collision, told by the names that engines give them, are left out.

    Args:
        data: Content of the file.
        kind: One of KINDS.
        name: What to call the file in errors.

    Raises:
        StageError: The file cannot be read, or holds no triangles.
    """
    try:
        scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False)
        seen = [node for node in scene.graph.nodes_geometry if not SOLID.search(node)]
        if seen:
            scene.delete_geometry({scene.graph[node][1] for node in set(scene.graph.nodes_geometry) - set(seen)})
        whole = scene.to_mesh()
    except Exception as error:
        raise StageError(f"{name} is not a readable {kind.upper()}: {_fault(data, kind, error)}", "export it again") from error
    if not len(whole.faces):
        raise StageError(f"{name} holds no triangles", "give a file with a mesh in it")
    if int(whole.faces.max()) >= len(whole.vertices) or int(whole.faces.min()) < 0:
        wrong = f"a face names vertex {int(whole.faces.max())}, there are {len(whole.vertices)}"
        raise StageError(f"{name} is not a sound {kind.upper()}: {wrong}", "export it again")
    uv = getattr(whole.visual, "uv", None)
    if uv is not None:
        uv = np.column_stack([uv[:, 0], 1.0 - uv[:, 1]]).astype(np.float32)  # trimesh counts V upwards
    return Mesh(np.asarray(whole.vertices, np.float32), np.asarray(whole.faces, np.int32), uv=uv)


def _fault(data: bytes, kind: str, error: Exception) -> str:
    """Say what is wrong with a file that its reader gave up on."""
    if not data:
        return "it is empty"
    if kind == "glb" and data[:4] != b"glTF":
        return "it does not begin as one"
    if kind == "glb" and len(data) >= 12 and (told := int.from_bytes(data[8:12], "little")) > len(data):
        return f"it ends after {len(data)} of {told} bytes"
    said = str(error).strip().partition("\n")[0][:100]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
