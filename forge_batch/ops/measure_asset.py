"""Measure everything a finished asset is judged by, group by group; nothing here knows what is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.hulls import triangle_budget
from forge_batch.ops.measure_atlas import measure_layout
from forge_batch.ops.measure_hulls import measure_hulls
from forge_batch.ops.measure_maps import (
    Points,
    count_odd_sizes,
    mean_occlusion,
    measure_albedo,
    measure_normal_error,
    measure_normal_format,
    spread_points,
)
from forge_batch.ops.measure_rig import measure_rig
from forge_batch.ops.measure_shape import (
    compare_outlines,
    count_open_edges,
    draw_outlines,
    front_overlap,
    measure_soundness,
    pivot_offset,
    switch_error,
)
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.rays import RayScene
from forge_batch.ops.rig import Rig
from forge_batch.ops.source import Projection, SourceMesh
from forge_batch.ops.unwrap import measure_uv

VIEWS = ("front", "right", "back", "left")


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
    """Be all that is known of an asset when it is about to be packed.

    Attributes:
        mesh: LOD0, with uv, normals and tangents.
        source: What it was made from; None where only the asset itself is at hand, and what needs the source is not measured.
        lods: All levels, LOD0 first; empty if none were built.
        screen_sizes: Per level, the share of the screen's height at which it takes over.
        hulls: For collision; None if none were asked for.
        maps: By slot name: normal_map, base_color_map, orm_map, occlusion_map.
        cutouts: (h, w, 4) by view.
        manifest: The resolved manifest.
    """

    mesh: Mesh
    source: SourceMesh | None
    lods: Sequence[Mesh]
    screen_sizes: Sequence[float]
    hulls: Sequence[Mesh] | None
    maps: Mapping[str, np.ndarray]
    cutouts: Mapping[str, np.ndarray]
    manifest: Mapping[str, Any]

    def wish(self, stage: str, field: str, default: Any) -> Any:
        """Give what the manifest says, or a default where the stage has no such field."""
        value = self.manifest.get(stage, {}).get(field, default)
        return default if value is None else value

    @cached_property
    def points(self) -> Points:
        return spread_points(self.mesh)

    @property
    def texture_size(self) -> int:
        return max(
            (max(image.shape[:2]) for image in self.maps.values()), default=int(self.wish("unwrap", "texture_size", 2048))
        )

    @property
    def reshaped(self) -> bool:
        """Whether the manifest asked for another shape than the source's."""
        return bool(self.wish("symmetrize", "mode", "off") != "off")


def measure_shape(asset: Finished) -> Values:
    """Measure soundness, and closeness to the source."""
    sound = measure_soundness(asset.mesh)
    is_open = bool(asset.wish("repair", "open", default=False))
    declared = Measured(sound.open_edges, "open on purpose: repair.open is true", breach="pass")
    budget = asset.wish("decimate", "triangles", None) if asset.wish("decimate", "enabled", default=True) else None
    values: Values = {
        "budget": Measured(
            len(asset.mesh.faces), "" if budget else "decimate is off: no budget", budget, None if budget else "pass"
        ),
        "watertight": declared if is_open else Measured(sound.open_edges),
        "manifold": Measured(sound.crowded_edges),
        "winding": Measured(sound.conflicting_edges),
        "inverted_parts": Measured(None, "open surfaces enclose nothing") if is_open else Measured(sound.inverted_parts),
        "degenerate_faces": Measured(sound.slivers),
        "floaters": Measured(sound.floaters),
        "inner_shells": Measured(100.0 * sound.inner_share),
    }
    softened: Literal["warn"] | None = "warn" if asset.reshaped else None
    note = "symmetrize changed the shape on purpose" if asset.reshaped else ""
    if asset.source:
        reference = draw_outlines(asset.source.mesh)
        for level, lod in enumerate(asset.lods or [asset.mesh]):
            values[f"silhouette_lod{level}"] = Measured(compare_outlines(lod, reference), note, breach=softened)
        deviation = measure_deviation(asset.mesh, asset.source.mesh, 20_000)
        values["surface_deviation"] = Measured(100.0 * deviation.p99 / asset.mesh.diagonal, note)
    if len(asset.lods) > 1:
        values["lod_watertight"] = Measured(None if is_open else max(count_open_edges(lod) for lod in asset.lods[1:]))
    for level, (lod, screen_size) in enumerate(zip(asset.lods, asset.screen_sizes, strict=False)):
        if level:
            error = measure_deviation(asset.lods[0], lod, 10_000).p99
            values[f"lod{level}_pixels"] = Measured(switch_error(error, asset.mesh.diagonal, float(screen_size)))
    return values


def measure_atlas(asset: Finished) -> Values:
    """Measure the UV layout; nothing if the mesh has none."""
    if asset.mesh.uv is None:
        return {}
    size = asset.texture_size
    padding = min(float(asset.wish("unwrap", "padding", 8)), 8.0 * size / 2048.0)
    layout, stretch = measure_layout(asset.mesh, size, padding), measure_uv(asset.mesh)
    wanted = asset.wish("unwrap", "texel_density", None)
    error = Measured(None, "the manifest asks for no density") if wanted is None else None
    return {
        "uv_overlap": Measured(layout.overlap),
        "degenerate_uv": Measured(layout.empty_faces),
        "uv_stretch_mean": Measured(stretch.stretch_mean),
        "uv_stretch_p95": Measured(stretch.stretch_p95),
        "thin_charts": Measured(100.0 * layout.thin, f"of {layout.charts} charts"),
        "density_variation": Measured(layout.variation, f"{layout.density:.0f} texels per metre"),
        "density_error": error or Measured(100.0 * abs(layout.density / float(wanted) - 1.0)),
        "atlas_use": Measured(100.0 * layout.use),
        "padding": Measured(layout.gap, bound=padding),
    }


