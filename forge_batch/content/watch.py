"""Wake up when the user-owned part of a content folder changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

SETTLE = 1.0  # seconds without a change before a copy in progress counts as finished


class _Bell(FileSystemEventHandler):
    """Ring on every write; reading a file rings nothing."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in {"created", "modified", "moved", "deleted"}:
            self.rung.set()


def changes(root: Path) -> Iterator[None]:
    """Yield once at once, then after every change of inbox/, manifests/ or presets/ has settled. Ends never."""
    bell = _Bell()
    observer = Observer()
    for name in ("inbox", "manifests", "presets"):
        if (root / name).is_dir():
            observer.schedule(bell, str(root / name), recursive=True)
    observer.start()
    try:
        while True:
            yield
            bell.rung.wait()
            while bell.rung.is_set():
                bell.rung.clear()
                bell.rung.wait(SETTLE)
    finally:
        observer.stop()
        observer.join()
