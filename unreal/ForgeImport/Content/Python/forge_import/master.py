"""Make the two materials that instances of imported packages derive from: an opaque one, and one with holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forge_import.guarded import SettingFailed, set_checked

FOLDER, NAME, MASKED_NAME = "/Game/Forge", "M_ForgeMaster", "M_ForgeMasterMasked"
CLIP = 0.5
PARAMETERS = {"base_color": "BaseColor", "normal": "Normal", "orm": "ORM"}
"""Names of the texture parameters by role."""

SAMPLERS = {"base_color": "SAMPLERTYPE_COLOR", "normal": "SAMPLERTYPE_NORMAL", "orm": "SAMPLERTYPE_MASKS"}
WIRES = (
    ("base_color", "RGB", "MP_BASE_COLOR"),
    ("normal", "RGB", "MP_NORMAL"),
    ("orm", "R", "MP_AMBIENT_OCCLUSION"),
    ("orm", "G", "MP_ROUGHNESS"),
    ("orm", "B", "MP_METALLIC"),
)
MASK = (("base_color", "A", "MP_OPACITY_MASK"),)


def master_material(unreal: Any, textures: Mapping[str, Any], masked: bool = False) -> Any:
    """Give the master material, made the first time it is needed and never touched again, so that it may be edited.

    Args:
        unreal: The module.
        textures: By role; they become its defaults, since a sampler whose default texture is of another kind than itself keeps
            the whole material from compiling.
        masked: Whether the base colour's alpha cuts holes; then both sides are drawn.

    Raises:
        SettingFailed: An input or a property is not there in this version.
    """
    library, editing = unreal.EditorAssetLibrary, unreal.MaterialEditingLibrary
    name = MASKED_NAME if masked else NAME
    path = f"{FOLDER}/{name}"
    if library.does_asset_exist(path):
        return library.load_asset(path)
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    material = tools.create_asset(name, FOLDER, unreal.Material, unreal.MaterialFactoryNew())
    set_checked(material, "used_with_skeletal_mesh", True)  # else characters are a chequerboard in a packaged game
    if masked:
        set_checked(material, "blend_mode", unreal.BlendMode.BLEND_MASKED)
        set_checked(material, "two_sided", True)
        set_checked(material, "opacity_mask_clip_value", CLIP)
    samples = {}
    for row, (role, parameter) in enumerate(PARAMETERS.items()):
        sample = editing.create_material_expression(
            material, unreal.MaterialExpressionTextureSampleParameter2D, -500, 300 * row
        )
        set_checked(sample, "texture", textures[role])
        set_checked(sample, "sampler_type", getattr(unreal.MaterialSamplerType, SAMPLERS[role]))
        sample.set_editor_property("parameter_name", parameter)
        if str(sample.get_editor_property("parameter_name")) != parameter:  # a Name, which equals no text
            raise SettingFailed(f"The master material's parameter {parameter} has another name afterwards.")
        samples[role] = sample
    for role, channel, target in (*WIRES, *(MASK if masked else ())):
        if not editing.connect_material_property(samples[role], channel, getattr(unreal.MaterialProperty, target)):
            raise SettingFailed(f"The master material takes no {channel} of {role} as {target}.")
    editing.recompile_material(material)
    if not library.save_asset(path, only_if_is_dirty=False):
        raise SettingFailed(f"{path} cannot be saved: is it checked out, is the disk full?")
    return material
