"""Stand in for torch: remember the seed."""

from __future__ import annotations

SEED = None


def manual_seed(seed: int) -> None:
    """Remember it."""
    global SEED  # noqa: PLW0603 - it is what the real one does
    SEED = seed
