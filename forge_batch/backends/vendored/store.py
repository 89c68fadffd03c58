"""Put packages into vendor/, and say whether what lies there is what the pins ask for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge_batch.backends.vendored.origins import Origin
from forge_batch.backends.vendored.pins import VENDOR, Package, Source
from forge_batch.backends.vendored.signatures import differences
from forge_batch.backends.vendored.tree import Progress, changes, record_files, tree_digest
from forge_batch.errors import BackendUnavailable

RECORD = "record.json"
"""What was fetched: by source its commit, and size and sha256 of every file."""


@dataclass(frozen=True)
class Finding:
    """Say how one source of a package stands; `problems` is empty if it is whole."""

    source: Source
    present: bool
    problems: tuple[str, ...] = ()


def fetch(
    package: Package,
    origin: Origin,
    progress: Progress,
    root: Path = VENDOR,
    *,
    optional: bool = False,
    parts: Collection[str] = (),
) -> dict[str, Any]:
    """Bring a package and record what came; what is here and whole already is kept.

    Code is put in its place only when every file and signature has been checked. Weights are resumed where a broken download
    stopped.

    Args:
        package: What to bring.
        origin: From where.
        progress: Told what is being done.
        root: The vendor folder.
        optional: Whether to bring all optional weights as well.
        parts: Optional weights to bring by the words that vendor.toml has for them.

    Returns:
        The record.

    Raises:
        BackendUnavailable: A source cannot be had, or is not what is pinned; nothing of ours was replaced.
    """
    record = read_record(package, root)
    known = {source.part for source in package.weights if source.optional}
    if unknown := set(parts) - known:
        words = ", ".join(sorted(known)) or "none"
        raise BackendUnavailable(f"{package.name} has no optional part {min(unknown)!r}", f"its parts are: {words}")
    for source in package.sources:
        if source.optional and not optional and source.part not in parts:
            continue
        if _check(package, source, record, root, hashes=False).problems == ():
            progress(f"{source.key} is here already")
            continue
        bring = _bring_code if source is package.code else _bring_weights
        record[source.key] = bring(package, source, origin, progress, root)
        path = root / package.name / RECORD
        part = path.with_name(RECORD + ".part")
        part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(path)
    return record


def verify(package: Package, root: Path = VENDOR, *, hashes: bool = True) -> list[Finding]:
    """Compare every source of a package with its pin and its record; optional ones only if they were fetched.

    Args:
        package: What to look at.
        root: The vendor folder.
        hashes: Whether to read every byte (about a second per GB), or sizes alone.
    """
    record = read_record(package, root)
    return [
        _check(package, source, record, root, hashes=hashes)
        for source in package.sources
        if not source.optional or source.key in record
    ]


def read_record(package: Package, root: Path = VENDOR) -> dict[str, Any]:
    """Read what was fetched for a package by source; empty if nothing was, or if the file was spoilt."""
    try:
        document = json.loads((root / package.name / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _check(package: Package, source: Source, record: dict[str, Any], root: Path, *, hashes: bool) -> Finding:
    entry = record.get(source.key)
    if entry is None:
        return Finding(source, present=False, problems=(f"{source.key} was not fetched",))
    if entry["revision"] != source.revision:
        return Finding(
            source, present=True,
            problems=(f"{source.key} is of {entry['revision'][:12]}, pinned is {source.revision[:12]}",),
        )  # fmt: skip
    problems = changes(package.folder(source, root), entry["files"], hashes=hashes)
    if source is package.code and not problems:
        problems += differences(package.folder(source, root), package.signatures)
    return Finding(source, present=True, problems=tuple(problems))


def _bring_code(package: Package, source: Source, origin: Origin, progress: Progress, root: Path) -> dict[str, Any]:
    """Bring a package's sources beside their place, look at all of them, and move them into it."""
    folder = package.folder(source, root)
    part = folder.with_name(".code.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    entry = _entry(source, origin.bring(source, part, progress), part)
    digest = tree_digest(entry["files"])
    if source.tree and digest != source.tree:
        raise BackendUnavailable(
            f"the files of {source.repo} are not those of {source.revision[:12]}: their tree is {digest[:12]}, pinned is "
            f"{source.tree[:12]}",
            f"bring exactly {', '.join(source.take)} of that commit, or correct the pin",
        )
    if lines := differences(part, package.signatures):
        raise BackendUnavailable(
            f"{source.repo} is not what the adapter was written for: {'; '.join(lines)}", "correct the pin"
        )
    old = folder.with_name(".code.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return {**entry, "tree": digest}


def _bring_weights(package: Package, source: Source, origin: Origin, progress: Progress, root: Path) -> dict[str, Any]:
    folder = package.folder(source, root)
    _check_room(package, root)
    folder.mkdir(parents=True, exist_ok=True)
    resolved = origin.bring(source, folder, progress)
    progress(f"hashing {source.repo}")
    return _entry(source, resolved, folder)


def _check_room(package: Package, root: Path) -> None:
    have = sum(path.stat().st_size for path in (root / package.name).rglob("*") if path.is_file())
    free = shutil.disk_usage(root).free
    if free + have < package.disk_gb * 1e9:
        raise BackendUnavailable(
            f"{package.name} takes {package.disk_gb:g} GB, {free / 1e9:.1f} GB are free at {root}", "make room there"
        )


def _entry(source: Source, resolved: str, folder: Path) -> dict[str, Any]:
    if resolved and resolved != source.revision:
        raise BackendUnavailable(f"{source.repo} came as {resolved}, pinned is {source.revision}", "correct the pin")
    files = record_files(folder, source.wants)
    unmet = [pattern for pattern in source.take if not any(Source("", "", (pattern,)).wants(name) for name in files)]
    if unmet:
        raise BackendUnavailable(f"{source.repo} has nothing of {', '.join(unmet)}", "correct the pin")
    return {"revision": source.revision, "resolved": resolved, "files": files}
