"""Keep content in a plain folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from forge_batch.errors import ContentError
from forge_batch.jobs import Job, TaskRecord
from forge_batch.packages.names import REJECTED, RESULT

RECORD = "record.json"
"""Stands beside the outputs in a task's folder, renamed into place together with them."""

HINTS = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "raise the quota of that folder",
    errno.EACCES: "make that folder writable",
    errno.EROFS: "make that folder writable",
    errno.EEXIST: "a file stands where a folder belongs, move it away",
    errno.ENOTDIR: "a file stands where a folder belongs, move it away",
}


class Disk:
    """Keep what the runner owns on this machine's disk: state/, exports/ and work/ below `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @contextlib.contextmanager
    def only_process(self) -> Iterator[None]:
        """Hold state/runner.lock; the system drops it when the process ends, however it ends."""
        path = self.home / "state" / "runner.lock"
        lock = FileLock(path, blocking=False)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout:
                raise ContentError(f"another runner is at work on {self.home}", "wait until it is done") from None
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Drop what killed runs left half-written; nobody else writes while the lock is held."""
        shutil.rmtree(self.home / "work" / "unfinished", ignore_errors=True)

    def load_job(self, asset: str) -> Job:
        path = self.home / "state" / "jobs" / f"{asset}.json"
        try:
            job = Job.from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            return Job(asset)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ContentError(f"{path} cannot be read ({error})", "delete it; what is in work/ will be found again") from error
        published = job.published if self.has_package(asset, RESULT) else ""
        return replace(job, published=published, rejected=job.rejected if self.has_package(asset, REJECTED) else "")

    def has_package(self, asset: str, word: str) -> bool:
        """Tell whether exports/ holds a package of an asset whose name begins with a word."""
        return any((self.home / "exports" / asset).glob(f"{word}_*.zip"))

    def save_job(self, job: Job) -> None:
        self.write(f"state/jobs/{job.asset}.json", as_bytes(job))

    def task_folder(self, key: str) -> Path:
        return self.home / "work" / key

    def recall(self, key: str) -> TaskRecord | None:
        folder = self.task_folder(key)
        if not os.path.lexists(f"{folder}/{RECORD}"):  # of a long queue most tasks: refused at a tenth of the price of opening
            return None
        try:
            record = TaskRecord.from_json(json.loads((folder / RECORD).read_text()))
            whole = all((folder / a.path).stat().st_size == a.bytes for a in record.outputs)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if whole and record.key == key else None

    def write(self, path: str, data: bytes) -> None:
        replace_file(self.home / path, data)

    def publish(self, asset: str, files: Mapping[str, Path]) -> None:
        """Copy beside, then rename all: a full disk leaves the last published files as they were.

        What lay there as rejected goes last, so that a kill in between loses nothing and the next run does it again.
        """
        folder = self.home / "exports" / asset
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for stale in folder.glob(".*.part"):
                stale.unlink()
            beside = {folder / f".{name}.part": folder / name for name in files}
            try:
                for (part, _), source in zip(beside.items(), files.values(), strict=True):
                    shutil.copyfile(source, part)
                for part, place in beside.items():
                    part.replace(place)
                for stale in folder.glob(f"{REJECTED}_*"):
                    if stale.name not in files:
                        stale.unlink()
            finally:
                for part in beside:
                    part.unlink(missing_ok=True)


class LocalContent(Disk):
    """Be a content folder on this machine's disk; what users own and what the runner owns lie side by side.

    Raises:
        ContentError: The folder does not exist, or holds neither `manifests/` nor `inbox/`.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root.resolve())
        self.root = self.home
        if not self.root.is_dir():
            raise ContentError(
                f"{root} is not a folder", "name an existing content folder, or make one with: forge-batch init DIR"
            )
        if not (self.root / "manifests").is_dir():
            raise ContentError(f"{root} has no manifests/ folder", "make one with: forge-batch init DIR")

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def revision(self) -> str:
        from forge_batch.content.watch import signature

        return hashlib.sha256(repr(sorted(signature(self.root).items())).encode()).hexdigest()

    def sync(self) -> None:
        """Do nothing: the folder itself is the truth."""

    def bring(self, path: str) -> None:
        """Do nothing: what was published lies here."""

    def record(self, path: str, data: bytes, title: str) -> None:  # noqa: ARG002 - as the protocol has it
        self.write(path, data)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        return self.only_process()

    def begin(self, assets: Sequence[str], reads: Collection[str]) -> bool:  # noqa: ARG002 - as the protocol has it
        """Do nothing: what tasks read lies here already."""
        return True

    def mark(self) -> None:
        """Do nothing: everything is in its place as soon as it is written."""

    @property
    def due(self) -> bool:
        return False

    def commit(self, needed: Collection[str], *, last: bool) -> bool:  # noqa: ARG002 - as the protocol has it
        """Do nothing: what was written is in place."""
        return True

    def withdraw(self, asset: str) -> None:
        """Do nothing: `commit` never refuses."""

    def changes(self, nudge: threading.Event | None = None) -> Iterator[None]:
        from forge_batch.content.watch import changes

        return changes(self.root, nudge=nudge)


def as_bytes(job: Job) -> bytes:
    """Give the content of a job's file."""
    return json.dumps(job.to_json(), indent=1).encode()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failing disk into a ContentError that names the path and says what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise ContentError(
            f"cannot write {where} ({os.strerror(error.errno or 0)})", HINTS.get(error.errno or 0, "")
        ) from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it in; the old content stays whole until the new is.

    Raises:
        ContentError: The disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
