"""Make the high-poly source from the cut-outs.

Second of all stages: everything after it works on one mesh, whoever made it. What a generator gives is kept as it is for every
bake (`source_mesh`); the geometry alone starts the way through repair and decimation (`mesh`). A new generator is a module in
backends with `info` and `generate`, and one line in GENERATORS.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

from pydantic import Field

from forge_batch.artifacts import CUTOUTS, MESH, SOURCE_MESH
from forge_batch.backends.catalog import CATALOG
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from forge_batch.backends.contract import BackendInfo, Fineness
    from forge_batch.ops.camera import Camera
    from forge_batch.ops.source import SourceMesh

GENERATORS = {
    "hull": "forge_batch.backends.hull",
    "trellis2": "forge_batch.backends.trellis2",
    "hunyuan3d": "forge_batch.backends.hunyuan3d",
}
"""Module of each generator by the word used in manifests; imported only when it runs."""

_CPU = {"fast": 4.0, "balanced": 8.0, "hero": 16.0}
"""Seconds of hull on two laptop cores by quality, measured by benchmarks/hull.py and rounded up."""

_GPU = {
    "trellis2": {512: (3.0, 1.5, 5.0), 1024: (15.0, 10.5, 5.0), 1536: (52.5, 37.5, 5.0)},
    "hunyuan3d": {512: (8.0, 20.0, 5.0), 1024: (15.0, 30.0, 10.0), 1536: (30.0, 60.0, 15.0)},
}
"""Seconds of GPU by backend and resolution: shape at 12 steps, texture at 12 steps, and reading the result out.

