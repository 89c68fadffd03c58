"""Turn the environment into objects. The only reader of os.environ."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from forge_batch.errors import ForgeError

BYTES_PER_WORKER = 2 << 30


class SettingsError(ForgeError):
    """Ask for another value of an environment variable."""

    code = "settings"


@dataclass(frozen=True)
class Settings:
    """Hold what the environment says.

    Attributes:
        workers: Processes that the local executor may use at a time (FORGE_WORKERS; default: the cores, bounded by memory
            at 2 GiB each).
    """

    workers: int


def load() -> Settings:
    """Read the environment; SettingsError names the variable, what it holds and what it may hold."""
    return Settings(_workers(os.environ.get("FORGE_WORKERS", "")))


def _workers(text: str) -> int:
    if not text:
        return max(1, min(_cores(), _memory() // BYTES_PER_WORKER))
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise SettingsError(f"FORGE_WORKERS is {text!r}", "write a whole number from 1 to 256, or leave it unset")
    return int(text)


def _cores() -> int:
    """Count the cores this process may use, a container's CPU quota included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.is_file():
        quota, period = limit.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _memory() -> int:
    """Give the machine's memory in bytes, a container's limit included."""
    if not hasattr(os, "sysconf"):
        return 1 << 40  # a system that does not say: the cores alone decide
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()) != "max":
        total = min(total, int(text))
    return total
