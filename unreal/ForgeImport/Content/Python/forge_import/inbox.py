"""Tell which packages have arrived in a folder. Pure: it knows nothing of Unreal."""

from __future__ import annotations

from pathlib import Path


class Inbox:
    """Watch a folder for zips that are complete.

    A zip counts as complete when its size and time are the same at two looks in a row. Each is given once, and again when it
    has changed. Files are never moved or deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._given: dict[Path, tuple[int, int]] = {}

    def arrived(self) -> list[Path]:
        """Look once; give what is complete and new, by name."""
        now = {path: stamp for path in sorted(self.folder.glob("*.zip")) if (stamp := _stamp(path))}
        ready = [path for path, stamp in now.items() if self._seen.get(path) == stamp != self._given.get(path)]
        self._seen = now
        self._given.update({path: now[path] for path in ready})
        return ready


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:  # gone between two calls
        return None
    return facts.st_size, facts.st_mtime_ns
