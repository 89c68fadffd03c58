"""See that a child is ended by the CPU time it uses, not by the time that passes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.ops import child_process
from forge_batch.ops.child_process import ChildFailedError, call

Arrays = dict[str, np.ndarray]


def spin(arrays: Arrays, options: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Use CPU time."""
    until = time.process_time() + options["seconds"]
    while time.process_time() < until:
        pass
    return arrays, {"done": True}


def sleep(arrays: Arrays, options: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Let time pass."""
    time.sleep(options["seconds"])
    return arrays, {"done": True}


def test_cpu_time_ends_a_child(tmp_path: Path) -> None:
    """A child that computes on is ended at its limit, and says so."""
    with pytest.raises(ChildFailedError, match=r"spin did not finish within 0\.2 s of CPU time"):
        call("tests.ops.test_child_process:spin", {}, {"seconds": 60.0}, folder=tmp_path, timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_waiting_does_not(tmp_path: Path) -> None:
    """A child that has to wait five times its limit, as on a busy machine, ends well; the clock ends one that is stuck."""
    target = "tests.ops.test_child_process:sleep"
    assert call(target, {}, {"seconds": 1.0}, folder=tmp_path, timeout=0.2)[1] == {"done": True}
    assert child_process.STUCK * 120.0 + child_process.STARTING < 3600
