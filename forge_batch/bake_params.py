"""Hold what a manifest may say to any of the four bakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from forge_batch.stage import Switchable


def _no_switch(value: Any) -> Any:
    """Refuse `on`, which counts as 1 in Python but not in the schema."""
    if isinstance(value, bool):
        raise PydanticCustomError("literal_error", "Input should be 1, 2 or 4", {"expected": "1, 2 or 4"})
    return value


class BakeParams(Switchable):
    """Say how the bake looks for the source.

    Bakes of one asset that agree in these fields share the search.
    """

    cage: float = Field(
        default=0.02, gt=0, le=0.2, description="How far rays reach in and out of the mesh, as a fraction of its diagonal."
    )
    supersampling: Annotated[Literal[1, 2, 4], BeforeValidator(_no_switch)] = Field(
        default=2,
        description="Samples along an edge of a texel: 2 looks at 4 points of each texel, 4 at 16, and takes their mean.",
    )
    crease: float = Field(
        default=180.0,
        ge=0,
        le=180,
        description="Edges of the source sharper than this, in degrees, are baked hard; 0 bakes flat faces, 180 the "
        "source's own normals.",
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
