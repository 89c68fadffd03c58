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
from PIL import Image

from forge_batch.check_fbx import fbx_gates, finest
from forge_batch.errors import BackendUnavailable, ContentError
from forge_batch.gate_text import gate_rows, verdict
from forge_batch.gates import Gate, Result
from forge_batch.ops.fbx_reader import read_fbx
from forge_batch.ops.gate_limits import LIMITS
from forge_batch.ops.measure_atlas import measure_layout
from forge_batch.ops.measure_shape import measure_soundness
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import KINDS, decode_mesh
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
        return Verdict(str(path), tuple(_mesh_gates(decode_mesh(data, kind, path.name), None)))
    if not zipfile.is_zipfile(path):
        known = ", .".join(("fbx", *KINDS))
        raise ContentError(f"{path} is neither a package nor a mesh", f"give export_<Asset>_UE5.zip, or .{known}")
    return Verdict(str(path), tuple(_package_gates(path)))


def _fbx(data: bytes, name: str) -> Iterator[Gate]:
    """Measure an FBX that stands alone."""
    fbx = read_fbx(data, name)
    if mesh := finest(fbx):
        yield from _mesh_gates(mesh, None)
    yield from fbx_gates(fbx)


def _package_gates(path: Path) -> Iterator[Gate]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ContentError(f"{path} unpacks to more than 2 GiB", "this is no package")
        try:
            report = json.loads(archive.read("report.json"))
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
        if models:
            mesh = decode_mesh(archive.read(models[0]), "glb", models[0])
            # Unreal's GLB is turned, so that its (x, z, y) is Unreal's; the others stand in house space
            axes = (0, 2, 1) if engine.name == "ue5" else engine.axes
            yield from _mesh_gates(mesh, report["texture_size"])
            yield from _agreement([mesh], np.ptp(mesh.vertices, axis=0)[list(axes)], report, models[0])
        for name in sorted(name for name in names if name.endswith(".fbx")):
            yield from _packed_fbx(archive.read(name), name, report, measured=bool(models))
        yield from (Gate.from_json(gate) for gate in report["gates"] if gate["name"] not in MEASURED)


def _packed_fbx(data: bytes, name: str, report: dict[str, Any], measured: bool) -> Iterator[Gate]:
    """Measure an FBX of a package; its finest level too, unless a GLB stood for it."""
    try:
        fbx = read_fbx(data, name)
    except BackendUnavailable as error:
        yield Gate("fbx", None, None, "", "not_tested", f"{name}: {error.hint} to have it read")
        return
    if mesh := finest(fbx):
        if not measured:
            yield from _mesh_gates(mesh, report["texture_size"])
        sides = np.ptp(mesh.vertices, axis=0)  # its axes are the engine's, but for signs
        yield from _agreement([part.mesh for part in fbx.levels], sides, report, name)
    yield from fbx_gates(fbx)


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


MEASURED = (
    "watertight",
    "manifold",
    "winding",
    "inverted_parts",
    "degenerate_faces",
    "floaters",
    "inner_shells",
    "uv_overlap",
    "degenerate_uv",
    "atlas_use",
)
"""Gates measured anew here; the others need the source, so the package's own report speaks for them."""


def _mesh_gates(mesh: Mesh, texture_size: int | None) -> Iterator[Gate]:
    sound = measure_soundness(mesh)
    values: dict[str, float] = {
        "watertight": sound.open_edges,
        "manifold": sound.crowded_edges,
        "winding": sound.conflicting_edges,
        "inverted_parts": sound.inverted_parts,
        "degenerate_faces": sound.slivers,
        "floaters": sound.floaters,
        "inner_shells": 100.0 * sound.inner_share,
    }
    if mesh.uv is not None:
        layout = measure_layout(mesh, texture_size or 2048, 0.0)
        values |= {"uv_overlap": layout.overlap, "degenerate_uv": layout.empty_faces, "atlas_use": 100.0 * layout.use}
    for name, value in values.items():
        limit = LIMITS[name]
        bound = limit.bound if limit.bound is not None else 0
        yield Gate(name, value, bound, limit.unit, "pass" if limit.holds(value, bound) else limit.breach, limit.meaning)


def _agreement(levels: list[Mesh], sides: np.ndarray, report: dict[str, Any], name: str) -> Iterator[Gate]:
    """Hold a model to what the report says of it: triangles of its levels, and extents (metres) along the engine's axes."""
    counts, expected = [len(mesh.faces) for mesh in levels], report["triangles"][: len(levels)]
    result: Result = "pass" if counts == expected else "fail"
    yield Gate("triangles", counts[0], expected[0], "", result, f"{name} against the report: {counts}, {expected}")
    off = float(np.abs(sides * 100.0 / np.maximum(report["size_cm"], 1e-6) - 1.0).max() * 100.0)
    yield Gate("size", round(off, 4), 1.0, "%", "pass" if off <= 1.0 else "fail", f"extents of {name} against the report")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    return hashlib.sha256(archive.read(name)).hexdigest()
