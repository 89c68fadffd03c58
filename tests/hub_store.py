"""Keep repositories in memory, with history: what a Hub has behind its HTTP protocol."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

LFS_SUFFIXES = (".png", ".jpg", ".webp", ".zip", ".npz")


@dataclass(frozen=True)
class Blob:
    """Be a file's content; one with `fake_size` says it is that large and has none."""

    data: bytes
    lfs: bool
    fake_size: int = 0

    @property
    def size(self) -> int:
        return self.fake_size or len(self.data)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def git_oid(self) -> str:
        """The id git has: of the content, or of the pointer to it."""
        data = self.data
        if self.lfs:
            data = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (self.sha256.encode(), self.size)
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    """Be a state of a repo and how it came about."""

    oid: str
    title: str
    author: str
    files: Mapping[str, Blob]
    date: str


class StaleParentError(Exception):
    """Say that a commit's parent is not the head."""


@dataclass
class Repo:
    """Be one dataset repo on its one branch."""

    name: str
    private: bool = True
    commits: list[Commit] = field(default_factory=list)
    lfs: dict[str, bytes] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _salt: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self._append("initial commit", "system", {})

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """Give a commit by its id or the branch's name."""
        if revision == "main":
            return self.head
        return next((commit for commit in reversed(self.commits) if commit.oid == revision), None)

    def commit(
        self,
        title: str,
        files: Mapping[str, Blob],
        gone: tuple[str, ...] = (),
        parent: str | None = None,
        author: str = "user",
    ) -> Commit:
        """Add a commit; StaleParentError if `parent` is given and not the head. A gone path that ends with / is a folder."""
        with self._lock:
            if parent is not None and parent != self.head.oid:
                raise StaleParentError(parent)
            kept = {path: blob for path, blob in self.head.files.items() if not any(_covers(path, one) for one in gone)}
            return self._append(title, author, {**kept, **files})

    def put(self, files: Mapping[str, bytes | str | None], title: str = "change") -> Commit:
        """Commit as a user does on the website: contents by path, None to delete."""
        blobs = {}
        for path, data in files.items():
            if data is not None:
                raw = data.encode() if isinstance(data, str) else data
                blobs[path] = self.blob(path, raw)
        return self.commit(title, blobs, tuple(path for path, data in files.items() if data is None))

    def blob(self, path: str, data: bytes) -> Blob:
        """Make the blob of a file, large by its name as .gitattributes says."""
        lfs = path.endswith(LFS_SUFFIXES)
        if lfs:
            self.lfs[hashlib.sha256(data).hexdigest()] = data
        return Blob(data, lfs)

    def squash(self, title: str) -> Commit:
        """Forget all history: one commit without parent stays."""
        with self._lock:
            files = self.head.files
            self.commits.clear()
            return self._append(title, "user", files)

    def _append(self, title: str, author: str, files: Mapping[str, Blob]) -> Commit:
        number = next(self._numbers)
        oid = hashlib.sha1(f"{self._salt} {number}".encode()).hexdigest()
        self.commits.append(Commit(oid, title, author, dict(files), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
        return self.commits[-1]

    def text(self, path: str) -> str:
        """Give a file of the head as text."""
        return self.head.files[path].data.decode()

    def below(self, folder: str) -> dict[str, Blob]:
        """Give the files of a folder at the head."""
        return {path: blob for path, blob in self.head.files.items() if path.startswith(folder + "/")}


def _covers(path: str, gone: str) -> bool:
    return path.startswith(gone) if gone.endswith("/") else path == gone


def listing(files: Mapping[str, Blob], folder: str, recursive: bool) -> list[dict[str, object]] | None:
    """List a folder as the tree endpoint does; None if there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    inside = {path: blob for path, blob in files.items() if path.startswith(prefix)}
    if prefix and not inside:
        return None
    items: list[dict[str, object]] = []
    folders: dict[str, list[str]] = {}
    for path, blob in sorted(inside.items()):
        rest = path[len(prefix) :].split("/")
        for depth in range(1, len(rest) if recursive else min(2, len(rest))):
            folders.setdefault(prefix + "/".join(rest[:depth]), []).append(f"{path}\0{blob.git_oid}")
        if recursive or len(rest) == 1:
            item: dict[str, object] = {"type": "file", "path": path, "size": blob.size, "oid": blob.git_oid}
            if blob.lfs:
                item["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}
            items.append(item)
    trees = [
        {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1("\n".join(lines).encode()).hexdigest()}
        for path, lines in folders.items()
    ]
    return [*trees, *items]
