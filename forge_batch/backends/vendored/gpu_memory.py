"""Measure what a model takes of the GPU's memory, and say in words that it did not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from forge_batch.errors import StageError


@contextmanager
def words_for_memory(resolution: int, lower: int | None) -> Iterator[None]:
    """Turn CUDA's lack of memory into a failed asset that says what to do.

    Args:
        resolution: What was asked for.
        lower: What takes less, None if nothing does.

    Raises:
        StageError: The memory did not suffice; what was held is given back.
    """
    import torch  # noqa: PLC0415

    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        hint = f"write generate: {{resolution: {lower}}}" if lower else "free the card or take a larger one"
        raise StageError(f"the GPU's memory does not suffice for resolution {resolution}", hint) from error


def reset_peak() -> None:
    """Start to measure anew, where there is a GPU."""
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float | None:
    """Give the most that was held at a time since then in GB, None where there is no GPU."""
    import torch  # noqa: PLC0415

    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if torch.cuda.is_available() else None
