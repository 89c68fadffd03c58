"""Say which GPU this machine has."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache


@cache
def gpu_name() -> str:
    """Give the model of the first NVIDIA GPU as its driver names it; empty if there is none. Asks once per process."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - the driver's own
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else ""
