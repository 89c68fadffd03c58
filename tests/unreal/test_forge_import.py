"""Hold the Unreal plugin to what the API is known to do. No editor is here: see unreal/ForgeImport/README.md."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.ops.rig import Rig
from forge_batch.packages.asset import Asset
from forge_batch.packages.ue5 import ue5_files
from forge_batch.packages.ue5_recipe import ue5_recipe
from forge_batch.packages.zip_file import write_zip
from tests import winged_box
from tests.unreal import fake_unreal as fake
from tests.unreal.fake_unreal import FakeUnreal

PLUGIN = Path(__file__).parents[2] / "unreal" / "ForgeImport"
sys.path.insert(0, str(PLUGIN / "Content" / "Python"))

from forge_import.guarded import SettingFailed, set_checked  # noqa: E402 - the plugin is no part of the installed package
from forge_import.importer import Importer, ImportFailed  # noqa: E402
from forge_import.inbox import Inbox  # noqa: E402
from forge_import.recipe import RecipeError, read_recipe  # noqa: E402

FOLDER = "/Game/Forge/Winged"
MESH = f"{FOLDER}/SM_Winged"


def asset(**changes: Any) -> Asset:
    """Make the winged box with plain maps."""
    plain = np.full((16, 16, 3), 128, np.uint8)
    normal = np.full((16, 16, 3), 32768, np.uint16)
    made = Asset("winged", winged_box.levels(), [1.0, 0.4, 0.15], winged_box.hulls(), plain, normal, plain)
    return replace(made, **changes)


def package(path: Path, one: Asset, recipe: Mapping[str, Any] | None = None, **others: bytes) -> Path:
    """Write the package for Unreal, its recipe changed where asked."""
    files = {**ue5_files(one), "manifest.yaml": b"forge: 1\n", **others}
    document = {**ue5_recipe(one, files), **(recipe or {})}
    write_zip(path, {**files, "forge_import.json": json.dumps(document).encode()})
    return path


@pytest.mark.parametrize("newer", [False, True], ids=["5.7", "5.8"])
def test_a_package_becomes_what_it_says(newer: bool, tmp_path: Path) -> None:
    """Three LODs at the report's screen sizes, two hulls, no Nanite, no stray mesh, an instance with three maps, all saved."""
    editor = FakeUnreal(newer)
    said = Importer(editor).import_package(package(tmp_path / "a.zip", asset()))
    assert said == f"imported as {MESH}"
    library = editor.EditorAssetLibrary
    names = ["MI_Winged", "SM_Winged", "T_Winged_BC", "T_Winged_N", "T_Winged_ORM"]
    assert sorted(library.assets) == ["/Game/Forge/M_ForgeMaster", *(f"{FOLDER}/{name}" for name in names)]
    mesh = library.assets[MESH]
    assert (mesh.levels, mesh.hulls) == (3, 2)
    np.testing.assert_allclose(mesh.screen_sizes, [1.0, 0.4, 0.15], rtol=1e-6)
    assert mesh.get_editor_property("nanite_settings").get_editor_property("enabled") is False
    (slot,) = mesh.slots
    assert slot.name == "MI_Winged"
    textures = {name: texture.name for name, texture in slot.textures.items()}
    assert textures == {"BaseColor": "T_Winged_BC", "Normal": "T_Winged_N", "ORM": "T_Winged_ORM"}
    assert set(library.saved) == set(library.assets)


