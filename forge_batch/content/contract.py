"""Say what a content folder can do, wherever it lies."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from forge_batch.jobs import Job, TaskRecord


class ContentRepo(Protocol):
    """Hold manifests and images (user-owned) and jobs and exports (runner-owned).

    Every write is beside its place and renamed into it. Faults of disk or network are ContentError.
    """

    root: Path
    """A local folder with what users own (inbox/, manifests/, presets/, forge.yaml) as of the last sync."""
    home: Path
    """A local folder with what the runner owns (state/, exports/, work/); the same as `root` where content is a folder."""

    @property
    def name(self) -> str:
        """What people call it: the folder's name, or hf://datasets/OWNER/NAME. Strangers see it too."""
        ...

    @property
    def revision(self) -> str:
        """Say which version of what users own lies in `root`: a commit, or a digest of a folder."""
        ...

    def sync(self) -> None:
        """Bring `root` and the jobs up to date."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runners out; ContentError says who is in."""
        ...

    def begin(self, assets: Sequence[str], reads: Collection[str]) -> bool:
        """Get ready to work on these assets: tell others, and bring the outputs of the finished tasks that are read.

        False if somebody changed the folder meanwhile: `root` is then as they left it, and the caller plans again.
        """
        ...

    def mark(self) -> None:
        """Hear that a GPU window begins or has ended: a commit is due as soon as the floor between commits allows it."""
        ...

    @property
    def due(self) -> bool:
        """Whether it is time to commit in the middle of a run; ContentError if another runner has taken over."""
        ...

    def commit(self, needed: Collection[str], *, last: bool) -> bool:
        """Hand over everything written since the last commit, results before the state that speaks of them.

        False if somebody changed the folder meanwhile: nothing was handed over, `root` is as they left it, and the caller
        plans again, withdraws what nobody wants any more, and commits again.

        Args:
            needed: Task keys that queued assets read; the cache keeps them.
            last: Whether the runner leaves after this.
        """
        ...

    def withdraw(self, asset: str) -> None:
        """Take back what was written for an asset and is not committed yet."""
        ...

    def changes(self, nudge: threading.Event | None = None) -> Iterator[None]:
        """Yield once at once, then whenever what users own has changed, or whenever `nudge` is set. Ends never."""
        ...

    def load_job(self, asset: str) -> Job:
        """Give the job of an asset, an empty one if nothing has happened yet."""
        ...

    def save_job(self, job: Job) -> None: ...

    def task_folder(self, key: str) -> Path:
        """Say where the outputs of a finished task lie (or would lie)."""
        ...

    def recall(self, key: str) -> TaskRecord | None:
        """Give the outcome that lies beside a finished task's outputs, if they are here and whole."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a runner-owned file, path relative to the root."""
        ...

    def record(self, path: str, data: bytes, title: str) -> None:
        """Write a file below state/ and hand it over at once, whether a runner is at work or not."""
        ...

    def bring(self, path: str) -> None:
        """Bring what was published at a path below exports/, a file or a folder, to this machine, if it exists."""
        ...

    def publish(self, asset: str, files: Mapping[str, Path]) -> None:
        """Put files into exports/<asset>/ by name, all from finished tasks; what lay there as rejected goes away."""
        ...
