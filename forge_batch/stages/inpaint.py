"""Colour what no image saw.

After bake_base_color, which marks it; before export. `fill` carries the surrounding colour on over the surface, on the CPU and
without weights; `diffusion` would invent texture.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.artifacts import BASE_COLOR_MAP, MESH, UNSEEN_MAP
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, Switchable


class Params(Switchable):
    """Say where the colour comes from."""

    enabled: bool = Field(
        default=False, description="Whether this stage runs; without it unseen surface keeps the generator's own guess."
    )
    method: Literal["fill", "diffusion"] = Field(
        default="fill", description="fill blends the nearest seen surface; diffusion invents texture with a learned model."
    )


def run(context: StageContext[Params]) -> Metrics:
    """Replace unseen texels; without any, hand the map on byte for byte.

    Raises:
        BackendUnavailable: `diffusion` is asked for and its weights are not here.
        StageError: Nothing was seen, or the maps do not fit together.
    """
    from forge_batch.ops.image_file import read_png, write_png
    from forge_batch.ops.mesh import load_mesh
    from forge_batch.ops.unseen import fill_unseen

    if context.params.method == "diffusion":
        raise BackendUnavailable("the diffusion inpainter is not installed", "forge-batch vendor fetch inpainter")
    unseen = read_png(context.path(UNSEEN_MAP)) > 127
    base_color = read_png(context.path(BASE_COLOR_MAP))
    if unseen.shape != base_color.shape[:2]:
        raise StageError(f"unseen_map is {unseen.shape} and base_color_map {base_color.shape[:2]}", "bake base colour again")
    if not unseen.any():
        context.out(BASE_COLOR_MAP).write_bytes(context.path(BASE_COLOR_MAP).read_bytes())
        return {"method": "fill", "filled": False}
    context.progress(0.2, "filling")
    try:
        filled = fill_unseen(load_mesh(context.path(MESH)), base_color, unseen)
    except ValueError as error:
        raise StageError(
            f"unseen texels cannot be filled: {error}", "look at the views and their camera: no image sees the object"
        ) from error
    write_png(context.out(BASE_COLOR_MAP), filled)
    return {"method": "fill", "filled": True}


stage = Stage(
    name="inpaint",
    group="post_processing",
    version=1,
    device="gpu",
    inputs=(MESH, BASE_COLOR_MAP, UNSEEN_MAP),
    outputs=(BASE_COLOR_MAP,),
    params=Params,
    cost=lambda _: Cost(cpu=4.0, gpu=4.0),
    run=run,
)
"""The stage of this module."""
