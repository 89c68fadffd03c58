"""Be the world of the simulation: who asks for what, when, what the platform counts, and how long things really take.

All chance depends on names alone, so that every policy meets the same.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from forge_batch.quota import DAY, PROFILES, Reading

BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)
ALLOWANCE = PROFILES["zerogpu-pro"]
GPU = "RTX PRO 6000 Blackwell, half"
WRONG = {"trellis2": 1.3, "hunyuan3d": 0.7, "unirig": 1.2, "diffusion": 0.8, "": 1.5}
"""How far the true medians lie from the priors."""
SPREAD, TAIL, TAIL_FACTOR = 0.3, 1 / 30, 3.0
START, KILLS_A_SECOND, BUSY = 6.0, 1 / 20_000, 0.1
SINGLES, BURST = 21, (30, 150)
"""Single assets a day, mean, and assets in a burst, from and to."""
KINDS: tuple[tuple[float, dict[str, dict[str, Any]]], ...] = (
    (0.30, {"generate": {"backend": "trellis2", "quality": "fast"}}),
    (0.22, {"generate": {"backend": "trellis2"}}),
    (0.06, {"generate": {"backend": "trellis2", "quality": "hero"}, "inpaint": {"enabled": True, "method": "diffusion"}}),
    (0.14, {"generate": {"backend": "hunyuan3d"}}),
    (0.08, {"generate": {"backend": "hunyuan3d"}, "inpaint": {"enabled": True, "method": "diffusion"}}),
    (0.10, {"generate": {"backend": "hull"}}),
    (0.10, {"generate": {"backend": "hunyuan3d"}, "rig": {"enabled": True, "backend": "unirig"}}),
)
"""Shares of what is asked for."""


def draw(*what: object) -> np.random.Generator:
    """Give a source of chance that depends on names alone, so that all policies meet the same."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8], "big"))


@dataclass(frozen=True)
class Arrival:
    """Be an asset that somebody asks for."""

    at: datetime
    asset: str
    settings: dict[str, dict[str, Any]]
    priority: int
    deadline: date | None
    seed: int = 0

    def params(self, stage: Any) -> Any:
        """Give what the manifest would say to a stage."""
        required = {"height_cm": 50} if stage.name == "place" else {}
        return stage.params(**{**required, **self.settings.get(stage.name, {})})

    def made_from(self) -> dict[str, Any]:
        """Give what makes the asset's keys its own."""
        return {"asset": self.asset, **self.settings}


def arrivals(days: int, seed: int) -> list[Arrival]:
    """Draw what is asked for: a few assets a day, and on one day in five a burst of one kind."""
    rng = draw("arrivals", seed)
    found: list[Arrival] = []
    shares = np.array([share for share, _ in KINDS])
    for day in range(days):
        times = [(float(rng.uniform(0, 1)), int(rng.choice(len(KINDS), p=shares))) for _ in range(rng.poisson(SINGLES))]
        if rng.random() < 0.18:
            moment = float(rng.uniform(0, 1))
            times += [(moment, int(kind)) for kind in rng.choice(len(KINDS), int(rng.integers(*BURST)), p=shares)]
        for moment, kind in sorted(times):
            at = BEGIN + (day + moment) * DAY
            deadline = (at + timedelta(days=int(rng.integers(3, 15)))).date() if rng.random() < 0.25 else None
            found.append(Arrival(at, f"a{len(found):05d}", KINDS[kind][1], int(rng.choice([30, 50, 50, 50, 70])), deadline))
    return found


@dataclass
class Platform:
    """Be ZeroGPU: keep the true count, start windows, refuse them."""

    others: list[tuple[datetime, float]]
    opened: datetime | None = None
    spent: float = 0.0

    def charge(self, now: datetime, seconds: float) -> None:
        """Count seconds; the first ones open a period of 24 hours."""
        self.reset(now)
        self.opened = self.opened or now
        self.spent += seconds
        assert self.spent <= (ALLOWANCE.seconds or 0) + 1e-6, "more was spent than there was"

    def reset(self, now: datetime) -> None:
        """End a period that is over."""
        if self.opened is not None and now >= self.opened + DAY:
            self.opened, self.spent = None, 0.0

    def read(self, now: datetime) -> Reading:
        """Answer the quota endpoint, after what others spent until now."""
        while self.others and self.others[0][0] <= now:
            at, seconds = self.others.pop(0)
            self.reset(at)
            self.charge(at, min(seconds, (ALLOWANCE.seconds or 0) - self.spent))
        self.reset(now)
        whole = ALLOWANCE.seconds or 0
        resets_at = None if self.opened is None else self.opened + DAY
        return Reading(whole, math.floor(whole - self.spent), resets_at, 0, now)


def others(days: int, seed: int) -> list[tuple[datetime, float]]:
    """Draw when somebody else spends, and how many seconds."""
    rng = draw("others", seed)
    spends = [(BEGIN + (day + rng.random()) * DAY, rng.uniform(100, 1200)) for day in range(days) if rng.random() < 0.25]
    return [(at, float(seconds)) for at, seconds in spends]


def truth_of_load(model: str, seed: int, window: int) -> float:
    """Say how long a model really takes to load."""
    return 18.0 * math.exp(0.25 * draw("load", seed, model, window).normal())
