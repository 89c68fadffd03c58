"""Say what this machine has that a learned backend asks for. Imports neither torch nor CUDA: a driver's tool tells enough."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Gpu:
    """Be a graphics card: memory in GB, capability times ten (90 for sm_90)."""

    name: str
    memory_gb: float
    free_gb: float
    capability: int
    driver: str


def has_module(name: str) -> bool:
    """Tell whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent is missing, or the module stands in for another without saying what it is
        return False


@dataclass(frozen=True)
class Machine:
    """Hold what was found: cards, and how to ask for a module."""

    gpus: tuple[Gpu, ...] = ()
    has_module: Callable[[str], bool] = has_module


@cache
def this_machine() -> Machine:
    """Look at this machine once per process."""
    return Machine(read_gpus(_ask_driver()))


def read_gpus(text: str) -> tuple[Gpu, ...]:
    """Read what nvidia-smi printed; lines that are no card (a broken driver's) are left out."""
    cards = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        try:
            name, total, free, capability, driver = cells
            cards.append(Gpu(name, float(total) / 953.674, float(free) / 953.674, round(float(capability) * 10), driver))
        except ValueError:
            continue
    return tuple(cards)


def _ask_driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    fields = "name,memory.total,memory.free,compute_cap,driver_version"
    command = [tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - words of ours
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
