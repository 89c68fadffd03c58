"""Hold what the page's handlers share: the folder, what is known of it, the runner, and who may act."""

from __future__ import annotations

import hmac
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from forge_batch.builds import Builds
from forge_batch.content.contract import ContentRepo
from forge_batch.content.hub_quota import read_quota
from forge_batch.content.open import open_content, repo_of
from forge_batch.control import PATH, asked, load_control
from forge_batch.errors import ContentError
from forge_batch.executors.choose import choose_executor
from forge_batch.executors.contract import Executor
from forge_batch.executors.gpu_window import Refused
from forge_batch.executors.windowed import WindowedExecutor
from forge_batch.keep_running import keep_running, run_once
from forge_batch.live import BEAT, LiveFile, Several
from forge_batch.project import load_project
from forge_batch.settings import PageOptions, Settings
from forge_batch.survey import Survey
from forge_batch.windows import Window

NICE = 5
"""How much a runner behind a page stands back for its viewers."""
TRIAL = 15
"""GPU seconds that are set aside for a try of the GPU."""
OWNER = "owner"
"""How the owner is called where nobody logs in."""


@dataclass
class Site:
    """Be a page's backing.

    Attributes:
        make_executor: Makes the executor of a run; the runner is started with it.
        nudge: Wakes the runner.
        beat: Seconds between two signs of life.
    """

    content: ContentRepo
    survey: Survey
    options: PageOptions
    make_executor: Callable[[], Executor]
    nudge: threading.Event = field(default_factory=threading.Event)
    beat: float = BEAT
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, found: Settings, runs: bool, content: str = "", executor: str = "") -> Site:
        """Open the content and say how it is run. Raises like open_content."""
        options = found.page if found.page.token else replace(found.page, token=secrets.token_urlsafe(24))
        where = content or options.content
        repo = open_content(where, found.hub)
        access, name = found.access, executor or options.executor
        survey = Survey(
            repo,
            found.workers,
            sync=None if runs or repo_of(where) is None else found.hub.poll,
            ask=lambda: read_quota(access.token, access.endpoint) if access.token else None,
        )
        return cls(
            repo, survey, options, lambda: choose_executor(name, found.workers, repo.home, load_project(repo.root), access)
        )

    def start(self) -> None:
        """Begin to run, unless the page is read-only."""
        if not self.options.read_only:
            threading.Thread(target=self._run, name="runner", daemon=True).start()

    def _run(self) -> None:
        if hasattr(os, "setpriority"):  # viewers first; worker processes inherit it from this thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        live = LiveFile(self.content.home, self.nudge.set, beat=self.beat)

        def once() -> None:
            run_once(self.content, self.make_executor(), Several(Builds(self.content), live), live)

        keep_running(self.content, once, live, _say, self.nudge)

    # -- who may do what -----------------------------------------------------------------------------------------------

    def owner(self, token: object, session: dict[str, Any]) -> str:
        """Name the owner if that is who asks: logged in as the Space's owner, or with this page's token; else nothing."""
        if self.options.read_only:
            return ""
        if self.options.owner:
            login = session.get("oauth_info") or {}
            account = login.get("userinfo", {}).get("preferred_username", "")
            lasts = login.get("expires_at", 0) > time.time()
            return str(account) if account and account == self.options.owner and lasts else ""
        given = token if isinstance(token, str) else ""
        return OWNER if hmac.compare_digest(given.encode(), self.options.token.encode()) else ""

    def act(self, who: str, word: str, asset: str = "", value: int | None = None) -> str:
        """Note what the owner asks for, wake the runner, and say what was noted.

        Raises:
            ContentError: Nobody may ask, no asset has that name, or it cannot be written.
        """
        if not who:
            raise ContentError(
                "only the owner may do that", "log in as the owner of the Space, or open the page by its own link"
            )
        if asset and self.survey.row(asset) is None:
            raise ContentError(f"there is no asset {asset[:60]}", "open one of the queue")
        action = asked(word, who, datetime.now(UTC), asset, value)  # type: ignore[arg-type]
        with self._turn:
            control = load_control(self.content.home).after(action)
            self.content.record(PATH, control.to_json(), f"{who}: {word} {asset}".strip())
        self.nudge.set()
        self.survey.glance()
        return f"Noted: {action.line()}"

    def try_gpu(self, who: str) -> str:
        """Open a GPU window without work, count what it costs, and say what came of it.

        Raises:
            ContentError: Nobody may ask, a runner is at work, or the ledger cannot be written.
            BackendUnavailable: Something is missing; the hint says what.
        """
        if not who:
            raise ContentError(
                "only the owner may do that", "log in as the owner of the Space, or open the page by its own link"
            )
        executor = self.make_executor()
        if not isinstance(executor, WindowedExecutor):
            return "GPU stages run on this machine and nobody counts their seconds; what it has is listed below."
        budget, now = executor.budget, datetime.now(UTC)
        with self.content.lock():
            left = budget.remaining(now).seconds
            if left is not None and left < 2 * TRIAL:
                return f"Only {left} s of the allowance are left; a try needs {2 * TRIAL}."
            name, start = budget.ledger.reserve(TRIAL, now), time.monotonic()
            try:
                for _ in executor.gpu.open(Window(now, seconds=TRIAL, limit=TRIAL), []):
                    pass
                said = "The GPU answers"
            except Refused as refused:
                said = f"The GPU does not answer: {refused.refusal.reason}"
            took = time.monotonic() - start
            budget.ledger.settle(name, took, datetime.now(UTC))
        return f"{said}; {took:.1f} s, counted in the ledger."


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
