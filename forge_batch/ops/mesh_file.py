"""Read a mesh that somebody else wrote."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import trimesh

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.sheet import count_atlases, joined, on_sheet

KINDS = ("glb", "obj", "ply", "stl")
SOLID = re.compile(r"^(UBX|UCX|MCDCX|USP|UCP)_|-(conv)?colonly$|_Collider_\d\d$")
"""Names of objects that are shapes for collision and not to be seen: Unreal's, Godot's and ours for Unity."""

EDGE = 1e-4
"""How far beyond the unit square uv may lie that do not mean a picture to repeat."""

Look = dict[str, Any]


def decode_textured(data: bytes, kind: str, name: str) -> tuple[Mesh, dict[str, np.ndarray], int]:
    """Give what `decode_mesh` gives, and of a GLB its textures under the names of their slots, and how many atlases these are.

    `normal_map` is spread over 16 bits, `orm_map` has the occlusion texture's red, or 255 where there is none. Of several
    materials with pictures of their own, uv and textures are those of the sheet (see ops.sheet), in the order of their names;
    where they cannot be put on one, the textures are left out.
    """
    mesh, looks = _read(data, kind, name)
    return mesh, _textures(looks) if mesh.uv is not None else {}, max(len(looks), 1)


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
    return _read(data, kind, name)[0]


def _read(data: bytes, kind: str, name: str) -> tuple[Mesh, list[Look]]:
    """Give the mesh of a file, and what the materials of a GLB wire that can lie on one sheet."""
    try:
        scene = _seen(data, kind)
        looks = _looks(scene) if kind == "glb" else {}
        if len(looks) > 1:
            _put_on_sheet(scene, looks)
        mesh = _whole(scene)
    except Exception as error:
        raise StageError(f"{name} is not a readable {kind.upper()}: {_fault(data, kind, error)}", "export it again") from error
    if not len(mesh.faces):
        raise StageError(f"{name} holds no triangles", "give a file with a mesh in it")
    if int(mesh.faces.max()) >= len(mesh.vertices) or int(mesh.faces.min()) < 0:
        wrong = f"a face names vertex {int(mesh.faces.max())}, there are {len(mesh.vertices)}"
        raise StageError(f"{name} is not a sound {kind.upper()}: {wrong}", "export it again")
    return mesh, list(looks.values())


def _seen(data: bytes, kind: str) -> trimesh.Scene:
    """Load a file without its shapes for collision, unless there are no others."""
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False)
    seen = [node for node in scene.graph.nodes_geometry if not SOLID.search(node)]
    if seen:
        scene.delete_geometry({scene.graph[node][1] for node in set(scene.graph.nodes_geometry) - set(seen)})
    return scene


def _whole(scene: trimesh.Scene) -> Mesh:
    whole = scene.to_mesh()
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


def _looks(scene: trimesh.Scene) -> dict[int, Look]:
    """Give the materials of a scene by their identity, sorted by name; none if their pictures cannot lie on one sheet."""
    shapes = list(scene.geometry.values())
    found = {id(material): material for shape in shapes if (material := getattr(shape.visual, "material", None))}
    looks = {key: _look(found[key]) for key in sorted(found, key=lambda key: str(found[key].name))}
    if len(looks) < 2:
        return looks
    inside = all(
        (uv := getattr(shape.visual, "uv", None)) is not None and uv.min() > -EDGE and uv.max() < 1 + EDGE for shape in shapes
    )
    count = count_atlases([{id(image) for image in look.values()} for look in looks.values()])
    return looks if inside and count > 1 else {}


def _look(material: Any) -> Look:
    """Give the images that a material wires, by what they are of."""
    words = {
        word: getattr(material, f"{word}Texture", None) for word in ("baseColor", "normal", "metallicRoughness", "occlusion")
    }
    return {word: image for word, image in words.items() if image is not None}


def _put_on_sheet(scene: trimesh.Scene, looks: Mapping[int, Look]) -> None:
    """Carry the uv of every shape to the sheet, and give all one material: trimesh would lay out those of several anew."""
    numbers = {key: number for number, key in enumerate(looks)}
    plain = trimesh.visual.material.PBRMaterial()
    for shape in scene.geometry.values():
        down = np.array([[0.0, 1.0], [1.0, -1.0]])  # trimesh counts V upwards
        uv = on_sheet(down[0] + down[1] * shape.visual.uv, numbers[id(shape.visual.material)], len(looks))
        shape.visual = trimesh.visual.TextureVisuals(uv=down[0] + down[1] * uv, material=plain)


def _textures(looks: Sequence[Look]) -> dict[str, np.ndarray]:
    """Read the images of materials, joined where there are several."""

    def image(word: str) -> np.ndarray | None:
        found = [np.asarray(look[word].convert("RGB")) for look in looks if word in look]
        sound = len(found) == len(looks) and len({one.shape for one in found}) == 1
        return joined(found) if sound else None

    color, normal, rough, light = (image(word) for word in ("baseColor", "normal", "metallicRoughness", "occlusion"))
    if rough is not None:
        red = light[..., 0] if light is not None and light.shape == rough.shape else np.full(rough.shape[:2], 255, np.uint8)
        rough = np.dstack([red, rough[..., 1:]])
    deep = None if normal is None else normal.astype(np.uint16) * np.uint16(257)
    maps = {"base_color_map": color, "normal_map": deep, "orm_map": rough}
    return {slot: pixels for slot, pixels in maps.items() if pixels is not None}
