"""Read forge_import.json out of a package and trust nothing in it. Pure: it knows nothing of Unreal."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "forge_import.json"
VERSIONS = (2, 3)
"""Of recipes: those with one material, and those with several."""

LARGEST = 2 << 30  # bytes that a package may unpack to
COMPRESSIONS = {"base_color": ("TC_DEFAULT", True), "normal": ("TC_NORMALMAP", False), "orm": ("TC_MASKS", False)}
"""Of each texture that a material takes: compression, and whether it is sRGB. A recipe that says otherwise is refused."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
_FOLDER = re.compile(r"/Game(/[A-Za-z0-9_]{1,100})+")
_FILE = re.compile(r"([A-Za-z0-9_]{1,100}/)?[A-Za-z0-9_]{1,100}\.(fbx|png)")
_BONE = re.compile(r"[^\x00-\x1f/\\]{1,100}")
_HASH = re.compile(r"[0-9a-f]{64}")


class RecipeError(Exception):
    """Say what is wrong with a package, in words for the person who put it there."""


@dataclass(frozen=True)
class Texture:
    """Be a texture to import."""

    file: str
    name: str
    compression: str
    srgb: bool


@dataclass(frozen=True)
class Look:
    """Be a material to make.

    Attributes:
        slot: Of the meshes, by name; empty where they have but one.
        instance: Name of the material instance.
        textures: By role: base_color, normal, orm.
        masked: Whether the base colour's alpha cuts holes.
    """

    slot: str
    instance: str
    textures: Mapping[str, Texture]
    masked: bool


@dataclass(frozen=True)
class Skeletal:
    """Be a skinned mesh to import.

    Attributes:
        file: The FBX.
        name: Of the skeletal mesh.
        bones: Names of the skeleton's bones.
        influences: Most bones that move one vertex.
    """

    file: str
    name: str
    bones: tuple[str, ...]
    influences: int


@dataclass(frozen=True)
class Recipe:
    """Be what a package asks for.

    Attributes:
        destination: Folder in the content browser.
        content: Hash of all that the package holds; imported once.
        mesh_file: The FBX.
        mesh: Name of the static mesh.
        size: Extents along X, Y, Z in centimetres.
        screen_sizes: Of each LOD, 1.0 fills the screen.
        hulls: How many convex hulls come with the mesh.
        nanite: Whether the mesh is built for Nanite; then LODs are left out.
        lightmap: Texels of the lightmap's edge, 0 if the mesh has no second UV set.
        skeletal: The skinned mesh of a character, which has the static one's size and LODs, or None.
        looks: One material, or one for each atlas.
        two_sided: Whether the materials show the backs of faces.
    """

    destination: str
    content: str
    mesh_file: str
    mesh: str
    size: tuple[float, float, float]
    screen_sizes: tuple[float, ...]
    hulls: int
    nanite: bool
    lightmap: int
    skeletal: Skeletal | None
    looks: tuple[Look, ...]
    two_sided: bool

    @property
    def files(self) -> tuple[str, ...]:
        """Name what must be unpacked."""
        skinned = (self.skeletal.file,) if self.skeletal else ()
        return (self.mesh_file, *skinned, *(texture.file for look in self.looks for texture in look.textures.values()))


def read_recipe(path: Path) -> Recipe:
    """Read the recipe of a package and check it against what the zip holds.

    Raises:
        RecipeError: It is no package for Unreal, or asks for what a recipe must not ask for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sum(entries.values()) > LARGEST:
                raise RecipeError("It unpacks to more than 2 GiB.")
            document = json.loads(archive.read(FILE))
    except (OSError, zipfile.BadZipFile) as error:
        raise RecipeError(f"It is no readable zip ({error}).") from error
    except KeyError as error:
        raise RecipeError(f"It holds no {FILE}: take the package for ue5.") from error
    except ValueError as error:
        raise RecipeError(f"Its {FILE} is not JSON ({error}).") from error
    try:
        recipe = _recipe(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"Its {FILE} lacks or garbles a field ({error}).") from error
    if missing := [name for name in recipe.files if name not in entries]:
        raise RecipeError(f"It does not hold {', '.join(missing)}, which its {FILE} names.")
    return recipe


def unpack(path: Path, recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Write the files that a recipe names into a folder, as they lie in the package, and give their paths by name."""
    with zipfile.ZipFile(path) as archive:
        for name in recipe.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(archive.read(name))
    return {name: folder / name for name in recipe.files}


def _recipe(document: Mapping[str, Any]) -> Recipe:
    if document["forge_import"] not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise RecipeError(f"Its recipe has version {document['forge_import']}; this plugin reads {known}.")
    mesh = document["mesh"]
    x, y, z = (float(side) for side in mesh["size_cm"])
    return Recipe(
        _text(document["destination"], _FOLDER, "destination"),
        _text(document["content_sha256"], _HASH, "content_sha256"),
        _text(mesh["file"], _FILE, "mesh.file"),
        _text(mesh["name"], _NAME, "mesh.name"),
        (x, y, z),
        tuple(float(size) for size in mesh["screen_sizes"]),
        int(mesh["hulls"]),
        mesh["nanite"] is True,
        int(mesh["lightmap_resolution"] or 0),
        _skeletal(document["skeletal_mesh"]) if document["skeletal_mesh"] else None,
        _looks(document),
        document.get("two_sided") is True,
    )


def _looks(document: Mapping[str, Any]) -> tuple[Look, ...]:
    if document["forge_import"] == VERSIONS[0]:
        one = {**document["material"], "textures": document["textures"]}
        return (_look("", one),)
    looks = tuple(_look(_text(one["material_slot"], _NAME, "a material_slot"), one) for one in document["materials"])
    if not looks or len({look.slot for look in looks}) != len(looks) or len({look.instance for look in looks}) != len(looks):
        raise RecipeError("Its recipe must name materials, each with a slot and an instance of its own.")
    return looks


def _look(slot: str, one: Mapping[str, Any]) -> Look:
    textures = {role: _texture(role, texture) for role, texture in one["textures"].items()}
    return Look(slot, _text(one["instance"], _NAME, "an instance"), textures, one.get("masked", False) is True)


def _skeletal(one: Mapping[str, Any]) -> Skeletal:
    bones = tuple(_text(bone, _BONE, "a bone") for bone in one["bones"])
    return Skeletal(
        _text(one["file"], _FILE, "skeletal_mesh.file"),
        _text(one["name"], _NAME, "skeletal_mesh.name"),
        bones,
        int(one["influences"]),
    )


def _texture(role: str, one: Mapping[str, Any]) -> Texture:
    if role not in COMPRESSIONS:
        raise RecipeError(f"Its recipe names a texture {role!r}; this plugin knows {', '.join(COMPRESSIONS)}.")
    asked = (one["compression"], one["srgb"])
    if asked != COMPRESSIONS[role]:
        raise RecipeError(f"Its recipe wants {role} as {asked}; that must be {COMPRESSIONS[role]}.")
    return Texture(_text(one["file"], _FILE, "file"), _text(one["name"], _NAME, "name"), *COMPRESSIONS[role])


def _text(value: object, form: re.Pattern[str], field: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise RecipeError(f"Its recipe has {field} {value!r}, which is not allowed.")
    return value
