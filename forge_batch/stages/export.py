"""Pack the finished asset for an engine: models, textures, licences, and the report that proves them.

Last: it reads what all others made and measures nothing itself. The same asset gives the same bytes, so a package can be
compared, cached and committed.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forge_batch.artifacts import (
    BASE_COLOR_MAP,
    CUTOUTS,
    GATES,
    HULLS,
    IMAGES,
    LODS,
    MANIFEST,
    MESH,
    NORMAL_MAP,
    ORM_MAP,
    PACKAGE,
    PACKAGE_REPORT,
    PREVIEW,
    RIG,
    SOURCE_MESH,
)
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams

if TYPE_CHECKING:
    from forge_batch.packages.ue5 import Asset


class Params(StageParams):
    """Say for which engines, and how things are named."""

    engines: list[Literal["ue5"]] = Field(
        default=["ue5"], min_length=1, max_length=1, description="Engines to make packages for."
    )
    naming: Literal["epic"] = Field(default="epic", description="Naming convention: epic is SM_, M_, T_..._BC/_N/_ORM, UCX_.")


def _load(context: StageContext[Params]) -> Asset:
    from forge_batch.ops.image_file import read_png
    from forge_batch.ops.mesh import load_mesh, load_meshes
    from forge_batch.packages.ue5 import Asset

    lods, facts = load_meshes(context.path(LODS)) if context.has(LODS) else ({"lod0": load_mesh(context.path(MESH))}, {})
    hulls = load_meshes(context.path(HULLS))[0] if context.has(HULLS) else {}
    maps = {slot: read_png(context.path(slot)) if context.has(slot) else None for slot in (BASE_COLOR_MAP, NORMAL_MAP, ORM_MAP)}
    sizes = facts.get("screen_sizes", [1.0])
    return Asset(
        context.asset, list(lods.values()), sizes, list(hulls.values()), maps[BASE_COLOR_MAP], maps[NORMAL_MAP], maps[ORM_MAP]
    )


def _preview(context: StageContext[Params], asset: Asset, lines: list[str]) -> bytes:
    from forge_batch.ops.image_file import encode_png
    from forge_batch.ops.mesh import load_arrays
    from forge_batch.ops.render import Maps, contact_sheet
    from forge_batch.packages.names import pascal

    cutouts = load_arrays(context.path(CUTOUTS))[0]
    front = cutouts.get("front", next(iter(cutouts.values())))
    maps = Maps(asset.base_color, asset.normal, asset.orm)
    return encode_png(contact_sheet(asset.lods[0], maps, front, pascal(context.asset), lines))


def run(context: StageContext[Params]) -> Metrics:
    """Write the zip, the preview beside it, and the report that is in it."""
    from forge_batch.gates import Gate
    from forge_batch.ops.mesh import load_arrays
    from forge_batch.ops.source import load_source_meta
    from forge_batch.packages.licences import licences_text, may_sell
    from forge_batch.packages.package_report import Summary, report_html, report_json
    from forge_batch.packages.ue5 import package_files
    from forge_batch.packages.zip_file import write_zip

    asset = _load(context)
    source, cutouts = load_source_meta(context.path(SOURCE_MESH)), load_arrays(context.path(CUTOUTS))[1]
    gates = [Gate.from_json(gate) for gate in json.loads(context.path(GATES).read_text())] if context.has(GATES) else []
    manifest = context.path(MANIFEST).read_bytes()
    files = package_files(asset)
    context.progress(0.4, "models")
    summary = Summary.of(asset, source, cutouts, gates, hashlib.sha256(manifest).hexdigest())
    preview = _preview(context, asset, summary.lines())
    context.progress(0.8, "preview")
    licence = context.images["license"].read_text(encoding="utf-8", errors="replace") if "license" in context.images else None
    files["LICENSES.txt"] = licences_text(context.asset, source, cutouts, licence).encode()
    files["manifest.yaml"] = manifest
    document: dict[str, Any] = report_json(summary, files)
    files["report.json"] = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
    files["report.html"] = report_html(summary, preview, may_sell(source)).encode()
    write_zip(context.out(PACKAGE), files)
    context.out(PREVIEW).write_bytes(preview)
    context.out(PACKAGE_REPORT).write_bytes(files["report.json"])
    return {"files": len(files), "bytes": context.out(PACKAGE).stat().st_size, "triangles": summary.triangles}


stage = Stage(
    name="export",
    group="export",
    version=2,
    device="cpu",
    inputs=(
        MESH,
        LODS.if_any,
        HULLS.if_any,
        NORMAL_MAP.if_any,
        BASE_COLOR_MAP.if_any,
        ORM_MAP.if_any,
        GATES.if_any,
        RIG.if_any,
        SOURCE_MESH,
        CUTOUTS,
        IMAGES,
        MANIFEST,
    ),
    outputs=(PACKAGE, PREVIEW, PACKAGE_REPORT),
    params=Params,
    cost=lambda _: Cost(cpu=4.0),
    run=run,
)
"""The stage of this module."""
