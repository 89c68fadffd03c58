"""Hash the files of a folder, and compare them with what was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Progress = Callable[[str], None]
"""Told in a few words what is being done."""


def file_hash(path: Path) -> str:
    """Give the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder: Path) -> list[str]:
    """Name the files below a folder by their paths in it, sorted; hidden folders (a downloader's notes) are left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts[:-1]))


def record_files(folder: Path, wants: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    """Give size (bytes) and sha256 of every wanted file by its path."""
    names = filter(wants, files_of(folder))
    return {name: {"size": (folder / name).stat().st_size, "sha256": file_hash(folder / name)} for name in names}


def tree_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Give one digest of a folder: sha256 over its `sha256 path` lines, sorted by path."""
    text = "".join(f"{files[name]['sha256']} {name}\n" for name in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()


def changes(folder: Path, files: Mapping[str, Mapping[str, Any]], *, hashes: bool) -> list[str]:
    """Say which recorded files are missing or changed.

    Args:
        folder: Where they lie.
        files: What record_files gave.
        hashes: Whether to read all bytes; otherwise sizes alone are compared.
    """
    lines = []
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            lines.append(f"{name} is missing")
        elif path.stat().st_size != facts["size"]:
            lines.append(f"{name} has {path.stat().st_size} bytes, recorded are {facts['size']}")
        elif hashes and file_hash(path) != facts["sha256"]:
            lines.append(f"{name} was changed: its sha256 is not the recorded one")
    return lines
