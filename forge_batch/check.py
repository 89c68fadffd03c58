"""Run the gates on a package or a mesh that exists, whoever made it.

Every file is opened by a reader that has nothing of our writers: FBX by ufbx (an extra), GLB by trimesh (and Google's Draco),
skins of GLBs by pygltflib, images by Pillow.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from forge_batch.check_fbx import fbx_gates, finest
from forge_batch.check_glb import LARGEST_EDGE, glb_maps, image_fault
from forge_batch.check_mesh import finished_gates, mesh_gates, together
from forge_batch.errors import BackendUnavailable, ContentError, StageError
from forge_batch.gate_text import gate_rows, verdict
from forge_batch.gates import Gate, Result, judge
from forge_batch.ops.fbx_reader import FbxContents, read_fbx
from forge_batch.ops.finished import Finished
from forge_batch.ops.measure_asset import measure_skeleton
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import KINDS, decode_mesh, decode_textured
from forge_batch.ops.rig import Rig
from forge_batch.packages.engines import ENGINES, Engine
from forge_batch.packages.mannequin import mannequin_names
from forge_batch.packages.opened import open_files, read_zip
from forge_batch.packages.opened_parts import open_parts

NOTHING = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))


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
        return Verdict(str(path), (*mesh_gates(*decode_textured(data, kind, path.name)), *_skins(data, kind, path.name, None)))
    if kind == "gltf":
        raise ContentError(f"{path} is glTF as text, whose parts may lie in other files", "export it as one .glb")
    if not zipfile.is_zipfile(path):
        known = ", .".join(("fbx", *KINDS))
        raise ContentError(f"{path} is neither a package nor a mesh", f"give export_<Asset>_UE5.zip, or .{known}")
    return Verdict(str(path), tuple(_package_gates(path)))


def _fbx(data: bytes, name: str) -> Iterator[Gate]:
    """Measure an FBX that stands alone."""
    fbx = read_fbx(data, name)
    if mesh := finest(fbx):
        yield from mesh_gates(mesh, {}, fbx.atlases)
    yield from fbx_gates(fbx)
    yield from _skins(data, "fbx", name, fbx)


def _skins(data: bytes, kind: str, name: str, fbx: FbxContents | None) -> Iterator[Gate]:
    """Measure the skin of a file that stands alone, if it has one."""
    if not (fbx.skinned if fbx else kind == "glb" and b'"skins"' in data):
        return
    try:
        skinned = open_parts({name: data}, {name: fbx} if fbx else {}).skinned
    except StageError as error:
        yield Gate("rig_joints", None, None, "joints", "not_tested", str(error))
    else:
        yield from _skin_gates(Finished(finest(fbx) or NOTHING if fbx else NOTHING), skinned, {})


def _skin_gates(asset: Finished, skinned: Mapping[str, tuple[Mesh, Rig]], limits: Mapping[str, float]) -> Iterator[Gate]:
    """Measure every skin, under the names that its joints have."""
    for file, (mesh, rig) in skinned.items():
        unmatched = mannequin_names(rig.names).unmatched
        for name, value in measure_skeleton(asset, rig, mesh, unmatched).items():
            noted = replace(value, note=f"{file}; {value.note}" if value.note else file)
            yield judge(name, noted, limits, asset.kind)


def _package_gates(path: Path) -> Iterator[Gate]:
    files = read_zip(path)
    try:
        report = json.loads(files["report.json"])
        listed: dict[str, dict[str, Any]] = report["files"]
        engine = ENGINES[report["engine"]]
    except (KeyError, ValueError, TypeError) as error:
        raise ContentError(f"{path} has no readable report.json", "it was not made by forge-batch") from error
    changed = [name for name, facts in listed.items() if name not in files or _sha256(files[name]) != facts["sha256"]]
    note = f"missing or changed: {', '.join(changed)}" if changed else "every file is as it was packed"
    yield Gate("files", len(changed), 0, "files", "fail" if changed else "pass", note)
    yield _images(files)
    for name in sorted(name for name in files if name.endswith(".glb")):
        mesh = decode_mesh(files[name], "glb", name)
        # Unreal's GLB is turned, so that its (x, z, y) is Unreal's; the others stand in house space
        axes = (0, 2, 1) if engine.name == "ue5" else engine.axes
        yield from _agreement([mesh], np.ptp(mesh.vertices, axis=0)[list(axes)], report, name)
        yield glb_maps(files[name], name, int(report["texture_size"]))
    read: dict[str, FbxContents] = {}
    for name in sorted(name for name in files if name.endswith(".fbx")):
        try:
            read[name] = read_fbx(files[name], name, int(report.get("atlases", 1)))
        except BackendUnavailable as error:
            yield Gate("fbx", None, None, "", "not_tested", f"{name}: {error.hint} to have it read")
            continue
        yield from _packed_fbx(read[name], name, engine, report)
    yield from _measured(files, str(path), read, report)


def _packed_fbx(fbx: FbxContents, name: str, engine: Engine, report: dict[str, Any]) -> Iterator[Gate]:
    """Hold an FBX of a package to what the report says, and to what only an FBX has."""
    if mesh := finest(fbx):
        order = engine.axes if fbx.up == "POSITIVE_Y" else (0, 1, 2)  # with Z up its axes are Unreal's, but for signs
        sides = np.ptp(mesh.vertices, axis=0)[list(order)]
        yield from _agreement([part.mesh for part in fbx.levels], sides, report, name)
    yield from fbx_gates(fbx)


def _images(files: Mapping[str, bytes]) -> Gate:
    """Open every image that is a file of its own with Pillow and look at its edges."""
    images = {name: data for name, data in sorted(files.items()) if name.endswith(".png")}
    wrong = [f"{name} {fault}" for name, data in images.items() if (fault := image_fault(data))]
    note = ", ".join(wrong) if wrong else f"{len(images)} images, edges a power of two up to {LARGEST_EDGE}"
    return Gate("images", len(wrong), 0, "images", "fail" if wrong else "pass", note)


def _measured(files: Mapping[str, bytes], path: str, read: Mapping[str, FbxContents], report: dict[str, Any]) -> Iterator[Gate]:
    """Measure anew what can be measured without the source; for the rest the package's own report speaks."""
    known = [Gate.from_json(gate) for gate in report["gates"]]
    try:
        opened = open_files(files, path)
    except BackendUnavailable:  # said above, file by file
        yield from known
        return
    parts = open_parts(files, read)
    slots = {"base_color_map": opened.maps.base_color, "normal_map": opened.maps.normal, "orm_map": opened.maps.orm}
    maps = {slot: image for slot, image in slots.items() if image is not None}
    if opened.maps.orm is not None:
        maps["occlusion_map"] = np.ascontiguousarray(opened.maps.orm[..., 0])
    sizes, wish = report.get("screen_sizes", []), yaml.safe_load(opened.manifest)
    maps, opacity = Finished.split(maps)
    asset = Finished(opened.mesh, None, parts.lods, sizes, parts.hulls, maps, {}, wish, opened.atlases, opacity)
    limits = asset.wish("inspect", "limits", {})
    skins = _skin_gates(asset, parts.skinned, limits)
    yield from together([*finished_gates(asset), *skins], known)


def _agreement(levels: list[Mesh], sides: np.ndarray, report: dict[str, Any], name: str) -> Iterator[Gate]:
    """Hold a model to what the report says of it: triangles of its levels, and extents (metres) along the engine's axes."""
    counts, expected = [len(mesh.faces) for mesh in levels], report["triangles"][: len(levels)]
    result: Result = "pass" if counts == expected else "fail"
    yield Gate("triangles", counts[0], expected[0], "", result, f"{name} against the report: {counts}, {expected}")
    off = float(np.abs(sides * 100.0 / np.maximum(report["size_cm"], 1e-6) - 1.0).max() * 100.0)
    yield Gate("size", round(off, 4), 1.0, "%", "pass" if off <= 1.0 else "fail", f"extents of {name} against the report")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
