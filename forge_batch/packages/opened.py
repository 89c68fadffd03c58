"""Open a package again, by readers that have nothing of our writers, and bring it back into house space to look at it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from PIL import Image

from forge_batch.errors import ContentError
from forge_batch.ops.fbx_reader import read_fbx
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import SOLID
from forge_batch.ops.render import Maps
from forge_batch.ops.sheet import joined, on_sheet
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.packages.asset import turned
from forge_batch.packages.names import Names
from forge_batch.packages.ue5 import FBX_AXES, GLB_AXES

LARGEST = 2 << 30  # bytes that a package may unpack to


class Opened(NamedTuple):
    """Be what is seen of a package.

    Attributes:
        asset: Its name.
        engine: What it was made for.
        manifest: Text of the manifest inside.
        mesh: LOD0 in house space, with normals, uv and tangents.
        maps: Its textures, the normal map OpenGL.
        atlases: How many there are; of several uv and maps are those of the sheet (see ops.sheet).
    """

    asset: str
    engine: str
    manifest: str
    mesh: Mesh
    maps: Maps
    atlases: int = 1


def open_package(path: Path) -> Opened:
    """Open a package that forge-batch made.

    Raises:
        BackendUnavailable: Its model is an FBX, and ufbx is not installed.
        ContentError: The file cannot be read, or is no package.
        StageError: Its model cannot be read.
    """
    return open_files(read_zip(path), str(path))


def read_zip(path: Path) -> dict[str, bytes]:
    """Give the content of a zip's files by name.

    Raises:
        ContentError: The file cannot be read, is no zip, or unpacks to more than LARGEST bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ContentError(f"{path} unpacks to more than 2 GiB", "this is no package")
            return {name: archive.read(name) for name in archive.namelist()}
    except OSError as error:
        raise ContentError(f"{path} cannot be read ({error.strerror})", "name a package that exists") from error
    except (zipfile.BadZipFile, ValueError) as error:
        raise ContentError(f"{path} is no package of forge-batch", "give export_<Asset>_<ENGINE>.zip") from error


def open_files(files: Mapping[str, bytes], name: str) -> Opened:
    """Open the files of a package, which errors call `name`. Raises like `open_package`."""
    try:
        report = json.loads(files["report.json"])
        asset, engine, manifest = str(report["asset"]), str(report["engine"]), files["manifest.yaml"].decode()
        atlases = int(report.get("atlases", 1))
    except (KeyError, ValueError, TypeError) as error:
        raise ContentError(f"{name} is no package of forge-batch", "give export_<Asset>_<ENGINE>.zip") from error
    models = sorted(file for file in files if file.endswith(".glb"))
    if models:
        mesh, maps = _of_glb(files[models[0]])
        if engine == "ue5":
            mesh = turned(mesh, GLB_AXES.T, 1.0)
    else:
        mesh, maps = _of_unity(files, asset, atlases)
    return Opened(asset, engine, manifest, split_by_tangent(mesh), maps, atlases)


def package_levels(path: Path) -> list[Mesh]:
    """Give every level of detail that a package holds, the finest first, in house space, with normals, uv and tangents.

    Coarser levels are in an FBX alone; where a package has none, its one mesh is all.

    Raises:
        What `open_package` raises; BackendUnavailable wherever there is an FBX and ufbx is not installed.
    """
    opened = open_package(path)
    with zipfile.ZipFile(path) as archive:
        models = {name for name in archive.namelist() if name.endswith(".fbx") and not name.endswith("_Colliders.fbx")}
        whole = {name.removesuffix(".glb") + ".fbx" for name in archive.namelist() if name.endswith(".glb")}
        name = next(iter(sorted(models & whole or models)), None)  # a skeletal mesh has a name of its own
        if name is None:
            return [opened.mesh]
        fbx = read_fbx(archive.read(name), name, opened.atlases)
    axes = FBX_AXES.T if opened.engine == "ue5" else np.eye(3, dtype=np.float32)
    return [split_by_tangent(turned(part.mesh, axes, fbx.unit)) for part in fbx.levels]


def _of_glb(data: bytes) -> tuple[Mesh, Maps]:
    """Read the textured mesh of a GLB and the images that its materials wire, each of which is an atlas."""
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
    names = [name for name in scene.graph.nodes_geometry if not SOLID.search(name)]
    shapes: list[Any] = sorted((scene.geometry[scene.graph[node][1]] for node in names), key=_material_name)
    parts = []
    for number, shape in enumerate(shapes):
        uv = np.column_stack([shape.visual.uv[:, 0], 1.0 - shape.visual.uv[:, 1]])  # trimesh counts V upwards
        parts.append((shape.vertices, shape.vertex_normals, on_sheet(uv, number, len(shapes))))
    points, normals, uv = (np.concatenate(rows).astype(np.float32) for rows in zip(*parts, strict=True))
    starts = np.cumsum([0, *(len(shape.vertices) for shape in shapes)])
    faces = np.concatenate([shape.faces + start for shape, start in zip(shapes, starts, strict=False)]).astype(np.int32)
    wired = ("baseColorTexture", "normalTexture", "metallicRoughnessTexture")
    color, normal, orm = (_sheet([getattr(shape.visual.material, word) for shape in shapes]) for word in wired)
    return Mesh(points, faces, uv=uv, normals=normals), Maps(color, _sixteen_bit(normal), orm)


def _material_name(shape: Any) -> str:
    return str(shape.visual.material.name)


def _sheet(images: Sequence[Image.Image | None]) -> np.ndarray | None:
    """Join the images of atlases; None if any has none."""
    pixels = [np.asarray(image.convert("RGB")) for image in images if image is not None]
    return joined(pixels) if len(pixels) == len(images) else None


def _of_unity(files: Mapping[str, bytes], asset: str, atlases: int) -> tuple[Mesh, Maps]:
    """Read Unity's FBX, which stands in house space, and the maps beside it, by the names that its materials wire."""
    (model,) = [name for name in files if name.endswith(".fbx") and not name.endswith("_Colliders.fbx")]
    fbx = read_fbx(files[model], model, atlases)
    folder = model.rpartition("/")[0]

    def images(names: Sequence[str]) -> np.ndarray | None:
        found = [np.asarray(Image.open(io.BytesIO(files[name]))) for name in names if name in files]
        return joined(found) if len(found) == atlases else None

    wired = [fbx.textures[material] for material in sorted(fbx.textures)]
    color, normal = (images([f"{folder}/{one.get(kind)}" for one in wired]) for kind in ("DiffuseColor", "NormalMap"))
    word = Names(asset).texture("mask").rpartition("_")[2]
    mask = images([name for name in sorted(files) if word in name and name.endswith(".png")])
    orm = None if mask is None else np.dstack([mask[..., 1], 255 - mask[..., 3], mask[..., 0]])
    return fbx.levels[0].mesh, Maps(color, _sixteen_bit(normal), orm)


def _sixteen_bit(image: np.ndarray | None) -> np.ndarray | None:
    """Spread 8 bits of a channel over 16."""
    return image if image is None or image.dtype == np.uint16 else image.astype(np.uint16) * np.uint16(257)
