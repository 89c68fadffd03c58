"""Stand in for the editor's `unreal` module: only names that its documentation and scripts in use have, all others refused.

Importing behaves as Interchange does, as far as it was read: an LOD group becomes one static mesh named by LOD0's mesh data,
whose levels combine into one if `combine_static_meshes` is on; a hull goes to the mesh that its name finds, and is a mesh
of its own if it finds none; without hulls, collision makes one shape. Skinned meshes become one skeletal mesh with a skeleton,
in which `Armature` is no bone, and a physics asset. The FBX itself is read by ufbx, a PNG by Pillow.
"""

from __future__ import annotations

import copy
import enum
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tests.ops.test_fbx import collision_target
from tests.readers import ask_ufbx, ask_ufbx_skin


class TextureCompressionSettings(enum.Enum):
    TC_DEFAULT = 0
    TC_NORMALMAP = 1
    TC_MASKS = 2


class MaterialSamplerType(enum.Enum):
    SAMPLERTYPE_COLOR = 0
    SAMPLERTYPE_NORMAL = 4
    SAMPLERTYPE_MASKS = 5


class BlendMode(enum.Enum):
    BLEND_OPAQUE = 0
    BLEND_MASKED = 1


class MaterialProperty(enum.Enum):
    MP_BASE_COLOR = 0
    MP_OPACITY_MASK = 7
    MP_METALLIC = 1
    MP_ROUGHNESS = 3
    MP_NORMAL = 8
    MP_AMBIENT_OCCLUSION = 14


class Combine(enum.Enum):
    DO_NOT_COMBINE = 0
    ALL = 1


class Name:
    """Be a name, which compares with no text, as Unreal's does."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Object:
    """Hold the properties that a class has, and refuse others in Unreal's words."""

    properties: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.values = {name: value() if callable(value) else value for name, value in self.properties.items()}
        self.name = self.path = ""

    def set_editor_property(self, name: str, value: Any) -> None:
        if name not in self.values:
            raise Exception(f"{type(self).__name__}: Failed to find property '{name}' for attribute '{name}'")  # noqa: TRY002
        self.values[name] = Name(value) if name == "parameter_name" else value

    def get_editor_property(self, name: str) -> Any:
        if name not in self.values:
            raise Exception(f"{type(self).__name__}: Failed to find property '{name}'")  # noqa: TRY002
        return self.values[name]

    def get_name(self) -> str:
        return self.name

    def get_path_name(self) -> str:
        return f"{self.path}.{self.name}"


class AssetImportTask(Object):
    properties: ClassVar[dict[str, Any]] = dict.fromkeys(
        ("filename", "destination_path", "destination_name", "automated", "replace_existing", "save", "options", "factory")
    )


class MeshPipeline(Object):
    properties: ClassVar[dict[str, Any]] = {
        "import_static_meshes": True,
        "import_skeletal_meshes": True,
        "build_nanite": True,
        "nanite_triangle_threshold": 0,
        "collision": True,
        "import_collision_according_to_mesh_name": True,
        "one_convex_hull_per_ucx": True,
        "lod_group": None,
        "generate_lightmap_u_vs": False,
        "combine_static_meshes": True,
        "combine_skeletal_meshes": True,
        "create_physics_asset": True,
        "import_morph_targets": True,
        "bone_influence_limit": 0,
    }


class NewerMeshPipeline(Object):
    """Be what 5.8 has: two properties renamed."""

    properties: ClassVar[dict[str, Any]] = {
        **{name: value for name, value in MeshPipeline.properties.items() if not name.startswith("combine_")},
        "combine_static_meshes_behavior": Combine.ALL,
        "combine_skeletal_meshes_behavior": Combine.ALL,
    }


class CommonMeshes(Object):
    properties: ClassVar[dict[str, Any]] = {
        "import_lods": True,
        "recompute_normals": False,
        "recompute_tangents": True,
        "use_mikk_t_space": True,
        "remove_degenerates": True,
        "use_full_precision_u_vs": False,
        "import_sockets": True,
    }


