"""Hold what a manifest may say to any of the four bakes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forge_batch.stage import Switchable


class BakeParams(Switchable):
    """Say how far the bake looks for the source, and who rasterises."""

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )
    raster: Literal["own", "nvdiffrast"] = Field(
        default="own",
        description="Who finds the face under each texel. nvdiffrast gives the same coverage, needs an NVIDIA GPU, and is "
        "licensed for research and evaluation only.",
    )
