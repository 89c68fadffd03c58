"""Tell which view a picture shows from the name of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from forge_batch.errors import ContentError
from forge_batch.image_sets import VIEWS

_WORDS = {"front": "front", "right": "right", "back": "back", "rear": "back", "behind": "back", "left": "left"}
_LETTERS = {"f": "front", "r": "right", "b": "back", "l": "left"}
_DEGREES = {0: "front", 90: "right", 180: "back", 270: "left"}


def views_by_name(paths: Sequence[Path], named: Sequence[str] = ()) -> dict[str, Path]:
    """Sort pictures by view.

    A file's name says it by a word (`Crate-Back.png`, `chair rear.jpg`), by a letter at its end (`crate_l.png`), or, if all
    files do, by the degrees of a turntable (`crate_000.png`, `crate_090.png`: 90 is the right side, as in `camera.json`).
    A picture by itself that says nothing is the front.

    Args:
        paths: One to four pictures.
        named: The views in the order of the pictures, where the user has said so; nothing is guessed then.

    Raises:
        ContentError: A view cannot be told, or two pictures show the same; says which and what to write.
    """
    if not 1 <= len(paths) <= len(VIEWS):
        raise ContentError(f"found {len(paths)} pictures", f"give one to four: {', '.join(VIEWS)}")
    if named:
        views = _as_named(paths, named)
    else:
        views = [_view(path) for path in paths]
        if not any(views):
            views = _by_degrees(paths)
        if len(paths) == 1 and not views[0]:
            views = ["front"]
    unknown = [path.name for path, view in zip(paths, views, strict=True) if not view]
    if unknown:
        hint = (
            "put the view into the file's name, as in crate_front.png, or say --views front,right,... in the order of the files"
        )
        raise ContentError(f"the name of {unknown[0]} does not say which view it shows", hint)
    found: dict[str, Path] = {}
    for path, view in zip(paths, views, strict=True):
        if view in found:
            raise ContentError(f"{found[view].name} and {path.name} both seem to show the {view}", "say which with --views")
        found[view] = path
    if "front" not in found:
        raise ContentError("there is no front view", "every asset needs one; name it, or say --views in the order of the files")
    return {view: found[view] for view in VIEWS if view in found}


def _as_named(paths: Sequence[Path], named: Sequence[str]) -> list[str]:
    wrong = [view for view in named if view not in VIEWS]
    if wrong or len(named) != len(paths):
        found = f'"{wrong[0]}" is not a view' if wrong else f"{len(named)} views are named for {len(paths)} pictures"
        raise ContentError(found, f"--views takes one of {', '.join(VIEWS)} for each picture, with commas between")
    return list(named)


def _tokens(path: Path) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])", " ", path.stem)
    return [token.lower() for token in re.split(r"[^A-Za-z0-9]+", spaced) if token]


def _view(path: Path) -> str:
    tokens = _tokens(path)
    said = {_WORDS[token] for token in tokens if token in _WORDS}
    if len(said) == 1:
        return said.pop()
    return _LETTERS.get(tokens[-1], "") if tokens and not said else ""


def _by_degrees(paths: Sequence[Path]) -> list[str]:
    """Read turntable names; only if every file has one and no two are alike, since numbers mostly mean other things."""
    last = [(_tokens(path) or [""])[-1].removesuffix("deg") for path in paths]
    views = [_DEGREES.get(int(token), "") if token.isdecimal() else "" for token in last]
    sure = len(paths) > 1 and all(views) and len(set(views)) == len(views)
    return views if sure else [""] * len(paths)


def pictures_of(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """List the pictures that are meant: files as they are; of a folder those called after the views, else all.

    Raises:
        ContentError: A path leads nowhere, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in suffixes and not one.name.startswith("."))
            if not inside:
                raise ContentError(f"{path} holds no picture", f"pictures end with {', '.join(suffixes)}")
            called = [one for one in inside if one.stem in VIEWS]
            found += called if "front" in {one.stem for one in called} else inside
        elif path.is_file():
            found.append(path)
        else:
            raise ContentError(f"there is no file {path}", "name one to four pictures, or the folder that holds them")
    return found


def shown(views: Mapping[str, Path]) -> str:
    """Say which file was taken for which view."""
    return ", ".join(f"{view}: {path.name}" for view, path in views.items())