class TexturePipeline(Object):
    properties: ClassVar[dict[str, Any]] = {
        "import_textures": True,
        "detect_normal_map_texture": True,
        "flip_normal_map_green_channel": False,
        "allow_non_power_of_two": False,
    }


class MaterialPipeline(Object):
    properties: ClassVar[dict[str, Any]] = {"import_materials": True, "texture_pipeline": TexturePipeline}


class AnimationPipeline(Object):
    properties: ClassVar[dict[str, Any]] = {"import_animations": True}


class CommonSkeletal(Object):
    properties: ClassVar[dict[str, Any]] = {"skeleton": None, "import_only_animations": False, "use_t0_as_ref_pose": False}


class InterchangeGenericAssetsPipeline(Object):
    properties: ClassVar[dict[str, Any]] = {
        "animation_pipeline": AnimationPipeline,
        "common_skeletal_meshes_and_animations_properties": CommonSkeletal,
        "mesh_pipeline": MeshPipeline,
        "common_meshes_properties": CommonMeshes,
        "material_pipeline": MaterialPipeline,
    }


class NewerGenericAssetsPipeline(Object):
    properties: ClassVar[dict[str, Any]] = {**InterchangeGenericAssetsPipeline.properties, "mesh_pipeline": NewerMeshPipeline}


class InterchangePipelineStackOverride:
    def __init__(self) -> None:
        self.pipelines: list[Any] = []

    def add_pipeline(self, pipeline: Any) -> None:
        self.pipelines.append(pipeline)


class Texture2D(Object):
    properties: ClassVar[dict[str, Any]] = {
        "srgb": True,
        "compression_settings": TextureCompressionSettings.TC_DEFAULT,
        "lod_group": None,
    }


class NaniteSettings(Object):
    properties: ClassVar[dict[str, Any]] = {"enabled": False}


class Vector:
    def __init__(self, values: np.ndarray) -> None:
        self.x, self.y, self.z = (float(value) for value in values)


class Box:
    def __init__(self, points: np.ndarray) -> None:
        self.min, self.max = Vector(points.min(axis=0)), Vector(points.max(axis=0))


class StaticMesh(Object):
    properties: ClassVar[dict[str, Any]] = {
        "light_map_resolution": 4,
        "light_map_coordinate_index": 0,
        "nanite_settings": NaniteSettings,
    }

    def __init__(self, points: np.ndarray, levels: int, slots: list[str]) -> None:
        super().__init__()
        self.points, self.levels, self.hulls = points, levels, 0
        self.screen_sizes = [1.0 / (level + 1) for level in range(levels)]
        self.slot_names: list[str] = slots
        self.slots: list[Any] = [None] * len(slots)

    def get_bounding_box(self) -> Box:
        return Box(self.points)

    def get_material_index(self, name: str) -> int:
        return self.slot_names.index(name) if name in self.slot_names else -1

    def set_material(self, index: int, material: Any) -> None:
        self.slots[index] = material

    def get_material(self, index: int) -> Any:
        return self.slots[index]


class PerPlatformFloat(Object):
    properties: ClassVar[dict[str, Any]] = {"default": 0.0}


class SkeletalMeshLODInfo(Object):
    properties: ClassVar[dict[str, Any]] = {"screen_size": PerPlatformFloat, "lod_hysteresis": 0.0}


class SkeletalMaterial(Object):
    properties: ClassVar[dict[str, Any]] = {
        "material_interface": None,
        "material_slot_name": lambda: Name("None"),
        "uv_channel_data": None,
    }


class Skeleton(Object):
    def __init__(self, bones: list[str]) -> None:
        super().__init__()
        self.bones = bones

    def get_reference_pose(self) -> Skeleton:
        return self

    def get_bone_names(self) -> list[Name]:
        return [Name(bone) for bone in self.bones]


class PhysicsAsset(Object):
    pass


class Bounds:
    def __init__(self, points: np.ndarray) -> None:
        self.box_extent = Vector(np.ptp(points, axis=0) / 2)


