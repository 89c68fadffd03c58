"""Wake up when the user-owned part of a content folder changes, and not before it is all there."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

SETTLE = 1.0  # seconds without a change before a copy in progress counts as finished
GLANCE = 0.5  # seconds between two looks at a nudge
STALLED = 30.0  # seconds after which a file that is open for writing and does not grow is read all the same
FOLDERS = ("inbox", "manifests", "presets")
FILES = ("forge.yaml",)

Signature = dict[str, tuple[int, int]]
"""Size and time of each file that counts, by path."""


def changes(root: Path, settle: float = SETTLE, nudge: threading.Event | None = None) -> Iterator[None]:
    """Yield once at once, then after every change of what users own has settled, and whenever `nudge` is set. Ends never.

    What counts is what lies there once nothing moves any more: an editor that writes a temporary file and renames it, a backup
    copy, or a change that is taken back wakes nobody for nothing. A copy in progress is waited for, even if it stalls.
    """
    bell = _Bell()
    observer = Observer()
    observer.start()
    watched: set[str] = set()
    try:
        seen = signature(root)
        _watch(observer, bell, root, watched)
        while True:
            yield
            while True:
                if nudge is not None and nudge.is_set():
                    nudge.clear()
                    break
                if not bell.rung.wait(None if nudge is None else GLANCE):
                    continue
                _watch(observer, bell, root, watched)
                now = _settled(root, bell, settle)
                if now != seen:
                    seen = now
                    break
    finally:
        observer.stop()
        observer.join()


def signature(root: Path) -> Signature:
    """Give size and time of every file that users own; hidden files, backups and unfinished copies do not count."""
    found: Signature = {}
    for top in (*FOLDERS, *FILES):
        _sign(root / top, found)
    return found


def _sign(path: Path, found: Signature) -> None:
    if path.name.startswith((".", "~")) or path.name.endswith(("~", ".part", ".tmp", ".swp", ".swx", ".crdownload")):
        return
    try:
        if path.is_dir():
            for inner in path.iterdir():
                _sign(inner, found)
        else:
            status = path.stat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    except OSError:  # gone between two looks, or not readable: the loader says so
        return


def _settled(root: Path, bell: _Bell, settle: float) -> Signature:
    """Wait until nothing has changed for a while and no file is being written; give what lies there then."""
    before = signature(root)
    since = time.monotonic()
    while True:
        bell.rung.clear()
        moved = bell.rung.wait(settle)
        now = signature(root)
        if moved or now != before:
            before, since = now, time.monotonic()
        elif not bell.growing or time.monotonic() - since > STALLED:
            return now


class _Bell(FileSystemEventHandler):
    """Ring on every write; reading a file rings nothing. Knows which files are open for writing where the system tells."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.growing: set[str] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.src_path)
        if event.event_type == "modified" and not event.is_directory and sys.platform == "linux":
            self.growing.add(path)
        elif event.event_type in {"closed", "moved", "deleted"}:
            self.growing.discard(path)
        if event.event_type in {"created", "modified", "moved", "deleted", "closed"}:
            self.rung.set()


def _watch(observer: BaseObserver, bell: _Bell, root: Path, watched: set[str]) -> None:
    """Watch the root for files and new folders, and each user-owned folder that there is in depth."""
    if "" not in watched:
        observer.schedule(bell, str(root), recursive=False)
        watched.add("")
    for name in FOLDERS:
        there = (root / name).is_dir()
        if there and name not in watched:
            observer.schedule(bell, str(root / name), recursive=True)
            watched.add(name)
        elif not there:
            watched.discard(name)
