"""Run a library that may hang, crash or chatter in a process of its own."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.ops.mesh import load_arrays, save_arrays

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from forge_batch.ops.child_process import serve; serve(*sys.argv[2:])"
)

STUCK, STARTING = 10.0, 60.0
"""After how many times its CPU time by the clock, and how many seconds more, a child counts as stuck."""

Arrays = dict[str, np.ndarray]


class ChildFailedError(RuntimeError):
    """Say why a child gave no result: out of time, killed, or an exception's last line."""


def call(
    function: str, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any], *, folder: Path, timeout: float
) -> tuple[Arrays, dict[str, Any]]:
    """Call `module:name(arrays, options)` in a fresh interpreter and give the arrays and the JSON document it returns.

    Nothing the child prints is shown. It is killed when it has used `timeout` seconds of CPU time, all its threads together
    and without what starting took: how busy the machine is decides nothing. One that only sleeps is killed by the clock, see
    `STUCK`.

    Raises:
        ChildFailedError: Out of time, crashed, or raised.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="child-") as name:
        source, result = Path(name) / "in.npz", Path(name) / "out.npz"
        save_arrays(source, arrays, options)
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path), function, str(source), str(result), str(timeout)]
        patience = STUCK * timeout + STARTING
        try:
            done = subprocess.run(command, capture_output=True, timeout=patience, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - our own interpreter and code
        except subprocess.TimeoutExpired:
            raise ChildFailedError(f"{function} did not finish within {patience:g} s") from None
        if done.returncode == -getattr(signal, "SIGPROF", 0):
            raise ChildFailedError(f"{function} did not finish within {timeout:g} s of CPU time")
        if done.returncode != 0 or not result.exists():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise ChildFailedError(f"{function}: {last[0]}")
        return load_arrays(result)


def serve(function: str, source: str, result: str, timeout: str) -> None:
    """Be the child: read the arguments, call the function, write what it returns; the system ends it when its time is used."""
    module, name = function.split(":")
    arrays, options = load_arrays(Path(source))
    called = getattr(importlib.import_module(module), name)
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, float(timeout))
    save_arrays(Path(result), *called(arrays, options))
