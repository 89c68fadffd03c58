"""Compare a package's checkpoints with its models, where the models can be built."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from forge_batch.backends.vendored.machine import has_module
from forge_batch.backends.vendored.pins import Package

ADAPTERS = {
    "trellis2": "forge_batch.backends.trellis2",
    "hunyuan3d": "forge_batch.backends.vendored.hunyuan3d_files",
}
"""Adapters that know how to build their models without weights: `check_keys(folder of the package)`."""


def key_faults(package: Package, root: Path) -> list[str]:
    """Build every model without memory and compare its tensors with the checkpoint's.

    Returns:
        Notes on what could not be compared, and why.

    Raises:
        BackendUnavailable: A checkpoint does not fit its model.
    """
    if package.name not in ADAPTERS:
        return []
    missing = [names for names in package.imports if not any(has_module(name) for name in names.split("|"))]
    if missing:
        lacking = ", ".join(names.replace("|", " or ") for names in missing)
        return [f"its checkpoints were not compared with its models: {lacking} cannot be imported"]
    import_module(ADAPTERS[package.name]).check_keys(root / package.name)
    return []
