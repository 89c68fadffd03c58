"""Find the images of an asset in `inbox/`, and nowhere else.

A manifest names a folder of `inbox/` whose files are called after the views, or lists a file for each view. Either way the
words come from outside, so they are checked as text first and, after the file system has resolved them, as places.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forge_batch.errors import Problem
from forge_batch.yaml_value import Entry, Value, describe

View = Literal["front", "right", "back", "left"]
VIEWS: tuple[View, ...] = ("front", "right", "back", "left")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
CAMERA, LICENSE = "camera.json", "LICENSE.txt"

_IGNORED = re.compile(r"\.|(?:license|licence|readme)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_PATH = 240
_ALLOWED = f"allowed: {', '.join(VIEWS)} with {', '.join(SUFFIXES)}, besides {CAMERA}, LICENSE* and README*"


def path_fault(text: str) -> tuple[str, str] | None:
    """Say what is wrong with a path below inbox/ and what to write instead; None if its form is fine.

    Looks at the text alone. Links that lead out of inbox/ are found when the file is looked for.
    """
    example = "write a path below inbox/, such as my_crate/front.png"
    shown = f'"{text if len(text) <= 60 else text[:57] + "..."}"'
    parts = text.split("/")
    fault: tuple[str, str] | None = None
    if not text.strip():
        fault = "the path is empty", example
    elif not text.isprintable():
        fault = "the path holds a line end or another unprintable character", example
    elif "://" in text:
        fault = f"{shown} is an address", "put the image into inbox/ and name it there"
    elif _DRIVE.match(text):
        fault = f"{shown} begins with a drive letter", f"put the image into inbox/; {example}"
    elif "\\" in text:
        fault = f"{shown} holds a backslash", f"write {text.replace(chr(92), '/')[:60]}"
    elif text.startswith(("/", "~")):
        fault = f"{shown} is an absolute path", f"put the image into inbox/; {example}"
    elif ".." in parts:
        fault = f'{shown} leaves its folder with ".."', f"put the image into inbox/; {example}"
    elif "" in parts or "." in parts:
        fault = f'{shown} has an empty or "." part', f"write {'/'.join(part for part in parts if part not in {'', '.'})[:60]}"
    elif len(text.encode()) > _MAX_PATH:
        fault = f"the path is longer than {_MAX_PATH} bytes", "use shorter names"
    return fault


def images_form(value: Value) -> list[Problem]:
    """Check the form of a manifest's `images`: the name of a folder, or one to four views with a path each."""
    if not value.usable:
        return []
    content = value.content
    if isinstance(content, str):
        fault = path_fault(content)
        return [value.place.problem("images", "bad_path", *fault)] if fault else []
    hint = "write the name of a folder in inbox/, or a path for each view: front, right, back, left"
    if isinstance(content, tuple):
        found = f"found a list of {len(content)} where views belong" if content else "found an empty list"
        return [
            value.place.problem("images", "wrong_type", found, "write front: crate/front.png and so on, a line for each view")
        ]
    if not isinstance(content, dict):
        return [value.place.problem("images", "wrong_type", f"found {describe(value)}", hint)]
    if not content:
        return [value.place.problem("images", "no_views", "no view is given", hint)]
    problems = []
    if len(content) > len(VIEWS):
        found = f"{len(content)} images, at most {len(VIEWS)}"
        problems.append(value.place.problem("images", "too_many_images", found, f"keep one for each of {', '.join(VIEWS)}"))
    for view, entry in content.items():
        problems += _view_form(view, entry)
    return problems


def _view_form(view: str, entry: Entry) -> list[Problem]:
    where = f"images.{view[:40]}"
    if view not in VIEWS:
        near = difflib.get_close_matches(view[:40].lower(), VIEWS, 1, 0.6)
        guess = f'did you mean "{near[0]}"? ' if near else ""
        found = f'"{view[:40]}" is not a view'
        return [entry.key.problem(where, "unknown_view", found, f"{guess}views: {', '.join(VIEWS)}, as the viewer sees them")]
    value = entry.value
    if not value.usable:
        return []
    if not isinstance(value.content, str):
        return [value.place.problem(where, "wrong_type", f"found {describe(value)}", "write a path below inbox/")]
    fault = path_fault(value.content)
    if fault:
        return [value.place.problem(where, "bad_path", *fault)]
    if not value.content.endswith(SUFFIXES):
        found = f'"{value.content[-60:]}" is not an image file'
        return [value.place.problem(where, "not_an_image", found, f"allowed endings: {', '.join(SUFFIXES)}")]
    return []


@dataclass
class ImageSet:
    """Be the files of an asset, by view name, plus `camera` and `license` where they lie beside the images."""

    paths: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def find_images(value: Value, content: Path) -> ImageSet:
    """Look for the files that `images` names.

    Args:
        value: The manifest's `images`; its form must be sound (`images_form`).
        content: The content folder.
    """
    found = ImageSet()
    inbox = content / "inbox"
    if isinstance(value.content, str):
        _from_folder(inbox, value.content, value, found)
    elif isinstance(value.content, dict):
        _from_views(inbox, value.content, found)
    return found


