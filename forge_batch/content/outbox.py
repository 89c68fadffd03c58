"""Hold what a run has written and not committed yet, and put it into commits: results before the state that speaks of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forge_batch.content.cache_budget import evicted
from forge_batch.content.local import replace_file
from forge_batch.content.repo_tree import Entry, Tree, git_blob

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

LARGEST = 200  # files of a commit: the Hub gives it a minute, and takes a gigabyte of those that are not LFS
USED = "state/cache.json"


@dataclass(frozen=True)
class Batch:
    """Be one commit: files to add, what to delete (a folder ends with a slash), and whether it is the last of its window."""

    paths: tuple[str, ...]
    gone: tuple[str, ...]
    last: bool


@dataclass
class Outbox:
    """Collect files by their path in the repo.

    Attributes:
        home: The working folder; runner-owned files lie there under their paths in the repo.
        files: Where each file that must be committed lies.
        operations: Those whose content the Hub has already.
        gone: Entries of cache/ to drop, by task key.
        dropped: Files to delete.
    """

    home: Path
    files: dict[str, Path] = field(default_factory=dict)
    operations: dict[str, CommitOperationAdd] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    dropped: set[str] = field(default_factory=set)
    _used: dict[str, float] = field(default_factory=dict)

    def note(self, path: str, committed: bool) -> None:
        """Remember that a runner-owned file was written, unless the repo has it so already; work/ stays here."""
        self.operations.pop(path, None)
        self.dropped.discard(path)
        if committed or path.startswith("work/"):
            self.files.pop(path, None)
        else:
            self.files[path] = self.home / path

    def drop(self, path: str, committed: bool) -> None:
        """Remember that a runner-owned file is no more."""
        self.files.pop(path, None)
        self.operations.pop(path, None)
        if committed:
            self.dropped.add(path)

    def add_task(self, key: str, outputs: Mapping[str, Path], now: float) -> None:
        """Keep what a task made in the repo's cache/."""
        if key not in self._used or f"cache/{key}/{next(iter(outputs))}" not in self.files:
            self.files |= {f"cache/{key}/{name}": path for name, path in outputs.items()}
            self._used[key] = now

    def use(self, key: str, now: float) -> None:
        """Remember that an entry of cache/ was of use."""
        self._used[key] = now

    @property
    def holds_tasks(self) -> bool:
        """Whether what GPU tasks made waits here."""
        return any(path.startswith("cache/") for path in self.files)

    def has_package(self, asset: str, word: str) -> bool:
        """Tell whether a package of the asset whose name begins with a word waits here."""
        prefix = f"exports/{asset}/{word}_"
        return any(path.startswith(prefix) for path in self.files)

    def withdraw(self, asset: str) -> None:
        """Forget what was written for an asset; what its GPU tasks made is kept, since its key says what it is."""
        mine = f"exports/{asset}/"
        for path in [path for path in self.files if path.startswith(mine) or path == f"state/jobs/{asset}.json"]:
            self.files.pop(path)
            self.operations.pop(path, None)
        self.dropped = {path for path in self.dropped if not path.startswith(mine)}

    def only_cache(self) -> None:
        """Forget everything but what GPU tasks made, and what they cost."""
        for path in [path for path in self.files if not path.startswith(("cache/", "state/ledger"))]:
            self.files.pop(path)
        self.dropped.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.files.clear()
        self.dropped.clear()
        self.operations.clear()
        self._used.clear()
        self.gone = ()

    def make_room(self, tree: Tree, needed: Collection[str], budget: int) -> None:
        """Choose what leaves cache/ so that it stays within its budget, and write down what was used when."""
        sizes = dict(tree.cached)
        for path, source in self.files.items():
            if path.startswith("cache/"):
                key = path.split("/")[1]
                sizes[key] = sizes.get(key, 0) + source.stat().st_size
        used = {**_read_used(self.home / USED), **self._used}
        dropped = evicted(sizes, used, needed, budget)
        for key in dropped:
            for path in [path for path in self.files if path.startswith(f"cache/{key}/")]:
                self.files.pop(path)
        self.gone = tuple(key for key in dropped if key in tree.cached)
        if self._used or self.gone:
            kept = {key: round(when) for key, when in sorted(used.items()) if key in sizes and key not in dropped}
            replace_file(self.home / USED, (json.dumps(kept, indent=1) + "\n").encode())
            self.note(USED, committed=False)

    def not_uploaded(self) -> dict[str, Path]:
        """Give the files whose content the Hub may not have yet."""
        return {path: place for path, place in self.files.items() if path not in self.operations}

    def batches(self) -> Iterator[Batch]:
        """Cut into commits; the last holds the state, or its end."""
        results = [path for path in self.files if not path.startswith("state/")]
        states = [path for path in self.files if path.startswith("state/")]
        gone = (*(f"cache/{key}/" for key in self.gone), *sorted(self.dropped))
        if len(results) + len(states) <= LARGEST:
            yield Batch((*results, *states), gone, last=True)
            return
        chunks = [*_chunks(results), *_chunks(states)]
        for number, chunk in enumerate(chunks, start=1):
            last = number == len(chunks)
            yield Batch(chunk, gone if last else (), last)

    def done(self, batch: Batch) -> None:
        """Forget what is committed."""
        for path in batch.paths:
            self.files.pop(path, None)
            self.operations.pop(path, None)
        if batch.last:
            self.clear()

    def entries(self, batch: Batch, stamped: Mapping[str, bytes]) -> dict[str, Entry]:
        """Say what the repo's list of files holds after a commit."""
        contents = {path: self.files[path].read_bytes() for path in batch.paths if path not in stamped} | dict(stamped)
        return {
            path: Entry(len(data), git_blob(data), hashlib.sha256(data).hexdigest() if path not in stamped else "")
            for path, data in contents.items()
        }


def _chunks(paths: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(paths[start : start + LARGEST]) for start in range(0, len(paths), LARGEST)]


def _read_used(path: Path) -> dict[str, float]:
    try:
        return {str(key): float(when) for key, when in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
