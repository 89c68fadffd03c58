"""Hold a mesh that was read from a file to every gate of the stage `inspect` that needs no more than the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forge_batch.gates import Gate, judge
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.gate_limits import LIMITS, MASK_GATES, RIG_GATES
from forge_batch.ops.map_pictures import MAP_PICTURES
from forge_batch.ops.measure_asset import GROUPS
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.readable import finite_faces

NOT_IN_A_FILE = Measured(None, "needs what the mesh was made from, which is not in the file")
OF_LAYOUT = frozenset(name for name in LIMITS if name.startswith("uv_")) | {
    "degenerate_uv",
    "thin_charts",
    "density_variation",
    "density_error",
    "atlas_use",
    "padding",
}
OF_MAPS = frozenset(MAP_PICTURES) - {"normal_map_mean", "normal_map_p95", "normal_map_green", "bake_misses"} | {"texture_sizes"}
AGAIN, FEWER = "export it again", "check it in parts"


def mesh_gates(
    mesh: Mesh,
    maps: Mapping[str, np.ndarray],
    atlases: int = 1,
    texture_size: int = 2048,
    wish: Mapping[str, Any] | None = None,
) -> list[Gate]:
    """Measure a mesh and its textures by the same functions as `inspect`.

    Args:
        mesh: Metres; normals are made where it has none.
        maps: By slot name, as `inspect` has them.
        atlases: How many the maps, and uv, are of.
        texture_size: Texels of the page where there are no maps.
        wish: A resolved manifest, whose limits and kind count; nothing where nobody knows it.
    """
    wish = dict(wish or {"decimate": {"enabled": False}})
    wish["unwrap"] = {"texture_size": texture_size, **wish.get("unwrap", {})}
    sound = finite_faces(mesh, AGAIN, FEWER)
    lost = int((~sound).sum())
    if lost:
        faces = mesh.faces[sound]
        known = np.isfinite(mesh.vertices).all(axis=1, keepdims=True)
        mesh = replace(mesh, vertices=np.where(known, mesh.vertices, mesh.vertices[faces[0, 0]]), faces=faces)
    if mesh.normals is None:
        mesh = replace(mesh, normals=split_vertex_normals(mesh.vertices, mesh.faces))
    gates = finished_gates(Finished(mesh, maps=maps, manifest=wish, atlases=atlases))
    note = "faces whose corners are no numbers; the rest is measured"
    return [Gate("finite", lost, 0, "faces", "fail", note), *gates] if lost else gates


def finished_gates(asset: Finished) -> list[Gate]:
    """Measure by the same functions as `inspect` what files hold of an asset."""
    values: Values = {}
    for measure in GROUPS:
        values |= measure(asset)
    limits = asset.wish("inspect", "limits", {})
    missing = Measured(None, _missing(asset))
    needs = {name: missing if name in OF_MAPS or name in OF_LAYOUT else NOT_IN_A_FILE for name in LIMITS}
    asked = [name for name in LIMITS if name not in RIG_GATES | MASK_GATES]
    return [judge(name, values.get(name, needs[name]), limits, asset.kind) for name in asked]


def _missing(asset: Finished) -> str:
    """Say what a file has not that maps and layouts are measured on."""
    return "the mesh has no UVs" if asset.mesh.uv is None else "the file holds no such map, or more than one material"


def together(measured: Sequence[Gate], told: Sequence[Gate]) -> list[Gate]:
    """Put what was measured anew before what a report says; of the report only what could not be measured anew is left."""
    known = {gate.name for gate in measured if gate.result != "not_tested"}
    rest = [gate for gate in told if gate.name not in known]
    listed = known | {gate.name for gate in rest}
    return [*(gate for gate in measured if gate.name in known), *rest, *(one for one in measured if one.name not in listed)]
