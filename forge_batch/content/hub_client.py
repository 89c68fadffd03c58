"""Talk to one dataset repo through huggingface_hub: every call with a deadline and, if the fault is passing, again."""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from forge_batch.content.hub_errors import (
    WRITE,
    ConflictError,
    DamagedError,
    VanishedError,
    asked_to_wait,
    is_passing,
    status_of,
    translated,
)
from forge_batch.content.hub_options import HubOptions, Patience
from forge_batch.content.repo_tree import FOLDERS, USER_FILES, Entry, Tree
from forge_batch.errors import ContentError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

T = TypeVar("T")
LOOK_BACK = 30  # commits among which one of ours is looked for after its reply was lost
THREADS = 8
LONGEST_ASKED = 300.0  # seconds that a Hub may ask to be left alone in one go; its limits are counted over so long


class HubClient:
    """Read and commit one dataset repo.

    Raises:
        ContentError: From every method, when the Hub stays away or says no; the text says what to do.
    """

    def __init__(self, repo: str, options: HubOptions) -> None:
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings come to the user as our one sentence
        self.repo = repo
        self.api: HfApi = HfApi(endpoint=options.endpoint, token=options.token, library_name="forge_batch")
        self.patience = options.patience
        self._has_token = bool(options.token or get_token())

    @property
    def endpoint(self) -> str:
        return str(self.api.endpoint)

    def head(self) -> str:
        """Give the newest commit: one small request."""
        return str(self._ask(lambda: self.api.dataset_info(self.repo, expand=["sha"]).sha))

    def tree(self, sha: str, known: Tree) -> Tree:
        """List the repo at a commit; folders that are as they were are not listed again.

        Raises:
            VanishedError: There is no such commit any more.
        """
        from huggingface_hub.hf_api import RepoFolder

        top = self._list(sha, None)
        folders = {item.path: item.tree_id for item in top if isinstance(item, RepoFolder) and item.path in FOLDERS}
        files = _entries(item for item in top if item.path in USER_FILES)
        for name, tree_id in folders.items():
            if known.folders.get(name) == tree_id:
                files.update(known.below(name))
            else:
                files.update(_entries(self._list(sha, name)))
        return Tree(sha, folders, files)

    def present(self, sha: str) -> dict[str, Entry]:
        """List every file of the repo at a commit that lies on top or in manifests/, inbox/ or presets/."""
        files = _entries(self._list(sha, None))
        return {**files, **self.tree(sha, Tree()).user_files}

    def _list(self, sha: str, folder: str | None) -> list[Any]:
        def call() -> list[Any]:
            deep = folder is not None
            return list(self.api.list_repo_tree(self.repo, folder, recursive=deep, revision=sha, repo_type="dataset"))

        return self._ask(call)

    def download(self, sha: str, files: Mapping[str, Entry]) -> dict[str, Path]:
        """Bring files of a commit into the hub cache and give where they lie; files of equal content are brought once.

        Raises:
            VanishedError: The commit or a file is not there any more.
        """
        by_id = {entry.id: path for path, entry in files.items()}
        with ThreadPoolExecutor(THREADS) as pool:
            brought = pool.map(lambda path: self._download(sha, path, files[path]), by_id.values())
            places = dict(zip(by_id, brought, strict=True))
        return {path: places[entry.id] for path, entry in files.items()}

    def _download(self, sha: str, path: str, entry: Entry) -> Path:
        def call() -> Path:
            place = Path(self.api.hf_hub_download(self.repo, path, repo_type="dataset", revision=sha))
            if not entry.is_file(place):
                place.resolve().unlink(missing_ok=True)
                place.unlink(missing_ok=True)
                raise DamagedError(f"{path} came down damaged")
            return place

        return self._ask(call, size=entry.size)

    def read(self, sha: str, path: str, entry: Entry) -> bytes:
        """Give the content of a file."""
        return self._download(sha, path, entry).read_bytes()

    def upload(self, files: Mapping[str, Path]) -> dict[str, CommitOperationAdd]:
        """Send the content of large files ahead, and give operations that only name it.

        Done once, before the loop that commits: a commit that is refused costs a small request and not the zips again.
        """
        from huggingface_hub import CommitOperationAdd

        def call() -> dict[str, CommitOperationAdd]:
            made = {path: CommitOperationAdd(path, place) for path, place in files.items()}
            if made:
                self.api.preupload_lfs_files(self.repo, made.values(), repo_type="dataset", free_memory=False)
            return made

        return self._ask(call, size=sum(place.stat().st_size for place in files.values()))

    def commit(
        self,
        parent: str,
        title: str,
        mark: str,
        adds: Sequence[CommitOperationAdd] = (),
        files: Mapping[str, bytes] = MappingProxyType({}),
        gone: Sequence[str] = (),
    ) -> str:
        """Commit on top of `parent` and give the new commit.

        A commit is never sent twice blindly: when its reply was lost, the newest commits are searched for `mark`, which
        stands in the message.

        Args:
            parent: Must be the head.
            title: First words of the message.
            mark: A word that no other commit has.
            adds: From `upload`; may be used again when this fails.
            files: Small files by path.
            gone: Paths to delete; a folder ends with a slash.

        Raises:
            ConflictError: `parent` is not the head, and the commit was not made.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        tries = 0

        def call() -> str:
            nonlocal tries
            tries += 1
            if tries > 1 and (made := self._find(mark)):
                return made
            added = [*map(copy.copy, adds), *(CommitOperationAdd(path, data) for path, data in files.items())]
            # operations serve once; a copy keeps what was uploaded
            operations: list[Any] = [*added, *(CommitOperationDelete(path) for path in gone)]
            try:
                info = self.api.create_commit(
                    self.repo, operations, commit_message=f"{title} {mark}", repo_type="dataset", parent_commit=parent
                )
            except Exception as error:
                if status_of(error) not in {409, 412}:
                    raise
                if tries > 1 and (made := self._find(mark)):  # a try that was given up came through after all
                    return made
                raise ConflictError(parent) from error
            return str(info.oid)

        return self._ask(call, size=sum(map(len, files.values())) + sum(add.upload_info.size for add in adds))

    def _find(self, mark: str) -> str:
        """Look for a commit of ours among the newest; empty if it is not there."""
        from huggingface_hub.utils._headers import build_hf_headers
        from huggingface_hub.utils._pagination import paginate

        address = f"{self.endpoint}/api/datasets/{self.repo}/commits/main"  # list_repo_commits would read all history
        commits = paginate(address, params={}, headers=build_hf_headers(token=self.api.token))
        return next((str(one["id"]) for one in itertools.islice(commits, LOOK_BACK) if mark in one["title"]), "")

    def create(self) -> bool:
        """Make the repo, private; False if there is one already."""
        if not self._has_token:
            raise ContentError(f"no token was given for hf://datasets/{self.repo}", f"set HF_TOKEN to {WRITE}")

        def call() -> bool:
            try:
                self.api.create_repo(self.repo, repo_type="dataset", private=True)
            except Exception as error:
                if status_of(error) != 409:
                    raise
                return False
            return True

        return self._ask(call)

    def _ask(self, call: Callable[[], T], size: int = 0) -> T:
        """Make a call, and again after a pause while the fault is passing; say it in our words when it stays."""
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        patience = self.patience
        growing = wait_random_exponential(patience.first, patience.longest)

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(growing(state), min(asked_to_wait(error) if error else 0.0, LONGEST_ASKED))

        tries = Retrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(patience.attempts),
            wait=pause,
            reraise=True,
        )
        try:
            answer: T = tries(within, patience, size, call)
        except (ConflictError, VanishedError, ContentError):
            raise
        except Exception as error:
            if _vanished(error):
                raise VanishedError(str(error)) from error
            if status_of(error) or is_passing(error) or isinstance(error, OSError):
                raise translated(error, self.repo, self.endpoint, self._has_token) from error
            raise
        return answer


def within(patience: Patience, size: int, call: Callable[[], T]) -> T:
    """Make a call in a thread that is left behind if it takes too long: the library's own calls may wait for ever.

    Raises:
        TimeoutError: The call took longer than `patience` allows for moving `size` bytes.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    seconds = patience.call + size / patience.bytes_per_second
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise error if answer.done() else TimeoutError(f"no answer within {seconds:.0f} s") from error


def _vanished(error: BaseException) -> bool:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RevisionNotFoundError

    return isinstance(error, (EntryNotFoundError, RevisionNotFoundError)) and not isinstance(error, LocalEntryNotFoundError)


def _entries(items: Iterable[Any]) -> dict[str, Entry]:
    """Read what the library lists; paths that could lead out of a folder are left out."""
    found = {}
    for item in items:
        if hasattr(item, "blob_id") and not {"", ".", ".."} & set(item.path.split("/")):
            found[item.path] = Entry(item.size, item.blob_id, item.lfs.sha256 if item.lfs else "")
    return found
