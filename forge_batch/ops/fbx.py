"""Write a static mesh with levels of detail and collision hulls as binary FBX.

Our own, because no library at hand writes an FBX that ufbx, three.js and Blender all read right: assimp 5.2's is refused by two
of them, assimp 6.0's is 100 times too small and has no tangents, trimesh writes none.

The file's frame is declared as right-handed, +Z up, "front" -Y, centimetres (UpAxis 2, FrontAxis -1, CoordAxis 0,
UnitScaleFactor 1). That is the very frame Unreal converts every scene into before it reads it, so its conversion is the
identity. FBX UVs have V up: V is turned round here. Binormals point up V, which is also up the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, Int32

from forge_batch.ops.fbx_file import Record, Value, encode, object_name, properties, record
from forge_batch.ops.fbx_header import FIRST_ID, definitions, preamble
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.writable import check_hull, check_surface

UV_SET = "UVMap"


@dataclass(frozen=True, eq=False)
class FbxScene:
    """Be what one FBX file holds: one asset, in the file's own frame and in centimetres.

    Attributes:
        name: Of the asset. LOD0's object and mesh data bear exactly this name, since Unreal matches hulls against it and takes
            the asset's name from it; the others get `_LOD1`, `_LOD2`, the group `_LodGroup`, hulls `UCX_<name>_00` onwards.
        lods: The finest first, with uv, normals and tangents. A single one is written without a group.
        thresholds: Distances in centimetres at which LOD1, LOD2, ... take over; one less than `lods`.
        hulls: Convex and closed; only positions are used.
        material: Name of the one material slot all levels share.
        textures: File name (relative to the FBX) by FBX material property (`DiffuseColor`, `NormalMap`, ...).
    """

    name: str
    lods: Sequence[Mesh]
    thresholds: Sequence[float]
    hulls: Sequence[Mesh]
    material: str
    textures: Mapping[str, str] = field(default_factory=dict)


def encode_fbx(scene: FbxScene) -> bytes:
    """Give the bytes of an FBX 7.4 binary file; same scene, same bytes.

    Triangles only, normals, tangents and binormals per corner, one smoothing group, one UV set, identity transforms.
    Positions that are exactly equal become one control point, so seams stay closed.

    Raises:
        ValueError: There is no level, one lacks uv, normals or tangents or is degenerate, a hull is flat, or the thresholds are
            not one fewer than levels, positive and growing (a bug of the caller).
    """
    _check(scene)
    graph = _Graph()
    material = graph.add(_material(scene))
    for kind, file in scene.textures.items():
        texture, video = graph.add(_texture(file)), graph.add(_video(file))
        graph.connect(texture, material, kind)
        graph.connect(video, texture)
    parent = np.int64(0)
    if len(scene.lods) > 1:
        group = f"{scene.name}_LodGroup"
        parent = graph.add(_model(group, "LodGroup"))
        graph.connect(parent, np.int64(0))
        graph.connect(graph.add(_lod_attribute(group, scene.thresholds)), parent)
    for level, mesh in enumerate(scene.lods):
        name = scene.name if level == 0 else f"{scene.name}_LOD{level}"
        model = graph.add_mesh(name, _surface(mesh), parent)
        graph.connect(material, model)
    for index, hull in enumerate(scene.hulls):
        graph.add_mesh(f"UCX_{scene.name}_{index:02d}", _hull(hull), np.int64(0))
    takes = record("Takes", children=[record("Current", "")])
    return encode([*preamble(), definitions(graph.objects), *graph.records(), takes])


def _check(scene: FbxScene) -> None:
    """Refuse what no reader could make sense of."""
    if not scene.lods:
        raise ValueError("an FBX needs at least one level")
    if len(scene.thresholds) != len(scene.lods) - 1:
        raise ValueError(f"{len(scene.lods)} levels need {len(scene.lods) - 1} thresholds, not {len(scene.thresholds)}")
    distances = np.array([0.0, *scene.thresholds])
    if not np.isfinite(distances).all() or not (np.diff(distances) > 0).all():
        raise ValueError(f"thresholds must be positive and grow, not {list(scene.thresholds)}")
    for level, mesh in enumerate(scene.lods):
        check_surface(mesh, f"level {level} of {scene.name}")
    for index, hull in enumerate(scene.hulls):
        check_hull(hull, f"hull {index} of {scene.name}")


class _Graph:
    """Number objects in the order they come and keep who hangs on whom."""

    def __init__(self) -> None:
        self.objects: list[Record] = []
        self.connections: list[Record] = []

    def add(self, item: Record) -> np.int64:
        """Put an id in front of an object's values and keep it."""
        number = np.int64(FIRST_ID + len(self.objects))
        self.objects.append(Record(item.name, (number, *item.values), item.children))
        return number

    def connect(self, child: np.int64, parent: np.int64, target: str = "") -> None:
        """Hang an object on another, or on a property of it."""
        values: tuple[Value, ...] = ("OP", child, parent, target) if target else ("OO", child, parent)
        self.connections.append(Record("C", values))

    def add_mesh(self, name: str, layers: list[Record], parent: np.int64) -> np.int64:
        """Add a model and its geometry under one name and give the model's id."""
        model = self.add(_model(name, "Mesh"))
        geometry = self.add(record("Geometry", object_name(name, "Geometry"), "Mesh", children=layers))
        self.connect(model, parent)
        self.connect(geometry, model)
        return model

    def records(self) -> list[Record]:
        return [record("Objects", children=self.objects), record("Connections", children=self.connections)]


