"""Write a manifest for an author who has pictures: commented, with what the pictures say filled in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forge_batch.content.local import replace_file, writing
from forge_batch.content.scaffold import SCHEMA_LINE, write_schema
from forge_batch.errors import ContentError, ManifestError
from forge_batch.explain import explain_preset
from forge_batch.image_sets import CAMERA, LICENSE, SUFFIXES, VIEWS
from forge_batch.manifest_model import name_fault
from forge_batch.migrations import VERSION
from forge_batch.views_by_name import pictures_of, views_by_name
from forge_batch.yaml_value import Place

if TYPE_CHECKING:
    import numpy as np

PRESETS = {"prop": "prop_UE5_standard", "character": "character_UE5_npc", "environment": "environment_UE5_background"}
"""The preset that a new manifest begins with, by kind."""

SYMMETRIC = 0.97
"""Overlap of a front outline with its mirror image from which symmetry is proposed."""


@dataclass(frozen=True)
class Made:
    """Be what `new` has written: the manifest, and the view that each picture was taken for."""

    manifest: Path
    views: Mapping[str, Path]


def new_asset(
    content: Path,
    asset: str,
    pictures: Sequence[Path],
    *,
    kind: str,
    height_cm: float,
    preset: str | None = None,
    named: Sequence[str] = (),
) -> Made:
    """Put pictures into `inbox/ASSET/` under the names of their views, and write `manifests/ASSET.yaml`.

    Nothing is overwritten. Pictures that cannot be used are refused before anything is written. Pictures that lie below
    inbox/ already stay where they are.

    Args:
        content: The content folder.
        asset: Name of the asset.
        pictures: One to four files, or a folder of them.
        kind: A word of the manifest's `kind`.
        height_cm: The real height, centimetres.
        preset: Preset to build on; by kind if None.
        named: Views in the order of the pictures; guessed from their names if empty.

    Raises:
        ContentError: The name, a picture or the folder will not do; says what will.
        ManifestError: A picture cannot be used.
    """
    if fault := name_fault(asset):
        raise ContentError(*fault)
    if not (content / "manifests").is_dir():
        raise ContentError(f"{content} has no manifests/ folder", "make one with: forge-batch init DIR")
    path = content / "manifests" / f"{asset}.yaml"
    if path.exists():
        raise ContentError(f"{path} exists", "change it there, or choose another name")
    views = views_by_name(pictures_of(pictures, SUFFIXES), named)
    _refuse_bad_pictures(views)
    inbox = (content / "inbox").resolve()
    if all(picture.resolve().is_relative_to(inbox) and picture.suffix in SUFFIXES for picture in views.values()):
        images = _as_they_lie({view: picture.resolve().relative_to(inbox) for view, picture in views.items()}, inbox)
    else:
        images = asset
        _copy(views, content / "inbox" / asset)
    text = draft_manifest(asset, views, kind=kind, height_cm=height_cm, preset=preset, images=images)
    write_schema(content)
    replace_file(path, text.encode())
    return Made(path, views)


def draft_manifest(
    asset: str,
    views: Mapping[str, Path],
    *,
    kind: str,
    height_cm: float,
    preset: str | None = None,
    images: str | Mapping[str, str] | None = None,
) -> str:
    """Write the text of a manifest.

    Args:
        asset: Name of the asset.
        views: The pictures by view; they are looked at.
        kind: A word of the manifest's `kind`.
        height_cm: The real height, centimetres.
        preset: Preset to build on; by kind if None.
        images: What stands under `images:`; the asset's name if None.
    """
    from forge_batch.ops.image import read_image  # noqa: PLC0415 - decodes images; not every command needs it

    preset = preset or PRESETS[kind]
    values = explain_preset(preset).values if preset in PRESETS.values() else {}
    pixels = {view: read_image(path)[0] for view, path in views.items()}
    size = min(max(image.shape[:2]) for image in pixels.values())
    lines = [
        SCHEMA_LINE,
        f"# {asset}. Every field with its value and where that is from: forge-batch explain {asset}",
        f"forge: {VERSION}",
        f"preset: {preset}",
        f"kind: {kind}",
        *_images_lines(images if images is not None else asset, views),
        "place:",
        f"  height_cm: {height_cm:g}   # the real height; everything else follows from it",
        *_size_lines(values, size),
        *_background_lines(pixels),
        *_symmetry_lines(pixels["front"]),
        "# priority: 50   # of 0 to 100; higher goes first",
        "# deadline: 2026-12-24   # the last day on which it is of use; plan says whether it will be missed",
        "# seed: 0   # another number makes another variant, where the generator is a learned one",
        "# notes: free text; it goes into the package",
    ]
    return _aligned(lines)


def _aligned(lines: Sequence[str]) -> str:
    """Let the comments behind values begin in one column."""
    parts = [line.split("   #", 1) for line in lines]
    width = max(len(part[0]) for part in parts if len(part) == 2) + 2
    return "\n".join(f"{part[0].ljust(width)}#{part[1]}" if len(part) == 2 else part[0] for part in parts) + "\n"


def _images_lines(images: str | Mapping[str, str], views: Mapping[str, Path]) -> list[str]:
    missing = [view for view in VIEWS if view not in views]
    said = "named as the viewer sees them: `right` is seen by who stands at the right of the front picture"
    note = [f"# Views: {', '.join(views)}; {said}."]
    if missing:
        note.append(f"# Not shown: {', '.join(missing)}; what no picture shows is guessed. More views, better shape.")
    if isinstance(images, str):
        return [*note, f"images: {images}   # the folder in inbox/"]
    return [*note, "images:   # paths below inbox/", *(f"  {view}: {path}" for view, path in images.items())]


def _size_lines(values: Mapping[str, Mapping[str, int]], size: int) -> list[str]:
    """Propose the preset's budget, and a texture no larger than the pictures can fill: a page of twice their edge."""
    if not values:
        return []
    triangles, texture = values["decimate"]["triangles"], values["unwrap"]["texture_size"]
    fits = max([edge for edge in (512, 1024, 2048, 4096) if edge <= 2 * size], default=512)
    reason = "pixels of an edge" if fits >= texture else f"pixels of an edge; pictures of {size} pixels fill no larger page"
    return [
        "decimate:",
        f"  triangles: {triangles}   # a ceiling for LOD0",
        "unwrap:",
        f"  texture_size: {min(texture, fits)}   # {reason}",
    ]


