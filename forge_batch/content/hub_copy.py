"""Keep a dataset repo's working copy on this machine: the reading half of a content repo."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path

from forge_batch.content import lease as leases
from forge_batch.content.hub_client import HubClient
from forge_batch.content.hub_errors import ConflictError, VanishedError
from forge_batch.content.hub_options import HubOptions
from forge_batch.content.hub_place import place_state, place_task, place_user_files
from forge_batch.content.lease import Lease
from forge_batch.content.local import RECORD, Disk, replace_file
from forge_batch.content.repo_tree import Entry, Tree, git_blob
from forge_batch.errors import ContentError
from forge_batch.jobs import Job, TaskRecord

RACES = 12
"""Commits of others in a row until a call is given up."""


class WorkingCopy(Disk):
    """Be a dataset repo as it was at the last sync.

    `root` holds what users own; state/ and work/ lie below `home`. Nothing here writes to the repo.

    Raises:
        ContentError: The repo cannot be reached or read, or is no content folder.
    """

    def __init__(self, repo: str, options: HubOptions) -> None:
        self.client = HubClient(repo, options)
        super().__init__(_home(self.client, options))
        self.options = options
        self.repo = repo
        self._tree = Tree.from_json(self.home / "tree.json")
        self._lease = Lease()
        self._records: dict[str, TaskRecord] = {}
        self._uncommitted: dict[str, Path] = {}
        self._turn = threading.RLock()
        self._locked = False
        self.sync()

    @property
    def name(self) -> str:
        return f"hf://datasets/{self.repo}"

    @property
    def revision(self) -> str:
        return self._tree.sha

    def sync(self) -> None:
        """Bring `root` and the jobs to the newest commit; one request if nothing has changed."""
        with self._turn:
            for _ in range(RACES):
                try:
                    self._sync_to(self.client.head())
                except VanishedError:  # the history was squashed or the head moved on between two requests
                    continue
                return
            raise self._too_fast()

    def _sync_to(self, sha: str) -> None:
        tree = self._tree if sha == self._tree.sha else self.client.tree(sha, self._tree)
        if not any(path.startswith("manifests/") for path in tree.files):
            hint = f"make one with: forge-batch init --hub {self.repo}"
            raise ContentError(f"{self.name} has no manifests/ folder", hint)
        self.root = place_user_files(self.client, tree, self.home, self._tree)
        with contextlib.ExitStack() as stack:
            if not self._locked:
                try:
                    stack.enter_context(self.only_process())
                except ContentError:  # a runner is at work on this disk: its state is the newest there is
                    self._tree = tree
                    self._read_lease()
                    return
            more = place_state(self.client, tree, self.home, self._uncommitted)
            if self._locked:
                self._uncommitted.update({path: self.home / path for path in more})
            self._tree = tree
            self._save_tree()
        self._read_lease()

    def _save_tree(self) -> None:
        replace_file(self.home / "tree.json", self._tree.to_json())

    def _read_lease(self) -> None:
        entry, place = self._tree.files.get(leases.PATH), self.home / leases.PATH
        if entry and not entry.is_file(place):
            replace_file(place, self.client.read(self._tree.sha, leases.PATH, entry))
        self._lease = Lease.from_json(place.read_bytes()) if entry else Lease()

    def _look_again(self) -> None:
        """Read what others committed without touching `root`, so that ours can be put on top."""
        for _ in range(RACES):
            with contextlib.suppress(VanishedError):
                self._tree = self.client.tree(self.client.head(), self._tree)
                self._read_lease()
                return
        raise self._too_fast()

    def has_package(self, asset: str, word: str) -> bool:
        return (asset, word) in self._tree.packaged

    def load_job(self, asset: str) -> Job:
        job = super().load_job(asset)
        self._records.update(job.records)
        return job

    def recall(self, key: str) -> TaskRecord | None:
        """Give the outcome of a task whose outputs lie here, or whole in the repo's cache/."""
        if (here := super().recall(key)) is not None:
            return here
        if key not in self._tree.cached:
            return None
        record = self._records.get(key) or self._cached_record(key)
        if record is None or record.state != "done" or f"cache/{key}/{RECORD}" not in self._tree.files:
            return None
        files = ((self._tree.files.get(f"cache/{key}/{artifact.path}"), artifact.bytes) for artifact in record.outputs)
        return record if all(entry and entry.size == size for entry, size in files) else None

    def _cached_record(self, key: str) -> TaskRecord | None:
        """Read the record of a task that another asset made."""
        path = f"cache/{key}/{RECORD}"
        if (entry := self._tree.files.get(path)) is None:
            return None
        try:
            record = TaskRecord.from_json(json.loads(self.client.read(self._tree.sha, path, entry)))
        except (VanishedError, ValueError, KeyError, TypeError):
            return None
        self._records[key] = record
        return record if record.key == key else None

    def _bring(self, keys: Collection[str]) -> bool:
        """Bring the outputs of finished tasks to work/; False if some are gone from cache/."""
        for key in keys:
            if super().recall(key) is None:
                record = self.recall(key)
                names = [artifact.path for artifact in record.outputs] if record else []
                try:
                    place_task(self.client, self._tree, self.home, key, names)
                except VanishedError:
                    self.sync()
                    return False
        return True

    def commit_user_files(self, title: str, files: Mapping[str, Path], image_set: str) -> list[str]:
        """Commit files that users own, as a user's own commit, and give a line for each.

        Args:
            title: The message.
            files: By path in the repo.
            image_set: Folder below inbox/ that shall hold nothing else; empty for none.

        Raises:
            ConflictError: Somebody else has committed since the last sync.
        """
        known = self._tree.files
        new = {path: place for path, place in files.items() if not (path in known and known[path].is_file(place))}
        gone = [path for path, _ in self._tree.below(image_set) if path not in files] if image_set else []
        if not new and not gone:
            return [f"nothing new: {self.name} holds all of it"]
        adds = self.client.upload(new)
        sha = self.client.commit(self._tree.sha, title, uuid.uuid4().hex, list(adds.values()), gone=gone)
        words = [*(f"pushed  {path}" for path in new), *(f"removed {path}" for path in gone)]
        return [*words, f"commit  {self.name}/{sha}"]

    def bring(self, path: str) -> None:
        with self._turn:
            wanted = {name: one for name, one in self._tree.below("exports") if f"{name}/".startswith(f"{path}/")}
            missing = {name: one for name, one in wanted.items() if not (self.home / name).is_file()}
            with contextlib.suppress(VanishedError):  # the next look has a newer list
                for name, source in self.client.download(self._tree.sha, missing).items():
                    replace_file(self.home / name, source.read_bytes())

    def record(self, path: str, data: bytes, title: str) -> None:
        with self._turn:
            replace_file(self.home / path, data)
            for _ in range(RACES):
                try:
                    sha = self.client.commit(self._tree.sha, f"[forge] {title}", uuid.uuid4().hex, files={path: data})
                except ConflictError:
                    self._look_again()
                    continue
                self._tree = self._tree.after(sha, {path: Entry(len(data), git_blob(data))}, ())
                self._save_tree()
                return
            raise self._too_fast()

    def _too_fast(self) -> ContentError:
        return ContentError(f"{self.name} changes faster than it can be read", "nothing is lost; run again later")


def _home(client: HubClient, options: HubOptions) -> Path:
    from huggingface_hub import constants

    base = options.home or Path(constants.HF_HOME) / "forge_batch"
    hub = hashlib.sha256(client.endpoint.encode()).hexdigest()[:8]
    return base / f"{client.repo.replace('/', '--')}-{hub}"
