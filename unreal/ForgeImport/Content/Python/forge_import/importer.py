"""Import a package: textures, mesh with LODs and hulls, material instance; then measure what came of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from forge_import.guarded import set_checked, set_first
from forge_import.master import PARAMETERS, master_material
from forge_import.recipe import Recipe, Texture, read_recipe, unpack

TAG = "Forge.Content"
"""Metadata on the static mesh: the hash of the package that it came from."""


class ImportFailed(Exception):
    """Say what Unreal made of a package instead of what was meant."""


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
        library = self.unreal.EditorAssetLibrary
        target = f"{recipe.destination}/{recipe.mesh}"
        if library.does_asset_exist(target) and self._tag(library.load_asset(target)) == recipe.content:
            return "unchanged"
        with tempfile.TemporaryDirectory() as folder:
            files = unpack(path, recipe, Path(folder))
            textures = {role: self._texture(recipe, one, files[one.file]) for role, one in recipe.textures.items()}
            mesh = self._mesh(recipe, files[recipe.mesh_file])
        self._measure(recipe, mesh)
        self._finish_mesh(recipe, mesh)
        note = ""
        if textures.keys() == PARAMETERS.keys():
            self._instance(recipe, mesh, textures)
        else:
            note = "; no material instance, since it needs base colour, normal and ORM"
        library.set_metadata_tag(mesh, TAG, recipe.content)
        self._save(target)
        return f"imported as {target}{note}"

    def _tag(self, asset: Any) -> str:
        return str(self.unreal.EditorAssetLibrary.get_metadata_tag(asset, TAG))

    def _save(self, path: str) -> None:
        if not self.unreal.EditorAssetLibrary.save_asset(path, only_if_is_dirty=False):
            raise ImportFailed(f"{path} cannot be saved: is it checked out, is the disk full?")

    def _run(self, file: Path, folder: str, name: str, options: Any) -> Any:
        """Import one file and give the asset of that name."""
        task = self.unreal.AssetImportTask()
        settings = {
            "filename": str(file),
            "destination_path": folder,
            "destination_name": name,
            "automated": True,
            "replace_existing": True,
            "save": False,
        }
        for key, value in settings.items():
            set_checked(task, key, value)
        if options is not None:
            set_checked(task, "options", options)
        self.unreal.AssetToolsHelpers.get_asset_tools().import_asset_tasks([task])
        asset = self.unreal.EditorAssetLibrary.load_asset(f"{folder}/{name}")
        if asset is None:
            found = ", ".join(map(str, self.unreal.EditorAssetLibrary.list_assets(folder))) or "nothing"
            raise ImportFailed(f"{file.name} did not become {folder}/{name}; {folder} holds {found}.")
        return asset

    def _texture(self, recipe: Recipe, one: Texture, file: Path) -> Any:
        texture = self._run(file, recipe.destination, one.name, None)
        set_checked(texture, "compression_settings", getattr(self.unreal.TextureCompressionSettings, one.compression))
        set_checked(texture, "srgb", one.srgb)
        self._save(f"{recipe.destination}/{one.name}")
        return texture

    def _mesh(self, recipe: Recipe, file: Path) -> Any:
        u = self.unreal
        pipeline = u.InterchangeGenericAssetsPipeline()
        meshes = pipeline.get_editor_property("mesh_pipeline")
        for name, value in (
            ("import_static_meshes", True),
            ("import_skeletal_meshes", False),
            ("build_nanite", recipe.nanite),
            ("collision", recipe.hulls > 0),
            ("import_collision_according_to_mesh_name", True),
            ("one_convex_hull_per_ucx", True),
            ("generate_lightmap_u_vs", False),
        ):
            set_checked(meshes, name, value)
        behaviour = getattr(u, "InterchangeCombineStaticMeshesBehavior", None)  # 5.8 and later; combining flattens all LODs
        newer = (("combine_static_meshes_behavior", behaviour.DO_NOT_COMBINE),) if behaviour else ()
        set_first(meshes, (*newer, ("combine_static_meshes", False)))
        common = pipeline.get_editor_property("common_meshes_properties")
        for name, value in (
            ("import_lods", not recipe.nanite),
            ("recompute_normals", False),
            ("recompute_tangents", False),
            ("use_mikk_t_space", True),
            ("import_sockets", True),
        ):
            set_checked(common, name, value)
        materials = pipeline.get_editor_property("material_pipeline")
        set_checked(materials, "import_materials", False)
        set_checked(materials.get_editor_property("texture_pipeline"), "import_textures", False)
        stack = u.InterchangePipelineStackOverride()
        stack.add_pipeline(pipeline)
        return self._run(file, recipe.destination, recipe.mesh, stack)

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
        for axis, meant in zip("xyz", recipe.size, strict=True):
            side = getattr(box.max, axis) - getattr(box.min, axis)
            if abs(side - meant) > 0.01 * max(meant, 1.0):
                wrong.append(f"{side:.1f} cm along {axis.upper()} instead of {meant:.1f}")
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

    def _instance(self, recipe: Recipe, mesh: Any, textures: dict[str, Any]) -> None:
        u = self.unreal
        path = f"{recipe.destination}/{recipe.instance}"
        if u.EditorAssetLibrary.does_asset_exist(path):
            instance = u.EditorAssetLibrary.load_asset(path)
        else:
            tools, factory = u.AssetToolsHelpers.get_asset_tools(), u.MaterialInstanceConstantFactoryNew()
            instance = tools.create_asset(recipe.instance, recipe.destination, u.MaterialInstanceConstant, factory)
        editing = u.MaterialEditingLibrary
        editing.set_material_instance_parent(instance, master_material(u, textures))
        for role, parameter in PARAMETERS.items():
            editing.set_material_instance_texture_parameter_value(instance, parameter, textures[role])
            if editing.get_material_instance_texture_parameter_value(instance, parameter) != textures[role]:
                raise ImportFailed(f"{recipe.instance} does not take {textures[role].get_name()} as {parameter}.")
        editing.update_material_instance(instance)
        self._save(path)
        mesh.set_material(0, instance)
        if mesh.get_material(0) != instance:
            raise ImportFailed(f"{recipe.mesh} does not take {recipe.instance}.")
