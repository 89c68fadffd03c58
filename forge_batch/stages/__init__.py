"""Order the stages. This tuple is the only place that knows it."""

from __future__ import annotations

from typing import Any

from forge_batch.stage import Stage
from forge_batch.stages import (
    bake_base_color,
    bake_material,
    bake_normal,
    bake_occlusion,
    build_collision,
    build_lods,
    clean,
    decimate,
    export,
    generate,
    inpaint,
    inspect,
    pack_channels,
    place,
    remove_background,
    repair,
    rig,
    symmetrize,
    unwrap,
)

STAGES: tuple[Stage[Any], ...] = (
    remove_background.stage,
    generate.stage,
    repair.stage,
    clean.stage,
    decimate.stage,
    symmetrize.stage,
    place.stage,
    unwrap.stage,
    bake_normal.stage,
    bake_base_color.stage,
    bake_material.stage,
    bake_occlusion.stage,
    inpaint.stage,
    pack_channels.stage,
    build_lods.stage,
    build_collision.stage,
    rig.stage,
    inspect.stage,
    export.stage,
)
"""Every stage, in the order in which they run."""
