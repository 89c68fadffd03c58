"""Hold every quality limit in one table: what is measured, in which unit, what is allowed, where the number comes from.

A gate's measurement lies in ops.measure_*; the stage `inspect` brings both together. A kind of asset may have bounds of its
own, see KIND_BOUNDS; a preset or a manifest overrides a bound with `inspect: {limits: {name: number}}`. Limits marked "own" are
ours, set on the assets this project makes. docs/gates.md sets them beside what other tools ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Limit:
    """Say what a measured property is held to.

    Attributes:
        unit: Of the value, empty for plain numbers and counts.
        bound: The largest value allowed, or the smallest one where `least` is set; None if the manifest gives it.
        breach: What a value beyond the bound is called.
        meaning: What is measured, in words for a person.
        advice: What to change when it is beyond.
        source: Whose number it is.
        least: Whether the bound is a minimum.
        tolerated: Up to here a value beyond the bound is a warning, whatever the breach.
    """

    unit: str
    bound: int | float | None
    breach: Literal["warn", "fail"]
    meaning: str
    advice: str
    source: str
    least: bool = False
    tolerated: float | None = None

    def holds(self, value: int | float, bound: int | float) -> bool:
        return value >= bound if self.least else value <= bound


_DECIMATE = "raise decimate.triangles"
_REPAIR = "repair.method: pymeshfix, a larger repair.close_holes, or repair.open: true for a surface that is open on purpose"
_CLEAN = "raise clean.floater_area"
_UNWRAP = "raise unwrap.texture_size or lower decimate.triangles"
_RIG = "another rig.backend, or rig: off"
_BAKE = "change bake_normal.cage"
_BUG = "report it: this is a bug"

LIMITS: dict[str, Limit] = {
    "budget": Limit("triangles", None, "fail", "triangles of LOD0", "lower decimate.triangles", "manifest: a ceiling"),
    "watertight": Limit("edges", 0, "fail", "open edges after welding", _REPAIR, "Roblox mesh rules"),
    "lod_watertight": Limit("edges", 0, "warn", "open edges of LOD1 and LOD2 after welding", "fewer build_lods.ratios", "own"),
    "manifold": Limit("edges", 0, "fail", "edges with more than two faces", _REPAIR, "Khronos Asset Auditor (optional there)"),
    "winding": Limit("edges", 0, "fail", "edges whose two faces disagree on what is outside", _REPAIR, "own"),
    "inverted_parts": Limit("parts", 0, "fail", "closed parts that face inwards", _REPAIR, "own"),
    "degenerate_faces": Limit("faces", 0, "fail", "faces below 1e-10 of the squared diagonal", _CLEAN, "own"),
    "degenerate_uv": Limit("faces", 0, "fail", "faces without area in the atlas", _UNWRAP, "Khronos Asset Auditor"),
    "floaters": Limit("parts", 0, "fail", "parts below 0.1 % of the area", _CLEAN, "own"),
    "inner_shells": Limit("%", 1.0, "warn", "area of parts wholly inside others", "switch clean.inner_shells on", "own"),
    "hidden_surface": Limit(
        "%", 1.0, "warn", "area that nobody can see from any of 96 directions", "switch clean.inner_shells on", "own"
    ),
    "silhouette_lod0": Limit("IoU", 0.995, "fail", "outline of LOD0 against the source, 24 views", _DECIMATE, "own", True),
    "silhouette_lod1": Limit(
        "IoU", 0.985, "fail", "outline of LOD1 against the source, 24 views", "raise build_lods.ratios", "own", True
    ),
    "silhouette_lod2": Limit(
        "IoU", 0.97, "fail", "outline of LOD2 against the source, 24 views", "raise build_lods.ratios", "own", True
    ),
    "surface_deviation": Limit("%", 0.2, "warn", "distance to the source, 99th percentile, of the diagonal", _DECIMATE, "own"),
    "lod1_pixels": Limit(
        "px", 1.0, "fail", "error of LOD1 at its switch on a 1080 px screen", "raise build_lods.ratios", "own"
    ),
    "lod2_pixels": Limit(
        "px", 1.0, "fail", "error of LOD2 at its switch on a 1080 px screen", "raise build_lods.ratios", "own"
    ),
    "uv_overlap": Limit("texels", 0, "fail", "texels covered more than once", _UNWRAP, "Khronos Asset Auditor"),
    "uv_mirrored": Limit("faces", 0, "warn", "faces that the atlas shows from behind", _BUG, "Khronos Asset Auditor"),
    "lod_uv_overlap": Limit(
        "texels", 64, "warn", "texels that LOD1 or LOD2 covers more than once", "raise build_lods.ratios", "own: 8 x 8 texels"
    ),
    "uv_stretch_mean": Limit("", 1.25, "warn", "L2 stretch (Sander et al. 2001), mean by area", _UNWRAP, "own"),
    "uv_stretch_p95": Limit("", 2.0, "warn", "L2 stretch, 95th percentile by area", _UNWRAP, "own"),
    "thin_charts": Limit("%", 10.0, "warn", "charts narrower than the padding", _UNWRAP, "own"),
    "density_variation": Limit("", 0.15, "warn", "variation of texels per metre over charts", _UNWRAP, "own"),
    "density_error": Limit("%", 25.0, "warn", "texel density against the manifest's", "change unwrap.texel_density", "own"),
    "atlas_use": Limit(
        "%", 60.0, "warn", "texels of the atlas that are used", "smaller unwrap.padding", "Roxy uv_report: 55", True
    ),
    "padding": Limit("texels", None, "fail", "least gap between charts", "raise unwrap.padding", "own: 1 texel at mip 3", True),
    "padding_fill": Limit(
        "%",
        1.0,
        "fail",
        "texels beside charts that do not go on with the chart, in the worst map",
        _BUG,
        "own: black lines on seams",
    ),
    "texture_sizes": Limit(
        "maps", 0, "fail", "maps whose edges are no power of two up to 8192", "change unwrap.texture_size", "Epic, Allar"
    ),
    "normal_map_length": Limit("%", 2.0, "fail", "mean error of the normals' length", _BUG, "own"),
    "normal_map_backward": Limit("%", 0.05, "fail", "normals that point into the surface (blue below half)", _BAKE, "own"),
    "normal_map_mean": Limit("degrees", 5.0, "fail", "angle between mapped and source normals, mean", _BAKE, "own"),
    "normal_map_p95": Limit("degrees", 15.0, "fail", "angle between mapped and source normals, 95th percentile", _BAKE, "own"),
    "normal_map_green": Limit(
        "degrees", 0.0, "fail", "by how much turning the green channel would bring the map nearer to the source", _BUG, "own"
    ),
    "bake_misses": Limit("%", 0.5, "warn", "texels with no source within the cage", "raise bake_normal.cage", "own"),
    "normal_map_lost": Limit(
        "%", 5.0, "warn", "surface whose normals the map misses by more than 5 degrees, as the bake saw it", _BAKE, "own"
    ),
    "albedo_range": Limit(
        "%", 5.0, "warn", "base color outside luminance 30-243 of 255", "even out the input's light", "Khronos Asset Auditor"
    ),
    "baked_light": Limit(
        "", 0.3, "warn", "correlation of base color with up and with occlusion", "even out the input's light", "own"
    ),
    "back_detail": Limit(
        "",
        0.4,
        "warn",
        "detail of the back over that of the front",
        "add a picture of the back, or inpaint: on",
        "own",
        True,
    ),
    "half_metal": Limit(
        "%", 25.0, "warn", "surface that is neither metal nor not (metallic 0.2 to 0.8)", "another generate.backend", "own"
    ),
    "constant_maps": Limit(
        "channels", 0, "warn", "channels of one value where the source has more", "switch the bakes on", "own"
    ),
    "occlusion_present": Limit("", 0.02, "fail", "mean occlusion, 0 black to 1 open", "switch bake_occlusion on", "own", True),
    "collision_hulls": Limit("hulls", 16, "fail", "collision hulls", "lower build_collision.max_hulls", "own"),
    "collision_vertices": Limit(
        "vertices", 32, "fail", "vertices of the largest hull", "lower build_collision.max_vertices", "own"
    ),
    "collision_triangles": Limit(
        "triangles", None, "fail", "triangles of all hulls", "lower build_collision.max_hulls or raise its max_triangles", "own"
    ),
    "collision_convexity": Limit("%", 0.1, "fail", "depth of the worst dent in a hull, of its diagonal", _BUG, "own"),
    # a thing with legs keeps to none of the next three: a horse in 14 hulls and 392 triangles has 1.36 times its volume, a
    # chair in 13 and 390 1.32, in the 60 that 1 % of LOD0 leave 2.3 and 3.1; a teddy bear's coverage is 88 to 94 %
    "collision_volume": Limit(
        "",
        1.25,
        "fail",
        "volume of all hulls together over the mesh's",
        "raise build_collision.max_triangles",
        "own",
        tolerated=4.0,
    ),
    "collision_volume_least": Limit(
        "",
        0.95,
        "fail",
        "volume of all hulls together over the mesh's",
        "raise build_collision.max_triangles",
        "own",
        True,
        tolerated=0.8,
    ),
    "collision_coverage": Limit(
        "%",
        95.0,
        "fail",
        "surface within 2 % of the diagonal of a hull",
        "raise build_collision.max_triangles",
        "own",
        True,
        tolerated=80.0,
    ),
    "height": Limit("%", 1.0, "fail", "height against place.height_cm", _BUG, "own"),
    "pivot": Limit("cm", 0.5, "fail", "distance of the pivot from where place.pivot wants it", _BUG, "own"),
    "front_axis": Limit(
        "IoU", 0.8, "fail", "outline from the front against the front picture's", "change place.yaw_degrees", "own", True
    ),
    "input_agreement": Limit(
        "IoU", 0.97, "warn", "outline of the source against the worst input picture", "check the cut-outs", "own", True
    ),
    "rig_joints": Limit("joints", 2, "fail", "joints of the skeleton", _RIG, "own", True),
    "rig_roots": Limit("joints", 1, "fail", "joints without a parent", _RIG, "Epic"),
    "rig_names": Limit("joints", 0, "warn", "joints without a name of the Mannequin's", "export.bone_names: keep", "Epic"),
    "rig_weights": Limit("vertices", 0, "fail", "vertices whose weights do not sum to 1", _RIG, "own"),
    "rig_influences": Limit("joints", 8, "fail", "most joints that move one vertex", "raise export.influences", "Epic"),
    "rig_leaf_bones": Limit("joints", 0, "warn", "joints that move nothing and carry no other", _RIG, "own"),
    "rig_stretch": Limit("", 1.75, "fail", "edges in a walk over those at rest, 99th percentile", _RIG, "a studio's rig check"),
}

KIND_BOUNDS: dict[str, dict[str, float]] = {
    "environment": {
        "silhouette_lod0": 0.99,
        "silhouette_lod1": 0.975,
        "silhouette_lod2": 0.95,
        "surface_deviation": 0.4,
        "normal_map_mean": 7.0,
        "normal_map_p95": 20.0,
    },
    "character": {"collision_volume": 2.5, "density_variation": 0.2},
}
"""Other bounds by kind of asset: what stands ten metres away may be rougher, a figure's one hull is larger than the figure."""

RIG_GATES = frozenset(name for name in LIMITS if name.startswith("rig_"))
"""Only what has a rig is judged by these."""
