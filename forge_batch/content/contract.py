"""Say what a content folder can do, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from forge_batch.jobs import Job, TaskRecord


class ContentRepo(Protocol):
    """Hold manifests and images (user-owned) and jobs and exports (runner-owned).

    Every write is beside its place and renamed into it. Faults of disk or network are ContentError.
    """

    root: Path
    """A local folder with `inbox/` and `manifests/` as of the last sync."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runners out; ContentError says who is in."""
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

    def publish(self, asset: str, files: Mapping[str, Path]) -> None:
        """Put files into exports/<asset>/ by name, all from finished tasks."""
        ...
