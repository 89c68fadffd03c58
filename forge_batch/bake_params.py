"""Hold what a manifest may say to any of the four bakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

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


def rasterised_by_nvdiffrast(manifest: Mapping[str, Any]) -> list[str]:
    """Name the bakes of a resolved manifest that use nvdiffrast, which is for research and evaluation only."""
    bakes = (name for name in manifest if name.startswith("bake_"))
    return [name for name in bakes if manifest[name]["enabled"] and manifest[name]["raster"] == "nvdiffrast"]
