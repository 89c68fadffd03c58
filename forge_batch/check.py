"""Run the gates on a package or a mesh that exists, whoever made it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.errors import ContentError
from forge_batch.gate_text import gate_rows, verdict
from forge_batch.gates import Gate
from forge_batch.ops.gate_limits import LIMITS
from forge_batch.ops.measure_atlas import measure_layout
from forge_batch.ops.measure_shape import measure_soundness
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import KINDS, decode_mesh

LARGEST = 2 << 30  # bytes that a package may unpack to


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
    """Measure a package (zip) or a mesh (glb, obj, ply, stl).

    Raises:
        ContentError: The file is missing, unreadable, or neither a package nor a mesh.
        StageError: The mesh cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ContentError(f"{path} cannot be read ({error.strerror})", "name a package or a mesh that exists") from error
    kind = path.suffix.lower().removeprefix(".")
    if kind in KINDS:
        return Verdict(str(path), tuple(_mesh_gates(decode_mesh(data, kind, path.name), None)))
    if not zipfile.is_zipfile(path):
        raise ContentError(f"{path} is neither a package nor a mesh", f"give export_<Asset>_UE5.zip, or .{', .'.join(KINDS)}")
    return Verdict(str(path), tuple(_package_gates(path)))


def _package_gates(path: Path) -> Iterator[Gate]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ContentError(f"{path} unpacks to more than 2 GiB", "this is no package")
        try:
            report = json.loads(archive.read("report.json"))
            listed: dict[str, dict[str, Any]] = report["files"]
        except (KeyError, ValueError, TypeError) as error:
            raise ContentError(f"{path} has no readable report.json", "it was not made by forge-batch") from error
        names = set(archive.namelist())
        changed = [name for name, facts in listed.items() if name not in names or _sha256(archive, name) != facts["sha256"]]
        note = f"missing or changed: {', '.join(changed)}" if changed else "every file is as it was packed"
        yield Gate("files", len(changed), 0, "files", "fail" if changed else "pass", note)
        models = sorted(name for name in names if name.endswith(".glb"))
        if models:
            mesh = decode_mesh(archive.read(models[0]), "glb", models[0])
            yield from _mesh_gates(mesh, report["texture_size"])
            yield from _agreement(mesh, report)
        yield from (Gate.from_json(gate) for gate in report["gates"] if gate["name"] not in MEASURED)


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


def _agreement(mesh: Mesh, report: dict[str, Any]) -> Iterator[Gate]:
    """Hold the GLB to what the report says of it: triangles, and extents along Unreal's axes."""
    count = report["triangles"][0]
    yield Gate(
        "triangles", len(mesh.faces), count, "", "pass" if len(mesh.faces) == count else "fail", "the GLB against the report"
    )
    x, y, z = np.ptp(mesh.vertices, axis=0) * 100.0
    off = float(np.abs(np.array([x, z, y]) / np.maximum(report["size_cm"], 1e-6) - 1.0).max() * 100.0)
    yield Gate("size", round(off, 4), 1.0, "%", "pass" if off <= 1.0 else "fail", "the GLB's extents against the report")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    return hashlib.sha256(archive.read(name)).hexdigest()
