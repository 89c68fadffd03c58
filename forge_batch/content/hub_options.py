"""Hold what may be set about working with a dataset repo."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Patience:
    """Say how long a Hub that fails is asked again, and how long a call may take.

    Attributes:
        attempts: How often a call is tried in all.
        first, longest: Seconds of the first and of the longest pause; pauses double and are jittered.
        call: Seconds that a call may take besides moving bytes; one that trickles on for longer is given up.
        bytes_per_second: The slowest transfer that is waited for.
    """

    attempts: int = 7
    first: float = 1.0
    longest: float = 60.0
    call: float = 90.0
    bytes_per_second: float = 100_000.0


@dataclass(frozen=True)
class HubOptions:
    """Hold the settings of a runner that works on a dataset repo.

    Attributes:
        runner: Name of this runner in the lease; empty for one that is made up once and kept on this disk.
        commits_per_hour: Never more commits than that in any hour, those of earlier runners counted.
        commit_floor: Seconds between two commits at least.
        heartbeat: Seconds between two signs of life; finished results go with them. A lease ends after three.
        cache_bytes: Budget of the repo's cache/.
        poll: Seconds between two looks at the repo with `--watch`.
        webhook_port: Where `--watch` listens for webhooks; 0 for nowhere.
        webhook_secret: The webhook's secret; without one no webhook is listened for.
        home: Folder for what lies on this disk; below HF_HOME if None.
        endpoint, token: For a Hub and an account other than those of HF_ENDPOINT and HF_TOKEN.
    """

    runner: str = ""
    commits_per_hour: int = 60
    commit_floor: float = 20.0
    heartbeat: float = 600.0
    cache_bytes: int = 20 << 30
    poll: float = 60.0
    webhook_port: int = 0
    webhook_secret: str = field(default="", repr=False)
    home: Path | None = None
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    patience: Patience = Patience()
