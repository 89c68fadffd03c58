"""Hold an FBX to what engines read from it: names, levels, hulls, tangents. ufbx reads the file; nothing of our writer does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from forge_batch.gates import Gate, Result, judge
from forge_batch.ops.fbx_reader import FbxContents
from forge_batch.ops.finished import Measured
from forge_batch.ops.measure_hulls import measure_hulls
from forge_batch.ops.measure_shape import weld
from forge_batch.ops.mesh import Mesh

PREFIXES = ("UBX_", "UCX_", "MCDCX_", "USP_", "UCP_")


def finest(fbx: FbxContents) -> Mesh | None:
    """Give the finest level in metres, in the file's axes; None if the file holds hulls alone."""
    return in_metres(fbx.levels[0].mesh, fbx) if fbx.levels else None


def in_metres(mesh: Mesh, fbx: FbxContents) -> Mesh:
    """Carry a mesh from the file's unit into metres."""
    return replace(mesh, vertices=mesh.vertices * np.float32(fbx.unit))


def target_of(hull: str, meshes: list[str]) -> str | None:
    """Find the mesh that Unreal gives a hull to: named as what follows the first `_`, or as that without its last `_part`."""
    rest = hull.partition("_")[2]
    return next((name for name in (rest, rest.rpartition("_")[0]) if name in meshes), None)


def fbx_gates(fbx: FbxContents) -> Iterator[Gate]:
    """Measure what only an FBX has; its finest level is measured like any other mesh, elsewhere."""
    yield _count("fbx_warnings", list(fbx.warnings), "what ufbx complains of", "fail")
    other = [part.name for part in fbx.parts if part.data_name not in {"", part.name}]
    yield _count("data_names", other, "objects whose mesh data have another name, from which Unreal names assets", "fail")
    if not fbx.levels and not any(part.name.startswith(PREFIXES) for part in fbx.solids):
        return  # colliders of Unity, in a file of their own
    names = [part.name for part in fbx.levels]
    stray = [part.name for part in fbx.solids if part.name.startswith(PREFIXES) and target_of(part.name, names[:1]) is None]
    yield _count("stray_hulls", stray, "hulls that find no LOD0 by Unreal's rule and would be seen", "fail")
    counts = [len(part.mesh.faces) for part in fbx.levels]
    grown = [name for name, fine, coarse in zip(names[1:], counts, counts[1:], strict=False) if coarse >= fine]
    yield _count("lods_fall", grown, "levels without fewer triangles than the one before", "fail")
    bare = [part.name for part in fbx.levels if not part.has_tangents]
    yield _count("tangents", bare, "levels without tangents: the engine makes its own", "warn")
    if len({part.materials for part in fbx.levels}) > 1:
        yield Gate("shared_slots", 1, 0, "", "fail", "levels have different material slots")
    if fbx.solids and (mesh := finest(fbx)):
        fit = measure_hulls([weld(in_metres(part.mesh, fbx)) for part in fbx.solids], weld(mesh))
        measured = {"vertices": fit.vertices, "convexity": 100.0 * fit.dent, "coverage": 100.0 * fit.coverage}
        yield from (judge(f"collision_{name}", Measured(value)) for name, value in measured.items())


def _count(name: str, found: list[str], meaning: str, breach: Result) -> Gate:
    note = f"{meaning}: {', '.join(found)}" if found else meaning
    return Gate(name, len(found), 0, "", breach if found else "pass", note)
