"""Import the skinned mesh of a character: its levels, skeleton and physics asset; then measure what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge_import.editor import ImportFailed, differences, import_file, mesh_options, save
from forge_import.guarded import same, set_checked
from forge_import.recipe import Recipe, Skeletal


def import_skinned(unreal: Any, recipe: Recipe, skeletal: Skeletal, file: Path) -> Any:
    """Import a character's FBX and give its skeletal mesh, held to what the package says of it.

    A skeleton that an earlier import made is used again, so that animations stay with it.

    Raises:
        ImportFailed: What came of it is not what the package says.
        SettingFailed: A property of this version of Unreal has another name, or does not take what is set.
    """
    settings = (
        ("create_physics_asset", True),
        ("import_morph_targets", False),
        ("bone_influence_limit", skeletal.influences),
    )
    pipeline, stack = mesh_options(unreal, "skeletal", True, settings)
    set_checked(pipeline.get_editor_property("animation_pipeline"), "import_animations", False)
    common = pipeline.get_editor_property("common_skeletal_meshes_and_animations_properties")
    set_checked(common, "import_only_animations", False)
    library, target = unreal.EditorAssetLibrary, f"{recipe.destination}/{skeletal.name}"
    if library.does_asset_exist(target):
        set_checked(common, "skeleton", library.load_asset(target).get_editor_property("skeleton"))
    mesh = import_file(unreal, file, recipe.destination, skeletal.name, stack)
    _measure(unreal, recipe, skeletal, mesh)
    _set_screen_sizes(unreal, recipe, skeletal, mesh)
    return mesh


def set_instances(unreal: Any, mesh: Any, instances: Mapping[str, Any]) -> None:
    """Put material instances into the slots of a skeletal mesh, by the slots' names; one without a name into its only slot."""
    slots, wanted = [], []
    for old in mesh.get_editor_property("materials"):  # copies: only the whole list can be set
        slot = unreal.SkeletalMaterial()
        name = "" if "" in instances else str(old.get_editor_property("material_slot_name"))
        wanted.append(instances.get(name))
        slot.set_editor_property("material_interface", wanted[-1])
        slot.set_editor_property("material_slot_name", old.get_editor_property("material_slot_name"))
        slots.append(slot)
    mesh.set_editor_property("materials", slots)
    found = [slot.get_editor_property("material_interface") for slot in mesh.get_editor_property("materials")]
    if found != wanted or len(found) != len(instances) or None in found:
        names = ", ".join(instance.get_name() for instance in instances.values())
        raise ImportFailed(f"{mesh.get_name()} has {len(found)} slots, or does not take {names}.")


def save_skinned(unreal: Any, mesh: Any) -> None:
    """Save a skeletal mesh with its skeleton and physics asset."""
    for asset in (mesh.get_editor_property("skeleton"), mesh.get_editor_property("physics_asset"), mesh):
        if asset is not None:
            save(unreal, str(asset.get_path_name()).partition(".")[0])


def _measure(unreal: Any, recipe: Recipe, skeletal: Skeletal, mesh: Any) -> None:
    """Hold the mesh to what the package says of it; every difference is named."""
    wrong = []
    count = unreal.get_editor_subsystem(unreal.SkeletalMeshEditorSubsystem).get_lod_count(mesh)
    if count != len(recipe.screen_sizes):
        wrong.append(f"{count} LODs instead of {len(recipe.screen_sizes)}")
    extent = mesh.get_imported_bounds().box_extent
    wrong += differences(recipe.size, (2 * extent.x, 2 * extent.y, 2 * extent.z))
    skeleton = mesh.get_editor_property("skeleton")
    bones = {str(name) for name in skeleton.get_reference_pose().get_bone_names()}
    if missing := sorted(set(skeletal.bones) - bones):
        wrong.append(f"no bones {', '.join(missing)}")
    if more := sorted(bones - set(skeletal.bones)):
        wrong.append(f"further bones {', '.join(more)}")
    if wrong:
        raise ImportFailed(f"{skeletal.name} has {', '.join(wrong)}.")


def _set_screen_sizes(unreal: Any, recipe: Recipe, skeletal: Skeletal, mesh: Any) -> None:
    levels = list(mesh.get_editor_property("lod_info"))
    for level, size in zip(levels, recipe.screen_sizes, strict=True):
        value = unreal.PerPlatformFloat()
        set_checked(value, "default", size)
        level.set_editor_property("screen_size", value)
    mesh.set_editor_property("lod_info", levels)
    found = [
        float(level.get_editor_property("screen_size").get_editor_property("default"))
        for level in mesh.get_editor_property("lod_info")
    ]
    if not all(same(a, b) for a, b in zip(found, recipe.screen_sizes, strict=True)):
        raise ImportFailed(f"{skeletal.name} was given screen sizes {recipe.screen_sizes} and has {found}.")
