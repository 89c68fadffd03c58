"""Warn of what a manifest may say but will probably regret: licences that do not hold, numbers that do not fit each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from forge_batch.backends.catalog import CATALOG
from forge_batch.backends.contract import BackendInfo
from forge_batch.bake_params import rasterised_by_nvdiffrast
from forge_batch.errors import Problem
from forge_batch.project import Project
from forge_batch.yaml_value import Place

ATLAS_USE = 0.6
"""Share of a page that charts cover, measured on packages of the examples (0.41 to 0.75)."""

TEXELS_PER_TRIANGLE = 16
"""Fewer, and a triangle's edge is under 6 texels: the maps hold no more detail than the triangles do."""

AREA = (0.35, 1.1)
"""Surface of an object over that of its bounding box: the least and the most of twelve objects (horse, wooden barrel)."""

LICENCE = "licence"
"""Code of the warning that also keeps an asset from being made."""

PlaceOf = Callable[[str], Place]
"""Where the value of a dotted field stands."""


def advise(manifest: Mapping[str, Any], project: Project, place_of: PlaceOf) -> list[Problem]:
    """Give every warning that follows from a resolved manifest and the project's settings, without a look at the images."""
    return [
        *licence_advice(manifest, project, place_of),
        *budget_advice(manifest, place_of),
        *atlases_advice(manifest, place_of),
    ]


def licence_advice(manifest: Mapping[str, Any], project: Project, place_of: PlaceOf) -> list[Problem]:
    """Warn of what has a licence that does not allow what forge.yaml says the project does; it will not be run."""
    found = _raster_advice(manifest, project, place_of)
    info = CATALOG[manifest["generate"]["backend"]]
    fault = licence_fault(info, project)
    if not fault:
        return found
    others = [other.name for other in CATALOG.values() if not licence_fault(other, project)]
    hint = f"write {' or '.join(others)}, or correct project: in forge.yaml"
    return [place_of("generate.backend").problem("generate.backend", LICENCE, fault, hint, "warning"), *found]


def _raster_advice(manifest: Mapping[str, Any], project: Project, place_of: PlaceOf) -> list[Problem]:
    if not project.commercial:
        return []
    fault = "nvdiffrast is licensed for research and evaluation only, and forge.yaml says commercial: true"
    hint = "write own, which gives the same coverage, or correct project: in forge.yaml"
    fields = [f"{name}.raster" for name in rasterised_by_nvdiffrast(manifest)]
    return [place_of(field).problem(field, LICENCE, fault, hint, "warning") for field in fields]


def licence_fault(info: BackendInfo, project: Project) -> str:
    """Say why a project may not use a generator; empty if nothing forbids it."""
    if project.commercial and not info.commercial:
        return f"{info.name} is under the {info.licence}, which forbids commercial use, and forge.yaml says commercial: true"
    if project.territory in info.excluded:
        return f"{info.name} is under the {info.licence}, which does not hold in {project.territory}: {info.territory}"
    if info.excluded and project.territory is None:
        return f"{info.name} is under the {info.licence} ({info.territory}), and forge.yaml names no territory"
    return ""


def density_advice(manifest: Mapping[str, Any], extents: Mapping[str, tuple[int, int]], place_of: PlaceOf) -> list[Problem]:
    """Warn of a texel density that the texture cannot hold, or that leaves most of it empty.

    Args:
        manifest: Resolved.
        extents: Width and height of the subject by view, in pixels of one scale.
        place_of: Where fields stand.
    """
    density, size, atlases = (manifest["unwrap"][field] for field in ("texel_density", "texture_size", "atlases"))
    if density is None or "front" not in extents:
        return []
    least, most = (share * _box_area(manifest["place"]["height_cm"] / 100, extents) for share in AREA)
    edge = [density * (area / ATLAS_USE) ** 0.5 for area in (least, most)]
    fits = size * atlases**0.5 / (most / ATLAS_USE) ** 0.5
    if edge[0] > size * atlases**0.5:
        has = f"it has {size}" if atlases == 1 else f"there are {atlases} of {size}"
        message = f"{density:g} pixels per metre need a texture of at least {edge[0]:.0f} pixels, and {has}"
    elif edge[1] < size / 3:
        message = (
            f"{density:g} pixels per metre fill less than {(edge[1] / size) ** 2 * ATLAS_USE:.0%} of a texture of {size} pixels"
        )
    else:
        return []
    more = " or unwrap.atlases" if edge[0] > size else ""
    hint = f"write about {float(f'{fits:.2g}'):g}, another unwrap.texture_size{more}, or leave it out to fill the page"
    return [place_of("unwrap.texel_density").problem("unwrap.texel_density", "texel_density", message, hint, "warning")]


def _box_area(height: float, extents: Mapping[str, tuple[int, int]]) -> float:
    """Give the surface of the subject's bounding box, square metres; what no side view shows is as deep as it is wide."""
    wide, high = extents["front"]
    side = extents.get("right") or extents.get("left") or extents["front"]
    width, depth = height * wide / high, height * side[0] / side[1]
    return 2 * (width * height + height * depth + depth * width)


def atlases_advice(manifest: Mapping[str, Any], place_of: PlaceOf) -> list[Problem]:
    """Warn of atlases that will never be made, since what asks for no density fits one."""
    if manifest["unwrap"]["atlases"] == 1 or manifest["unwrap"]["texel_density"] is not None:
        return []
    message = "without unwrap.texel_density the charts are scaled to fill one texture, so there will be no other"
    hint = "write unwrap.texel_density too, in pixels per metre, or leave atlases out"
    return [place_of("unwrap.atlases").problem("unwrap.atlases", "atlases", message, hint, "warning")]


def budget_advice(manifest: Mapping[str, Any], place_of: PlaceOf) -> list[Problem]:
    """Warn of more triangles than the texture has room for."""
    if not manifest["decimate"]["enabled"]:
        return []
    triangles, size = manifest["decimate"]["triangles"], manifest["unwrap"]["texture_size"]
    texels = ATLAS_USE * size * size / triangles
    if texels >= TEXELS_PER_TRIANGLE:
        return []
    most = int(ATLAS_USE * size * size / TEXELS_PER_TRIANGLE // 1000 * 1000)
    message = f"{triangles} triangles on a texture of {size} pixels leave {texels:.0f} texels a triangle"
    hint = f"write unwrap: {{texture_size: {min(4096, size * 2)}}}, or decimate: {{triangles: {most}}}"
    return [place_of("decimate.triangles").problem("decimate.triangles", "texture_too_small", message, hint, "warning")]