def _inside(path: Path, inbox: Path, within: Path | None = None) -> bool:
    """Tell whether a path, all links followed, stays in inbox/. realpath never raises, even on a circle of links.

    A file directly `within` a folder of which this is known already can only leave by being a link itself.
    """
    if within is not None and path.parent == within and not path.is_symlink():
        return True
    real, home = os.path.realpath(path), os.path.realpath(inbox)
    return real == home or real.startswith(home.rstrip(os.sep) + os.sep)


def _names(folder: Path) -> list[str]:
    """List a folder; empty if it cannot be listed."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _near(name: str, names: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name[:80], names[:2000], 1, 0.5)
    return f"the nearest that exists is {prefix}{near[0]}" if near else ""


def _from_folder(inbox: Path, name: str, value: Value, found: ImageSet) -> None:
    folder = inbox / name
    if not folder.is_dir():
        sets = [other for other in _names(inbox) if (inbox / other).is_dir() and not other.startswith(".")]
        hint = _near(name, sets)
        if name.startswith("inbox/") and (inbox / name.removeprefix("inbox/")).exists():
            hint = f'paths begin below inbox/: write "{name.removeprefix("inbox/")}"'
        elif folder.is_file():
            hint = "name the folder, or a path for each view: images: {front: " + name + "}"
        others = f", or write images: with one of {', '.join(sets[:10])}" if sets else ""
        hint = hint or f"make the folder and put front.png there{others}"
        found.problems.append(value.place.problem("images", "missing_images", f"there is no folder inbox/{name}", hint))
        return
    if not _inside(folder, inbox):
        message = f"inbox/{name} is a link that leaves inbox/"
        found.problems.append(value.place.problem("images", "bad_path", message, "copy the images into inbox/"))
        return
    _sort_files(folder, f"inbox/{name}", inbox, value, found)
    if not found.problems and not any(view in found.paths for view in VIEWS):
        message, hint = f"inbox/{name} holds no image", "put front.png there, and right, back and left if you have them"
        found.problems.append(value.place.problem("images", "missing_images", message, hint))


def _sort_files(folder: Path, shown: str, inbox: Path, value: Value, found: ImageSet) -> None:
    views: dict[str, list[str]] = {}
    for name in _names(folder):
        stem, dot, ending = name.rpartition(".")
        known = stem in VIEWS and dot + ending in SUFFIXES
        if known and not (folder / name).is_file():
            message = f"{shown}/{name} is not a file"
            found.problems.append(value.place.problem("images", "not_an_image", message, "put the image itself there"))
        elif (known or name in {CAMERA, LICENSE}) and not _inside(folder / name, inbox, folder):
            message = f"{shown}/{name} is a link that leaves inbox/"
            found.problems.append(value.place.problem("images", "bad_path", message, "copy the file into inbox/"))
        elif known:
            views.setdefault(stem, []).append(name)
        elif name != CAMERA and not _IGNORED.match(name):
            near = _near(name.lower(), [f"{view}{suffix}" for view in VIEWS for suffix in SUFFIXES]).rpartition(" ")[2]
            hint = f"rename it to {near}, or move it away; {_ALLOWED}" if near else f"move it away; {_ALLOWED}"
            message = f"{shown} holds {name[:60]!a}, which is no view"
            found.problems.append(value.place.problem("images", "unknown_file", message, hint))
    for view in VIEWS:
        names = views.get(view, [])
        if len(names) > 1:
            message = f"{shown} holds several files for {view}: {', '.join(names)}"
            found.problems.append(value.place.problem("images", "several_files", message, "keep one of them"))
        elif names:
            found.paths[view] = folder / names[0]
    _add_companions(folder, found)


def _from_views(inbox: Path, entries: dict[str, Entry], found: ImageSet) -> None:
    for view in VIEWS:
        if view not in entries:
            continue
        value = entries[view].value
        text = str(value.content)
        path = inbox / text
        if not path.is_file():
            folder = Path(text).parent
            names = [name for name in _names(inbox / folder) if name.endswith(SUFFIXES)]
            prefix = "" if str(folder) == "." else f"{folder.as_posix()}/"
            hint = _near(Path(text).name, names, prefix) or _near(text, _names(inbox)) or "put the image there"
            if text.startswith("inbox/") and (inbox / text.removeprefix("inbox/")).is_file():
                hint = f'paths begin below inbox/: write "{text.removeprefix("inbox/")}"'
            message = f"there is no file inbox/{text}"
            found.problems.append(value.place.problem(f"images.{view}", "missing_images", message, hint))
        elif not _inside(path, inbox):
            message = f"inbox/{text} is a link that leaves inbox/"
            found.problems.append(value.place.problem(f"images.{view}", "bad_path", message, "copy the image into inbox/"))
        else:
            found.paths[view] = path
    folders = {path.parent for path in found.paths.values()}
    if len(folders) == 1 and _inside(folder := folders.pop(), inbox):
        _add_companions(folder, found, inbox)


def _add_companions(folder: Path, found: ImageSet, inbox: Path | None = None) -> None:
    for key, name in (("camera", CAMERA), ("license", LICENSE)):
        path = folder / name
        if path.is_file() and (inbox is None or _inside(path, inbox)):
            found.paths[key] = path
