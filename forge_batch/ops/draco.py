"""Compress a mesh with Draco (Google's coder, by DracoPy), as the glTF extension KHR_draco_mesh_compression holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import DracoPy
import numpy as np

from forge_batch.ops.glb_file import bindings
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig
from forge_batch.ops.writable import check_surface

POSITION_BITS, NORMAL_BITS, UV_BITS = 14, 10, 12
LEVEL = 7
_TYPES = {0: "POSITION", 1: "NORMAL", 3: "TEXCOORD_0"}
"""glTF's name of each of Draco's attribute types; what is of type 4 goes by its id."""

_OTHERS = {7: "TANGENT", 8: "JOINTS_0", 9: "WEIGHTS_0"}
_WIDTHS = {"POSITION": 3, "NORMAL": 3, "TANGENT": 4, "TEXCOORD_0": 2, "JOINTS_0": 4, "WEIGHTS_0": 4}
_COMPONENTS = {"uint8": 5121, "uint16": 5123, "float32": 5126}
"""glTF's number of each type of component."""


@dataclass(frozen=True)
class Packed:
    """Be a compressed mesh and what glTF must say of it.

    Attributes:
        data: Draco's bytes.
        vertices: How many come out; Draco merges equal ones.
        triangles: How many come out.
        low: Least position that comes out.
        high: Greatest position that comes out.
        ids: Draco's id of each attribute, by glTF's name.
        kinds: glTF's type of component and the number of components of each attribute.
    """

    data: bytes
    vertices: int
    triangles: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    ids: Mapping[str, int]
    kinds: Mapping[str, tuple[int, int]]


def compress(mesh: Mesh, rig: Rig | None = None, whole: Mesh | None = None) -> Packed:
    """Compress positions, normals, tangents and uv of a mesh, and its bindings to a rig; same mesh, same bytes.

    Positions keep 14 bits of the largest side (0.06 mm in a metre), uv 12 bits (half a texel in 2048), normals 10 bits;
    tangents and weights stay as they are: Draco has no form for them.

    Args:
        mesh: What is compressed.
        rig: For its vertices, or None.
        whole: Of what it is a part: parts whose positions are rounded on the grid of the whole meet without a gap.

    Raises:
        ValueError: The mesh lacks uv, normals or tangents, or is degenerate, see check_surface (a bug of the caller).
    """
    check_surface(mesh, "a mesh for the web")
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    others = dict(zip(_OTHERS, (mesh.tangents, *(bindings(rig) if rig else ())), strict=False))
    grid = {}
    if whole is not None:
        low = whole.vertices.min(axis=0)
        grid = {"quantization_origin": low, "quantization_range": float((whole.vertices.max(axis=0) - low).max())}
    data = DracoPy.encode(
        mesh.vertices,
        mesh.faces.astype(np.uint32),
        quantization_bits=POSITION_BITS,
        compression_level=LEVEL,
        normals=mesh.normals.astype(np.float64),  # DracoPy asks for doubles and keeps singles
        tex_coord=mesh.uv.astype(np.float64),
        normal_quantization_bits=NORMAL_BITS,
        tex_coord_quantization_bits=UV_BITS,
        generic_attributes=others,
        **grid,
    )
    out = DracoPy.decode(data)
    numbers = [(int(one["attribute_type"]), int(one["unique_id"])) for one in out.attributes]
    ids = {_TYPES.get(kind) or _OTHERS[number]: number for kind, number in numbers}
    assert ids.keys() == {*_TYPES.values(), *(_OTHERS[number] for number in others)}
    kinds = {name: (_COMPONENTS["float32"], width) for name, width in _WIDTHS.items() if name in ids}
    if rig:
        kinds["JOINTS_0"] = (_COMPONENTS[bindings(rig)[0].dtype.name], 4)
    points = np.asarray(out.points, np.float32)
    low, high = tuple(points.min(axis=0).tolist()), tuple(points.max(axis=0).tolist())
    return Packed(data, len(points), len(out.faces), low, high, ids, kinds)
