"""Hold a triangle mesh and keep it in a file.

House space: right-handed, metres, +Y up, front +Z, counter-clockwise faces seen from outside, UV origin top left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, eq=False)
class Mesh:
    """Be a triangle mesh: float32 vertices (v, 3), int32 faces (f, 3), and per-vertex attributes once it has them.

    Before `unwrap` equal positions are one vertex and there are no attributes. From `unwrap` on a vertex is a
    (position, uv, normal, tangent) tuple, so faces that meet at a UV seam have vertices of their own.

    Attributes:
        uv: (v, 2), origin top left, inside 0..1.
        normals: (v, 3), unit length.
        tangents: (v, 4), MikkTSpace, xyz unit length, w the sign of the bitangent: `B = w * cross(N, T)`.
        lightmap_uv: (v, 2), a second set for baked light; only export makes it.
        atlas: (f,), which of several atlases each face lies on, from 0; only export makes it, see ops.sheet.
    """

    vertices: Float32[np.ndarray, "v 3"]
    faces: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "v 2"] | None = None
    normals: Float32[np.ndarray, "v 3"] | None = None
    tangents: Float32[np.ndarray, "v 4"] | None = None
    lightmap_uv: Float32[np.ndarray, "v 2"] | None = None
    atlas: Int32[np.ndarray, " f"] | None = None

    @property
    def bounds(self) -> Float32[np.ndarray, "2 3"]:
        """Least and greatest corner of the bounding box. By columns: along rows numpy takes twenty times as long."""
        return np.array([[axis.min() for axis in self.vertices.T], [axis.max() for axis in self.vertices.T]], np.float32)

    @property
    def diagonal(self) -> float:
        """Length of the bounding box's diagonal."""
        low, high = self.bounds
        return float(np.linalg.norm(high - low))


PER_VERTEX = ("vertices", "uv", "normals", "tangents", "lightmap_uv")
"""Fields of a Mesh with a row for each vertex; the others have one for each face."""


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> None:
    """Write named arrays and a JSON document as one npz file; same content, same bytes."""
    text = json.dumps(meta or {}, sort_keys=True)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{**dict(sorted(arrays.items())), "meta.json": np.array(text)})


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what save_arrays wrote: the arrays by name, and the JSON document."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(str(arrays.pop("meta.json")))
    return arrays, meta


def save_meshes(path: Path, meshes: Mapping[str, Mesh], meta: Mapping[str, Any] | None = None) -> None:
    """Write meshes by name, in the order given, with a JSON document beside them."""
    arrays = {
        f"{name}/{field.name}": value
        for name, mesh in meshes.items()
        for field in fields(mesh)
        if (value := getattr(mesh, field.name)) is not None
    }
    save_arrays(path, arrays, {"names": list(meshes), "meta": dict(meta or {})})


def load_meshes(path: Path) -> tuple[dict[str, Mesh], dict[str, Any]]:
    """Read what save_meshes wrote: meshes by name, and the JSON document."""
    arrays, document = load_arrays(path)
    meshes = {
        name: Mesh(**{field.name: arrays[key] for field in fields(Mesh) if (key := f"{name}/{field.name}") in arrays})
        for name in document["names"]
    }
    return meshes, document["meta"]


def save_mesh(path: Path, mesh: Mesh, meta: Mapping[str, Any] | None = None) -> None:
    """Write one mesh (the MESH slot).

    `unwrap` puts `texture_size` and `padding` (pixels) into `meta`, and `atlases` if there are several: then the size is that
    of the sheet they lie on, see ops.sheet.
    """
    save_meshes(path, {"mesh": mesh}, meta)


def load_mesh(path: Path) -> Mesh:
    """Read the mesh of a MESH slot."""
    return load_meshes(path)[0]["mesh"]


def load_meta(path: Path) -> dict[str, Any]:
    """Read only the JSON document beside the meshes of a file."""
    return load_meshes(path)[1]