def test_each_atlas_becomes_an_instance_in_the_slot_of_its_name(tmp_path: Path) -> None:
    """Two atlases are two slots, instances and sets of maps; a recipe that names a slot which is not there is refused."""
    editor = FakeUnreal()
    two = asset(atlases=2, lods=[winged_box.on_two_atlases(mesh) for mesh in winged_box.levels()])
    Importer(editor).import_package(package(tmp_path / "a.zip", two))
    mesh = editor.EditorAssetLibrary.assets[MESH]
    assert mesh.slot_names == ["M_Winged_01", "M_Winged_02"]
    assert [slot.name for slot in mesh.slots] == ["MI_Winged_01", "MI_Winged_02"]
    textures = [{name: texture.name for name, texture in slot.textures.items()} for slot in mesh.slots]
    assert textures[1] == {"BaseColor": "T_Winged_02_BC", "Normal": "T_Winged_02_N", "ORM": "T_Winged_02_ORM"}
    files = {**ue5_files(two), "manifest.yaml": b""}
    looks = ue5_recipe(two, files)["materials"]
    stray = package(tmp_path / "b.zip", two, {"materials": [looks[0], {**looks[1], "material_slot": "M_Other"}]})
    with pytest.raises(ImportFailed, match="no material slot M_Other"):
        Importer(FakeUnreal()).import_package(stray)


def test_a_sheet_gets_a_material_that_shows_both_sides(tmp_path: Path) -> None:
    """Of a sheet the instance overrides two-sided and sets it; of all else it leaves the master's."""
    found = []
    for sheet in (True, False):
        editor = FakeUnreal()
        Importer(editor).import_package(package(tmp_path / f"{sheet}.zip", asset(two_sided=sheet)))
        overrides = editor.EditorAssetLibrary.assets[f"{FOLDER}/MI_Winged"].get_editor_property("base_property_overrides")
        found.append([overrides.get_editor_property(name) for name in ("override_two_sided", "two_sided")])
    assert found == [[True, True], [False, False]]


def test_textures_get_the_settings_that_unreal_does_not_guess(tmp_path: Path) -> None:
    """Base colour is sRGB, the normal map TC_NORMALMAP, ORM TC_MASKS, both without sRGB."""
    editor = FakeUnreal()
    Importer(editor).import_package(package(tmp_path / "a.zip", asset()))
    found = {
        name: (texture.values["compression_settings"].name, texture.values["srgb"])
        for name in ("BC", "N", "ORM")
        if (texture := editor.EditorAssetLibrary.assets[f"{FOLDER}/T_Winged_{name}"])
    }
    assert found == {"BC": ("TC_DEFAULT", True), "N": ("TC_NORMALMAP", False), "ORM": ("TC_MASKS", False)}


def test_the_master_reads_each_channel_of_orm_where_it_lies(tmp_path: Path) -> None:
    """Red is occlusion, green roughness, blue metallic; it is made once, and every instance derives from it."""
    editor = FakeUnreal()
    importer = Importer(editor)
    importer.import_package(package(tmp_path / "a.zip", asset()))
    master = editor.EditorAssetLibrary.assets["/Game/Forge/M_ForgeMaster"]
    wires = {target.name: (str(sample.values["parameter_name"]), channel) for target, (sample, channel) in master.wires.items()}
    assert wires == {
        "MP_BASE_COLOR": ("BaseColor", "RGB"),
        "MP_NORMAL": ("Normal", "RGB"),
        "MP_AMBIENT_OCCLUSION": ("ORM", "R"),
        "MP_ROUGHNESS": ("ORM", "G"),
        "MP_METALLIC": ("ORM", "B"),
    }
    importer.import_package(package(tmp_path / "b.zip", asset(name="other")))
    assert editor.EditorAssetLibrary.assets["/Game/Forge/M_ForgeMaster"] is master
    assert editor.EditorAssetLibrary.assets["/Game/Forge/Other/MI_Other"].parent is master


