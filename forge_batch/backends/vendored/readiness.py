"""Say what a learned backend lacks on this machine, and the one command that mends it.

`forge-batch doctor` and the errors of the backends themselves use the same words, because both come from here.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from forge_batch.backends.vendored.machine import Machine, this_machine
from forge_batch.backends.vendored.pins import VENDOR, Package, package
from forge_batch.backends.vendored.store import verify
from forge_batch.errors import BackendUnavailable

ASK = "import sys, importlib.util as u; print(*[name for name in sys.argv[1:] if u.find_spec(name) is None])"
ASKING = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Lack:
    """Be one thing that is missing.

    Attributes:
        kind: `gpu`, `memory`, `package` (code or a library) or `weights`.
        message: What, in a sentence without a full stop.
        command: What mends it: a command where there is one.
    """

    kind: str
    message: str
    command: str


def lacks(one: Package, machine: Machine, root: Path = VENDOR) -> list[Lack]:
    """List what a package lacks, in the order in which it is best mended; nothing if it can run."""
    return [
        *_lacks_files(one, root),
        *_lacks_environment(one, root),
        *_lacks_imports(one, machine),
        *lacks_gpu(one, machine),
    ]


def require(name: str, root: Path = VENDOR, machine: Machine | None = None) -> Package:
    """Give a package that can run.

    Raises:
        BackendUnavailable: Something is missing; says all of it, and the command for the first.
    """
    one = package(name, root)
    missing = lacks(one, machine or this_machine(), root)
    if missing:
        raise BackendUnavailable(unavailable_text(name, missing), missing[0].command)
    return one


def unavailable_text(name: str, missing: list[Lack]) -> str:
    """Put what is missing into one sentence."""
    return f"{name} cannot run here: {'; '.join(lack.message for lack in missing)}"


def lacks_gpu(one: Package, machine: Machine) -> list[Lack]:
    """Say whether a card is missing or too small; nothing if not."""
    if not one.gpu_gb:
        return []
    if not machine.gpus:
        return [Lack("gpu", f"no NVIDIA GPU was found, {one.gpu_gb:g} GB of one are needed", "run it where there is one")]
    best = max(machine.gpus, key=lambda gpu: gpu.memory_gb)
    # cards hold a little less than their label says: 24 GB are 23.6 for programs
    if best.memory_gb < 0.95 * one.gpu_gb:
        found = f"{best.name} has {best.memory_gb:.0f} GB of memory, {one.gpu_gb:g} are needed"
        return [Lack("memory", found, "run it on a larger card")]
    return []


def _lacks_imports(one: Package, machine: Machine) -> list[Lack]:
    missing: dict[str, list[str]] = {}
    for names, command in one.imports.items():
        if not any(machine.has_module(name) for name in names.split("|")):
            missing.setdefault(command, []).append(names.replace("|", " or "))
    return [Lack("package", f"{_and(names)} cannot be imported", command) for command, names in missing.items()]


def _lacks_environment(one: Package, root: Path) -> list[Lack]:
    """Ask the interpreter of a package's own environment which modules it has not."""
    if not one.environment:
        return []
    python, command = one.python(root), f"sh vendor/make_environment.sh {one.name}"
    if not python.exists():
        return [Lack("package", f"its environment {python.parents[1]} was not made", command)]
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter that the user put there
            [str(python), "-c", ASK, *one.environment],
            capture_output=True, text=True, timeout=ASKING, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        missing, ok = done.stdout.split(), done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        missing, ok = [], False
    if not ok:
        return [Lack("package", f"{python} does not run", command)]
    return [Lack("package", f"{_and(missing)} cannot be imported in {python.parents[1]}", command)] if missing else []


def _lacks_files(one: Package, root: Path) -> list[Lack]:
    found = []
    findings = verify(one, root, hashes=False)
    for kind, what, sources in (
        ("package", "its code", {one.code}),
        ("weights", "weights", set(one.weights)),
    ):
        mine = [finding for finding in findings if finding.source in sources]
        absent = [finding.source.key for finding in mine if not finding.present]
        if absent:
            found.append(Lack(kind, f"{what} ({', '.join(absent)}) {_were(what)} not fetched", one.fetch))
        for finding in mine:
            if finding.present and finding.problems:
                more = f" and {len(finding.problems) - 1} more" if len(finding.problems) > 1 else ""
                found.append(Lack(kind, finding.problems[0] + more, one.fetch))
    return found


def _were(what: str) -> str:
    return "were" if what.endswith("s") else "was"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