def measure_maps(asset: Finished) -> Values:
    """Measure the textures that were baked."""
    values: Values = {}
    mesh, maps = asset.mesh, asset.maps
    if maps:
        values["texture_sizes"] = Measured(count_odd_sizes(list(maps.values())))
    if mesh.uv is None or mesh.normals is None:
        return values
    if "normal_map" in maps and mesh.tangents is not None:
        kind = measure_normal_format(maps["normal_map"], asset.points)
        values |= {
            "normal_map_length": Measured(100.0 * kind.length),
            "normal_map_backward": Measured(100.0 * kind.backward),
        }
    if "normal_map" in maps and mesh.tangents is not None and asset.source:
        cage = float(asset.wish("bake_normal", "cage", 0.02)) * mesh.diagonal
        error = measure_normal_error(mesh, maps["normal_map"], asset.points, RayScene(asset.source.mesh), cage)
        breach: Literal["warn"] | None = "warn" if asset.reshaped else None
        values |= {
            "normal_map_mean": Measured(error.mean, breach=breach),
            "normal_map_p95": Measured(error.p95, breach=breach),
            "bake_misses": Measured(100.0 * error.misses),
        }
    if "base_color_map" in maps:
        albedo = measure_albedo(mesh, maps["base_color_map"], maps.get("occlusion_map"), asset.points)
        note = f"with up {albedo.up:+.2f}, with occlusion {albedo.occlusion:+.2f}"
        values["albedo_range"] = Measured(100.0 * albedo.outside)
        values["baked_light"] = Measured(max(albedo.up, albedo.occlusion, 0.0), note)
    if "orm_map" in maps:
        values["occlusion_present"] = Measured(mean_occlusion(maps["orm_map"], asset.points))
    return values


def measure_collision(asset: Finished) -> Values:
    """Measure the collision hulls; nothing if none were asked for."""
    if asset.hulls is None:
        return {}
    fit = measure_hulls(asset.hulls, asset.mesh)
    method = asset.wish("build_collision", "method", "convex_decomposition")
    rough: Literal["pass"] | None = None if method == "convex_decomposition" else "pass"
    note = "" if rough is None else f"build_collision.method is {method}: rough on purpose"
    is_open = bool(asset.wish("repair", "open", default=False))
    return {
        "collision_hulls": Measured(fit.hulls, bound=asset.wish("build_collision", "max_hulls", None)),
        "collision_vertices": Measured(fit.vertices, bound=asset.wish("build_collision", "max_vertices", None)),
        "collision_triangles": Measured(
            fit.triangles, bound=triangle_budget(asset.wish("build_collision", "max_triangles", None), len(asset.mesh.faces))
        ),
        "collision_convexity": Measured(100.0 * fit.dent),
        "collision_volume": Measured(None, "an open surface has no volume")
        if is_open
        else Measured(fit.volume, note, breach=rough),
        "collision_coverage": Measured(100.0 * fit.coverage),
    }


def measure_placement(asset: Finished) -> Values:
    """Measure size, pivot, and agreement with the pictures."""
    values: Values = {}
    height = asset.wish("place", "height_cm", None)
    if height is not None:
        measured = 100.0 * float(np.ptp(asset.mesh.vertices[:, 1]))
        values["height"] = Measured(
            100.0 * abs(measured / float(height) - 1.0), f"{measured:.2f} cm, wanted {float(height):g} cm"
        )
        values["pivot"] = Measured(100.0 * pivot_offset(asset.mesh.vertices, asset.wish("place", "pivot", "bottom_center")))
    masks = {view: asset.cutouts[view][..., 3] >= 128 for view in VIEWS if view in asset.cutouts}
    if "front" in masks:
        yaw = float(asset.wish("place", "yaw_degrees", 0.0))
        values["front_axis"] = Measured(front_overlap(asset.mesh.vertices, asset.mesh.faces, masks["front"], yaw))
    if asset.source is None:
        return values
    overlaps = {
        view: outline_overlap(asset.source.mesh, asset.cutouts[view][..., 3], projection.camera)
        for view in masks
        for projection in asset.source.projections
        if _shows(projection, asset.cutouts[view])
    }
    if overlaps:
        note = ", ".join(f"{view} {overlap:.3f}" for view, overlap in overlaps.items())
        values["input_agreement"] = Measured(min(overlaps.values()), note)
    else:
        values["input_agreement"] = Measured(None, "the generator gives no cameras for these pictures")
    return values


def measure_skeleton(asset: Finished, rig: Rig, mesh: Mesh) -> Values:
    """Measure a rig, under the names it has in packages, on the mesh that its weights belong to."""
    facts = measure_rig(rig, mesh)
    return {
        "rig_joints": Measured(facts.joints),
        "rig_weights": Measured(facts.unbound),
        "rig_influences": Measured(facts.influences, bound=int(asset.wish("export", "influences", 8))),
        "rig_leaf_bones": Measured(facts.leaves),
        "rig_stretch": Measured(facts.stretch, "" if facts.stretch else "a walk needs the joints of arms and legs"),
    }


def _shows(projection: Projection, cutout: np.ndarray) -> bool:
    """Tell whether a projection was made from a cut-out.

    Projections carry no view name, so their pixels must say it. A generator may have changed colours along the rim.
    """
    if projection.image.shape[:2] != cutout.shape[:2]:
        return False
    solid = cutout[..., 3] >= 250
    same = (projection.image[solid] == cutout[solid, :3]).all(axis=1)
    return bool(same.mean() > 0.5) if len(same) else False