def _background_lines(pixels: Mapping[str, np.ndarray]) -> list[str]:
    opaque = [view for view, image in pixels.items() if image[..., 3].min() == 255]
    if not opaque:
        return []
    return [
        f"# {', '.join(opaque)}: no transparency, so rembg cuts the object out.",
        "remove_background: {method: auto}",
    ]


def _symmetry_lines(front: np.ndarray) -> list[str]:
    import numpy as np  # noqa: PLC0415 - loaded only when pictures are looked at

    inside = front[..., 3] > 127
    columns = np.flatnonzero(inside.any(axis=0))
    if inside.all() or not len(columns):
        return []
    cut = inside[:, columns[0] : columns[-1] + 1]
    overlap = float((cut & cut[:, ::-1]).sum() / (cut | cut[:, ::-1]).sum())
    if overlap < SYMMETRIC:
        return []
    return [
        f"# symmetrize: bilateral_x   # the front outline is its own mirror image to {overlap:.1%}; both halves become alike"
    ]


def _refuse_bad_pictures(views: Mapping[str, Path]) -> None:
    from forge_batch.ops.image import check_image_set  # noqa: PLC0415 - decodes images; not every command needs it

    problems = [problem for problem in check_image_set(views) if problem.severity == "error"]
    for path in views.values():
        if path.suffix.lower() not in SUFFIXES:
            message = f"{path.name} has another ending than {', '.join(SUFFIXES)}"
            problems.append(Place(str(path)).problem("images", "not_an_image", message, "save it as one of these"))
    if problems:
        raise ManifestError(problems)


def _as_they_lie(views: Mapping[str, Path], inbox: Path) -> str | dict[str, str]:
    """Name the folder if the views are just those that it holds under their names; else each file."""
    folder = views["front"].parent
    held = {path.relative_to(inbox) for path in (inbox / folder).iterdir() if path.stem in VIEWS}
    if folder.parts and set(views.values()) == held and all(path.stem == view for view, path in views.items()):
        return folder.as_posix()
    return {view: path.as_posix() for view, path in views.items()}


def _copy(views: Mapping[str, Path], folder: Path) -> None:
    """Copy all or nothing: into a folder beside, which is then renamed into place.

    What belongs to the pictures goes with them: a camera.json if they are called after its views, a licence.
    """
    if folder.exists():
        raise ContentError(f"{folder} exists", "name the pictures in it, or choose another asset name")
    files = {view + path.suffix.lower(): path for view, path in views.items()}
    home = views["front"].parent
    if all(path.parent == home for path in views.values()):
        together = [LICENSE, *([CAMERA] if all(path.stem == view for view, path in views.items()) else [])]
        files |= {name: home / name for name in together if (home / name).is_file()}
    part = folder.with_name(f".{folder.name}.part")
    with writing(folder):
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            for name, path in files.items():
                shutil.copyfile(path, part / name)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
