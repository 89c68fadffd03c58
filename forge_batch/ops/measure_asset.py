"""Measure everything a finished asset is judged by, group by group; nothing here knows what is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.spatial import ConvexHull

from forge_batch.ops.baker import ERROR_STEPS
from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.exposure import hidden_share
from forge_batch.ops.finished import Finished, Measured, Values
from forge_batch.ops.hulls import triangle_budget
from forge_batch.ops.measure_atlas import count_overlap, measure_each, measure_layout
from forge_batch.ops.measure_hulls import measure_hulls
from forge_batch.ops.measure_maps import (
    count_odd_sizes,
    mean_occlusion,
    measure_albedo,
    measure_normal_error,
    measure_normal_format,
    share_above,
)
from forge_batch.ops.measure_placement import measure_placement
from forge_batch.ops.measure_rig import measure_rig
from forge_batch.ops.measure_shape import (
    compare_outlines,
    count_open_edges,
    measure_soundness,
    switch_error,
)
from forge_batch.ops.measure_texels import FLAT, half_metal, spread_of, stray_gutter
from forge_batch.ops.measure_views import back_detail
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig
from forge_batch.ops.sheet import sheet_side
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.topology import signed_volume
from forge_batch.ops.unwrap import measure_uv

LOST_DEGREES = 5.0
"""Angle beyond which a normal map has lost what the source says, degrees."""

PACKED = ("base_color_map", "normal_map", "orm_map")
"""What a package holds of the maps."""

CONVEX = 0.98
"""Share of its convex hull's volume from which a solid has nowhere that is not open to the whole sky."""

TELLING = 0.05
"""Degrees that turning a normal map's green must change before it says which way is right."""


def measure_shape(asset: Finished) -> Values:
    """Measure soundness, and closeness to the source."""
    sound = measure_soundness(asset.mesh)
    is_open = asset.is_open
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
    inside = Measured(None, "an open surface shows both sides") if is_open else Measured(100.0 * hidden_share(asset.mesh))
    values["hidden_surface"] = inside
    if len(asset.lods) > 1:
        values["lod_watertight"] = Measured(None if is_open else max(count_open_edges(lod) for lod in asset.lods[1:]))
    return values


def measure_likeness(asset: Finished) -> Values:
    """Measure closeness to the source, and of coarser levels to LOD0 where they take over."""
    values: Values = {}
    for level, (lod, screen_size) in enumerate(zip(asset.lods, asset.screen_sizes, strict=False)):
        if level:
            error = measure_deviation(asset.lods[0], lod, 10_000).p99
            values[f"lod{level}_pixels"] = Measured(switch_error(error, asset.mesh.diagonal, float(screen_size)))
    if asset.source is None:
        return values
    softened: Literal["warn"] | None = "warn" if asset.reshaped else None
    note = "symmetrize changed the shape on purpose" if asset.reshaped else ""
    for level, lod in enumerate(asset.lods or [asset.mesh]):
        values[f"silhouette_lod{level}"] = Measured(compare_outlines(lod, asset.outlines), note, breach=softened)
    deviation = measure_deviation(asset.mesh, asset.source.mesh, 20_000)
    largest = f"largest {100.0 * deviation.largest / asset.mesh.diagonal:.2f} %"
    said = "; ".join(filter(None, (note, largest)))
    values["surface_deviation"] = Measured(100.0 * deviation.p99 / asset.mesh.diagonal, said)
    return values


