"""Hold the finished asset to every quality gate and say what was measured.

Last but one: everything that goes into a package exists, and nothing was packed yet, so what fails here is never delivered. The
measurements are made on the files themselves, without a word from the stages that wrote them. With `strict` a failed gate stops
the asset; the measurements are written either way.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import AfterValidator, Field

from forge_batch.artifacts import (
    BASE_COLOR_MAP,
    CUTOUTS,
    GATES,
    HULLS,
    LODS,
    MANIFEST,
    MESH,
    NORMAL_ERROR_MAP,
    NORMAL_MAP,
    OCCLUSION_MAP,
    ORM_MAP,
    RIG,
    SOURCE_MESH,
)
from forge_batch.errors import GateFailed
from forge_batch.gates import Gate, headline, judge
from forge_batch.ops.gate_limits import LIMITS, RIG_GATES
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable

if TYPE_CHECKING:
    from forge_batch.ops.finished import Finished, Values


def _gate_name(name: str) -> str:
    if name not in LIMITS:
        near = difflib.get_close_matches(name[:64], LIMITS, 1, 0.5)
        guess = f'did you mean "{near[0]}"? ' if near else ""
        raise ValueError(f'there is no gate "{name[:40]}"; {guess}gates: {", ".join(LIMITS)}')
    return name


class Params(Switchable):
    """Say how strictly an asset is judged."""

    strict: bool = Field(default=True, description="Whether a failed gate stops the asset; warnings never do.")
    limits: dict[Annotated[str, AfterValidator(_gate_name)], float] = Field(
        default_factory=dict,
        description="Other limits than the table's, by gate name, in the gate's unit.",
        examples=[{"silhouette_lod0": 0.99}],
        json_schema_extra={"propertyNames": {"enum": list(LIMITS)}, "default": {}},
    )


def load(context: StageContext[Params]) -> Finished:
    """Read everything there is of an asset."""
    from forge_batch.ops.finished import Finished
    from forge_batch.ops.image_file import read_png
    from forge_batch.ops.mesh import load_arrays, load_mesh, load_meshes, load_meta
    from forge_batch.ops.source import load_source

    lods, about = load_meshes(context.path(LODS)) if context.has(LODS) else ({}, {})
    maps = {
        slot.name: read_png(context.path(slot))
        for slot in (NORMAL_MAP, NORMAL_ERROR_MAP, BASE_COLOR_MAP, ORM_MAP, OCCLUSION_MAP)
        if context.has(slot)
    }
    return Finished(
        mesh=load_mesh(context.path(MESH)),
        source=load_source(context.path(SOURCE_MESH)),
        lods=[lods[name] for name in sorted(lods)],
        screen_sizes=about.get("screen_sizes", []),
        hulls=list(load_meshes(context.path(HULLS))[0].values()) if context.has(HULLS) else None,
        maps=maps,
        cutouts=load_arrays(context.path(CUTOUTS))[0],
        manifest=yaml.safe_load(context.path(MANIFEST).read_text(encoding="utf-8")),
        atlases=load_meta(context.path(MESH)).get("atlases", 1),
    )


def _rig_values(context: StageContext[Params], asset: Finished) -> Values:
    """Measure the skeleton, under the names it will have."""
    from forge_batch.ops.measure_asset import measure_skeleton
    from forge_batch.ops.rig import load_rig
    from forge_batch.packages.mannequin import mannequin_names

    rig = load_rig(context.path(RIG))
    named = mannequin_names(rig.names)
    values = measure_skeleton(asset, replace(rig, names=tuple(named.names)), asset.mesh, named.unmatched)
    kept = replace(values["rig_influences"], note="the package keeps the strongest", breach="warn")
    return values | {"rig_influences": kept}


def _pictured(gate: Gate, asset: Finished, context: StageContext[Params]) -> Gate:
    """Draw what a gate that did not pass found, and name the picture."""
    from forge_batch.ops.gate_pictures import draw_gate

    if gate.result not in {"fail", "warn"}:
        return gate
    picture = draw_gate(gate.name, asset, headline(gate))
    if picture is None:
        return gate
    name = f"failed_{gate.name}.png"
    (context.folder / name).write_bytes(picture)
    return replace(gate, picture=name)


def _refuse(failed: list[Gate]) -> GateFailed:
    found = [f"{headline(gate)} ({LIMITS[gate.name].meaning})" for gate in failed]
    advice = list(dict.fromkeys(LIMITS[gate.name].advice for gate in failed))
    count = "a quality gate" if len(failed) == 1 else f"{len(failed)} quality gates"
    return GateFailed(f"{count} failed: {'; '.join(found)}", f"{'; '.join(advice)}; or inspect.strict: false to pack it anyway")


def run(context: StageContext[Params]) -> Metrics:
    """Measure, write the gates, and refuse the asset if one failed and the manifest is strict."""
    from forge_batch.ops.measure_asset import GROUPS

    asset = load(context)
    values: Values = {}
    for index, measure in enumerate(GROUPS):
        context.progress(index / len(GROUPS), measure.__name__.removeprefix("measure_"))
        values |= measure(asset)
    values |= _rig_values(context, asset) if context.has(RIG) else {}
    judged = [name for name in LIMITS if context.has(RIG) or name not in RIG_GATES]
    gates = [judge(name, values.get(name), context.params.limits, asset.kind) for name in judged]
    gates = [_pictured(gate, asset, context) for gate in gates]
    text = json.dumps([gate.to_json() for gate in gates], indent=1, sort_keys=True)
    context.out(GATES).write_text(text + "\n", encoding="utf-8")
    failed = [gate for gate in gates if gate.result == "fail"]
    if failed and context.params.strict:
        raise _refuse(failed)
    counts = {result: sum(gate.result == result for gate in gates) for result in ("pass", "warn", "fail", "not_tested")}
    return counts | {"warned": [gate.name for gate in gates if gate.result == "warn"], "failed": [gate.name for gate in failed]}


stage = Stage(
    name="inspect",
    group="export",
    version=4,
    device="cpu",
    inputs=(
        MESH,
        SOURCE_MESH,
        LODS.if_any,
        HULLS.if_any,
        NORMAL_MAP.if_any,
        NORMAL_ERROR_MAP.if_any,
        BASE_COLOR_MAP.if_any,
        ORM_MAP.if_any,
        OCCLUSION_MAP.if_any,
        RIG.if_any,
        CUTOUTS,
        MANIFEST,
    ),
    outputs=(GATES,),
    params=Params,
    cost=lambda _: Cost(cpu=10.0),
    run=run,
)
