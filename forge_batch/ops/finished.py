"""Hold what is known of an asset, or of a file somebody brought, and what was measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from forge_batch.ops.measure_maps import NormalAngles, Points, measure_normal_angles, spread_points
from forge_batch.ops.measure_shape import Outlines, draw_outlines
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rays import RayScene
from forge_batch.ops.sheet import sheet_side
from forge_batch.ops.source import SourceMesh


@dataclass(frozen=True)
class Measured:
    """Be one measured value; None was not tested, and the note says why.

    Attributes:
        bound: The limit where the manifest gives it.
        breach: Another word than the table's for going beyond it; "pass" only reports.
    """

    value: int | float | None
    note: str = ""
    bound: int | float | None = None
    breach: Literal["pass", "warn"] | None = None


Values = dict[str, Measured]


@dataclass(frozen=True)
class Finished:
    """Be all that is known of an asset when it is about to be packed, or of a file, where most is not.

    Attributes:
        mesh: LOD0, with uv, normals and tangents.
        source: What it was made from; None where only files are left.
        lods: All levels, LOD0 first; empty if none were built.
        screen_sizes: Per level, the share of the screen's height at which it takes over.
        hulls: For collision; None if none were asked for.
        maps: By slot name: normal_map, normal_error_map, base_color_map, orm_map, occlusion_map.
        cutouts: (h, w, 4) by view.
        manifest: The resolved manifest.
        atlases: How many there are; of several, uv and maps are those of the sheet (see ops.sheet).
    """

    mesh: Mesh
    source: SourceMesh | None = None
    lods: Sequence[Mesh] = ()
    screen_sizes: Sequence[float] = ()
    hulls: Sequence[Mesh] | None = None
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    cutouts: Mapping[str, np.ndarray] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    atlases: int = 1

    def wish(self, stage: str, field: str, default: Any) -> Any:
        """Give what the manifest says, or a default where the stage has no such field."""
        value = self.manifest.get(stage, {}).get(field, default)
        return default if value is None else value

    @cached_property
    def points(self) -> Points:
        return spread_points(self.mesh)

    @cached_property
    def outlines(self) -> Outlines:
        """The source's outlines."""
        assert self.source is not None
        return draw_outlines(self.source.mesh, self.source.grain)

    @cached_property
    def scene(self) -> RayScene:
        """The source, to cast rays at."""
        assert self.source is not None
        return RayScene(self.source.mesh)

    @cached_property
    def normal_angles(self) -> NormalAngles:
        """The normal map against the source, at `points`."""
        cage = float(self.wish("bake_normal", "cage", 0.02)) * self.mesh.diagonal
        return measure_normal_angles(self.mesh, self.maps["normal_map"], self.points, self.scene, cage)

    @property
    def texture_size(self) -> int:
        """Texels of the edge of the maps, which are sheets where there are several atlases."""
        wished = int(self.wish("unwrap", "texture_size", 2048)) * sheet_side(self.atlases)
        return max((max(image.shape[:2]) for image in self.maps.values()), default=wished)

    @property
    def atlas_size(self) -> int:
        """Texels of the edge of one atlas."""
        return self.texture_size // sheet_side(self.atlases)

    @property
    def least_gap(self) -> float:
        """Texels that are to lie between charts: as many as were asked for, at 2048 at most 8."""
        return min(float(self.wish("unwrap", "padding", 8)), 8.0 * self.atlas_size / 2048.0)

    def gutter(self, size: int) -> int:
        """Give the texels beside charts, in a map of `size`, that are to go on with it: half the padding, at 2048 at most 4."""
        side = size // sheet_side(self.atlases)
        half = 0.5 * float(self.wish("unwrap", "padding", 8))
        reach = max(round(min(4.0, half) * side / 2048), 1)
        if self.atlases > 1:  # beyond lies another atlas
            reach = min(reach, max(int(half * side / self.wish("unwrap", "texture_size", 2048)), 1))
        return reach

    @property
    def reshaped(self) -> bool:
        """Whether the manifest asked for another shape than the source's."""
        return bool(self.wish("symmetrize", "mode", "off") != "off")

    @property
    def kind(self) -> str:
        """What the manifest says it is: prop, character or environment."""
        return str(self.manifest.get("kind", "prop"))

    @property
    def is_open(self) -> bool:
        """Whether the manifest says that the surface is open on purpose."""
        return bool(self.wish("repair", "open", default=False))