class SkeletalMesh(Object):
    """Give lists as copies, as Unreal does: what is changed in them counts only once it is set."""

    properties: ClassVar[dict[str, Any]] = {"skeleton": None, "physics_asset": None, "materials": list, "lod_info": list}

    def __init__(self, points: np.ndarray, levels: int, slots: list[str]) -> None:
        super().__init__()
        self.points = points
        materials = [SkeletalMaterial() for _ in slots]
        for material, slot in zip(materials, slots, strict=True):
            material.values["material_slot_name"] = Name(slot)
        self.values |= {"materials": materials, "lod_info": [SkeletalMeshLODInfo() for _ in range(levels)]}

    def get_editor_property(self, name: str) -> Any:
        value = super().get_editor_property(name)
        return [_copied(one) for one in value] if isinstance(value, list) else value

    def get_imported_bounds(self) -> Bounds:
        return Bounds(self.points)


def _copied(struct: Any) -> Any:
    twin = copy.copy(struct)
    twin.values = dict(struct.values)
    return twin


class SkeletalMeshEditorSubsystem:
    def get_lod_count(self, mesh: SkeletalMesh) -> int:
        return len(mesh.values["lod_info"])


class StaticMeshEditorSubsystem:
    def get_lod_count(self, mesh: StaticMesh) -> int:
        return mesh.levels

    def get_simple_collision_count(self, mesh: StaticMesh) -> int:
        return mesh.hulls

    def set_lod_screen_sizes(self, mesh: StaticMesh, sizes: list[float]) -> bool:
        mesh.screen_sizes = list(np.float32(sizes))
        return False  # as 5.8 does on success

    def get_lod_screen_sizes(self, mesh: StaticMesh) -> list[float]:
        return mesh.screen_sizes

    def get_nanite_settings(self, mesh: StaticMesh) -> Any:
        return mesh.get_editor_property("nanite_settings")


class MaterialExpressionTextureSampleParameter2D(Object):
    properties: ClassVar[dict[str, Any]] = {
        "texture": None,
        "sampler_type": MaterialSamplerType.SAMPLERTYPE_COLOR,
        "parameter_name": lambda: Name("None"),
    }


class Material(Object):
    properties: ClassVar[dict[str, Any]] = {
        "used_with_skeletal_mesh": False,
        "blend_mode": BlendMode.BLEND_OPAQUE,
        "two_sided": False,
        "opacity_mask_clip_value": 0.3333,
    }

    def __init__(self) -> None:
        super().__init__()
        self.samples: list[Any] = []
        self.wires: dict[MaterialProperty, tuple[Any, str]] = {}
        self.compiled = False


class MaterialInstanceBasePropertyOverrides(Object):
    properties: ClassVar[dict[str, Any]] = {"override_two_sided": False, "two_sided": False}


class MaterialInstanceConstant(Object):
    properties: ClassVar[dict[str, Any]] = {"base_property_overrides": MaterialInstanceBasePropertyOverrides}

    def __init__(self) -> None:
        super().__init__()
        self.parent: Any = None
        self.textures: dict[str, Any] = {}


class MaterialFactoryNew:
    pass


class MaterialInstanceConstantFactoryNew:
    pass


KINDS = {
    MaterialSamplerType.SAMPLERTYPE_COLOR: TextureCompressionSettings.TC_DEFAULT,
    MaterialSamplerType.SAMPLERTYPE_NORMAL: TextureCompressionSettings.TC_NORMALMAP,
    MaterialSamplerType.SAMPLERTYPE_MASKS: TextureCompressionSettings.TC_MASKS,
}


