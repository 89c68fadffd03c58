"""Read an FBX with ufbx, a reader that has nothing of ours, in a process of its own: a crash in C must not end the caller.

ufbx 0.0.5 counts references to scene elements one too few (so each one taken is held for good here), crashes on `node.parent`
and on `mesh` of a node without one: walk down from the root. It is an extra: `pip install forge-batch[check]`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.child_process import ChildFailedError, call
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import SOLID
from forge_batch.ops.sheet import count_atlases, on_sheet

TIMEOUT = 120.0
COARSE = re.compile(r"_LOD[1-9]\d*$")
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class FbxPart:
    """Be one mesh object: corners that agree are one vertex, in the file's frame and unit.

    Of several atlases uv are those of the sheet (see ops.sheet), in the order of the materials' names.
    """

    name: str
    data_name: str
    parent: str
    mesh: Mesh
    has_tangents: bool
    materials: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FbxContents:
    """Be what an FBX holds.

    Attributes:
        unit: Metres of the file's unit.
        up: The axis that points up, such as `POSITIVE_Z`.
        warnings: What ufbx complains of.
        parts: Mesh objects, in the file's order.
        textures: File by material property, by the name of the material.
        skinned: Whether a skeleton moves something.
        atlases: How many its materials are.
    """

    unit: float
    up: str
    warnings: tuple[str, ...]
    parts: tuple[FbxPart, ...]
    textures: Mapping[str, Mapping[str, str]]
    skinned: bool = False
    atlases: int = 1

    @property
    def solids(self) -> list[FbxPart]:
        """Shapes for collision."""
        return [part for part in self.parts if SOLID.search(part.name)]

    @property
    def seen(self) -> list[FbxPart]:
        """What is no shape for collision."""
        return [part for part in self.parts if not SOLID.search(part.name)]

    @property
    def levels(self) -> list[FbxPart]:
        """What is seen, a part a level, the finest first where names say so; objects of one level are joined to one."""
        by_level: dict[int, list[FbxPart]] = {}
        for part in self.seen:
            by_level.setdefault(int(found.group()[4:]) if (found := COARSE.search(part.name)) else 0, []).append(part)
        return [joined_parts(by_level[level]) for level in sorted(by_level)]


def joined_parts(parts: Sequence[FbxPart]) -> FbxPart:
    """Give several objects as one, called as the first, with what all of them have."""
    if len(parts) == 1:
        return parts[0]
    meshes = [part.mesh for part in parts]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    uvs, normals = [mesh.uv for mesh in meshes], [mesh.normals for mesh in meshes]
    whole = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]).astype(np.int32),
        None if any(uv is None for uv in uvs) else np.concatenate([uv for uv in uvs if uv is not None]),
        None if any(one is None for one in normals) else np.concatenate([one for one in normals if one is not None]),
    )
    materials = tuple(dict.fromkeys(name for part in parts for name in part.materials))
    return replace(parts[0], mesh=whole, has_tangents=all(part.has_tangents for part in parts), materials=materials)


def read_fbx(data: bytes, name: str, atlases: int | None = None) -> FbxContents:
    """Read an FBX; `name` is what errors call it.

    `atlases` is how many its materials are known to be; left out, the pictures that they wire say it.

    Raises:
        BackendUnavailable: ufbx is not installed.
        StageError: The file cannot be read, or holds no triangles.
    """
    if importlib.util.find_spec("ufbx") is None:
        raise BackendUnavailable("reading FBX needs ufbx", "pip install forge-batch[check]")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.fbx"
        path.write_bytes(data)
        try:
            arrays, meta = call(f"{__name__}:parse", {}, {"path": str(path)}, folder=Path(folder), timeout=TIMEOUT)
        except ChildFailedError as error:
            said = "it is empty" if not data else str(error).strip().splitlines()[-1].rpartition("Error: ")[2][:120]
            hint = "export it again, as FBX 7.4 or 7.5"
            raise StageError(f"{name} is not an FBX that ufbx can read ({said})", hint) from error
    textures = meta["textures"]
    order = sorted(textures)
    count = count_atlases([set(textures[material].values()) for material in order]) if atlases is None else atlases
    if count != len(order):
        count = 1
    parts = tuple(
        FbxPart(
            one["name"],
            one["data_name"],
            one["parent"],
            _mesh(arrays, index, [order.index(material) for material in one["materials"]] if count > 1 else [], count),
            one["tangents"],
            tuple(one["materials"]),
        )
        for index, one in enumerate(meta["parts"])
    )
    if not parts:
        raise StageError(f"{name} holds no triangles", "give a file with a mesh in it")
    return FbxContents(meta["unit"], meta["up"], tuple(meta["warnings"]), parts, textures, meta["skinned"], count)


def _mesh(arrays: Mapping[str, Array], index: int, number: Sequence[int], atlases: int) -> Mesh:
    """Merge corners that agree in everything; FBX counts V upwards. `number` is the atlas of each of the part's materials."""
    corners = arrays[f"{index}/positions"]
    uv, normals = arrays.get(f"{index}/uv"), arrays.get(f"{index}/normals")
    if uv is not None and number:
        which = np.repeat(np.array(number)[arrays[f"{index}/material"]], 3)
        uv = _v_turned(on_sheet(_v_turned(uv), which, atlases))
    rows = np.hstack([corners, *(rows for rows in (uv, normals) if rows is not None)])
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1, 3).astype(np.int32)
    turned = None if uv is None else _v_turned(uv)[first].astype(np.float32)
    plain = None if normals is None else normals[first].astype(np.float32)
    return Mesh(corners[first].astype(np.float32), faces, uv=turned, normals=plain)


