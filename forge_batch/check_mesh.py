"""Hold a mesh that was read from a file to every gate of the stage `inspect` that needs no more than the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forge_batch.gates import Gate, judge
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.gate_limits import LIMITS, MASK_GATES, RIG_GATES
from forge_batch.ops.measure_asset import GROUPS
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals

NOT_IN_A_FILE = Measured(None, "needs what the mesh was made from, which is not in the file")


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
    if mesh.normals is None:
        mesh = replace(mesh, normals=split_vertex_normals(mesh.vertices, mesh.faces))
    return finished_gates(Finished(mesh, maps=maps, manifest=wish, atlases=atlases))


def finished_gates(asset: Finished) -> list[Gate]:
    """Measure by the same functions as `inspect` what files hold of an asset."""
    values: Values = {}
    for measure in GROUPS:
        values |= measure(asset)
    limits = asset.wish("inspect", "limits", {})
    return [
        judge(name, values.get(name, NOT_IN_A_FILE), limits, asset.kind)
        for name in LIMITS
        if name not in RIG_GATES | MASK_GATES
    ]


def together(measured: Sequence[Gate], told: Sequence[Gate]) -> list[Gate]:
    """Put what was measured anew before what a report says; of the report only what could not be measured anew is left."""
    known = {gate.name for gate in measured if gate.result != "not_tested"}
    rest = [gate for gate in told if gate.name not in known]
    listed = known | {gate.name for gate in rest}
    return [*(gate for gate in measured if gate.name in known), *rest, *(one for one in measured if one.name not in listed)]
