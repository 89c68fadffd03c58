"""Be a dataset repo's list of files at one commit, as far as a runner needs it. Pure but for reading and writing the list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

USER_FOLDERS = ("inbox", "manifests", "presets")
USER_FILES = ("forge.yaml",)
RUNNER_FOLDERS = ("state", "cache", "exports")
FOLDERS = (*USER_FOLDERS, *RUNNER_FOLDERS)


@dataclass(frozen=True)
class Entry:
    """Be one file: its size, its git blob id, and its sha256 where it is a large file."""

    size: int
    blob: str
    sha256: str = ""

    @property
    def id(self) -> str:
        """What names the content."""
        return self.sha256 or self.blob

    def holds(self, data: bytes) -> bool:
        """Tell whether the file has this content."""
        if len(data) != self.size:
            return False
        return git_blob(data) == self.blob or hashlib.sha256(data).hexdigest() == self.sha256

    def is_file(self, path: Path) -> bool:
        """Tell whether a file on disk has this content."""
        try:
            return path.stat().st_size == self.size and self.holds(path.read_bytes())
        except OSError:
            return False


def git_blob(data: bytes) -> str:
    """Give the id that git has for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Tree:
    """List the files of a repo at one commit.

    Attributes:
        sha: The commit; empty before the first sync.
        folders: The id of each folder of FOLDERS that exists; one that is unknown must be listed again.
        files: Below FOLDERS and among USER_FILES, by path.
    """

    sha: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Entry] = field(default_factory=dict)

    @cached_property
    def user_files(self) -> dict[str, Entry]:
        """What users own."""
        return {path: entry for path, entry in self.files.items() if path.split("/")[0] in (*USER_FOLDERS, *USER_FILES)}

    @cached_property
    def user_digest(self) -> str:
        """Name the content of what users own: equal digests, equal files."""
        lines = sorted(f"{path}\0{entry.id}" for path, entry in self.user_files.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]

    @cached_property
    def packaged(self) -> frozenset[tuple[str, str]]:
        """The assets that have a package in exports/, each with the word that its name begins with."""
        parts = (path.split("/") for path in self.files if path.startswith("exports/"))
        return frozenset((part[1], part[2].split("_")[0]) for part in parts if len(part) == 3 and part[2].endswith(".zip"))

    @cached_property
    def cached(self) -> dict[str, int]:
        """Bytes of each entry of cache/, by task key."""
        sizes: dict[str, int] = {}
        for path, entry in self.files.items():
            parts = path.split("/")
            if parts[0] == "cache" and len(parts) == 3:
                sizes[parts[1]] = sizes.get(parts[1], 0) + entry.size
        return sizes

    def below(self, folder: str) -> Iterator[tuple[str, Entry]]:
        """Give the files of a folder, by path."""
        return ((path, entry) for path, entry in self.files.items() if path.startswith(folder + "/"))

    def after(self, sha: str, added: Mapping[str, Entry], dropped: tuple[str, ...]) -> Tree:
        """Give the tree after a commit of ours that dropped files and folders (these end with a slash).

        Folders that it touched count as unknown.
        """
        folders_gone, gone = tuple(path for path in dropped if path.endswith("/")), set(dropped)
        files = {path: one for path, one in self.files.items() if path not in gone and not path.startswith(folders_gone)}
        touched = {path.split("/")[0] for path in (*added, *dropped)}
        folders = {name: "" if name in touched else id_ for name, id_ in self.folders.items()}
        return Tree(sha, {**folders, **dict.fromkeys(touched, "")}, {**files, **added})

    def to_json(self) -> bytes:
        files = {path: [entry.size, entry.blob, entry.sha256] for path, entry in self.files.items()}
        return json.dumps({"sha": self.sha, "folders": dict(self.folders), "files": files}).encode()

    @classmethod
    def from_json(cls, path: Path) -> Tree:
        """Read a list back; the empty one if there is none or it is damaged."""
        try:
            found = json.loads(path.read_bytes())
            files = {name: Entry(*entry) for name, entry in found["files"].items()}
            return cls(str(found["sha"]), dict(found["folders"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()
