"""Look at the pictures of a whole content folder, each content once, and remember what was seen.

What is kept in work/image_checks.json may be lost or deleted at any time: it only saves work. A file is known again by its
size, times and inode; one that was written within two seconds of being looked at is hashed again, as it may have been written
twice within one tick of the clock (git's racy files).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from forge_batch.errors import Problem
from forge_batch.ops.image import NOT_VIEWS, ImageRefused, check_image_set, read_image
from forge_batch.ops.picture_facts import VERSION, PictureFacts, measure_file
from forge_batch.picture_warnings import View, picture_warnings
from forge_batch.worker_signals import die_with_parent, interrupts_wait

CACHE = Path("work") / "image_checks.json"
FEW = 24  # unknown pictures that are measured here, in less time than it takes to start workers
RACY = 2_000_000_000  # nanoseconds

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class CheckedSet:
    """Be what was found in one image set.

    Attributes:
        hashes: SHA-256 of every file of the set that could be read, by name (views, camera, license).
        problems: Errors and warnings, without a file; `field` is images.VIEW, or images for the set as a whole.
        extents: Width and height of the subject by view, pixels, where it is known.
    """

    hashes: Mapping[str, str]
    problems: tuple[Problem, ...]
    extents: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def check_pictures(
    root: Path, sets: Sequence[Mapping[str, Path]], *, whole: bool = False, workers: int | None = None
) -> list[CheckedSet]:
    """Check image sets and hash their files.

    Args:
        root: The content folder, in which what was seen is kept.
        sets: Files of each set by name: views, camera, license.
        whole: Whether these are all sets of the folder, so that anything else may be forgotten.
        workers: Processes that measure; None takes one for each core.
    """
    memory = _Memory.load(root)
    paths = list(dict.fromkeys(path for files in sets for path in files.values()))
    pictures = {path for files in sets for name, path in files.items() if name not in NOT_VIEWS}
    digests = _hash(paths, memory)
    unknown = {digest: path for path, digest in digests.items() if path in pictures and digest not in memory.facts}
    try:
        for path, digest, facts in _measure(list(unknown.values()), workers or _cores()):
            # it may have been written to since it was hashed
            digests[path] = digest
            memory.facts[digest] = facts
    finally:
        memory.save(digests, whole=whole)
    return [_check(files, digests, memory.facts) for files in sets]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _hash(paths: Sequence[Path], memory: _Memory) -> dict[Path, str]:
    """Give the SHA-256 of every file that can be read."""
    digests, changed = {}, []
    for path in paths:
        digest = memory.recall(path)
        if digest:
            digests[path] = digest
        else:
            changed.append(path)
    with ThreadPoolExecutor(_cores()) as pool:
        found = dict(zip(changed, pool.map(_sha256, changed), strict=True))
    return digests | {path: digest for path, digest in found.items() if digest}


def _sha256(path: Path) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def _measure(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, str, PictureFacts]]:
    """Measure files, in processes where there are many; those that can no longer be read are left out."""
    done = 0
    if len(paths) > FEW and workers > 1:
        with contextlib.suppress(BrokenProcessPool):  # a worker was killed: what is left is measured here
            for path, measured in _in_processes(paths, workers):
                done += 1
                if measured:
                    yield path, *measured
    for path in paths[done:]:
        if measured := _try(path):
            yield path, *measured


def _in_processes(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, tuple[str, PictureFacts] | None]]:
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start)
    try:
        with interrupts_wait():
            results = pool.map(_try, paths, chunksize=4)
        yield from zip(paths, results, strict=True)
    finally:
        # after Ctrl-C the few pictures at hand are finished, no more
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Prepare a worker: as many of them as cores, so each keeps to one."""
    import cv2  # noqa: PLC0415

    die_with_parent()
    cv2.setNumThreads(1)


def _try(path: Path) -> tuple[str, PictureFacts] | None:
    try:
        return measure_file(path)
    except OSError:
        return None


