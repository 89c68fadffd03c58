"""Put one file into the content browser, and save what lies there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forge_import.guarded import set_checked, set_first


class ImportFailed(Exception):
    """Say what Unreal made of a package instead of what was meant."""


def import_file(unreal: Any, file: Path, folder: str, name: str, options: Any) -> Any:
    """Import one file and give the asset of that name.

    Raises:
        ImportFailed: It became something else.
        SettingFailed: A property of the task is not there in this version.
    """
    task = unreal.AssetImportTask()
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
    unreal.AssetToolsHelpers.get_asset_tools().import_asset_tasks([task])
    asset = unreal.EditorAssetLibrary.load_asset(f"{folder}/{name}")
    if asset is None:
        found = ", ".join(map(str, unreal.EditorAssetLibrary.list_assets(folder))) or "nothing"
        raise ImportFailed(f"{file.name} did not become {folder}/{name}; {folder} holds {found}.")
    return asset


def save(unreal: Any, path: str) -> None:
    """Save an asset. Raises ImportFailed if it cannot be."""
    if not unreal.EditorAssetLibrary.save_asset(path, only_if_is_dirty=False):
        raise ImportFailed(f"{path} cannot be saved: is it checked out, is the disk full?")


def mesh_options(unreal: Any, kind: str, lods: bool, meshes: Iterable[tuple[str, object]]) -> tuple[Any, Any]:
    """Give the pipeline that imports one kind of mesh and nothing else, and the stack that it stands in.

    Normals and tangents stay those of the file, in which the normal map was baked.

    Args:
        unreal: The module.
        kind: `static` or `skeletal`.
        lods: Whether levels of detail are imported; combining meshes would flatten them into the first.
        meshes: Further properties of the mesh pipeline.
    """
    pipeline = unreal.InterchangeGenericAssetsPipeline()
    mesh = pipeline.get_editor_property("mesh_pipeline")
    for name, value in (
        ("import_static_meshes", kind == "static"),
        ("import_skeletal_meshes", kind == "skeletal"),
        *meshes,
    ):
        set_checked(mesh, name, value)
    behaviour = getattr(unreal, f"InterchangeCombine{kind.title()}MeshesBehavior", None)  # 5.8 and later
    newer = ((f"combine_{kind}_meshes_behavior", behaviour.DO_NOT_COMBINE),) if behaviour else ()
    set_first(mesh, (*newer, (f"combine_{kind}_meshes", False)))
    common = pipeline.get_editor_property("common_meshes_properties")
    for name, value in (
        ("import_lods", lods),
        ("recompute_normals", False),
        ("recompute_tangents", False),
        ("use_mikk_t_space", True),
        ("import_sockets", True),
    ):
        set_checked(common, name, value)
    materials = pipeline.get_editor_property("material_pipeline")
    set_checked(materials, "import_materials", False)
    set_checked(materials.get_editor_property("texture_pipeline"), "import_textures", False)
    stack = unreal.InterchangePipelineStackOverride()
    stack.add_pipeline(pipeline)
    return pipeline, stack


def differences(size: tuple[float, float, float], sides: Iterable[float]) -> list[str]:
    """Say which of a mesh's extents are not within 1 % of what the package says."""
    return [
        f"{side:.1f} cm along {axis} instead of {meant:.1f}"
        for axis, side, meant in zip("XYZ", sides, size, strict=True)
        if abs(side - meant) > 0.01 * max(meant, 1.0)
    ]
