"""Compare the tensors in a checkpoint with those its model has.

The learned backends load their weights with `strict=False`: a partial or foreign file is taken without a word, and makes noise
that looks like a bad picture. So the names and shapes are compared here. Only the header of a file is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge_batch.errors import BackendUnavailable

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor shapes by name."""

_LONGEST = 100 << 20


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes from the header of a safetensors file.

    Raises:
        BackendUnavailable: It is missing, is none (a Git LFS pointer, say), or ends too early.
    """
    try:
        return _read_header(path)
    except FileNotFoundError:
        raise BackendUnavailable(f"{path} is missing", "fetch the weights again") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendUnavailable(f"{path} is no whole safetensors file: {error}", "remove it and fetch it again") from error


def _read_header(path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if size != end:
        raise ValueError(f"{size} bytes where {end} are announced")
    return {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def compare(path: Path, expected: Shapes, optional: frozenset[str] = frozenset()) -> None:
    """Make sure that a checkpoint holds exactly the tensors of its model.

    Args:
        path: The safetensors file.
        expected: What the model has.
        optional: Tensors that the file may lack, such as constants that the model computes itself.

    Raises:
        BackendUnavailable: Tensors are missing, needless or of another shape; names up to three.
    """
    check_shapes(str(path), read_shapes(path), expected, optional)


def check_shapes(what: str, found: Shapes, expected: Shapes, optional: frozenset[str] = frozenset()) -> None:
    """Compare shapes that were read already; see compare."""
    missing = [name for name in expected if name not in found and name not in optional]
    needless = [name for name in found if name not in expected]
    other = [
        f"{name} {_text(found[name])} for {_text(expected[name])}"
        for name in expected
        if name in found and tuple(found[name]) != tuple(expected[name])
    ]
    wrong = [
        f"{len(names)} tensors {words} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, words in ((missing, "are missing"), (needless, "belong to another model"), (other, "have another shape"))
        if names
    ]
    if wrong:
        raise BackendUnavailable(
            f"{what} does not fit its model: {'; '.join(wrong)}", "fetch the weights again, or correct the pin"
        )


def load_whole(kind: Any, folder: Path, **options: Any) -> Any:
    """Load a model of transformers or diffusers from disk, whose loaders take a partial checkpoint with no more than a warning.

    Args:
        kind: Class with `from_pretrained`.
        folder: Of config.json and the checkpoint.
        options: For its loader.

    Raises:
        BackendUnavailable: It cannot be loaded, or tensors are missing or of another shape; names up to three.
    """
    try:
        model, told = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **options)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BackendUnavailable(f"{folder} cannot be loaded: {first[:300]}", "forge-batch vendor verify") from error
    # names, or tuples that begin with one
    lost = sorted(one if isinstance(one, str) else one[0] for one in (*told["missing_keys"], *told["mismatched_keys"]))
    if lost:
        names = f"{', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
        raise BackendUnavailable(
            f"{folder} does not fit its model: {len(lost)} tensors are missing or of another shape ({names})",
            "fetch the weights again, or correct the pin",
        )
    return model


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
