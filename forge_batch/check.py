"""Run the gates on a package or a mesh that exists, whoever made it.

Every file is opened by a reader that has nothing of our writers: FBX by ufbx (an extra), GLB by trimesh (and Google's Draco),
images by Pillow.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from forge_batch.check_fbx import fbx_gates, finest
from forge_batch.check_mesh import mesh_gates, together
from forge_batch.errors import BackendUnavailable, ContentError
from forge_batch.gate_text import gate_rows, verdict
from forge_batch.gates import Gate, Result
from forge_batch.ops.fbx_reader import read_fbx
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import KINDS, decode_textured
from forge_batch.packages.engines import ENGINES

LARGEST = 2 << 30  # bytes that a package may unpack to
LARGEST_EDGE = 8192  # pixels


@dataclass(frozen=True)
class Verdict:
    """Be what a check found."""

    path: str
    gates: tuple[Gate, ...]

    @property
    def ok(self) -> bool:
        return all(gate.result != "fail" for gate in self.gates)

    def to_json(self) -> dict[str, Any]:
        return {"file": self.path, "ok": self.ok, "gates": [gate.to_json() for gate in self.gates]}

    def to_text(self) -> str:
        rows = [f"{row[1]:10} {row[0]:22} {row[2]:>14}  {row[4]}" for row in gate_rows(self.gates)]
        return "\n".join([*rows, f"{self.path}: {verdict(self.gates)[0]}"])


def check(path: Path) -> Verdict:
    """Measure a package (zip) or a mesh (fbx, glb, obj, ply, stl).

    Raises:
        BackendUnavailable: The mesh is an FBX and its reader is not installed.
        ContentError: The file is missing, unreadable, or neither a package nor a mesh.
        StageError: The mesh cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ContentError(f"{path} cannot be read ({error.strerror})", "name a package or a mesh that exists") from error
    kind = path.suffix.lower().removeprefix(".")
    if kind == "fbx":
        return Verdict(str(path), tuple(_fbx(data, path.name)))
    if kind in KINDS:
        return Verdict(str(path), tuple(mesh_gates(*decode_textured(data, kind, path.name))))
    if not zipfile.is_zipfile(path):
        known = ", .".join(("fbx", *KINDS))
        raise ContentError(f"{path} is neither a package nor a mesh", f"give export_<Asset>_UE5.zip, or .{known}")
    return Verdict(str(path), tuple(_package_gates(path)))


def _fbx(data: bytes, name: str) -> Iterator[Gate]:
    """Measure an FBX that stands alone."""
    fbx = read_fbx(data, name)
    if mesh := finest(fbx):
        yield from mesh_gates(mesh, {})
    yield from fbx_gates(fbx)


def _package_gates(path: Path) -> Iterator[Gate]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ContentError(f"{path} unpacks to more than 2 GiB", "this is no package")
        try:
            report = json.loads(archive.read("report.json"))
            wish = _wish(archive)
            listed: dict[str, dict[str, Any]] = report["files"]
            engine = ENGINES[report["engine"]]
        except (KeyError, ValueError, TypeError) as error:
            raise ContentError(f"{path} has no readable report.json", "it was not made by forge-batch") from error
        names = set(archive.namelist())
        changed = [name for name, facts in listed.items() if name not in names or _sha256(archive, name) != facts["sha256"]]
        note = f"missing or changed: {', '.join(changed)}" if changed else "every file is as it was packed"
        yield Gate("files", len(changed), 0, "files", "fail" if changed else "pass", note)
        yield _images(archive, sorted(name for name in names if name.endswith(".png")))
        models = sorted(name for name in names if name.endswith(".glb"))
        measured: list[Gate] = []
        if models:
            mesh, maps = decode_textured(archive.read(models[0]), "glb", models[0])
            # Unreal's GLB is turned, so that its (x, z, y) is Unreal's; the others stand in house space
            axes = (0, 2, 1) if engine.name == "ue5" else engine.axes
            measured = mesh_gates(mesh, maps, report["texture_size"], wish)
            yield from _agreement([mesh], np.ptp(mesh.vertices, axis=0)[list(axes)], report, models[0])
        for name in sorted(name for name in names if name.endswith(".fbx")):
            found, more = _packed_fbx(archive.read(name), name, report, wish)
            yield from more
            measured = measured or found
        known = [Gate.from_json(gate) for gate in report["gates"]]
        yield from together(measured, known)


def _wish(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the manifest inside a package; nothing if it holds none."""
    try:
        wish = yaml.safe_load(archive.read("manifest.yaml"))
    except (KeyError, ValueError, yaml.YAMLError):
        return {}
    return wish if isinstance(wish, dict) and all(isinstance(key, str) for key in wish) else {}


def _packed_fbx(data: bytes, name: str, report: dict[str, Any], wish: dict[str, Any]) -> tuple[list[Gate], list[Gate]]:
    """Measure an FBX of a package: its finest level as a mesh, and what only an FBX is held to."""
    try:
        fbx = read_fbx(data, name)
    except BackendUnavailable as error:
        return [], [Gate("fbx", None, None, "", "not_tested", f"{name}: {error.hint} to have it read")]
    mesh = finest(fbx)
    if mesh is None:
        return [], list(fbx_gates(fbx))
    sides = np.ptp(mesh.vertices, axis=0)  # its axes are the engine's, but for signs
    agreed = _agreement([part.mesh for part in fbx.levels], sides, report, name)
    upright = {key: value for key, value in wish.items() if key != "place"}  # this file's up is the engine's
    return mesh_gates(mesh, {}, report["texture_size"], upright), [*agreed, *fbx_gates(fbx)]


def _images(archive: zipfile.ZipFile, names: list[str]) -> Gate:
    """Open every image with Pillow and look at its edges."""
    wrong = []
    for name in names:
        try:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                image.load()
                if any(edge & (edge - 1) or edge > LARGEST_EDGE for edge in image.size):
                    wrong.append(f"{name} is {image.width} x {image.height}")
        except (OSError, ValueError, SyntaxError) as error:
            wrong.append(f"{name} cannot be read ({type(error).__name__})")
    note = ", ".join(wrong) if wrong else f"{len(names)} images, edges a power of two up to {LARGEST_EDGE}"
    return Gate("images", len(wrong), 0, "images", "fail" if wrong else "pass", note)


def _agreement(levels: list[Mesh], sides: np.ndarray, report: dict[str, Any], name: str) -> Iterator[Gate]:
    """Hold a model to what the report says of it: triangles of its levels, and extents (metres) along the engine's axes."""
    counts, expected = [len(mesh.faces) for mesh in levels], report["triangles"][: len(levels)]
    result: Result = "pass" if counts == expected else "fail"
    yield Gate("triangles", counts[0], expected[0], "", result, f"{name} against the report: {counts}, {expected}")
    off = float(np.abs(sides * 100.0 / np.maximum(report["size_cm"], 1e-6) - 1.0).max() * 100.0)
    yield Gate("size", round(off, 4), 1.0, "%", "pass" if off <= 1.0 else "fail", f"extents of {name} against the report")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    return hashlib.sha256(archive.read(name)).hexdigest()