def _v_turned(uv: Array) -> Array:
    return np.column_stack([uv[:, 0], 1.0 - uv[:, 1]])


def parse(_: Mapping[str, Array], options: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Be the child: load the file and give its triangles, corner by corner, and what stands beside them."""
    ufbx = importlib.import_module("ufbx")
    scene = held(ufbx.load_file(options["path"]))
    axes = scene.settings.axes
    warnings = [one.description for one in items(scene.metadata.warnings)]
    up = ufbx.CoordinateAxis(axes.up).name
    meta: dict[str, Any] = {"unit": scene.settings.unit_meters, "up": up, "warnings": warnings}
    meta |= {"parts": [], "textures": {}, "skinned": False}
    arrays: dict[str, Array] = {}
    waiting = [(node, "") for node in reversed(items(held(scene.root_node).children))]
    while waiting:
        node, parent = waiting.pop()
        waiting += [(child, node.name) for child in reversed(items(node.children))]
        if node.attrib_type == ufbx.ElementType.MESH:
            _add_part(node, parent, arrays, meta)
    return arrays, meta


def _add_part(node: Any, parent: str, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    mesh = held(node.mesh)
    rows = triangles(mesh)
    if not len(rows):
        return
    index = len(meta["parts"])
    arrays[f"{index}/positions"] = _placed(_per_corner(mesh.vertex_position), node)[rows]
    if mesh.vertex_uv.exists:
        arrays[f"{index}/uv"] = _per_corner(mesh.vertex_uv)[rows]
    if mesh.vertex_normal.exists and not mesh.generated_normals:
        arrays[f"{index}/normals"] = _per_corner(mesh.vertex_normal)[rows]
    materials = items(mesh.materials)
    if len(materials) > 1:
        fans = [max(face.num_indices - 2, 0) for face in items(mesh.faces)]
        arrays[f"{index}/material"] = np.repeat(np.array(items(mesh.face_material), np.int64), fans)
    elif materials:
        arrays[f"{index}/material"] = np.zeros(len(rows) // 3, np.int64)
    meta["skinned"] |= len(mesh.skin_deformers) > 0
    meta["parts"].append(
        {
            "name": node.name,
            "data_name": mesh.name,
            "parent": parent,
            "tangents": bool(mesh.vertex_tangent.exists),
            "materials": [material.name for material in materials],
        }
    )
    for material in materials:
        links = items(material.textures)
        meta["textures"][material.name] = {link.material_prop: held(link.texture).relative_filename for link in links}


def triangles(mesh: Any) -> Array:
    """Give the corners of all faces cut into fans of triangles, three a row, flattened."""
    faces = [(face.index_begin, face.num_indices) for face in items(mesh.faces)]
    rows = [(start, start + k, start + k + 1) for start, count in faces for k in range(1, count - 1)]
    return np.array(rows, np.int64).ravel()


def _placed(points: Array, node: Any) -> Array:
    """Carry points from a node's geometry into the world."""
    m = node.geometry_to_world
    matrix = np.array([[m.c0.x, m.c1.x, m.c2.x], [m.c0.y, m.c1.y, m.c2.y], [m.c0.z, m.c1.z, m.c2.z]])
    return np.asarray(points @ matrix.T + [m.c3.x, m.c3.y, m.c3.z])


def _per_corner(attribute: Any) -> Array:
    rows = [(v.x, v.y, v.z) if hasattr(v, "z") else (v.x, v.y) for v in items(attribute.values)]
    return np.array(rows, np.float64)[np.array(items(attribute.indices), np.int64)]


def held(value: Any) -> Any:
    """Give an element an owner that never lets go."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
    return value


def items(values: Any) -> Sequence[Any]:
    """Give the elements of a list of ufbx, held."""
    return [held(held(values)[k]) for k in range(len(values))]
