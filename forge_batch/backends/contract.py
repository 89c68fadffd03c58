"""Say what a backend tells about itself, whatever it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackendInfo:
    """Name what made an asset, so that every package can say it.

    Attributes:
        name: The word used in manifests.
        revision: Pinned revision of code and weights; part of the task key.
        licence: SPDX name, or the licence's own title.
        commercial: Whether results may be sold.
        territory: Where it may be used: `worldwide`, or the licence's exclusion in words.
        excluded: Countries (ISO 3166, two letters) where the licence does not hold.
        fetch: The command that brings it, empty if nothing is to be fetched.
    """

    name: str
    revision: str
    licence: str
    commercial: bool
    territory: str
    excluded: frozenset[str] = frozenset()
    fetch: str = ""