def test_what_alpha_cuts_gets_a_masked_master(tmp_path: Path) -> None:
    """A base colour with alpha: masked at one half, two-sided, its alpha wired; an opaque asset keeps the opaque master."""
    editor = FakeUnreal()
    importer = Importer(editor)
    importer.import_package(package(tmp_path / "a.zip", asset()))
    importer.import_package(package(tmp_path / "b.zip", asset(name="leaf", base_color=np.full((16, 16, 4), 128, np.uint8))))
    assets = editor.EditorAssetLibrary.assets
    opaque, masked = assets["/Game/Forge/M_ForgeMaster"], assets["/Game/Forge/M_ForgeMasterMasked"]
    assert assets["/Game/Forge/Leaf/MI_Leaf"].parent is masked
    assert assets["/Game/Forge/Winged/MI_Winged"].parent is opaque
    assert (masked.values["blend_mode"].name, masked.values["two_sided"]) == ("BLEND_MASKED", True)
    assert masked.values["opacity_mask_clip_value"] == 0.5
    sample, channel = next(wire for target, wire in masked.wires.items() if target.name == "MP_OPACITY_MASK")
    assert (str(sample.values["parameter_name"]), channel) == ("BaseColor", "A")
    assert opaque.values["blend_mode"].name == "BLEND_OPAQUE"
    assert "MP_OPACITY_MASK" not in {target.name for target in opaque.wires}


def test_the_same_content_is_imported_once(tmp_path: Path) -> None:
    """A second import of the package, or of a copy of it, does nothing; a changed one goes into the same assets again."""
    editor = FakeUnreal()
    importer = Importer(editor)
    first = package(tmp_path / "a.zip", asset())
    importer.import_package(first)
    before = list(editor.tools.imports)
    assert importer.import_package(Path(shutil.copy(first, tmp_path / "copy.zip"))) == "unchanged"
    assert editor.tools.imports == before
    importer.import_package(package(tmp_path / "a.zip", asset(screen_sizes=[1.0, 0.3, 0.1])))
    assert editor.tools.imports == before * 2
    np.testing.assert_allclose(editor.EditorAssetLibrary.assets[MESH].screen_sizes, [1.0, 0.3, 0.1], rtol=1e-6)


def test_nanite_is_set_at_import_and_takes_no_lods(tmp_path: Path) -> None:
    """With Nanite the mesh has one LOD and the flag on, set by the pipeline and never flipped afterwards."""
    editor = FakeUnreal()
    Importer(editor).import_package(package(tmp_path / "a.zip", asset(nanite=True)))
    mesh = editor.EditorAssetLibrary.assets[MESH]
    assert mesh.levels == 1
    assert mesh.get_editor_property("nanite_settings").get_editor_property("enabled") is True


def test_a_lightmap_uses_the_second_uv_set(tmp_path: Path) -> None:
    """Coordinate index 1 and the manifest's resolution; without a lightmap neither is touched."""
    for resolution, expected in ((256, (1, 256)), (None, (0, 4))):
        editor = FakeUnreal()
        Importer(editor).import_package(package(tmp_path / "a.zip", asset(lightmap_resolution=resolution)))
        values = editor.EditorAssetLibrary.assets[MESH].values
        assert (values["light_map_coordinate_index"], values["light_map_resolution"]) == expected


def test_without_hulls_no_shape_is_made_up(tmp_path: Path) -> None:
    """Collision is switched off for a package without hulls: Unreal would wrap an 18-DOP round the mesh."""
    editor = FakeUnreal()
    Importer(editor).import_package(package(tmp_path / "a.zip", asset(hulls=[])))
    assert editor.EditorAssetLibrary.assets[MESH].hulls == 0


def test_without_all_maps_there_is_no_instance_and_it_says_so(tmp_path: Path) -> None:
    """The mesh comes in, no master is made of half a set, and the line says why."""
    editor = FakeUnreal()
    said = Importer(editor).import_package(package(tmp_path / "a.zip", asset(orm=None)))
    assert said == f"imported as {MESH}; no material instance, since it needs base colour, normal and ORM"
    assert "/Game/Forge/M_ForgeMaster" not in editor.EditorAssetLibrary.assets