def measure_atlas(asset: Finished) -> Values:
    """Measure the UV layout; nothing if the mesh has none."""
    if asset.mesh.uv is None:
        return {}
    size, padding, atlases = asset.texture_size, asset.least_gap, asset.atlases
    layout, stretch = measure_layout(asset.mesh, size, padding), measure_uv(asset.mesh)
    wanted = asset.wish("unwrap", "texel_density", None)
    error = Measured(None, "the manifest asks for no density") if wanted is None else None
    shared = asset.wish("symmetrize", "uv", "own") == "shared" and asset.reshaped
    each = measure_each(asset.mesh, size, atlases) if atlases > 1 else []
    uses = ", ".join(f"atlas {number} {100.0 * one.use:.0f} %" for number, one in enumerate(each, start=1))
    densities = "".join(f", atlas {number} {one.density:.0f}" for number, one in enumerate(each, start=1))
    on_purpose = Measured(layout.overlap, "halves share texels on purpose: symmetrize.uv is shared", breach="pass")
    turned = Measured(layout.mirrored, "halves share texels on purpose: symmetrize.uv is shared", breach="pass")
    values: Values = {
        "uv_overlap": on_purpose if shared else Measured(layout.overlap),
        "uv_mirrored": turned if shared else Measured(layout.mirrored),
        "degenerate_uv": Measured(layout.empty_faces),
        "uv_stretch_mean": Measured(stretch.stretch_mean),
        "uv_stretch_p95": Measured(stretch.stretch_p95),
        "thin_charts": Measured(100.0 * layout.thin, f"of {layout.charts} charts"),
        "density_variation": Measured(layout.variation, f"{layout.density:.0f} texels per metre{densities}"),
        "density_error": error or Measured(100.0 * abs(layout.density / float(wanted) - 1.0)),
        "atlas_use": Measured(100.0 * layout.use * sheet_side(atlases) ** 2 / atlases, uses),
        "padding": Measured(layout.gap, bound=padding),
    }
    coarse = [lod for lod in asset.lods[1:] if lod.uv is not None]
    if coarse:
        found = [count_overlap(lod, size) for lod in coarse]
        said = ", ".join(f"LOD{level} {count}" for level, count in enumerate(found, start=1))
        values["lod_uv_overlap"] = Measured(max(found), said, breach="pass" if shared else None)
    return values


def measure_maps(asset: Finished) -> Values:
    """Measure the textures by themselves."""
    values: Values = {}
    mesh, maps = asset.mesh, asset.maps
    if maps:
        values["texture_sizes"] = Measured(count_odd_sizes(list(maps.values())))
    if mesh.uv is None or mesh.normals is None:
        return values
    if "normal_map" in maps:
        kind = measure_normal_format(maps["normal_map"], asset.points)
        values["normal_map_length"] = Measured(100.0 * kind.length)
        values["normal_map_backward"] = Measured(100.0 * kind.backward)
    if "normal_error_map" in maps:
        lost = share_above(maps["normal_error_map"], LOST_DEGREES * ERROR_STEPS, asset.points)
        values["normal_map_lost"] = Measured(100.0 * lost)
    if maps:
        values["padding_fill"] = _padding_fill(asset)
    if "base_color_map" in maps:
        albedo = measure_albedo(mesh, maps["base_color_map"], maps.get("occlusion_map"), asset.points)
        note = f"with up {albedo.up:+.2f}, with occlusion {albedo.occlusion:+.2f}"
        values["albedo_range"] = Measured(100.0 * albedo.outside)
        values["baked_light"] = Measured(max(albedo.up, albedo.occlusion, 0.0), note)
        back = back_detail(mesh, maps["base_color_map"], float(asset.wish("place", "yaw_degrees", 0.0)))
        values["back_detail"] = Measured(back, "the front is plain" if back is None else "")
    if "orm_map" in maps:
        values["occlusion_present"] = Measured(mean_occlusion(maps["orm_map"], asset.points))
        values["half_metal"] = Measured(100.0 * half_metal(maps["orm_map"], asset.points))
    if maps and asset.source is not None:
        values["constant_maps"] = _constant_maps(asset, asset.source)
    return values


def measure_bake(asset: Finished) -> Values:
    """Measure how far the normal map agrees with the source."""
    mesh, normal = asset.mesh, asset.maps.get("normal_map")
    if asset.source is None or normal is None or mesh.uv is None or mesh.tangents is None:
        return {}
    error = measure_normal_error(asset.normal_angles, asset.points)
    breach: Literal["warn"] | None = "warn" if asset.reshaped else None
    tells = abs(error.turned - error.mean) > TELLING
    return {
        "normal_map_mean": Measured(error.mean, breach=breach),
        "normal_map_p95": Measured(error.p95, breach=breach),
        "normal_map_green": Measured(error.mean - error.turned if tells else None, "" if tells else "no relief to tell it by"),
        "bake_misses": Measured(100.0 * error.misses),
    }


