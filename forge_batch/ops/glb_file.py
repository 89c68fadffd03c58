"""Read the first mesh of a GLB."""

from __future__ import annotations

import numpy as np
import pygltflib as gltf

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh

TYPES = {gltf.FLOAT: np.float32, gltf.UNSIGNED_SHORT: np.uint16, gltf.UNSIGNED_INT: np.uint32, gltf.UNSIGNED_BYTE: np.uint8}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def decode_glb(data: bytes, name: str = "the file") -> Mesh:
    """Give all primitives of the first mesh as one Mesh, in the file's own frame and metres.

    Attributes are kept where every primitive has them. Sparse, interleaved and compressed accessors are refused.

    Raises:
        StageError: Not a GLB, or one that holds no plain triangle mesh.
    """
    try:
        file = gltf.GLTF2.load_from_bytes(data)
        blob = file.binary_blob()
    except Exception as error:
        raise StageError(f"{name} is not a GLB ({type(error).__name__})", "give a binary glTF 2.0 file") from error
    if file is None or not file.meshes or blob is None:
        raise StageError(f"{name} holds no mesh", "give a GLB with its geometry inside")
    parts = file.meshes[0].primitives
    try:
        vertices = [_read(file, blob, part.attributes.POSITION) for part in parts]
        offsets = np.cumsum([0, *(len(part) for part in vertices[:-1])])
        faces = [
            _read(file, blob, part.indices).reshape(-1, 3).astype(np.int32) + offset
            for part, offset in zip(parts, offsets, strict=True)
        ]
        extra = {
            field: np.vstack([_read(file, blob, getattr(part.attributes, key)) for part in parts]).astype(np.float32)
            for field, key in (("uv", "TEXCOORD_0"), ("normals", "NORMAL"), ("tangents", "TANGENT"))
            if all(getattr(part.attributes, key) is not None for part in parts)
        }
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise StageError(f"{name} is not a plain triangle mesh ({error})", "export it without compression") from error
    return Mesh(np.vstack(vertices).astype(np.float32), np.vstack(faces).astype(np.int32), **extra)


def _read(file: gltf.GLTF2, blob: bytes, index: int) -> np.ndarray:
    accessor = file.accessors[index]
    view = file.bufferViews[accessor.bufferView]
    kind, width = TYPES[accessor.componentType], WIDTH[accessor.type]
    if view.byteStride not in (None, np.dtype(kind).itemsize * width):
        raise ValueError("interleaved vertices")
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    return np.frombuffer(blob, kind, accessor.count * width, start).reshape(accessor.count, width)
