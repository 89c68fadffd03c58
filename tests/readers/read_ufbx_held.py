"""Keep ufbx 0.0.5 from freeing what is still looked at: it counts references to scene elements one too few."""

from __future__ import annotations

import ctypes
from typing import Any


def held(value: Any) -> Any:
    """Give an element an owner that never lets go."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
    return value


def items(values: Any) -> list[Any]:
    """List what a ufbx list holds."""
    return [held(held(values)[k]) for k in range(len(values))]
