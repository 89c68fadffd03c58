"""Stay, and run again whenever there may be something to do: what `run --watch` and the queue page do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from forge_batch.content.contract import ContentRepo
from forge_batch.control import PATH, RUNNER, asked, load_control
from forge_batch.errors import ForgeError
from forge_batch.executors.contract import Executor
from forge_batch.live import LiveFile, Stopped
from forge_batch.report import Report
from forge_batch.runner import Listener, run


def run_once(
    content: ContentRepo,
    executor: Executor,
    listener: Listener,
    live: LiveFile,
    *,
    asset: str | None = None,
    retry: bool = False,
) -> Report:
    """Run a batch, and keep `live` informed of how it goes. Raises like `run`, and Stopped if its owner ends it."""
    live.began(content.revision)
    try:
        report = run(content, executor, listener, asset=asset, retry=retry)
    except BaseException as error:
        live.over(error=str(error) if isinstance(error, ForgeError) else f"{type(error).__name__}: {error}")
        raise
    live.over(seen=content.revision if asset is None else live.live.processed)
    return report


def keep_running(
    content: ContentRepo,
    once: Callable[[], object],
    live: LiveFile,
    say: Callable[[str], None],
    nudge: threading.Event,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run once at once, and again after every change, when the owner asks for it, and when what waits can go on.

    Args:
        content: The content folder.
        once: Run a batch; what it raises of ForgeError is said, and the next change is another try.
        live: Says what happens, and hears what the owner wants.
        say: Take a line for people.
        nudge: Set by whoever wants a run now.
        stop: Asked before each run whether to leave.
    """
    for _ in content.changes(nudge):
        if stop():
            break
        if load_control(content.home).paused:
            live.pause()
            continue
        try:
            once()
            _taken_up(content)
        except Stopped as error:
            say(str(error))
            nudge.set()
        except ForgeError as error:
            say(str(error))
        if live.until is not None:
            _ring_at(live.until, nudge)
    live.leave()


def _taken_up(content: ContentRepo) -> None:
    """Note that what was to be tried again has been tried; a wish that came meanwhile is met by the next run."""
    control = load_control(content.home)
    if control.retry:
        now = datetime.now(UTC)
        done = control.after(*(asked("taken_up", RUNNER, now, name) for name in sorted(control.retry)))
        content.record(PATH, done.to_json(), "taken up what was to be tried again")


def _ring_at(moment: datetime, nudge: threading.Event) -> None:
    timer = threading.Timer(max(1.0, (moment - datetime.now(UTC)).total_seconds() + 1.0), nudge.set)
    timer.daemon = True
    timer.start()