class MaterialEditingLibrary:
    def create_material_expression(self, material: Material, kind: Callable[[], Any], x: int, y: int) -> Any:
        material.samples.append(kind())
        return material.samples[-1]

    def connect_material_property(self, sample: Any, channel: str, target: MaterialProperty) -> bool:
        if channel not in {"RGB", "R", "G", "B", "A", "RGBA"}:
            return False
        owner = next(one for one in Material.made if sample in one.samples)  # type: ignore[attr-defined]
        owner.wires[target] = (sample, channel)
        return True

    def recompile_material(self, material: Material) -> None:
        for sample in material.samples:
            kind = KINDS[sample.get_editor_property("sampler_type")]
            assert sample.get_editor_property("texture").get_editor_property("compression_settings") is kind
        material.compiled = True

    def set_material_instance_parent(self, instance: MaterialInstanceConstant, parent: Material) -> None:
        instance.parent = parent

    def set_material_instance_texture_parameter_value(self, instance: Any, name: str, texture: Any) -> bool:
        names = {str(sample.get_editor_property("parameter_name")) for sample in instance.parent.samples}
        if name in names:
            instance.textures[name] = texture
        return name in names

    def get_material_instance_texture_parameter_value(self, instance: Any, name: str) -> Any:
        return instance.textures.get(name)

    def update_material_instance(self, instance: Any) -> None:
        assert instance.parent.compiled


class EditorAssetLibrary:
    """Be the content browser: assets by path, their tags, and which are saved."""

    def __init__(self) -> None:
        self.assets: dict[str, Any] = {}
        self.tags: dict[tuple[int, str], str] = {}
        self.saved: list[str] = []
        self.read_only = False

    def does_asset_exist(self, path: str) -> bool:
        return path in self.assets

    def load_asset(self, path: str) -> Any:
        return self.assets.get(path)

    def list_assets(self, folder: str) -> list[str]:
        return [f"{path}.{path.rpartition('/')[2]}" for path in self.assets if path.startswith(folder + "/")]

    def save_asset(self, path: str, only_if_is_dirty: bool = True) -> bool:
        self.saved.append(path)
        return path in self.assets and not self.read_only

    def set_metadata_tag(self, asset: Any, key: str, value: str) -> None:
        self.tags[id(asset), key] = value

    def get_metadata_tag(self, asset: Any, key: str) -> str:
        return self.tags.get((id(asset), key), "")


class AssetTools:
    def __init__(self, library: EditorAssetLibrary) -> None:
        self.library = library
        self.imports: list[str] = []

    def create_asset(self, name: str, folder: str, kind: Any, factory: Any) -> Any:
        assert type(factory).__name__ == f"{kind.__name__}FactoryNew"
        asset = kind()
        if kind is Material:
            Material.made = [*getattr(Material, "made", []), asset]  # type: ignore[attr-defined]
        return self._put(f"{folder}/{name}", asset)

    def _put(self, path: str, asset: Any) -> Any:
        asset.name, asset.path = path.rpartition("/")[2], path
        self.library.assets[path] = asset
        return asset

    def import_asset_tasks(self, tasks: list[AssetImportTask]) -> None:
        for task in tasks:
            file, folder, name = (task.values[key] for key in ("filename", "destination_path", "destination_name"))
            assert task.values["automated"] is True
            self.imports.append(Path(file).name)
            if file.endswith(".png"):
                Image.open(io.BytesIO(Path(file).read_bytes())).load()
                self._put(f"{folder}/{name}", Texture2D())
            else:
                (pipeline,) = task.values["options"].pipelines
                skinned = bool(ask_ufbx_skin(Path(file))["bind_poses"]) if Path(file).name.startswith("SK_") else False
                (self._import_skinned if skinned else self._import_fbx)(Path(file), folder, pipeline)

    def _import_skinned(self, file: Path, folder: str, pipeline: Any) -> None:
        meshes = pipeline.get_editor_property("mesh_pipeline").values
        common = pipeline.get_editor_property("common_meshes_properties").values
        if not meshes["import_skeletal_meshes"]:
            return
        combine = meshes.get("combine_skeletal_meshes", meshes.get("combine_skeletal_meshes_behavior") is Combine.ALL)
        read, skin = ask_ufbx(file), ask_ufbx_skin(file)
        first = read["meshes"][0]
        levels = len(read["meshes"]) if common["import_lods"] and not combine else 1
        points = np.array(first["positions"]) * [1, -1, 1] * read["unit_metres"] * 100
        made = SkeletalMesh(points, levels, first["materials"])
        self._put(f"{folder}/{first['data_name']}", made)
        wanted = pipeline.get_editor_property("common_skeletal_meshes_and_animations_properties").values["skeleton"]
        bones = [node["name"] for node in skin["nodes"] if node["kind"] == "BONE"]
        made.values["skeleton"] = wanted or self._put(f"{folder}/{made.name}_Skeleton", Skeleton(bones))
        made.values["skeleton"].bones += [bone for bone in bones if bone not in made.values["skeleton"].bones]
        if meshes["create_physics_asset"]:
            made.values["physics_asset"] = self._put(f"{folder}/{made.name}_PhysicsAsset", PhysicsAsset())

    def _import_fbx(self, file: Path, folder: str, pipeline: Any) -> None:
        meshes = pipeline.get_editor_property("mesh_pipeline").values
        common = pipeline.get_editor_property("common_meshes_properties").values
        combine = meshes.get("combine_static_meshes", meshes.get("combine_static_meshes_behavior") is Combine.ALL)
        read = ask_ufbx(file)
        groups = [mesh for mesh in read["meshes"] if not mesh["name"].startswith(("UCX_", "UBX_", "USP_", "UCP_"))]
        first = groups[0]
        levels = len(groups) if common["import_lods"] and not combine else 1
        made = StaticMesh(np.array(first["positions"]) * [1, -1, 1] * read["unit_metres"] * 100, levels, first["materials"])
        made.get_editor_property("nanite_settings").set_editor_property("enabled", meshes["build_nanite"])
        self._put(f"{folder}/{first['data_name']}", made)
        for mesh in read["meshes"]:
            if mesh in groups:
                continue
            if meshes["import_collision_according_to_mesh_name"] and collision_target(mesh["name"], [first["name"]]):
                made.hulls += 1
            else:
                self._put(f"{folder}/{mesh['data_name']}", StaticMesh(np.array(mesh["positions"]), 1, []))
        if meshes["collision"] and not made.hulls:
            made.hulls = 1  # an 18-DOP


