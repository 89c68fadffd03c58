"""Start and stop pages in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def started(
    command: list[str], log: Path, ready: Callable[[str], str], environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a process until the context ends. `ready` looks at its log until it has something to give: its address, say."""
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "TZ": "UTC"}
    variables = {**os.environ, **quiet, **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=variables, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := ready(log.read_text(errors="replace"))):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def page(content: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve a page of the tests, or be a runner without one; give its address."""
    command = ["-m", "tests.page_server", str(content), *options]
    with started(command, content.parent / f"{content.name}{time.monotonic_ns()}.log", _address, environment) as address:
        yield address


def _address(log: str) -> str:
    line = next((line for line in log.splitlines() if line.startswith("{")), "")
    return str(json.loads(line)["address"]) if line else ""


def answers(address: str) -> str:
    """Give the address once somebody answers there."""
    try:
        return address if httpx.get(f"{address}healthz").status_code == 200 else ""
    except httpx.HTTPError:
        return ""


def free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
