"""Turn the environment into objects. The only reader of os.environ."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from forge_batch.content.hub_options import HubOptions
from forge_batch.errors import ForgeError
from forge_batch.executors.choose import EXECUTORS, Access

BYTES_PER_WORKER = 2 << 30


class SettingsError(ForgeError):
    """Ask for another value of an environment variable."""

    code = "settings"


@dataclass(frozen=True)
class PageOptions:
    """Say how the queue page is served.

    Attributes:
        content: The content folder or dataset repo that a Space shows (FORGE_CONTENT).
        executor: Where a Space's runner works (FORGE_EXECUTOR).
        read_only: Whether the page shows only, without a runner of its own and without actions (FORGE_READ_ONLY).
        token: What tells the owner from others where nobody can log in (FORGE_PAGE_TOKEN); made up if empty.
        owner: Account that owns the Space (SPACE_AUTHOR_NAME); empty where this is no Space.
        login: Whether visitors can log in with Hugging Face (OAUTH_CLIENT_ID is set by the platform).
    """

    content: str = "."
    executor: str = "local"
    read_only: bool = False
    token: str = field(default="", repr=False)
    owner: str = ""
    login: bool = False


@dataclass(frozen=True)
class Settings:
    """Hold what the environment says.

    Attributes:
        workers: Processes that the local executor may use at a time (FORGE_WORKERS; default: the cores, bounded by memory
            at 2 GiB each).
        hub: How to work with a dataset repo (FORGE_RUNNER, FORGE_COMMITS_PER_HOUR, FORGE_COMMIT_SECONDS,
            FORGE_HEARTBEAT_SECONDS, FORGE_CACHE_GB, FORGE_POLL_SECONDS, FORGE_WEBHOOK_PORT, FORGE_WEBHOOK_SECRET).
            HF_ENDPOINT, HF_TOKEN and HF_HOME are read by huggingface_hub itself.
        access: How to reach executors elsewhere (FORGE_SPACE, FORGE_SECRET, HF_TOKEN, HF_ENDPOINT, FORGE_CLUSTER).
        page: How the queue page is served.
    """

    workers: int
    hub: HubOptions
    access: Access
    page: PageOptions


def load() -> Settings:
    """Read the environment; SettingsError names the variable, what it holds and what it may hold."""
    return Settings(_workers(os.environ.get("FORGE_WORKERS", "")), _hub(), _access(), _page())


def _page() -> PageOptions:
    executor = os.environ.get("FORGE_EXECUTOR", "") or PageOptions.executor
    if executor not in EXECUTORS:
        raise SettingsError(f"FORGE_EXECUTOR is {executor[:40]!r}", f"write one of {', '.join(EXECUTORS)}, or leave it unset")
    token = os.environ.get("FORGE_PAGE_TOKEN", "")
    if token and len(token) < 16:
        raise SettingsError("FORGE_PAGE_TOKEN has less than 16 characters", "write a long random one, or leave it unset")
    return PageOptions(
        content=os.environ.get("FORGE_CONTENT", "") or PageOptions.content,
        executor=executor,
        read_only=os.environ.get("FORGE_READ_ONLY", "") not in {"", "0"},
        token=token,
        owner=os.environ.get("SPACE_AUTHOR_NAME", "") if os.environ.get("SPACE_ID") else "",
        login=bool(os.environ.get("OAUTH_CLIENT_ID")),
    )


def _access() -> Access:
    return Access(
        space=os.environ.get("FORGE_SPACE", "") or os.environ.get("SPACE_ID", ""),
        secret=os.environ.get("FORGE_SECRET", ""),
        token=os.environ.get("HF_TOKEN", ""),
        endpoint=os.environ.get("HF_ENDPOINT", "") or Access.endpoint,
        cluster=os.environ.get("FORGE_CLUSTER", ""),
    )


def _hub() -> HubOptions:
    usual = HubOptions()
    return HubOptions(
        runner=_name("FORGE_RUNNER") or os.environ.get("SPACE_ID", ""),
        commits_per_hour=int(_number("FORGE_COMMITS_PER_HOUR", usual.commits_per_hour, 4, 120)),
        commit_floor=_number("FORGE_COMMIT_SECONDS", usual.commit_floor, 0, 3600),
        heartbeat=_number("FORGE_HEARTBEAT_SECONDS", usual.heartbeat, 30, 3600),
        cache_bytes=int(_number("FORGE_CACHE_GB", usual.cache_bytes / (1 << 30), 0, 100_000) * (1 << 30)),
        poll=_number("FORGE_POLL_SECONDS", usual.poll, 1, 86_400),
        webhook_port=int(_number("FORGE_WEBHOOK_PORT", 0, 0, 65_535)),
        webhook_secret=os.environ.get("FORGE_WEBHOOK_SECRET", ""),
    )


def _name(variable: str) -> str:
    text = os.environ.get(variable, "")
    if not all(char.isalnum() or char in "-_./" for char in text) or len(text) > 100:
        raise SettingsError(
            f"{variable} is {text[:100]!r}", "write up to 100 letters, digits, -, _, . and /, or leave it unset"
        )
    return text


def _number(variable: str, usual: float, least: float, most: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else usual
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise SettingsError(f"{variable} is {text!r}", f"write a number from {least:g} to {most:g}, or leave it unset")
    return value


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