def character(**changes: Any) -> Asset:
    """Give the winged box a root, a spine and an arm, each vertex moved by the spine and half of them by the arm too."""
    mesh = winged_box.levels()[0]
    arm = (mesh.vertices[:, :1] > 0.25).astype(np.float32) / 2
    joints = np.array([[0, 0, 0], [0, 0.2, 0], [0.25, 0.2, 0.1]], np.float32)
    influences = np.tile(np.array([[1, 2]], np.int32), (len(arm), 1))
    rig = Rig(["root", "Spine", "LeftArm"], joints, np.array([-1, 0, 1], np.int32), influences, np.hstack([1 - arm, arm]))
    return asset(rig=rig, rigged=mesh, **changes)


@pytest.mark.parametrize("newer", [False, True], ids=["5.7", "5.8"])
def test_a_character_becomes_a_skeletal_mesh_too(newer: bool, tmp_path: Path) -> None:
    """Three LODs at the report's screen sizes on the Mannequin's bones, the instance in its one slot, all saved, once."""
    editor = FakeUnreal(newer)
    path = package(tmp_path / "a.zip", character())
    assert Importer(editor).import_package(path) == f"imported as {MESH} and SK_Winged"
    library = editor.EditorAssetLibrary
    skinned = library.assets[f"{FOLDER}/SK_Winged"]
    assert skinned.values["skeleton"].bones == ["root", "spine_01", "upperarm_l"]
    sizes = [level.values["screen_size"].values["default"] for level in skinned.values["lod_info"]]
    np.testing.assert_allclose(sizes, [1.0, 0.4, 0.15], rtol=1e-6)
    (slot,) = skinned.values["materials"]
    assert (slot.values["material_interface"].name, str(slot.values["material_slot_name"])) == ("MI_Winged", "M_Winged")
    assert library.assets["/Game/Forge/M_ForgeMaster"].values["used_with_skeletal_mesh"] is True
    assert {f"{FOLDER}/SK_Winged{part}" for part in ("", "_Skeleton", "_PhysicsAsset")} <= set(library.saved)
    assert set(library.saved) == set(library.assets)
    assert Importer(editor).import_package(path) == "unchanged"


def test_a_character_that_changed_keeps_its_skeleton(tmp_path: Path) -> None:
    """The second import is given the first one's skeleton, so that animations made for it stay."""
    editor = FakeUnreal()
    Importer(editor).import_package(package(tmp_path / "a.zip", character()))
    skeleton = editor.EditorAssetLibrary.assets[f"{FOLDER}/SK_Winged_Skeleton"]
    Importer(editor).import_package(package(tmp_path / "a.zip", character(screen_sizes=[1.0, 0.3, 0.1])))
    assert editor.EditorAssetLibrary.assets[f"{FOLDER}/SK_Winged"].values["skeleton"] is skeleton
    with pytest.raises(ImportFailed, match="SK_Winged has further bones spine_01, upperarm_l"):
        Importer(editor).import_package(package(tmp_path / "a.zip", character(bone_names="keep")))


def test_a_skinned_mesh_that_was_deleted_comes_again(tmp_path: Path) -> None:
    """The package counts as imported only while both of its meshes are there."""
    editor = FakeUnreal()
    path = package(tmp_path / "a.zip", character())
    Importer(editor).import_package(path)
    del editor.EditorAssetLibrary.assets[f"{FOLDER}/SK_Winged"]
    assert Importer(editor).import_package(path) != "unchanged"


DIFFERENCES = {
    "hulls": ({"hulls": 3}, "2 collision shapes instead of 3"),
    "levels": ({"screen_sizes": [1.0, 0.5]}, "3 LODs instead of 2"),
    "height": ({"size_cm": [125.0, 110.0, 160.0]}, "80.0 cm along Z instead of 160.0"),
    "axes": ({"size_cm": [110.0, 125.0, 80.0]}, "125.0 cm along X instead of 110.0, 110.0 cm along Y instead of 125.0"),
}