def _check(files: Mapping[str, Path], digests: Mapping[Path, str], known: Mapping[str, PictureFacts]) -> CheckedSet:
    """Judge one set by what is known of its files."""
    hashes = {name: digests[path] for name, path in files.items() if path in digests}
    pictures = {name: path for name, path in files.items() if name not in NOT_VIEWS}
    facts = {path: known[digests[path]] for path in pictures.values() if digests.get(path) in known}

    def size(path: Path) -> tuple[int, int]:
        if path not in facts:
            read_image(path)  # says in its own words why it cannot be read
            raise ImageRefused(f"{path.name} could not be read", "try again")
        if facts[path].refusal:
            raise ImageRefused(f"{path.name} {facts[path].refusal}", facts[path].hint)
        return facts[path].width, facts[path].height

    problems = check_image_set(pictures, size)
    for name in NOT_VIEWS:
        if name in files and name not in hashes:
            message = f"{files[name].name} cannot be read"
            problems.append(Problem("", 0, 0, "images", "error", "image", message, "give the runner read permission on it"))
    views = {name: View(path.name, hashes[name], facts[path]) for name, path in pictures.items() if path in facts}
    extents = {name: view.facts.box[2:] for name, view in views.items() if view.facts.box}
    return CheckedSet(hashes, (*problems, *picture_warnings(views, cameras="camera" in files)), extents)


@dataclass
class _Memory:
    """Keep hashes by path and facts by hash between runs.

    Attributes:
        root: The content folder.
        stamps: What a file looked like when it was hashed, and its hash, by path below the root.
        facts: By SHA-256.
        seen: What each file looked like before it was hashed this time.
        kept: The text that was read, so that nothing is written if nothing changed.
    """

    root: Path
    stamps: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    facts: dict[str, PictureFacts] = field(default_factory=dict)
    seen: dict[str, Stamp] = field(default_factory=dict)
    kept: str = ""

    @classmethod
    def load(cls, root: Path) -> _Memory:
        """Read what was kept; nothing if it is missing, damaged or of another version."""
        try:
            text = (root / CACHE).read_text()
            checksum, _, body = text.partition("\n")
            if checksum != _checksum(body):
                return cls(root)
            data = json.loads(body)
            stamps = {path: ((size, changed, made, inode), sha) for path, size, changed, made, inode, sha in data["files"]}
            facts = {sha: PictureFacts.from_json(kept) for sha, kept in data["facts"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return cls(root)
        return cls(root, stamps, facts, kept=body)

    def recall(self, path: Path) -> str:
        """Give the hash of a file that has not changed since it was hashed; empty if it may have."""
        key = self._key(path)
        now = time.time_ns()
        try:
            status = path.stat()
        except OSError:
            return ""
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if now - max(status.st_mtime_ns, status.st_ctime_ns) > RACY:
            self.seen[key] = stamp
        known, digest = self.stamps.get(key, (None, ""))
        return digest if stamp == known else ""

    def save(self, digests: Mapping[Path, str], *, whole: bool) -> None:
        """Write what is known beside its place and rename it in; a folder that cannot be written stays as it is."""
        found = {self._key(path): digest for path, digest in digests.items()}
        others = {} if whole else {key: kept for key, kept in self.stamps.items() if key not in found}
        stamps = {key: kept for key, kept in others.items() if (self.root / key).exists()}
        stamps |= {key: (self.seen[key], digest) for key, digest in found.items() if key in self.seen}
        used = set(found.values()) | {digest for _, digest in stamps.values()}
        rows = [[key, *stamp, digest] for key, (stamp, digest) in sorted(stamps.items())]
        facts = {sha: self.facts[sha].to_json() for sha in sorted(used & self.facts.keys())}
        body = json.dumps({"files": rows, "facts": facts}, separators=(",", ":"))
        if body == self.kept:
            return
        path = self.root / CACHE
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            if not (path.parent / ".gitignore").exists():
                (path.parent / ".gitignore").write_text("*\n")  # a hook that runs validate must not change the checkout
            try:
                part.write_text(f"{_checksum(body)}\n{body}")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _key(self, path: Path) -> str:
        return os.path.relpath(path, self.root)


def _checksum(body: str) -> str:
    return hashlib.sha256(f"{VERSION}\n{body}".encode()).hexdigest()
