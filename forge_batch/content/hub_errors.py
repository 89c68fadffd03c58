"""Turn what goes wrong between us and a Hub into one clear sentence, and tell what may be tried again."""

from __future__ import annotations

import os
import re

from forge_batch.errors import ContentError

READ = "a token with the scope `Read access to contents of selected repos` (or a classic `read` token)"
WRITE = "a token with the scope `Write access to contents of selected repos` (or a classic `write` token)"
_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{8,}|bearer\s+\S+|(?<=[?&])[^=&\s]*(?:sign|token|secret|credential|key)[^=&\s]*=[^&\s]+", re.IGNORECASE
)
_GIVEN_UP = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)


class ConflictError(Exception):
    """Say that the parent of a commit is not the head any more."""


class VanishedError(Exception):
    """Say that a commit or a file is not there any more: the history was squashed, or a file was removed."""


class DamagedError(OSError):
    """Say that what came down is not what was asked for."""


def status_of(error: BaseException) -> int:
    """Give the HTTP status of an error, 0 if there is none."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def is_passing(error: BaseException) -> bool:
    """Tell whether an error is the network's or the Hub's, and may be gone at the next try.

    Transport faults are httpx errors, or the builtin ConnectionError and TimeoutError (hf_xet raises those). Errors with a
    status are told apart by it alone: texts change. Errors of uploads and downloads wrap what happened.
    """
    import httpx2
    from huggingface_hub.errors import LocalEntryNotFoundError

    if status := status_of(error):
        return status in _GIVEN_UP
    if isinstance(error, (httpx2.TransportError, httpx2.StreamError, ConnectionError, TimeoutError, DamagedError)):
        return True
    if error.__cause__ is not None:
        return is_passing(error.__cause__)
    short = isinstance(error, OSError) and error.errno is None  # a download of another size than announced
    return short or isinstance(error, LocalEntryNotFoundError)


def asked_to_wait(error: BaseException) -> float:
    """Give the seconds for which the Hub asked to be left alone: `Retry-After`, or when its rate limit begins anew."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    after = str(headers.get("retry-after", ""))
    window = re.search(r"\br=0\b.*\bt=(\d+)", str(headers.get("ratelimit", "")))
    return float(after) if after.isdecimal() else float(window[1]) if window else 0.0


def translated(error: BaseException, repo: str, endpoint: str, token: bool) -> ContentError:
    """Say what happened, and what to do about it.

    Args:
        error: What the client library raised.
        repo: OWNER/NAME.
        endpoint: The Hub's address.
        token: Whether a token was sent.
    """
    where = f"hf://datasets/{repo}"
    status = status_of(error)
    if is_passing(error):
        what = f"answers {status}" if status else f"cannot be reached ({_text(error)})"
        return ContentError(f"the Hub {endpoint} {what}", "nothing is lost; run again later, finished work is kept")
    if isinstance(error, OSError) and error.errno is not None and not status:
        return ContentError(f"cannot write {error.filename} ({os.strerror(error.errno)})", "free some space, or set HF_HOME")
    if status in {401, 404} and not token:
        hint = f"if it is private, set HF_TOKEN to {READ} to look at it, or to {WRITE} to run; else check the name"
        return ContentError(f"{where} does not exist, or is private and no token was given", hint)
    said = {
        401: (f"the Hub does not accept the token for {where}", f"set HF_TOKEN to a valid one: {WRITE}"),
        403: (f"the token may not do this to {where} ({_text(error)})", f"set HF_TOKEN to {WRITE}"),
        404: (
            f"{where} does not exist, or the token may not see it",
            f"check the name, make it with: forge-batch init --hub {repo}, or set HF_TOKEN to {WRITE} that covers this repo",
        ),
    }
    return ContentError(*said.get(status, (f"{where}: {_text(error)}" + (f" (status {status})" if status else ""), "")))


def _text(error: BaseException) -> str:
    """Give the first line of an error without anything secret in it."""
    message = getattr(error, "server_message", None) or str(error)
    line = next(iter(str(message).strip().splitlines()), "") or type(error).__name__
    return without_secrets(line)[:300]


def without_secrets(text: str) -> str:
    """Blot out tokens, and the signatures of addresses."""
    return _SECRET.sub("***", text)
