"""Pack occlusion, roughness and metallic into one ORM map: what glTF and Unreal read as one texture.

After the bakes that make its channels. A bake that was left out leaves its channel at a neutral value, so that the material
stays whole.
"""

from __future__ import annotations

from forge_batch.artifacts import METALLIC_MAP, OCCLUSION_MAP, ORM_MAP, ROUGHNESS_MAP
from forge_batch.errors import StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams

_CHANNELS = ((OCCLUSION_MAP, 255), (ROUGHNESS_MAP, 179), (METALLIC_MAP, 0))
"""Slots in the order red, green, blue, and the value of a missing one: open, roughness 0.7, no metal."""

_CONSTANT_SIZE = 16
"""Pixels of an edge if no channel was baked and the map is one colour."""


class Params(StageParams):
    """Have nothing to say yet: every engine here takes the same order."""


def run(context: StageContext[Params]) -> Metrics:
    """Write the ORM map.

    Raises:
        StageError: The channels differ in size or are not 8-bit grey.
    """
    import numpy as np

    from forge_batch.ops.image_file import read_png, write_png

    found = {slot.name: read_png(context.path(slot)) for slot, _ in _CHANNELS if context.has(slot)}
    shapes = {f"{name} {image.shape} {image.dtype}" for name, image in found.items()}
    if len({image.shape for image in found.values()}) > 1 or any(
        image.ndim != 2 or image.dtype != np.uint8 for image in found.values()
    ):
        raise StageError(
            f"channels of the ORM map must be 8-bit grey of one size, not {', '.join(sorted(shapes))}", "bake again"
        )
    size = next((image.shape for image in found.values()), (_CONSTANT_SIZE, _CONSTANT_SIZE))
    channels = [found.get(slot.name, np.full(size, neutral, np.uint8)) for slot, neutral in _CHANNELS]
    write_png(context.out(ORM_MAP), np.stack(channels, axis=2))
    return {"baked": sorted(found), "constant": sorted(slot.name for slot, _ in _CHANNELS if slot.name not in found)}


stage = Stage(
    name="pack_channels",
    group="post_processing",
    version=1,
    device="cpu",
    inputs=tuple(slot.if_any for slot, _ in _CHANNELS),
    outputs=(ORM_MAP,),
    params=Params,
    cost=lambda _: Cost(cpu=0.5),
    run=run,
)
"""The stage of this module."""
