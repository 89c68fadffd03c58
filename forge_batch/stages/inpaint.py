"""Colour what no image saw.

After bake_base_color, which marks it; before export. `fill` carries the surrounding colour on over the surface, on the CPU and
without weights; `diffusion` invents texture, in pictures of the object: painted in the atlas, a pattern jumped across chart
borders by 31 levels of 255, painted in pictures by 6, about as much as inside charts (benchmarks/inpaint.py, a horse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from forge_batch.artifacts import BASE_COLOR_MAP, MESH, UNSEEN_MAP
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable

if TYPE_CHECKING:
    import numpy as np

    from forge_batch.ops.view_paint import Painter


class Params(Switchable):
    """Say where the colour comes from."""

    enabled: bool = Field(
        default=False, description="Whether this stage runs; without it unseen surface keeps the generator's own guess."
    )
    method: Literal["fill", "diffusion"] = Field(
        default="fill", description="fill blends the nearest seen surface; diffusion invents texture with a learned model."
    )
    prompt: str = Field(
        default="", max_length=200, description="What diffusion is told that the surface shows; the asset's name if empty."
    )
    steps: int = Field(default=30, ge=1, le=100, description="Sampling steps of diffusion.")


def run(context: StageContext[Params]) -> Metrics:
    """Replace unseen texels; without any, hand the map on byte for byte.

    Raises:
        BackendUnavailable: `diffusion` is asked for and something it needs is not here.
        StageError: Nothing was seen, or the maps do not fit together.
    """
    import numpy as np

    from forge_batch.ops.image_file import read_png, write_png
    from forge_batch.ops.mesh import load_mesh
    from forge_batch.ops.unseen import fill_unseen

    painter = _painter(context) if context.params.method == "diffusion" else None
    unseen = read_png(context.path(UNSEEN_MAP)) > 127
    whole = read_png(context.path(BASE_COLOR_MAP))
    base_color = np.ascontiguousarray(whole[..., :3])
    if unseen.shape != base_color.shape[:2]:
        raise StageError(f"unseen_map is {unseen.shape} and base_color_map {base_color.shape[:2]}", "bake base colour again")
    metrics: Metrics = {"method": context.params.method, "filled": bool(unseen.any())}
    if not metrics["filled"]:
        context.out(BASE_COLOR_MAP).write_bytes(context.path(BASE_COLOR_MAP).read_bytes())
        return metrics
    context.progress(0.1, "filling")
    mesh = load_mesh(context.path(MESH))
    try:
        if painter:
            from forge_batch.ops.view_paint import paint_unseen

            filled, metrics["views"] = paint_unseen(mesh, base_color, unseen, painter, progress=context.progress)
        else:
            filled = fill_unseen(mesh, base_color, unseen)
    except ValueError as error:
        raise StageError(
            f"unseen texels cannot be filled: {error}", "look at the views and their camera: no image sees the object"
        ) from error
    write_png(context.out(BASE_COLOR_MAP), np.dstack([filled, whole[..., 3:]]))  # alpha, where there is one, stays
    return metrics


def _painter(context: StageContext[Params]) -> Painter:
    """Load the model, and give what paints one view with it."""
    from forge_batch.backends.inpainter import Inpainter

    inpainter = Inpainter.load()
    prompt = context.params.prompt or f"{context.asset.replace('_', ' ')}, detailed game texture, even light"

    def paint(picture: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
        return inpainter.paint(picture, mask, prompt, context.seed + 1000 * number, context.params.steps)

    return paint


def _revision(params: Params) -> str:
    from forge_batch.backends.inpainter import info

    return info().revision if params.method == "diffusion" else ""


stage = Stage(
    name="inpaint",
    group="post_processing",
    version=2,
    device="gpu",
    inputs=(MESH, BASE_COLOR_MAP, UNSEEN_MAP),
    outputs=(BASE_COLOR_MAP,),
    params=Params,
    cost=lambda _: Cost(cpu=4.0, gpu=4.0),
    run=run,
    revision=_revision,
)
"""The stage of this module."""