trellis2: its README on an H100 (2 + 1, 10 + 7, 35 + 25 s), times 1.5 for the half card of ZeroGPU. hunyuan3d publishes none:
guesses, until the job history corrects them (see estimate.py).
"""

Steps = Annotated[int, Field(ge=1, le=50, examples=[12])]


def _fineness(resolution: int, steps: int) -> dict[str, int]:
    return {"resolution": resolution, "structure_steps": steps, "shape_steps": steps, "texture_steps": steps}


QUALITIES = {"fast": _fineness(512, 8), "balanced": _fineness(1024, 12), "hero": _fineness(1536, 16)}
"""What each word of `quality` stands for."""


def _by_quality(field: dict[str, Any]) -> None:
    """Say in the JSON Schema that the default depends on another field."""
    field["x-default"] = f"by quality; {field.pop('default')} for balanced"


class Params(StageParams):
    """Say which generator builds the source, and how fine."""

    backend: Literal["hull", "trellis2", "hunyuan3d"] = Field(
        default="hull", description="hull: built in, from outlines, no weights; the others are learned models to be fetched."
    )
    quality: Literal["fast", "balanced", "hero"] = Field(
        default="balanced",
        description="One word for the four fields below: resolution 512, 1024 or 1536 with 8, 12 or 16 steps each. For hull "
        "128, 192 or 256 cells along the longest side, and nothing else.",
    )
    resolution: Literal[512, 1024, 1536] = Field(
        default=1024,
        description="Voxels along an edge of what a learned generator makes; left out, as quality says.",
        json_schema_extra=_by_quality,
    )
    structure_steps: Steps = Field(
        default=12,
        description="Sampling steps of a learned generator for the coarse structure; left out, as quality says.",
        json_schema_extra=_by_quality,
    )
    shape_steps: Steps = Field(
        default=12,
        description="Sampling steps of a learned generator for the shape; left out, as quality says.",
        json_schema_extra=_by_quality,
    )
    texture_steps: Steps = Field(
        default=12,
        description="Sampling steps of a learned generator for the texture; left out, as quality says.",
        json_schema_extra=_by_quality,
    )

    candidates: int = Field(
        default=1,
        ge=1,
        le=8,
        examples=[3],
        description="Seeds that a learned generator tries where there is more than one view; the result whose outlines agree "
        "best with the views is kept. Each costs the whole time.",
    )
    multi_view: Literal["choose", "average"] = Field(
        default="choose",
        description="What trellis2, which takes one view, does with the others: choose among candidates by them, or average "
        "what it sees in all of them, which is an experiment.",
    )
    texture_with: Literal["own", "trellis2"] = Field(
        default="own",
        description="Who colours the shape: the generator itself (hunyuan3d: the views), or the texture model of trellis2, "
        "which gives metallic and roughness as well.",
    )

    implied = MappingProxyType({"quality": QUALITIES})


class Generator(Protocol):
    """Be a backend module that turns cut-outs into a source."""

    info: BackendInfo

    def generate(
        self,
        cutouts: Mapping[str, np.ndarray],
        cameras: Mapping[str, Camera] | None,
        fineness: Fineness,
        seed: int,
        progress: Callable[[float, str], None],
    ) -> SourceMesh:
        """Build a source from cut-outs (h, w, 4) uint8 by view name."""
        ...


def load_generator(name: str) -> Generator:
    """Import a generator's module.

    Raises:
        BackendUnavailable: It is not on this machine; the hint is the command that fetches it.
    """
    module = GENERATORS[name]
    try:
        return cast("Generator", import_module(module))
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"the generator {name} is not installed ({error.name} is missing)", f"forge-batch vendor fetch {name}"
        ) from error


def _revision(params: Params) -> str:
    painter = "+" + CATALOG[params.texture_with].revision if params.texture_with != "own" else ""
    return CATALOG[params.backend].revision + painter


def _cost(params: Params) -> Cost:
    if params.backend == "hull":
        return Cost(cpu=_CPU[params.quality])
    shape, texture, rest = _GPU[params.backend][params.resolution]
    shaping = rest + shape * max(params.structure_steps, params.shape_steps) / 12
    return Cost(gpu=params.candidates * shaping + texture * params.texture_steps / 12)


def run(context: StageContext[Params]) -> Metrics:
    """Generate and write both slots.

    Raises:
        StageError: The views show no common solid, or the file of cut-outs holds none.
        BackendUnavailable: The generator asked for is not installed.
    """
    from forge_batch.backends.contract import Fineness
    from forge_batch.ops.camera import Camera
    from forge_batch.ops.mesh import Mesh, load_arrays, save_mesh
    from forge_batch.ops.outline_overlap import outline_overlap
    from forge_batch.ops.source import save_source

    backend = load_generator(context.params.backend)
    cutouts, meta = load_arrays(context.path(CUTOUTS))
    if not cutouts:
        raise StageError("there are no cut-outs to generate from", "give the image set at least front.png")
    cameras = {view: Camera.from_json(camera) for view, camera in meta.get("cameras", {}).items()}
    params = context.params
    fineness = Fineness(**params.model_dump(exclude={"backend", "texture_with"}))
    source = backend.generate(cutouts, cameras or None, fineness, context.seed, context.progress)
    facts = dict(source.facts)
    info = backend.info
    painted: Metrics = {}
    if params.texture_with not in {"own", params.backend}:
        from forge_batch.backends import trellis2

        source = trellis2.paint(source.mesh, cutouts, fineness, context.seed, context.progress)
        facts |= source.facts
        painted = {"painter": trellis2.info.name, "painter_revision": trellis2.info.revision}
    save_source(
        context.out(SOURCE_MESH),
        source,
        {
            "backend": info.name,
            "revision": info.revision,
            "licence": info.licence,
            "commercial": info.commercial,
            "territory": info.territory,
            "seed": context.seed,
            **painted,
        },
    )
    save_mesh(context.out(MESH), Mesh(source.mesh.vertices, source.mesh.faces))
    metrics: Metrics = {
        "views": sorted(cutouts),
        "vertices": len(source.mesh.vertices),
        "faces": len(source.mesh.faces),
        **facts,
    }
    if source.projections:
        overlaps = [
            outline_overlap(source.mesh, cutouts[view][..., 3], projection.camera)
            for view, projection in zip(cutouts, source.projections, strict=True)
        ]
        metrics["mean_silhouette_iou"] = round(sum(overlaps) / len(overlaps), 4)
    return metrics


stage = Stage(
    name="generate",
    group="generation",
    version=1,
    device="gpu",
    inputs=(CUTOUTS,),
    outputs=(SOURCE_MESH, MESH),
    params=Params,
    cost=_cost,
    run=run,
    revision=_revision,
)