@pytest.mark.parametrize(("change", "words"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_came_out_otherwise_is_an_error_and_not_tagged(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Each difference between package and result is named, and the next try imports again."""
    editor = FakeUnreal()
    one = asset()
    recipe = ue5_recipe(one, {**ue5_files(one), "manifest.yaml": b""})
    path = package(tmp_path / "a.zip", one, {"mesh": {**recipe["mesh"], **change}})
    with pytest.raises(ImportFailed, match=words):
        Importer(editor).import_package(path)
    assert editor.EditorAssetLibrary.tags == {}


def test_a_hull_that_became_a_mesh_is_an_error(tmp_path: Path) -> None:
    """If Unreal finds no mesh for a hull it shows it; the import says so."""
    one = asset()
    data = ue5_files(one)["Winged/SM_Winged.fbx"].replace(b"UCX_SM_Winged_01", b"UCX_SM_Wanged_01")
    path = package(tmp_path / "a.zip", one, **{"Winged/SM_Winged.fbx": data})
    with pytest.raises(ImportFailed, match="a hull that became the mesh UCX_SM_Wanged_01"):
        Importer(FakeUnreal()).import_package(path)


def test_a_disk_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """An asset that cannot be saved ends the import with its path."""
    editor = FakeUnreal()
    editor.EditorAssetLibrary.read_only = True
    with pytest.raises(ImportFailed, match=r"/Game/Forge/Winged/T_Winged_BC cannot be saved"):
        Importer(editor).import_package(package(tmp_path / "a.zip", asset()))


class Forgetful(fake.Texture2D):
    """Be a texture that takes sRGB without a word and keeps its own."""

    def set_editor_property(self, name: str, value: Any) -> None:
        if name != "srgb":
            super().set_editor_property(name, value)


def test_a_setter_that_does_nothing_is_found_out() -> None:
    """A value that reads back as another is an error that names both."""
    with pytest.raises(SettingFailed, match=r"Forgetful\.srgb was set to False and reads back as True"):
        set_checked(Forgetful(), "srgb", False)


def test_a_property_that_is_gone_is_an_error() -> None:
    """A name that this version does not have is named, with what Unreal said."""
    with pytest.raises(SettingFailed, match=r"MeshPipeline takes none of these: merge_meshes: MeshPipeline: Failed to find"):
        set_checked(fake.MeshPipeline(), "merge_meshes", False)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"forge_import": 4}, "version 4; this plugin reads 2 and 3"),
    "destination outside": ({"destination": "/Engine/Basic"}, "destination '/Engine/Basic', which is not allowed"),
    "destination climbs": ({"destination": "/Game/../Engine"}, "which is not allowed"),
    "path in a file": (
        {"textures": {"orm": {"file": "../a.png", "name": "A", "compression": "TC_MASKS", "srgb": False}}},
        "file",
    ),
    "path in a path": (
        {"textures": {"orm": {"file": "a/b/c.png", "name": "A", "compression": "TC_MASKS", "srgb": False}}},
        "file",
    ),
    "script": ({"textures": {"orm": {"file": "a.py", "name": "A", "compression": "TC_MASKS", "srgb": False}}}, "a.py"),
    "unknown role": ({"textures": {"glow": {}}}, "names a texture 'glow'"),
    "orm as sRGB": (
        {"textures": {"orm": {"file": "a.png", "name": "A", "compression": "TC_MASKS", "srgb": True}}},
        "that must be",
    ),
    "missing file": (
        {"textures": {"orm": {"file": "a.png", "name": "A", "compression": "TC_MASKS", "srgb": False}}},
        "does not hold a.png",
    ),
    "no mesh": ({"mesh": {}}, "lacks or garbles a field"),
    "text for a mesh": ({"mesh": "SM_Winged.fbx"}, "lacks or garbles a field"),
    "hash": ({"content_sha256": "0"}, "content_sha256 '0', which is not allowed"),
}


@pytest.mark.parametrize(("change", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_recipe_is_not_trusted(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Paths, scripts, engine folders, odd settings and missing files are refused before Unreal is asked for anything."""
    editor = FakeUnreal()
    with pytest.raises(RecipeError, match=words.replace("(", r"\(")):
        Importer(editor).import_package(package(tmp_path / "a.zip", asset(), change))
    assert editor.EditorAssetLibrary.assets == {}


@pytest.mark.parametrize("data", [b"", b"no zip"])
def test_no_zip_is_refused(data: bytes, tmp_path: Path) -> None:
    """What is no zip, and a zip for another engine, is refused in a sentence."""
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(RecipeError, match="no readable zip"):
        read_recipe(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("SM_Winged.glb", b"")
    with pytest.raises(RecipeError, match="take the package for ue5"):
        read_recipe(path)


def test_the_inbox_waits_until_a_file_is_complete(tmp_path: Path) -> None:
    """A file that still grows is not given; a complete one is given once, and again when it changes; nothing is moved."""
    inbox = Inbox(tmp_path)
    path = tmp_path / "a.zip"
    path.write_bytes(b"1")
    assert inbox.arrived() == []
    path.write_bytes(b"12")
    assert inbox.arrived() == []
    assert inbox.arrived() == [path]
    assert inbox.arrived() == []
    path.write_bytes(b"other")
    assert inbox.arrived() == []
    assert inbox.arrived() == [path]
    (tmp_path / "note.txt").write_text("no package")
    path.unlink()
    assert inbox.arrived() == inbox.arrived() == []


def test_the_editor_starts_watching_and_survives_bad_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At start the folder is made and said; a broken zip is an error in the log, a good one beside it is imported."""
    editor = FakeUnreal()
    monkeypatch.setitem(sys.modules, "unreal", editor)  # type: ignore[arg-type]
    monkeypatch.setattr(fake.Paths, "folder", tmp_path)
    monkeypatch.delenv("FORGE_INBOX", raising=False)
    runpy.run_path(str(PLUGIN / "Content" / "Python" / "init_unreal.py"))
    inbox = tmp_path / "ForgeInbox"
    assert str(inbox) in editor.logged[0]
    (inbox / "broken.zip").write_bytes(b"nothing")
    package(inbox / "good.zip", asset())
    (tick,) = editor.ticks
    for _ in range(3):
        tick(1.0)
    assert editor.EditorAssetLibrary.assets == {}
    tick(1.5)
    assert editor.logged[1:] == [f"Forge Import: good.zip: imported as {MESH}"]
    assert len(editor.errors) == 1
    assert "broken.zip was not imported. It is no readable zip" in editor.errors[0]


def test_the_folder_to_watch_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FORGE_INBOX names it, wherever the project lies."""
    editor = FakeUnreal()
    monkeypatch.setitem(sys.modules, "unreal", editor)  # type: ignore[arg-type]
    monkeypatch.setenv("FORGE_INBOX", str(tmp_path / "elsewhere"))
    runpy.run_path(str(PLUGIN / "Content" / "Python" / "init_unreal.py"))
    assert (tmp_path / "elsewhere").is_dir()
    assert os.fspath(tmp_path / "elsewhere") in editor.logged[0]


def test_the_plugin_describes_itself() -> None:
    """The descriptor is JSON, has no code of its own, and asks for Python, editor scripting and Interchange."""
    described = json.loads((PLUGIN / "ForgeImport.uplugin").read_text())
    assert (described["FileVersion"], described["Modules"]) == (3, [])
    assert {one["Name"] for one in described["Plugins"]} == {"PythonScriptPlugin", "EditorScriptingUtilities", "Interchange"}


def test_the_readme_says_that_no_editor_was_there() -> None:
    """It says plainly what was not run, and how a person finds out in ten minutes."""
    text = (PLUGIN / "README.md").read_text()
    assert "has not been run in an editor" in text
    assert "ten minutes" in text
