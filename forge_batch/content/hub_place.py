"""Lay files of a dataset repo out on disk: what users own in a folder per content, what the runner owns in place.

The hub cache holds snapshots of links, which the loader refuses since they leave inbox/. So files are hard-linked from it
(copied where the disk cannot). A folder once made never changes: tasks may read their images there while the repo moves on.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from forge_batch.content.hub_client import HubClient
from forge_batch.content.hub_errors import VanishedError
from forge_batch.content.local import RECORD, as_bytes, replace_file, writing
from forge_batch.content.repo_tree import Entry, Tree
from forge_batch.jobs import LASTING, Job, TaskRecord

SEEN = "seen"
STATUS = ("state/status.json", "state/STATUS.md")
LEDGER = "state/ledger.jsonl"
KEEP_SECONDS = 3600.0  # others on this machine may still read a folder that is out of date


def user_root(home: Path, tree: Tree) -> Path:
    """Say where what users own lies for a tree."""
    return home / SEEN / tree.user_digest


def place_user_files(client: HubClient, tree: Tree, home: Path, before: Tree) -> Path:
    """Lay out inbox/, manifests/, presets/ and forge.yaml and give the folder; only what changed is brought.

    Raises:
        VanishedError: The commit is not there any more.
    """
    from forge_batch.picture_checks import CACHE  # decodes images; not every command needs it

    root = user_root(home, tree)
    if root.is_dir():
        return root
    part = home / SEEN / f".{root.name}-{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    old_root, old = user_root(home, before), before.user_files
    sources: dict[str, Path] = {}
    for path, entry in tree.user_files.items():
        if (known := old.get(path)) and known.id == entry.id and (old_root / path).is_file():
            sources[path] = old_root / path
    sources |= client.download(tree.sha, {path: one for path, one in tree.user_files.items() if path not in sources})
    with writing(root):
        for name in ("inbox", "manifests"):
            (part / name).mkdir(parents=True, exist_ok=True)
        for path, source in sources.items():
            _link(source, part / path)
        if (old_root / CACHE).is_file():  # what was seen of pictures that are still there
            replace_file(part / CACHE, (old_root / CACHE).read_bytes())
        try:
            part.rename(root)
        except OSError:
            if not root.is_dir():  # else another process of this machine was faster
                raise
            shutil.rmtree(part, ignore_errors=True)
    return root


def sweep_old_roots(home: Path, tree: Tree) -> None:
    """Drop the folders of contents that are out of date."""
    current = user_root(home, tree)
    for folder in (home / SEEN).glob("*"):
        if folder != current and time.time() - folder.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def place_state(client: HubClient, tree: Tree, home: Path, keep: Collection[str]) -> set[str]:
    """Bring state/ to what the repo says, but for `keep`: what was written here and is not committed yet.

    What a killed run left here and the repo does not know is not forgotten, be it an outcome of a task or a line of the ledger,
    which only grows. The status files stay away: the runner makes them, and they differ from what it commits by lines about it.

    Returns:
        The files that say more than the repo's.
    """
    wanted = {path: entry for path, entry in tree.below("state") if path not in STATUS and path not in keep}
    changed = {path: entry for path, entry in wanted.items() if not entry.is_file(home / path)}
    theirs = {path: source.read_bytes() for path, source in client.download(tree.sha, changed).items()}
    here = {place.relative_to(home).as_posix() for place in (home / "state" / "jobs").glob("*.json")}
    lost = here - set(wanted) - set(keep)
    more = set()
    for path in (*theirs, *lost):
        data = _together(path, home / path, theirs.get(path))
        if data is None:
            (home / path).unlink(missing_ok=True)
        else:
            replace_file(home / path, data)
        if data != theirs.get(path):
            more.add(path)
    return more


def _together(path: str, place: Path, theirs: bytes | None) -> bytes | None:
    """Give what a state file shall hold: what the repo says, and facts that only this disk knows; None for nothing."""
    mine = place.read_bytes() if place.is_file() else b""
    if path == LEDGER:
        lines = (theirs or b"").splitlines()
        whole = mine[: mine.rfind(b"\n") + 1].splitlines()  # a line that a crash tore off tells of nothing that happened
        return b"".join(line + b"\n" for line in [*lines, *(line for line in whole if line not in lines)])
    if not path.startswith("state/jobs/") or not mine:
        return theirs
    try:
        known, job = Job.from_json(json.loads(mine)), Job.from_json(json.loads(theirs)) if theirs else None
    except (ValueError, KeyError, TypeError):
        return theirs
    job = job or Job(known.asset)
    new = {key: one for key, one in known.records.items() if _weight(one) > _weight(job.records.get(key))}
    return as_bytes(replace(job, records={**job.records, **new})) if new else theirs


def _weight(record: TaskRecord | None) -> int:
    """Rank what is known of a task: its result, a failure that it would meet again, one that may pass, nothing."""
    if record is None:
        return 0
    lasting = record.failure is not None and record.failure.code in LASTING
    return 3 if record.state == "done" else 2 if lasting else 1


def place_task(client: HubClient, tree: Tree, home: Path, key: str, outputs: Collection[str]) -> None:
    """Bring a finished task's outputs and record from cache/ to work/, whole or not at all.

    Raises:
        VanishedError: They are not there any more.
    """
    files: Mapping[str, Entry | None] = {name: tree.files.get(f"cache/{key}/{name}") for name in (*outputs, RECORD)}
    there = {f"cache/{key}/{name}": entry for name, entry in files.items() if entry}
    if len(there) < len(files):
        raise VanishedError(key)
    sources = client.download(tree.sha, there)
    part, place = home / "work" / "unfinished" / f"{key}-{os.getpid()}", home / "work" / key
    with writing(place):
        shutil.rmtree(part, ignore_errors=True)
        for path, source in sources.items():
            _link(source, part / path.rsplit("/", 1)[1])
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)


def _link(source: Path, place: Path) -> None:
    """Give a file a second name; copy it where that cannot be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    try:
        os.link(real, place)
    except OSError:
        shutil.copyfile(real, place)
