"""Upload an asset's pictures and manifest to a dataset repo, checked and in one commit."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forge_batch.content.hub_copy import RACES, WorkingCopy
from forge_batch.content.hub_errors import ConflictError
from forge_batch.content.hub_options import HubOptions
from forge_batch.content.open import FORM, repo_of
from forge_batch.errors import ContentError, ManifestError, Problem
from forge_batch.image_sets import SUFFIXES
from forge_batch.intake import take_in_files
from forge_batch.manifest import SUFFIXES as YAML
from forge_batch.manifest import clean_name, load_manifests, parse_manifest
from forge_batch.new_manifest import draft_manifest
from forge_batch.views_by_name import pictures_of, views_by_name
from forge_batch.yaml_value import Place

GENERIC = ("manifest", "asset", "forge")
"""Names of a manifest that say nothing; the folder's name says what the asset is then."""


@dataclass(frozen=True)
class Upload:
    """Be what goes up: files by their path in the repo, the manifest among them, and the folder that they replace, if any."""

    manifest: str
    files: Mapping[str, Path]
    image_set: str


def push(folder: Path, content: str, options: HubOptions, *, kind: str = "prop", height_cm: float | None = None) -> list[str]:
    """Check an asset's folder against a repo and upload it in one commit; give one line per file, warnings first.

    The image set in the repo becomes what the folder holds: pictures that are gone here go there, too.

    Args:
        folder: One to four pictures and, if there is one, their manifest.
        content: hf://datasets/OWNER/NAME.
        options: How to reach it.
        kind: A word of the manifest's `kind`, for a folder without manifest.
        height_cm: The real height, centimetres, for a folder without manifest.

    Raises:
        ContentError: The folder or the repo cannot be read, or the token may not write.
        ManifestError: The manifest or a picture cannot be used; nothing was uploaded.
    """
    repo = repo_of(content)
    if repo is None:
        raise ContentError("push uploads to a dataset repo", f"{FORM.split(',')[0]}; for a folder use: forge-batch new")
    if not folder.is_dir():
        raise ContentError(f"{folder} is not a folder", "name the folder that holds the asset's pictures")
    copy = WorkingCopy(repo, options)
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(RACES):
            upload = _collect(folder, copy.root, Path(scratch), kind, height_cm)
            warnings = _check(upload, copy.root, Path(scratch) / "content")
            with contextlib.suppress(ConflictError):
                return [
                    *map(str, warnings),
                    *copy.commit_user_files(f"Order {upload.manifest}", upload.files, upload.image_set),
                ]
            copy.sync()
    raise ContentError(f"{content} changes faster than it can be read", "run again later")


def _collect(folder: Path, root: Path, scratch: Path, kind: str, height_cm: float | None) -> Upload:
    """Say which file goes where."""
    yamls = sorted(path for path in folder.iterdir() if path.suffix.lower() in YAML and not path.name.startswith("."))
    if len(yamls) > 1:
        raise ContentError(f"{folder} holds several manifests: {', '.join(path.name for path in yamls)}", "keep one of them")
    own_name = clean_name(folder.resolve().name)
    if not yamls:
        return _drafted(folder, own_name, scratch, kind, height_cm)
    stem = own_name if yamls[0].stem.lower() in GENERIC else yamls[0].stem
    manifest = f"manifests/{stem}.yaml"
    images = parse_manifest(yamls[0].read_bytes(), root, manifest).images
    if isinstance(images, str):
        beside = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".") and path not in yamls]
        files = {f"inbox/{images}/{path.name}": path for path in sorted(beside)}
        return Upload(manifest, {manifest: yamls[0], **files}, f"inbox/{images}")
    places = {f"inbox/{path}": [folder / path, folder / Path(path).name] for path in images.values()}
    found = {place: next((one for one in here if one.is_file()), None) for place, here in places.items()}
    return Upload(manifest, {manifest: yamls[0], **{place: path for place, path in found.items() if path}}, "")


def _drafted(folder: Path, asset: str, scratch: Path, kind: str, height_cm: float | None) -> Upload:
    """Make the manifest, as `new` does."""
    if height_cm is None:
        hint = f"write {asset}.yaml beside the pictures, or say the real height: --height-cm 92"
        raise ManifestError([Place(str(folder)).problem("", "no_manifest", "the folder holds no manifest", hint)])
    views = views_by_name(pictures_of([folder], SUFFIXES))
    draft = scratch / f"{asset}.yaml"
    draft.write_text(draft_manifest(asset, views, kind=kind, height_cm=height_cm), encoding="utf-8")
    files = {f"inbox/{asset}/{view}{path.suffix.lower()}": path for view, path in views.items()}
    return Upload(f"manifests/{asset}.yaml", {f"manifests/{asset}.yaml": draft, **files}, f"inbox/{asset}")


def _check(upload: Upload, root: Path, overlay: Path) -> list[Problem]:
    """Validate the upload as it would stand in the repo, and give the warnings.

    Raises:
        ManifestError: Something is wrong with it.
    """
    shutil.rmtree(overlay, ignore_errors=True)
    shutil.copytree(root, overlay, copy_function=_link)
    if upload.image_set:
        shutil.rmtree(overlay / upload.image_set, ignore_errors=True)
    for path, source in upload.files.items():
        place = overlay / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        shutil.copyfile(source, place)
    problems = list(take_in_files(overlay, [overlay / upload.manifest]).problems)
    problems += [one for one in load_manifests(overlay).problems if one.file == upload.manifest and one not in problems]
    if any(problem.severity == "error" for problem in problems):
        raise ManifestError(problems)
    return problems


def _link(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
