"""Do what `forge-batch vendor` asks and say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forge_batch.backends.vendored.keys import key_faults
from forge_batch.backends.vendored.machine import Machine, this_machine
from forge_batch.backends.vendored.origins import Folder, Internet, Origin
from forge_batch.backends.vendored.pins import VENDOR, Package, load_pins, package
from forge_batch.backends.vendored.readiness import lacks_gpu
from forge_batch.backends.vendored.store import fetch, read_record, verify
from forge_batch.errors import BackendUnavailable
from forge_batch.plain_text import table


def vendor(
    action: str,
    names: Sequence[str],
    mirror: Path | None,
    *,
    optional: bool,
    parts: Sequence[str] = (),
    say: Callable[[str], None],
    root: Path = VENDOR,
    origin: Origin | None = None,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Fetch, verify or list packages; give one JSON document, whose `ok` is whether all of it is as pinned.

    Args:
        action: `fetch`, `verify` or `list`.
        names: Packages, all if empty.
        mirror: A folder that stands in for the network.
        optional: Whether all optional weights are fetched.
        parts: Optional weights that are fetched, by their words in vendor.toml.
        say: Told what is being done.
        root: The vendor folder.
        origin: Where to fetch from, instead of the mirror or the network.
        machine: What there is; looked for if left out.

    Raises:
        BackendUnavailable: A name is unknown, or a source cannot be had or is not what is pinned.
    """
    packages = [package(name, root) for name in names] or list(load_pins(root).values())
    if action == "fetch":
        source = origin or (Folder(mirror) if mirror else Internet())
        for one in packages:
            for lack in lacks_gpu(one, machine or this_machine()):
                say(f"note: {one.name} will not run on this machine: {lack.message}")
            fetch(one, source, say, root, optional=optional, parts=parts)
    full = action == "verify"
    rows = [_row(one, root, hashes=full) for one in packages]
    # what nobody fetched is no fault of `verify`, which looks at what is here; named, it is asked for
    asked = [row for row in rows if names or row["fetched"]]
    return {"ok": action == "list" or all(not row["problems"] for row in asked), "packages": rows}


def vendor_text(document: Mapping[str, Any]) -> str:
    """Lay the document out for people."""
    rows = [
        (row["name"], _state(row), "-" if not row["gpu_gb"] else f"{row['gpu_gb']:g}", f"{row['disk_gb']:g}", row["title"])
        for row in document["packages"]
    ]
    lines = [table(("package", "state", "GPU GB", "disk GB", "what"), rows, right=(2, 3))]
    for row in document["packages"]:
        if row["fetched"]:
            lines += [f"{row['name']}: {text}" for text in (*row["problems"], *row["notes"])]
    return "\n".join(lines)


def _state(row: Mapping[str, Any]) -> str:
    if not row["fetched"]:
        return "not fetched"
    return f"{len(row['problems'])} wrong" if row["problems"] else "as pinned"


def _row(one: Package, root: Path, *, hashes: bool) -> dict[str, Any]:
    findings = verify(one, root, hashes=hashes)
    problems = [text for finding in findings for text in finding.problems]
    notes: list[str] = []
    if hashes and not problems:
        try:
            notes = key_faults(one, root)
        except BackendUnavailable as error:
            problems.append(str(error))
    return {
        "name": one.name,
        "title": one.title,
        "licence": one.licence,
        "gpu_gb": one.gpu_gb,
        "disk_gb": one.disk_gb,
        "fetch": one.fetch,
        "fetched": any(finding.present for finding in findings),
        "sources": [
            {
                "repo": source.repo,
                "page": source.page,
                "revision": source.revision,
                "gated": source.gated,
                "optional": source.optional,
                "part": source.part,
                "files": len(read_record(one, root).get(source.key, {}).get("files", ())),
            }
            for source in one.sources
        ],
        "problems": problems,
        "notes": notes,
    }
