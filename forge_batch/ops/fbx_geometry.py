"""Describe the geometry of an FBX: positions, and what stands on each corner and face of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int32

from forge_batch.ops.fbx_file import Record, record
from forge_batch.ops.mesh import Mesh

UV_SET, LIGHTMAP_SET = "UVMap", "LightMap"


def surface(mesh: Mesh) -> list[Record]:
    """Describe a textured level."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    corners = mesh.faces.ravel()
    normals = mesh.normals.astype(np.float64)
    tangents = mesh.tangents[:, :3].astype(np.float64)
    binormals = np.cross(normals, tangents) * mesh.tangents[:, 3:].astype(np.float64)
    binormals /= np.linalg.norm(binormals, axis=1, keepdims=True)
    return [
        *_positions(mesh),
        _vectors("Normal", "Normals", normals[corners]),
        _vectors("Binormal", "Binormals", binormals[corners]),
        _vectors("Tangent", "Tangents", tangents[corners]),
        _uv_layer(0, UV_SET, mesh.uv, corners),
        *([_uv_layer(1, LIGHTMAP_SET, mesh.lightmap_uv, corners)] if mesh.lightmap_uv is not None else []),
        _smoothing(len(mesh.faces), 1),
        _materials(mesh.atlas),
        _layer(0, "Normal", "Binormal", "Tangent", "UV", "Smoothing", "Material"),
        *([_layer(1, "UV")] if mesh.lightmap_uv is not None else []),
    ]


def hull(mesh: Mesh) -> list[Record]:
    """Describe a collision hull: positions, flat normals, nothing to shade."""
    a, b, c = (mesh.vertices.astype(np.float64)[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1.0), [0.0, 0.0, 1.0])
    return [
        *_positions(mesh),
        _vectors("Normal", "Normals", np.repeat(normals, 3, axis=0)),
        _smoothing(len(mesh.faces), 0),
        _layer(0, "Normal", "Smoothing"),
    ]


def _positions(mesh: Mesh) -> list[Record]:
    points, faces = control_points(mesh.vertices, mesh.faces)
    faces[:, 2] = ~faces[:, 2]  # a polygon's last index is stored as its complement
    return [
        record("GeometryVersion", 124),
        record("Vertices", points.ravel()),
        record("PolygonVertexIndex", faces.ravel()),
    ]


def control_points(
    vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]
) -> tuple[Float64[np.ndarray, "p 3"], Int32[np.ndarray, "f 3"]]:
    """Merge vertices at exactly equal positions; vertices without a face go."""
    used = vertices[faces.ravel()] + np.float32(0)  # -0 becomes 0
    points, inverse = np.unique(used, axis=0, return_inverse=True)
    return points.astype(np.float64), inverse.reshape(-1, 3).astype(np.int32)


def point_owners(vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]) -> Int32[np.ndarray, " p"]:
    """Give, for each control point that `control_points` makes, the first vertex that stands there."""
    corners = faces.ravel()
    first = np.unique(vertices[corners] + np.float32(0), axis=0, return_index=True)[1]
    return corners[first].astype(np.int32)


def _vectors(kind: str, array: str, values: Float64[np.ndarray, "n 3"]) -> Record:
    """Describe one vector per corner."""
    rows = [*_mapping(101, "", "ByPolygonVertex", "Direct"), record(array, np.ascontiguousarray(values).ravel())]
    return record(f"LayerElement{kind}", 0, children=rows)


def _uv_layer(index: int, name: str, uv: Float32[np.ndarray, "v 2"], corners: Int32[np.ndarray, " n"]) -> Record:
    """Describe a UV set; FBX counts V upwards."""
    turned = np.column_stack([uv[:, 0], 1.0 - uv[:, 1].astype(np.float64)])
    mapping = _mapping(101, name, "ByPolygonVertex", "IndexToDirect")
    return record("LayerElementUV", index, children=[*mapping, record("UV", turned.ravel()), record("UVIndex", corners)])


def _smoothing(faces: int, group: int) -> Record:
    """Put all faces into one smoothing group (or none): without this layer Unreal warns on every import."""
    rows = [*_mapping(102, "", "ByPolygon", "Direct"), record("Smoothing", np.full(faces, group, np.int32))]
    return record("LayerElementSmoothing", 0, children=rows)


def _materials(number: Int32[np.ndarray, " f"] | None) -> Record:
    """Say which of the model's materials each face has."""
    how, which = ("AllSame", np.zeros(1, np.int32)) if number is None else ("ByPolygon", number)
    rows = [*_mapping(101, "", how, "IndexToDirect"), record("Materials", which)]
    return record("LayerElementMaterial", 0, children=rows)


def _mapping(version: int, name: str, mapping: str, reference: str) -> list[Record]:
    return [
        record("Version", version),
        record("Name", name),
        record("MappingInformationType", mapping),
        record("ReferenceInformationType", reference),
    ]


def _layer(index: int, *kinds: str) -> Record:
    rows = [
        record("LayerElement", children=[record("Type", f"LayerElement{kind}"), record("TypedIndex", index)]) for kind in kinds
    ]
    return record("Layer", index, children=[record("Version", 100), *rows])