class Paths:
    folder = Path()

    @classmethod
    def project_dir(cls) -> str:
        return str(cls.folder)


class AssetToolsHelpers:
    def __init__(self, tools: AssetTools) -> None:
        self.tools = tools

    def get_asset_tools(self) -> AssetTools:
        return self.tools


class FakeUnreal:
    """Be the module: what is not an attribute here, Unreal does not have.

    Args:
        newer: Whether it is 5.8, where combining meshes has another property.
    """

    def __init__(self, newer: bool = False) -> None:
        self.EditorAssetLibrary = EditorAssetLibrary()
        self.tools = AssetTools(self.EditorAssetLibrary)
        self.AssetToolsHelpers = AssetToolsHelpers(self.tools)
        self.MaterialEditingLibrary = MaterialEditingLibrary()
        self.InterchangeGenericAssetsPipeline: Any = InterchangeGenericAssetsPipeline
        if newer:
            self.InterchangeGenericAssetsPipeline = NewerGenericAssetsPipeline
            self.InterchangeCombineStaticMeshesBehavior = self.InterchangeCombineSkeletalMeshesBehavior = Combine
        for kind in (
            AssetImportTask, InterchangePipelineStackOverride, TextureCompressionSettings, MaterialSamplerType,
            MaterialProperty, BlendMode, MaterialExpressionTextureSampleParameter2D, Material, MaterialFactoryNew,
            MaterialInstanceConstant,
            MaterialInstanceConstantFactoryNew, StaticMeshEditorSubsystem, SkeletalMeshEditorSubsystem, PerPlatformFloat,
            SkeletalMaterial, Paths,
        ):  # fmt: skip
            setattr(self, kind.__name__, kind)
        self.logged: list[str] = []
        self.errors: list[str] = []
        self.ticks: list[Callable[[float], None]] = []

    def get_editor_subsystem(self, kind: Callable[[], Any]) -> Any:
        return kind()

    def register_slate_post_tick_callback(self, call: Callable[[float], None]) -> int:
        self.ticks.append(call)
        return len(self.ticks)

    def log(self, text: str) -> None:
        self.logged.append(text)

    def log_error(self, text: str) -> None:
        self.errors.append(text)
