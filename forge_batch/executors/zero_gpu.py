"""Open windows on ZeroGPU: the Space calls itself as its owner, and one decorated generator does all GPU work.

Why the detour over the client: ZeroGPU charges whoever the request belongs to. A background thread has no request, and would be
charged to the pool of anonymous visitors; a call with the owner's token is charged to the owner's allowance. The call must
come from a plain thread: inside a Gradio event the client would pass on the visitor's token. A secret keeps everybody else out.

`endpoint` is the side of the Space: the page registers it with `gr.api(endpoint(secret), api_name=API_NAME,
api_visibility="undocumented")`, before `launch`. `ZeroGpu` is the side of the runner.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from forge_batch.executors.gpu_window import Refusal, Refused, Started, WindowTask, run_window
from forge_batch.jobs import TaskRecord
from forge_batch.quota import DAY, Allowance, Size
from forge_batch.windows import Window

API_NAME = "run_window"
BUSY = timedelta(minutes=2)
"""Pause after ZeroGPU had no GPU free for a minute."""
NO_GPU = "No GPU was available"
QUOTA = re.compile(r"\((\d+)s requested vs\. (\d+)s left\)\. Try again in (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")


def declared_duration(document: str) -> int:
    """Give the seconds to declare for a window; ZeroGPU asks with the arguments of the call."""
    return int(json.loads(document)["declared"])


def _entry(size: Size) -> Callable[[str], Iterator[str]]:
    """Make the entry point for a size of window.

    One generator does all work, so that a warm worker serves every stage: ZeroGPU keeps workers apart by decorated function.
    Windows of two sizes run on different cards and could not share a worker anyway.
    """
    import spaces  # noqa: PLC0415 - must come before torch, and only where windows are served

    def serve_window(document: str) -> Iterator[str]:
        from forge_batch.executors.run_task import run_task  # noqa: PLC0415 - in the worker alone

        spec = json.loads(document)
        tasks = [WindowTask.from_json(task) for task in spec["tasks"]]
        for news in run_window(tasks, spec["limit"], run_task):
            yield json.dumps({"started": news.key} if isinstance(news, Started) else {"record": news.to_json()})

    entry: Callable[[str], Iterator[str]] = spaces.GPU(serve_window, duration=declared_duration, size=size)
    return entry


def endpoint(secret: str) -> Callable[[str, str, str], Iterator[str]]:
    """Make the function that the Space offers to its own runner; call once, before the page is launched.

    Raises:
        ValueError: The secret is too short to be one.
    """
    if len(secret) < 16:
        raise ValueError("the secret between the runner and its Space has less than 16 characters")
    entries = {"large": _entry("large"), "xlarge": _entry("xlarge")}

    def run_window(key: str, size: str, document: str) -> Iterator[str]:
        if not hmac.compare_digest(key.encode(), secret.encode()):
            raise PermissionError("this endpoint is for the Space's own runner")
        yield from entries[size](document)

    return run_window


def request_factor() -> float | None:
    """Give what ZeroGPU multiplies declared durations by on the cards of today; None where this is no ZeroGPU Space."""
    try:
        from spaces.config import Config  # noqa: PLC0415 - on a Space alone
        from spaces.zero.config import get_config  # noqa: PLC0415 - on a Space alone
    except ImportError:
        return None
    return float(get_config()["duration_factor"]) if Config.zero_gpu else None


class ZeroGpu:
    """Open windows on a Space.

    Args:
        space: `owner/name` of the Space, or the address of a server.
        secret: The one that `endpoint` was made with.
        allowance: The owner's, for the durations to declare.
        connect: Makes a client with the owner's token: `lambda space: gradio_client.Client(space, token=...)`.
        clock: The time, with a zone.
    """

    def __init__(
        self,
        space: str,
        secret: str,
        allowance: Allowance,
        connect: Callable[[str], Any],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.space, self.secret, self.allowance, self.connect, self.clock = space, secret, allowance, connect, clock

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        """Run tasks; see `Gpu`. Every call is a request of its own, with a fresh token of the owner."""
        document = json.dumps(
            {
                "tasks": [task.to_json() for task in tasks],
                "limit": window.limit,
                "declared": self.allowance.declared(window.limit, window.size),
            }
        )
        try:
            client = self.connect(self.space)
            job = client.submit(self.secret, window.size, document, api_name=f"/{API_NAME}")
            for line in job:
                yield _news(json.loads(line))
            job.result()  # raises what ended the call
        except Exception as error:
            title, message = getattr(error, "title", type(error).__name__), getattr(error, "message", str(error))
            raise Refused(reaction(str(title), str(message), self.clock())) from error


def _news(document: dict[str, Any]) -> Started | TaskRecord:
    if "started" in document:
        return Started(document["started"])
    return TaskRecord.from_json(document["record"])


def reaction(title: str, message: str, now: datetime) -> Refusal:
    """Say what to do about an error of ZeroGPU or of the way to it.

    ZeroGPU tells its errors apart by title and text alone; the texts are those of `spaces` 0.51. Everything that is not known
    to be about one task, or to pass, is an alarm: better no window than one that burns seconds.
    """
    reason = f"{title}: {message}"
    if title == "ZeroGPU quota exceeded" and NO_GPU not in message:
        return _over_quota(message, reason, now)
    if title == "ZeroGPU worker error":
        return Refusal("killed" if message.startswith("GPU task aborted") else "fail", reason)
    if title == "ZeroGPU illegal duration":
        return Refusal("split", reason)
    if title == "ZeroGPU client error" or _PASSING.search(reason):  # the service is down, or the token was too old
        return Refusal("retry", reason)
    if title == "ZeroGPU pending credits exceeded" or NO_GPU in message:
        return Refusal("wait", reason, now + BUSY)
    return Refusal("alarm", reason)


_PASSING = re.compile(
    r"ZeroGPU API /schedule error|Unexpected end of stream|re-trying after queue disconnect|Connection closed by visitor"
    r"|^(Connect|Read|Write|Pool|RemoteProtocol|Network)\w*(Error|Timeout)|^(ConnectionError|TimeoutError|TooManyRequestsError)"
)
"""Faults of queues and networks, by the text of RuntimeErrors and by the class of those that the client lets through."""


def _over_quota(message: str, reason: str, now: datetime) -> Refusal:
    """Tell a spent allowance, a limit of runs, and a call without token apart."""
    if found := QUOTA.search(message):
        _, left, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        if left > 0 and not (days or hours or minutes or seconds):
            return Refusal("split", reason)
        back = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds + 5)
        return Refusal("wait", reason, now + back)
    if "runs limit" in message:
        return Refusal("wait", reason, now + DAY)
    return Refusal("alarm", f"{reason}. The call had no token: set HF_TOKEN to a token of the Space's owner")
