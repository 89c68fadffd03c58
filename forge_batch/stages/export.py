"""Pack the finished asset for each engine: models, textures, licences, and the report that proves them.

Last: it reads what all others made and measures nothing itself. The same asset gives the same bytes, so a package can be
compared, cached and committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

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
    PACKAGE_REPORT,
    PACKAGES,
    PREVIEW,
    RIG,
    SOURCE_MESH,
    EngineName,
)
from forge_batch.packages.names import PATTERN, style_fault
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams

if TYPE_CHECKING:
    from forge_batch.packages.asset import Asset


SocketName = Annotated[str, StringConstraints(pattern="^[A-Za-z][A-Za-z0-9_]{0,47}$")]
Centimetres = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]


NANITE = 20_000
SMALL = 150_000  # bytes of a gate's picture up to which it goes into the package's report


class Params(StageParams):
    """Say for which engines, and how things are named."""

    engines: list[EngineName] = Field(
        default=["ue5"],
        min_length=1,
        max_length=5,
        description="Engines to make packages for, one zip each.",
        examples=[["ue5"], ["ue5", "web"]],
        json_schema_extra={"uniqueItems": True},
    )
    naming: str = Field(
        default="epic",
        description="Style of names: epic (SM_, M_, T_..._BC/_N/_ORM), allar (S_, T_..._D/_N/_ORM), or a pattern such as "
        "MyGame_{type}_{Asset}_{map}.",
        json_schema_extra={"pattern": PATTERN},
    )
    lightmap_resolution: Literal[64, 128, 256, 512, 1024, 2048] | None = Field(
        default=None,
        description="Texels of a lightmap's edge: makes a second UV set for baked light, in which nothing overlaps.",
        examples=[128],
    )
    sockets: dict[SocketName, Annotated[list[Centimetres], Field(min_length=3, max_length=3)]] = Field(
        default_factory=dict,
        max_length=64,
        description="Places to attach things to, by name: [X, Y, Z] from the pivot in centimetres and Unreal's axes (X front, "
        "Y right, Z up), whatever the engine.",
        examples=[{"Grip": [10, 0, 55]}],
        json_schema_extra={"default": {}},
    )
    bone_names: Literal["mannequin", "keep"] = Field(
        default="mannequin",
        description="Names of a rig's bones for Unreal: its Mannequin's where it is plain which is meant, or the rig's own.",
    )
    influences: Literal[4, 8] = Field(default=8, description="Most bones that move one vertex of a rigged mesh.")
    nanite: Literal["auto", "on", "off"] = Field(
        default="auto",
        description=f"Whether Unreal builds the mesh for Nanite, which uses no LODs; auto: from {NANITE} triangles in LOD0 on.",
    )
    normal_bits: Literal[8, 16] = Field(default=8, description="Bits of a channel of normal maps that are files of their own.")

    @field_validator("naming")
    @classmethod
    def _style(cls, naming: str) -> str:
        if fault := style_fault(naming):
            raise ValueError(fault)
        return naming

    @field_validator("sockets")
    @classmethod
    def _distinct(cls, sockets: dict[str, list[float]]) -> dict[str, list[float]]:
        seen: dict[str, str] = {}
        for name in sockets:
            if (other := seen.setdefault(name.casefold(), name)) != name:
                raise ValueError(f"{other} and {name} differ in capitals alone, which Unreal ignores; rename one of them")
        return sockets

    @field_validator("engines")
    @classmethod
    def _once(cls, engines: list[EngineName]) -> list[EngineName]:
        if twice := [name for name in engines if engines.count(name) > 1]:
            raise ValueError(f"{twice[0]} stands there twice; name each engine once")
        return engines


def _load(context: StageContext[Params], manifest: Mapping[str, Any]) -> Asset:
    """Read all that there is of an asset; what it is besides stands in its resolved manifest."""
    from forge_batch.ops.image_file import read_png
    from forge_batch.ops.lightmap import with_lightmap_uv
    from forge_batch.ops.mesh import load_mesh, load_meshes, load_meta
    from forge_batch.ops.rig import load_rig, load_rig_facts
    from forge_batch.packages.asset import Asset

    lods, facts = load_meshes(context.path(LODS)) if context.has(LODS) else ({"lod0": load_mesh(context.path(MESH))}, {})
    hulls = load_meshes(context.path(HULLS))[0] if context.has(HULLS) else {}
    if context.params.lightmap_resolution:
        lods = {name: with_lightmap_uv(mesh, context.params.lightmap_resolution) for name, mesh in lods.items()}
    maps = {slot: read_png(context.path(slot)) if context.has(slot) else None for slot in (BASE_COLOR_MAP, NORMAL_MAP, ORM_MAP)}
    return Asset(
        context.asset,
        list(lods.values()),
        facts.get("screen_sizes", [1.0]),
        list(hulls.values()),
        maps[BASE_COLOR_MAP],
        maps[NORMAL_MAP],
        maps[ORM_MAP],
        naming=context.params.naming,
        # Unreal's X, Y and Z are the house's z, -x and y
        sockets={name: (-y / 100, z / 100, x / 100) for name, (x, y, z) in context.params.sockets.items()},
        normal_bits=context.params.normal_bits,
        rig=load_rig(context.path(RIG)) if context.has(RIG) else None,
        rig_facts=load_rig_facts(context.path(RIG)) if context.has(RIG) else {},
        rigged=load_mesh(context.path(MESH)) if context.has(RIG) else None,
        bone_names=context.params.bone_names,
        influences=context.params.influences,
        nanite=use_nanite(context.params.nanite, len(lods["lod0"].faces)),
        lightmap_resolution=context.params.lightmap_resolution,
        atlases=load_meta(context.path(MESH)).get("atlases", 1),
        two_sided=bool(manifest.get("repair", {}).get("open")),
    )


def use_nanite(wanted: str, triangles: int) -> bool:
    """Decide on Nanite for a mesh of that many triangles; `wanted` is auto, on or off."""
    return triangles >= NANITE if wanted == "auto" else wanted == "on"


def _preview(context: StageContext[Params], asset: Asset, lines: list[str]) -> bytes:
    from forge_batch.ops.image_file import encode_png
    from forge_batch.ops.mesh import load_arrays
    from forge_batch.ops.render import Maps, contact_sheet
    from forge_batch.packages.names import pascal

    cutouts = load_arrays(context.path(CUTOUTS))[0]
    front = cutouts.get("front", next(iter(cutouts.values())))
    maps = Maps(asset.base_color, asset.normal, asset.orm)
    return encode_png(contact_sheet(asset.lods[0], maps, front, pascal(context.asset), lines))


def _walk(asset: Asset) -> bytes | None:
    """Draw a character in mid-stride; None for what has no skeleton of a humanoid."""
    from forge_batch.ops.image_file import encode_png
    from forge_batch.ops.render import Maps
    from forge_batch.ops.walk_picture import draw_walk
    from forge_batch.packages.skinned import named_rig

    if asset.rig is None:
        return None
    picture = draw_walk(named_rig(asset), asset.lods[0], Maps(asset.base_color, None, asset.orm))
    return None if picture is None else encode_png(picture)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def run(context: StageContext[Params]) -> Metrics:
    """Write a zip for each engine, the preview beside them, and the report of the first."""
    import yaml

    from forge_batch.bake_params import rasterised_by_nvdiffrast
    from forge_batch.gate_text import read_pictures
    from forge_batch.gates import Gate
    from forge_batch.ops.mesh import load_arrays
    from forge_batch.ops.source import load_source_meta
    from forge_batch.packages.engines import ENGINES
    from forge_batch.packages.licences import licences_text, may_sell
    from forge_batch.packages.package_report import Summary, report_html, report_json
    from forge_batch.packages.zip_file import write_zip

    manifest = context.path(MANIFEST).read_bytes()
    wishes = yaml.safe_load(manifest)
    asset = _load(context, wishes)
    source, cutouts = load_source_meta(context.path(SOURCE_MESH)), load_arrays(context.path(CUTOUTS))[1]
    gates = [Gate.from_json(gate) for gate in json.loads(context.path(GATES).read_text())] if context.has(GATES) else []
    found = read_pictures(gates, context.path(GATES).parent) if context.has(GATES) else {}
    pictures = {name: png for name, png in found.items() if len(png) <= SMALL}
    licence = context.images["license"].read_text(encoding="utf-8", errors="replace") if "license" in context.images else None
    papers = {
        "LICENSES.txt": licences_text(
            context.asset, source, cutouts, licence, asset.rig_facts, rasterised_by_nvdiffrast(wishes)
        ).encode(),
        "manifest.yaml": manifest,
    }
    engines = [ENGINES[name] for name in context.params.engines]
    summaries = [Summary.of(asset, engine, source, cutouts, gates, hashlib.sha256(manifest).hexdigest()) for engine in engines]
    preview = _preview(context, asset, summaries[0].lines())
    context.out(PREVIEW).write_bytes(preview)
    walk = _walk(asset) if any(summary.skeleton for summary in summaries) else None
    metrics: Metrics = {"triangles": summaries[0].triangles, "files": {}, "bytes": {}}
    for done, (engine, summary) in enumerate(zip(engines, summaries, strict=True)):
        context.progress(0.2 + 0.8 * done / len(engines), engine.title)
        files = {**engine.files(asset), **papers}
        if engine.recipe:
            files["forge_import.json"] = _json(engine.recipe(asset, files))
        files["report.json"] = _json(report_json(summary, files))
        files["report.html"] = report_html(summary, engine.steps(asset), preview, may_sell(source), walk, pictures).encode()
        package: Path = context.out(PACKAGES[engine.name])
        write_zip(package, files)
        metrics["files"][engine.name], metrics["bytes"][engine.name] = len(files), package.stat().st_size
        if not done:
            context.out(PACKAGE_REPORT).write_bytes(files["report.json"])
    return metrics


stage = Stage(
    name="export",
    group="export",
    version=10,
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
    outputs=(*PACKAGES.values(), PREVIEW, PACKAGE_REPORT),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 + 2.0 * len(params.engines)),
    run=run,
)
"""The stage of this module."""
