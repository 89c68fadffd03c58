"""Import a package: textures, mesh with LODs and hulls, skinned mesh, material instances; then measure what came of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from forge_import.editor import ImportFailed, differences, import_file, mesh_options, save
from forge_import.guarded import set_checked
from forge_import.master import PARAMETERS, master_material
from forge_import.recipe import Look, Recipe, Texture, read_recipe, unpack
from forge_import.skinned import import_skinned, save_skinned, set_instances

TAG = "Forge.Content"
"""Metadata on the static mesh: the hash of the package that it came from."""


class Importer:
    """Import packages through the `unreal` module that is passed in."""

    def __init__(self, unreal: Any) -> None:
        self.unreal = unreal

    def import_package(self, path: Path) -> str:
        """Import a package, unless its very content is imported already, and say what was done.

        Raises:
            RecipeError: The file is no package, or asks for what it must not.
            SettingFailed: A property of this version of Unreal has another name, or does not take what is set.
            ImportFailed: What came of it is not what the package says.
        """
        recipe = read_recipe(path)
        target = f"{recipe.destination}/{recipe.mesh}"
        if self._is_imported(recipe):
            return "unchanged"
        skinned = None
        with tempfile.TemporaryDirectory() as folder:
            files = unpack(path, recipe, Path(folder))
            made = [
                {role: self._texture(recipe, one, files[one.file]) for role, one in look.textures.items()}
                for look in recipe.looks
            ]
            mesh = self._mesh(recipe, files[recipe.mesh_file])
            if recipe.skeletal:
                skinned = import_skinned(self.unreal, recipe, recipe.skeletal, files[recipe.skeletal.file])
        self._measure(recipe, mesh)
        self._finish_mesh(recipe, mesh)
        note = f" and {recipe.skeletal.name}" if recipe.skeletal else ""
        if all(textures.keys() == PARAMETERS.keys() for textures in made):
            self._use_instances(recipe, made, mesh, skinned)
        else:
            note += "; no material instance, since it needs base colour, normal and ORM"
        if skinned:
            save_skinned(self.unreal, skinned)
        self.unreal.EditorAssetLibrary.set_metadata_tag(mesh, TAG, recipe.content)
        self._save(target)
        return f"imported as {target}{note}"

    def _is_imported(self, recipe: Recipe) -> bool:
        """Tell whether all meshes are there and the static one bears the mark of this very content."""
        library = self.unreal.EditorAssetLibrary
        names = (recipe.mesh, *((recipe.skeletal.name,) if recipe.skeletal else ()))
        paths = [f"{recipe.destination}/{name}" for name in names]
        there = all(library.does_asset_exist(path) for path in paths)
        return there and self._tag(library.load_asset(paths[0])) == recipe.content

    def _tag(self, asset: Any) -> str:
        return str(self.unreal.EditorAssetLibrary.get_metadata_tag(asset, TAG))

    def _save(self, path: str) -> None:
        save(self.unreal, path)

    def _texture(self, recipe: Recipe, one: Texture, file: Path) -> Any:
        texture = import_file(self.unreal, file, recipe.destination, one.name, None)
        set_checked(texture, "compression_settings", getattr(self.unreal.TextureCompressionSettings, one.compression))
        set_checked(texture, "srgb", one.srgb)
        self._save(f"{recipe.destination}/{one.name}")
        return texture

    def _mesh(self, recipe: Recipe, file: Path) -> Any:
        settings = (
            ("build_nanite", recipe.nanite),
            ("collision", recipe.hulls > 0),
            ("import_collision_according_to_mesh_name", True),
            ("one_convex_hull_per_ucx", True),
            ("generate_lightmap_u_vs", False),
        )
        _, stack = mesh_options(self.unreal, "static", not recipe.nanite, settings)
        return import_file(self.unreal, file, recipe.destination, recipe.mesh, stack)

    def _measure(self, recipe: Recipe, mesh: Any) -> None:
        """Hold the mesh to what the package says of it; every difference is named."""
        editor = self.unreal.get_editor_subsystem(self.unreal.StaticMeshEditorSubsystem)
        wrong = []
        levels = 1 if recipe.nanite else len(recipe.screen_sizes)
        if (count := editor.get_lod_count(mesh)) != levels:
            wrong.append(f"{count} LODs instead of {levels}")
        if (count := editor.get_simple_collision_count(mesh)) != recipe.hulls:
            wrong.append(f"{count} collision shapes instead of {recipe.hulls}")
        box = mesh.get_bounding_box()
        wrong += differences(recipe.size, (getattr(box.max, axis) - getattr(box.min, axis) for axis in "xyz"))
        names = [str(path).rpartition("/")[2] for path in self.unreal.EditorAssetLibrary.list_assets(recipe.destination)]
        wrong += [f"a hull that became the mesh {name}" for name in names if name.startswith(("UCX_", "UBX_", "USP_", "UCP_"))]
        if wrong:
            raise ImportFailed(f"{recipe.mesh} has {', '.join(wrong)}.")

    def _finish_mesh(self, recipe: Recipe, mesh: Any) -> None:
        editor = self.unreal.get_editor_subsystem(self.unreal.StaticMeshEditorSubsystem)
        if not recipe.nanite and len(recipe.screen_sizes) > 1:
            editor.set_lod_screen_sizes(mesh, list(recipe.screen_sizes))
            found = [float(size) for size in editor.get_lod_screen_sizes(mesh)]
            if any(abs(a - b) > 1e-4 for a, b in zip(found, recipe.screen_sizes, strict=True)):
                raise ImportFailed(f"{recipe.mesh} was given screen sizes {recipe.screen_sizes} and has {found}.")
        if bool(editor.get_nanite_settings(mesh).get_editor_property("enabled")) != recipe.nanite:
            raise ImportFailed(f"{recipe.mesh} has Nanite {'off' if recipe.nanite else 'on'} after the import.")
        if recipe.lightmap:
            set_checked(mesh, "light_map_coordinate_index", 1)
            set_checked(mesh, "light_map_resolution", recipe.lightmap)

    def _use_instances(self, recipe: Recipe, made: list[dict[str, Any]], mesh: Any, skinned: Any) -> None:
        """Make the material instances and put them on the meshes."""
        instances: dict[str, Any] = {}
        for look, textures in zip(recipe.looks, made, strict=True):
            instance = instances[look.slot] = self._instance(recipe, look, textures)
            slot = mesh.get_material_index(look.slot) if look.slot else 0
            if slot < 0:
                raise ImportFailed(f"{recipe.mesh} has no material slot {look.slot}.")
            mesh.set_material(slot, instance)
            if mesh.get_material(slot) != instance:
                raise ImportFailed(f"{recipe.mesh} does not take {look.instance}.")
        if skinned:
            set_instances(self.unreal, skinned, instances)

    def _instance(self, recipe: Recipe, look: Look, textures: dict[str, Any]) -> Any:
        u = self.unreal
        path = f"{recipe.destination}/{look.instance}"
        if u.EditorAssetLibrary.does_asset_exist(path):
            instance = u.EditorAssetLibrary.load_asset(path)
        else:
            tools, factory = u.AssetToolsHelpers.get_asset_tools(), u.MaterialInstanceConstantFactoryNew()
            instance = tools.create_asset(look.instance, recipe.destination, u.MaterialInstanceConstant, factory)
        editing = u.MaterialEditingLibrary
        editing.set_material_instance_parent(instance, master_material(u, textures, look.masked))
        for role, parameter in PARAMETERS.items():
            editing.set_material_instance_texture_parameter_value(instance, parameter, textures[role])
            if editing.get_material_instance_texture_parameter_value(instance, parameter) != textures[role]:
                raise ImportFailed(f"{look.instance} does not take {textures[role].get_name()} as {parameter}.")
        if recipe.two_sided:
            overrides = instance.get_editor_property("base_property_overrides")  # a copy: only the whole can be set
            set_checked(overrides, "override_two_sided", True)
            set_checked(overrides, "two_sided", True)
            instance.set_editor_property("base_property_overrides", overrides)
            if not instance.get_editor_property("base_property_overrides").get_editor_property("two_sided"):
                raise ImportFailed(f"{look.instance} does not become two-sided.")
        editing.update_material_instance(instance)
        self._save(path)
        return instance
