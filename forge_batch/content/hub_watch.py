"""Wake up when users change a dataset repo: by looking at it now and then, and at once when its webhook calls."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from forge_batch.content.webhook import Webhook, listen
from forge_batch.errors import ContentError

if TYPE_CHECKING:
    from forge_batch.content.hub import HubContent

GLANCE = 0.5
"""Seconds between two looks at a nudge."""


def changes(content: HubContent, bell: threading.Event | None = None, nudge: threading.Event | None = None) -> Iterator[None]:
    """Yield once at once, then whenever users own something else than the last finished run saw, or on a nudge. Ends never.

    Webhooks are hints, looking at the repo is the truth: a lost or repeated call changes nothing. Our own commits leave what
    users own as it is, so they wake nobody. A run that failed is tried again at the next look.

    Args:
        content: The repo.
        bell: Rung by a webhook that somebody else receives (the page); else one is listened for if the options say where.
        nudge: Set by whoever wants a run now.
    """
    options = content.options
    bell = bell or threading.Event()
    with contextlib.ExitStack() as stack:
        if options.webhook_port and options.webhook_secret:
            hook = Webhook(content.repo, options.webhook_secret, content.own_commits, bell.set)
            stack.enter_context(listen(hook, options.webhook_port))
        while True:
            yield
            while True:
                nudged = _wait(bell, nudge, options.poll)
                _look(content)
                if content.unseen or nudged:
                    break


def _wait(bell: threading.Event, nudge: threading.Event | None, seconds: float) -> bool:
    """Wait for the bell, but not longer than that; True at once if there was a nudge."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if nudge is not None and nudge.is_set():
            nudge.clear()
            return True
        if bell.wait(left if nudge is None else min(left, GLANCE)):
            break
    bell.clear()
    return False


def _look(content: HubContent) -> None:
    """Sync; a Hub that is away is asked again at the next look."""
    with contextlib.suppress(ContentError):
        content.sync()