def filled_maps(asset: Finished) -> dict[str, np.ndarray]:
    """Give the maps of a package whose gutter can be looked at: square ones of more than one colour."""
    packed = {name: asset.maps[name] for name in PACKED if name in asset.maps}
    return {name: m for name, m in packed.items() if m.shape[0] == m.shape[1] and (m != m[0, 0]).any()}


def _padding_fill(asset: Finished) -> Measured:
    """Measure the gutters of all maps of a package; the worst counts."""
    strays = {
        name: 100.0 * stray_gutter(asset.mesh, image, asset.gutter(len(image))) for name, image in filled_maps(asset).items()
    }
    if not strays:
        return Measured(None, "the maps are of one colour, or not square")
    said = ", ".join(f"{name.removesuffix('_map').replace('_', ' ')} {value:.2g}" for name, value in strays.items())
    return Measured(max(strays.values()), said)


def _constant_maps(asset: Finished, source: SourceMesh) -> Measured:
    """Count channels that say nothing though the source, or the bake that was asked for, does."""
    flat = []
    if "base_color_map" in asset.maps and max(spread_of(asset.maps["base_color_map"], asset.points)) < FLAT:
        flat += ["base color"] if np.ptp(source.base_color, axis=0).max() > 0.05 or source.projections else []
    if "orm_map" in asset.maps:
        hollow = "occlusion_map" in asset.maps and signed_volume(asset.mesh) < CONVEX * ConvexHull(asset.mesh.vertices).volume
        said = (hollow, np.ptp(source.roughness) > 0.05, np.ptp(source.metallic) > 0.05)
        spread = spread_of(asset.maps["orm_map"], asset.points)
        names = ("occlusion", "roughness", "metallic")
        flat += [name for name, wide, says in zip(names, spread, said, strict=True) if says and wide < FLAT]
    return Measured(len(flat), ", ".join(flat))


def measure_collision(asset: Finished) -> Values:
    """Measure the collision hulls; nothing if none were asked for."""
    if asset.hulls is None:
        return {}
    fit = measure_hulls(asset.hulls, asset.mesh)
    method = asset.wish("build_collision", "method", "convex_decomposition")
    budget = triangle_budget(asset.wish("build_collision", "max_triangles", None), len(asset.mesh.faces))
    rough: Literal["pass"] | None = None if method == "convex_decomposition" else "pass"
    note = "" if rough is None else f"build_collision.method is {method}: rough on purpose"
    no_volume = Measured(None, "an open surface has no volume") if asset.is_open else None
    return {
        "collision_hulls": Measured(fit.hulls, bound=asset.wish("build_collision", "max_hulls", None)),
        "collision_vertices": Measured(fit.vertices, bound=asset.wish("build_collision", "max_vertices", None)),
        "collision_triangles": Measured(fit.triangles, bound=budget),
        "collision_convexity": Measured(100.0 * fit.dent),
        "collision_volume": no_volume or Measured(fit.volume, note, breach=rough),
        "collision_volume_least": no_volume or Measured(fit.volume, note, breach=rough),
        "collision_coverage": Measured(100.0 * fit.coverage, note, breach=rough),
    }


def measure_skeleton(asset: Finished, rig: Rig, mesh: Mesh, unmatched: Sequence[str]) -> Values:
    """Measure a rig, under the names it has in packages, on the mesh that its weights belong to.

    `unmatched` are the joints that have no name of the Mannequin's.
    """
    facts = measure_rig(rig, mesh)
    kept = asset.wish("export", "bone_names", "mannequin") == "keep"
    return {
        "rig_joints": Measured(facts.joints),
        "rig_roots": Measured(facts.roots),
        "rig_names": Measured(len(unmatched), ", ".join(unmatched), breach="pass" if kept else None),
        "rig_weights": Measured(facts.unbound),
        "rig_influences": Measured(facts.influences, bound=int(asset.wish("export", "influences", 8))),
        "rig_leaf_bones": Measured(facts.leaves),
        "rig_stretch": Measured(facts.stretch, "" if facts.stretch else "a walk needs the joints of arms and legs"),
    }


GROUPS = (
    measure_shape,
    measure_likeness,
    measure_atlas,
    measure_maps,
    measure_bake,
    measure_collision,
    measure_placement,
)
"""Everything, in the order of cost and sense."""
