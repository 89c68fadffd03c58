"""Describe the objects of an FBX that are no geometry: models, the LOD group, the material and its textures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forge_batch.ops.fbx_file import Record, Value, object_name, properties, record
from forge_batch.ops.fbx_geometry import UV_SET


def model(name: str, kind: str, place: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Record:
    """Describe a model, unturned and unscaled."""
    transform = properties(
        ("InheritType", "enum", "", "", 1),
        ("DefaultAttributeIndex", "int", "Integer", "", 0),
        ("Lcl Translation", "Lcl Translation", "", "A", *place),
        ("Lcl Rotation", "Lcl Rotation", "", "A", 0.0, 0.0, 0.0),
        ("Lcl Scaling", "Lcl Scaling", "", "A", 1.0, 1.0, 1.0),
    )
    rows = [record("Version", 232), transform, record("Shading", True), record("Culling", "CullingOff")]
    return record("Model", object_name(name, "Model"), kind, children=rows)


def null_attribute(name: str) -> Record:
    """Describe what makes a model an empty object."""
    return record("NodeAttribute", object_name(name, "NodeAttribute"), "Null", children=[record("TypeFlags", "Null")])


def lod_attribute(name: str, thresholds: Sequence[float]) -> Record:
    """Describe what makes a model an LOD group: the distances at which levels change."""
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


def material(name: str, textures: Mapping[str, str]) -> Record:
    """Describe the slot. Lambert: Unreal wires base colour and normal of it and invents no specular."""
    named: list[tuple[Value, ...]] = [(kind, "Vector3D", "Vector", "", 0.0, 0.0, 0.0) for kind in textures if "|" in kind]
    rows = properties(
        ("DiffuseColor", "Color", "", "A", 1.0, 1.0, 1.0),
        ("DiffuseFactor", "Number", "", "A", 1.0),
        ("NormalMap", "Vector3D", "Vector", "", 0.0, 0.0, 0.0),
        *named,
    )
    name = object_name(name, "Material")
    return record(
        "Material",
        name,
        "",
        children=[record("Version", 102), record("ShadingModel", "lambert"), record("MultiLayer", 0), rows],
    )


def texture(file: str) -> Record:
    """Describe a texture by its file, relative to the FBX."""
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


def video(file: str) -> Record:
    """Describe the clip that a texture shows."""
    name = file.rpartition(".")[0]
    rows = [
        record("Type", "Clip"),
        properties(("Path", "KString", "XRefUrl", "", file)),
        record("UseMipMap", 0),
        record("Filename", file),
        record("RelativeFilename", file),
    ]
    return record("Video", object_name(name, "Video"), "Clip", children=rows)
