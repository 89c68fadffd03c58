"""Keep the repo's cache/ within its budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def evicted(sizes: Mapping[str, int], used: Mapping[str, float], needed: Collection[str], budget: int) -> list[str]:
    """Name the entries to drop, the least recently used first, until the rest fits.

    What a queued asset needs is kept even if it alone is more than the budget: dropping it would cost GPU seconds.

    Args:
        sizes: Bytes of each entry by task key.
        used: When each was last used, seconds since the epoch; never if it does not stand there.
        needed: Keys that queued assets read.
        budget: Bytes.
    """
    total, dropped = sum(sizes.values()), []
    for key in sorted(sizes, key=lambda key: (used.get(key, 0.0), key)):
        if total <= budget:
            break
        if key not in needed:
            dropped.append(key)
            total -= sizes[key]
    return dropped