def _surface(mesh: Mesh) -> list[Record]:
    """Describe a textured level."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    corners = mesh.faces.ravel()
    normals = mesh.normals.astype(np.float64)
    tangents = mesh.tangents[:, :3].astype(np.float64)
    binormals = np.cross(normals, tangents) * mesh.tangents[:, 3:].astype(np.float64)
    binormals /= np.linalg.norm(binormals, axis=1, keepdims=True)
    uv = mesh.uv.astype(np.float64)
    uv[:, 1] = 1.0 - uv[:, 1]
    return [
        *_positions(mesh),
        _vectors("Normal", "Normals", normals[corners]),
        _vectors("Binormal", "Binormals", binormals[corners]),
        _vectors("Tangent", "Tangents", tangents[corners]),
        _uv_layer(uv, corners),
        _smoothing(len(mesh.faces), 1),
        _one_material(),
        _layer("Normal", "Binormal", "Tangent", "UV", "Smoothing", "Material"),
    ]


def _hull(mesh: Mesh) -> list[Record]:
    """Describe a collision hull: positions, flat normals, nothing to shade."""
    a, b, c = (mesh.vertices.astype(np.float64)[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1.0), [0.0, 0.0, 1.0])
    return [
        *_positions(mesh),
        _vectors("Normal", "Normals", np.repeat(normals, 3, axis=0)),
        _smoothing(len(mesh.faces), 0),
        _layer("Normal", "Smoothing"),
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


def _vectors(kind: str, array: str, values: Float64[np.ndarray, "n 3"]) -> Record:
    """Describe one vector per corner."""
    rows = [*_mapping(101, "", "ByPolygonVertex", "Direct"), record(array, np.ascontiguousarray(values).ravel())]
    return record(f"LayerElement{kind}", 0, children=rows)


def _uv_layer(uv: Float64[np.ndarray, "v 2"], corners: Int32[np.ndarray, " n"]) -> Record:
    rows = [*_mapping(101, UV_SET, "ByPolygonVertex", "IndexToDirect"), record("UV", uv.ravel()), record("UVIndex", corners)]
    return record("LayerElementUV", 0, children=rows)


def _smoothing(faces: int, group: int) -> Record:
    """Put all faces into one smoothing group (or none): without this layer Unreal warns on every import."""
    rows = [*_mapping(102, "", "ByPolygon", "Direct"), record("Smoothing", np.full(faces, group, np.int32))]
    return record("LayerElementSmoothing", 0, children=rows)


def _one_material() -> Record:
    rows = [*_mapping(101, "", "AllSame", "IndexToDirect"), record("Materials", np.zeros(1, np.int32))]
    return record("LayerElementMaterial", 0, children=rows)


def _mapping(version: int, name: str, mapping: str, reference: str) -> list[Record]:
    return [
        record("Version", version),
        record("Name", name),
        record("MappingInformationType", mapping),
        record("ReferenceInformationType", reference),
    ]


def _layer(*kinds: str) -> Record:
    rows = [record("LayerElement", children=[record("Type", f"LayerElement{kind}"), record("TypedIndex", 0)]) for kind in kinds]
    return record("Layer", 0, children=[record("Version", 100), *rows])


def _model(name: str, kind: str) -> Record:
    """Describe a model that stands at the origin, unturned and unscaled."""
    transform = properties(
        ("InheritType", "enum", "", "", 1),
        ("DefaultAttributeIndex", "int", "Integer", "", 0),
        ("Lcl Translation", "Lcl Translation", "", "A", 0.0, 0.0, 0.0),
        ("Lcl Rotation", "Lcl Rotation", "", "A", 0.0, 0.0, 0.0),
        ("Lcl Scaling", "Lcl Scaling", "", "A", 1.0, 1.0, 1.0),
    )
    rows = [record("Version", 232), transform, record("Shading", True), record("Culling", "CullingOff")]
    return record("Model", object_name(name, "Model"), kind, children=rows)


def _lod_attribute(name: str, thresholds: Sequence[float]) -> Record:
    levels: list[tuple[Value, ...]] = [
        (f"Thresholds|Level{index}", "Distance", "", "", float(distance), "cm") for index, distance in enumerate(thresholds)
    ]
    display: list[tuple[Value, ...]] = [
        (f"DisplayLevels|Level{index}", "enum", "", "", 0) for index in range(len(thresholds) + 1)
    ]
    rows = properties(
        ("ThresholdsUsedAsPercentage", "bool", "", "", 0),
        ("MinMaxDistance", "bool", "", "", 0),
        ("WorldSpace", "bool", "", "", 0),
        ("Thresholds", "Compound", "", ""),
        *levels,
        ("DisplayLevels", "Compound", "", ""),
        *display,
    )
    return record("NodeAttribute", object_name(name, "NodeAttribute"), "LodGroup", children=[record("Version", 100), rows])


def _material(scene: FbxScene) -> Record:
    """Describe the slot. Lambert: Unreal wires base colour and normal of it and invents no specular."""
    named: list[tuple[Value, ...]] = [(kind, "Vector3D", "Vector", "", 0.0, 0.0, 0.0) for kind in scene.textures if "|" in kind]
    rows = properties(
        ("DiffuseColor", "Color", "", "A", 1.0, 1.0, 1.0),
        ("DiffuseFactor", "Number", "", "A", 1.0),
        ("NormalMap", "Vector3D", "Vector", "", 0.0, 0.0, 0.0),
        *named,
    )
    name = object_name(scene.material, "Material")
    return record(
        "Material",
        name,
        "",
        children=[record("Version", 102), record("ShadingModel", "lambert"), record("MultiLayer", 0), rows],
    )


def _texture(file: str) -> Record:
    name = file.rpartition(".")[0]
    rows = [
        record("Type", "TextureVideoClip"),
        record("Version", 202),
        record("TextureName", object_name(name, "Texture")),
        properties(("UVSet", "KString", "", "", UV_SET), ("UseMaterial", "bool", "", "", 1)),
        record("Media", object_name(name, "Video")),
        record("FileName", file),
        record("RelativeFilename", file),
        record("ModelUVTranslation", 0.0, 0.0),
        record("ModelUVScaling", 1.0, 1.0),
        record("Texture_Alpha_Source", "None"),
        record("Cropping", 0, 0, 0, 0),
    ]
    return record("Texture", object_name(name, "Texture"), "", children=rows)


def _video(file: str) -> Record:
    name = file.rpartition(".")[0]
    rows = [
        record("Type", "Clip"),
        properties(("Path", "KString", "XRefUrl", "", file)),
        record("UseMipMap", 0),
        record("Filename", file),
        record("RelativeFilename", file),
    ]
    return record("Video", object_name(name, "Video"), "Clip", children=rows)
