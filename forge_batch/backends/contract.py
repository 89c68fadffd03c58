"""Say what a backend tells about itself, whatever it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class BackendInfo:
    """Name what made an asset, so that every package can say it.

    Attributes:
        name: The word used in manifests.
        revision: Pinned revision of code and weights; part of the task key.
        licence: SPDX name, or the licence's own title.
        commercial: Whether results may be sold.
        territory: Where it may be used: `worldwide`, or the licence's exclusion in words.
        excluded: Countries (ISO 3166, two letters) where the licence does not hold.
        fetch: The command that brings it, empty if nothing is to be fetched.
    """

    name: str
    revision: str
    licence: str
    commercial: bool
    territory: str
    excluded: frozenset[str] = frozenset()
    fetch: str = ""


@dataclass(frozen=True)
class GpuNeed:
    """Say what a learned backend asks of a GPU, before anything was measured here.

    Attributes:
        vram: GB of GPU memory at its peak by resolution; the resolution 0 stands for every one that is not named.
        load: Seconds to bring the weights from disk into GPU memory.
        source: Where the figures are from.
    """

    vram: Mapping[int, float]
    load: float
    source: str

    def vram_at(self, resolution: int) -> float:
        """Give the GB needed at a resolution."""
        return self.vram.get(resolution, self.vram[0])


@dataclass(frozen=True)
class Fineness:
    """Say how fine a generator is to work.

    Attributes:
        quality: `fast`, `balanced` or `hero`; the only thing that hull looks at.
        resolution: Voxels along an edge.
        structure_steps: Sampling steps for the coarse structure.
        shape_steps: Sampling steps for the shape.
        texture_steps: Sampling steps for the texture.
        candidates: Seeds that are tried; the result whose outlines agree best with the views is kept.
        multi_view: What more than one view is for: `choose` among candidates, or `average` (an experiment).
    """

    quality: str = "balanced"
    resolution: int = 1024
    structure_steps: int = 12
    shape_steps: int = 12
    texture_steps: int = 12
    candidates: int = 1
    multi_view: str = "choose"
