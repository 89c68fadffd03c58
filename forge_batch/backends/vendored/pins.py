"""Read vendor.toml: what is fetched for each learned backend, from where, and what must be true of it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from forge_batch.errors import BackendUnavailable, ForgeError

_CHECKOUT = Path(__file__).parents[3] / "vendor"
VENDOR = _CHECKOUT if (_CHECKOUT / "vendor.toml").is_file() else Path(sys.prefix) / "share" / "forge_batch" / "vendor"
"""Where pins are read and packages are put: vendor/ of this checkout, or share/forge_batch/vendor of the environment."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PinError(ForgeError):
    """Ask for a change of vendor.toml."""

    code = "pin"


@dataclass(frozen=True)
class Source:
    """Say where files come from and which of them are taken.

    Attributes:
        repo: OWNER/NAME.
        revision: Commit.
        take: Patterns (as of fnmatch, `*` also matches `/`) of the files that are brought.
        leave: Patterns of files that are not, though `take` matches.
        host: `github`, or `hub` for a model repository of the Hugging Face hub.
        tree: Digest of the files, empty if they are held by revision alone.
        gated: Whether its licence must be accepted on its page first.
        optional: Whether the backend works without it.
        part: The word by which optional files are asked for; other sources may be of the same repository.
        place: Where a program of its own looks for these files, below the folder that it runs in; empty if it is told.
    """

    repo: str
    revision: str
    take: tuple[str, ...]
    leave: tuple[str, ...] = ()
    host: str = "hub"
    tree: str = ""
    gated: bool = False
    optional: bool = False
    part: str = ""
    place: str = ""

    @property
    def key(self) -> str:
        """Name it among the sources of its package."""
        return f"{self.repo} ({self.part})" if self.part else self.repo

    @property
    def folder(self) -> str:
        """Name of its folder below `weights`."""
        return self.repo.replace("/", "--")

    @property
    def page(self) -> str:
        """Address at which people read about it and accept its licence."""
        return f"https://{'github.com' if self.host == 'github' else 'huggingface.co'}/{self.repo}"

    def wants(self, path: str) -> bool:
        """Tell whether a file of the repository is taken."""
        return any(fnmatchcase(path, one) for one in self.take) and not any(fnmatchcase(path, one) for one in self.leave)


@dataclass(frozen=True)
class Package:
    """Be everything that one backend needs.

    Attributes:
        name: The word used in manifests and on the command line.
        title: What it is, for people.
        licence: In words.
        gpu_gb: Memory that the GPU must have at least, in GB.
        disk_gb: Room that it takes, in GB.
        code: Source of its package, None if a library serves.
        weights: Checkpoints.
        imports: What must be importable (`a|b`: either), and the command that brings it.
        environment: What must be importable in an environment of its own (see `python`); empty if ours serves.
        signatures: By file and qualified name, the parameters as in the source without annotations.
    """

    name: str
    title: str
    licence: str
    gpu_gb: float
    disk_gb: float
    code: Source | None
    weights: tuple[Source, ...]
    imports: Mapping[str, str]
    signatures: Mapping[str, Mapping[str, str]]
    environment: tuple[str, ...] = ()

    def python(self, root: Path) -> Path:
        """Say where the interpreter of its own environment lies: NAME/env, which may be a link to one elsewhere."""
        return root / self.name / "env" / "bin" / "python"

    @property
    def fetch(self) -> str:
        """The command that brings it."""
        return f"forge-batch vendor fetch {self.name}"

    @property
    def sources(self) -> tuple[Source, ...]:
        """Code and weights."""
        return ((self.code,) if self.code else ()) + self.weights

    def folder(self, source: Source, root: Path) -> Path:
        """Say where the files of one of its sources lie."""
        return root / self.name / "code" if source is self.code else root / self.name / "weights" / source.folder


def load_pins(root: Path = VENDOR) -> dict[str, Package]:
    """Read every package of vendor.toml by name.

    Raises:
        PinError: The file is missing or says something that cannot be; names file, package and field.
    """
    path = root / "vendor.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PinError(f"{path} is missing", "take vendor/ from the repository along") from None
    except tomllib.TOMLDecodeError as error:
        raise PinError(f"{path}: {error}", "correct the file") from error
    return {name: _package(name, table, path) for name, table in document.items()}


def package(name: str, root: Path = VENDOR) -> Package:
    """Give one package; BackendUnavailable names those there are."""
    pins = load_pins(root)
    if name not in pins:
        raise BackendUnavailable(f"there is no package {name!r} in vendor.toml", f"write one of {', '.join(pins)}")
    return pins[name]


def _package(name: str, table: Mapping[str, Any], path: Path) -> Package:
    try:
        made = Package(
            name=name,
            title=table["title"],
            licence=table["licence"],
            gpu_gb=float(table["gpu_gb"]),
            disk_gb=float(table["disk_gb"]),
            code=_source(table["code"]) if "code" in table else None,
            weights=tuple(_source(one) for one in table.get("weights", ())),
            imports=table.get("imports", {}),
            signatures=table.get("signatures", {}),
            environment=tuple(table.get("environment", ())),
        )
    except KeyError as error:
        raise PinError(f"{path}: {name} lacks {error}", "add it") from error
    except TypeError as error:
        raise PinError(f"{path}: {name}: {error}", "use the fields that other packages use") from error
    for source in made.sources:
        if not _COMMIT.fullmatch(source.revision):
            raise PinError(f"{path}: {source.repo} is pinned at {source.revision!r}", "write a commit of 40 hexadecimal digits")
        if source.tree and not _SHA256.fullmatch(source.tree):
            raise PinError(f"{path}: the tree of {source.repo} is {source.tree!r}", "write 64 hexadecimal digits")
        if source.host not in {"github", "hub"}:
            raise PinError(f"{path}: {source.repo} is at {source.host!r}", "write github or hub")
    return made


def _source(table: Mapping[str, Any]) -> Source:
    lists = {field: tuple(table.get(field, ())) for field in ("take", "leave")}
    return Source(**{**table, **lists})
