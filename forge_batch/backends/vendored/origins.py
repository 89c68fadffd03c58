"""Bring the files of one source: from the hub, from a GitHub archive, or from a folder that stands in for both."""

from __future__ import annotations

import shutil
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from forge_batch.backends.vendored.pins import Source
from forge_batch.backends.vendored.tree import Progress, file_hash, files_of
from forge_batch.errors import BackendUnavailable

ARCHIVES = "https://codeload.github.com"
HUB = "pip install 'forge-batch[learned]'"


class Origin(Protocol):
    """Know where sources can be had."""

    def bring(self, source: Source, into: Path, progress: Progress) -> str:
        """Put the files that a source takes into a folder; what is whole there already is kept.

        Returns:
            The commit they are of, empty if the origin cannot tell.

        Raises:
            BackendUnavailable: They cannot be had; says why and what to do.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """Stand in for the network: `root/OWNER/NAME/` holds the files of a repository."""

    root: Path

    def bring(self, source: Source, into: Path, progress: Progress) -> str:
        """Copy; see Origin. The commit is read from a file `.revision` beside them if there is one."""
        folder = self.root / source.repo
        if not folder.is_dir():
            raise BackendUnavailable(f"{folder} is missing", f"put the files of {source.page} there")
        wanted = [name for name in files_of(folder) if source.wants(name)]
        if not wanted:
            raise BackendUnavailable(f"{folder} holds nothing of {', '.join(source.take)}", "put the files there")
        for name in wanted:
            target = into / name
            if target.is_file() and target.stat().st_size == (folder / name).stat().st_size:
                continue
            progress(f"{source.repo}/{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            shutil.copyfile(folder / name, part)
            part.replace(target)
        note = folder / ".revision"
        return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


@dataclass(frozen=True)
class Internet:
    """Fetch from the hub and from GitHub.

    Attributes:
        endpoint: Address of the hub; None for HF_ENDPOINT or the official one.
        archives: Address at which GitHub gives archives.
    """

    endpoint: str | None = None
    archives: str = ARCHIVES

    def bring(self, source: Source, into: Path, progress: Progress) -> str:
        """Download; see Origin. Downloads from the hub are resumed and show a bar on stderr."""
        progress(f"{source.page} at {source.revision[:12]}")
        return self._archive(source, into) if source.host == "github" else self._hub(source, into)

    def _archive(self, source: Source, into: Path) -> str:
        url = f"{self.archives}/{source.repo}/tar.gz/{source.revision}"
        try:
            with urllib.request.urlopen(url, timeout=60) as reply:  # noqa: S310 - an address of ours, never a file's
                return _unpack(source, reply, into)
        except urllib.error.HTTPError as error:
            hint = "correct its revision in vendor.toml" if error.code == 404 else "try again later"
            raise BackendUnavailable(f"{url} answers {error.code} {error.reason}", hint) from error
        except (OSError, tarfile.TarError) as error:
            raise BackendUnavailable(f"{url} cannot be fetched: {error}", _offline(source)) from error

    def _hub(self, source: Source, into: Path) -> str:
        try:
            from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415
            from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError  # noqa: PLC0415
        except ImportError as error:
            raise BackendUnavailable("fetching weights needs huggingface_hub", HUB) from error
        try:
            # asked first: into a folder, snapshot_download takes an unreachable hub for permission to keep what is there
            facts = HfApi(endpoint=self.endpoint).model_info(source.repo, revision=source.revision, files_metadata=True)
            snapshot_download(
                source.repo, revision=source.revision, local_dir=into, endpoint=self.endpoint,
                allow_patterns=list(source.take), ignore_patterns=list(source.leave) or None,
            )  # fmt: skip
        except GatedRepoError as error:
            raise BackendUnavailable(f"{source.repo} is gated and this account may not read it", access(source)) from error
        except RevisionNotFoundError as error:
            raise BackendUnavailable(
                f"{source.repo} has no revision {source.revision}", "correct its revision in vendor.toml"
            ) from error
        except RepositoryNotFoundError as error:
            raise BackendUnavailable(f"{source.repo} is not on the hub, or is private", access(source)) from error
        except _transport_faults() as error:
            raise BackendUnavailable(f"{source.page} cannot be fetched: {error}", _offline(source)) from error
        for file in facts.siblings or ():
            if source.wants(file.rfilename):
                _whole(source, into / file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)
        return str(facts.sha)


def _transport_faults() -> tuple[type[Exception], ...]:
    """Name what is raised when the hub fails: its own errors are OSErrors, those of its HTTP library are not."""
    from huggingface_hub import utils  # noqa: PLC0415

    library = getattr(utils, "httpx", None)
    return (OSError, RuntimeError, library.HTTPError) if library else (OSError, RuntimeError)


def access(source: Source) -> str:
    """Say what gives access to a repository."""
    return f"accept its licence at {source.page}, then set HF_TOKEN to a token of that account"


def _offline(source: Source) -> str:
    return f"try again, or bring {source.repo} by hand and use --from DIR"


def _whole(source: Source, path: Path, size: int | None, sha256: str | None) -> None:
    """Make sure that a downloaded file is the hub's; a broken one is removed, so that the next try fetches it anew."""
    if not path.is_file():
        raise BackendUnavailable(f"{source.repo}/{path.name} did not arrive", "fetch again")
    broken = (size is not None and path.stat().st_size != size) or (sha256 is not None and file_hash(path) != sha256)
    if broken:
        path.unlink()
        raise BackendUnavailable(f"{source.repo}/{path.name} arrived broken and was removed", "fetch again")


def _unpack(source: Source, stream: IO[bytes], into: Path) -> str:
    """Take the wanted files out of a .tar.gz whose one folder is the repository; give the commit it names."""
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for member in archive:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not member.isfile() or ".." in path.parts or not source.wants(str(path)):
                continue
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(cast("IO[bytes]", archive.extractfile(member)), file)
        return str(archive.pax_headers.get("comment", ""))
