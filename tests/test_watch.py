"""Watch a folder while real files change in it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forge_batch.content.watch import changes
from tests.fakes import content_folder

SETTLE = 0.3


class Watched:
    """Collect what a watch yields, in a thread, with the files that lay there at each time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.times: list[dict[str, int]] = []
        self._stop = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()
        self.wait(1)
        time.sleep(0.1)

    def _work(self) -> None:
        watch = changes(self.root, SETTLE)
        for _ in watch:
            self.times.append({path.name: path.stat().st_size for path in self.root.rglob("*") if path.is_file()})
            if self._stop.is_set():
                watch.close()
                return

    def wait(self, count: int, seconds: float = 10.0) -> None:
        """Wait until it has yielded that often, and see that it does not go on."""
        end = time.monotonic() + seconds
        while len(self.times) < count and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(3 * SETTLE)
        assert len(self.times) == count, self.times

    def close(self) -> None:
        """End the watch by a last change."""
        self._stop.set()
        (self.root / "manifests" / "last.yaml").write_text("last")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Give a content folder that is watched."""
    watch = Watched(content_folder(tmp_path / "content", "crate"))
    yield watch
    watch.close()


def test_a_watch_begins_at_once(watched: Watched) -> None:
    """The first run needs no change."""
    assert len(watched.times) == 1


def test_a_copy_in_progress_is_waited_for(watched: Watched) -> None:
    """A file that is written in pieces, with a stall longer than the settling time, wakes once, when it is whole."""
    with (watched.root / "inbox" / "crate" / "back.png").open("wb", 0) as file:
        for piece in range(4):
            file.write(bytes(1000))
            time.sleep(2.5 * SETTLE if piece == 1 else SETTLE / 3)
    watched.wait(2)
    assert watched.times[-1]["back.png"] == 4000


def test_many_files_wake_once(watched: Watched) -> None:
    """A folder of pictures that is copied in is one change."""
    for number in range(5):
        shutil.copytree(watched.root / "inbox" / "crate", watched.root / "inbox" / f"more{number}")
        time.sleep(SETTLE / 4)
    watched.wait(2)


def by_rename(path: Path) -> None:
    """Write beside and rename, as most editors and `rsync` do."""
    part = path.with_name(f".{path.name}.swp")
    part.write_text("forge: 1\nplace: {height_cm: 70}\n")
    part.replace(path)


def by_backup(path: Path) -> None:
    """Move the old file away as a backup, write a new one, as vim does."""
    path.rename(path.with_name(path.name + "~"))
    path.write_text("forge: 1\nplace: {height_cm: 80}\n")


def in_place(path: Path) -> None:
    """Write over it."""
    path.write_text("forge: 1\nplace: {height_cm: 90}\n")


@pytest.mark.parametrize("save", [by_rename, by_backup, in_place])
def test_editors_wake_once(watched: Watched, save: Callable[[Path], None]) -> None:
    """However an editor saves a manifest, that is one change, and a second one is another."""
    manifest = watched.root / "manifests" / "crate.yaml"
    save(manifest)
    watched.wait(2)
    save(manifest)
    watched.wait(3)


def test_what_is_nobodys_wish_wakes_nobody(watched: Watched) -> None:
    """Temporary files, what the runner writes, reading, and a file that came and went again."""
    (watched.root / "manifests" / ".crate.yaml.swp").write_text("half")
    (watched.root / "inbox" / "crate" / "front.png.part").write_bytes(bytes(10))
    (watched.root / "state").mkdir()
    (watched.root / "state" / "status.json").write_text("{}")
    (watched.root / "manifests" / "crate.yaml").read_text()
    (watched.root / "manifests" / "brief.yaml").write_text("x")
    (watched.root / "manifests" / "brief.yaml").unlink()
    watched.wait(1)


def test_settings_and_new_folders_wake(watched: Watched) -> None:
    """forge.yaml counts, and a presets/ that was not there when the watch began counts with what it holds."""
    (watched.root / "forge.yaml").write_text("forge: 1\n")
    watched.wait(2)
    (watched.root / "presets").mkdir()
    (watched.root / "presets" / "mine.yaml").write_text("extends: prop_UE5_hero\n")
    watched.wait(3)
    (watched.root / "presets" / "mine.yaml").write_text("extends: prop_UE5_standard\n")
    watched.wait(4)


def test_a_deleted_manifest_wakes(watched: Watched) -> None:
    """What is gone is a change."""
    (watched.root / "manifests" / "crate.yaml").unlink()
    watched.wait(2)
