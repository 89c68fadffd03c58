from __future__ import annotations

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from forge_batch.content.hub_errors import asked_to_wait, is_passing, translated, without_secrets


def answer(status: int, headers: dict[str, str] | None = None, text: str = "") -> HfHubHTTPError:
    """Give what the client raises for an answer."""
    request = httpx2.Request("GET", "http://hub/api")
    return HfHubHTTPError(text or f"status {status}", response=httpx2.Response(status, headers=headers or {}, request=request))


def wrapped(cause: Exception) -> RuntimeError:
    """Give what the client raises when an upload fails."""
    error = RuntimeError("Error while uploading 'a.zip' to the Hub.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        *map(answer, (408, 429, 500, 502, 503, 504)),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        ConnectionError("xet"),
        TimeoutError(),
        OSError("Consistency check failed: file should be of size 5 but has size 3"),
        wrapped(httpx2.ConnectError("refused")),
        wrapped(answer(503)),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    """Busy and broken Hubs, lost connections, hf_xet's ConnectionError, short downloads; wrapped or not."""
    assert is_passing(error)
    said = str(translated(error, "me/game", "http://hub", token=True))
    assert said.startswith("the Hub http://hub ")
    assert said.endswith("nothing is lost; run again later, finished work is kept")


@pytest.mark.parametrize(
    "error",
    [
        *map(answer, (400, 401, 403, 404, 409, 412, 413)),
        ValueError("bug"),
        OSError(28, "No space left", "/disk/a"),
        wrapped(answer(403)),
    ],
    ids=str,
)
def test_what_would_fail_again_is_not(error: Exception) -> None:
    """Refusals, conflicts, bugs and full disks are met at once."""
    assert not is_passing(error)


def test_a_full_disk_is_no_matter_of_the_hub() -> None:
    """The path and what to do about it are named."""
    error = OSError(28, "No space left on device", "/disk/a")
    assert str(translated(error, "me/game", "http://hub", token=True)) == (
        "cannot write /disk/a (No space left on device): free some space, or set HF_HOME"
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=12;t=55'}, 0),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
    ],
)
def test_the_hub_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    """By Retry-After, or by a rate limit that is used up."""
    assert asked_to_wait(answer(429, headers)) == seconds
    assert asked_to_wait(ConnectionError()) == 0


def test_secrets_are_blotted_out() -> None:
    """Tokens, bearer headers and signed addresses do not pass; plain words do."""
    text = "hf_abcdefghij0123 Authorization: Bearer abc.def https://s3/x?X-Amz-Signature=0a1b&expires=9&token=zz size=3"
    said = without_secrets(text)
    assert not any(secret in said for secret in ("abcdefghij", "abc.def", "0a1b", "zz"))
    assert "expires=9" in said
    assert "size=3" in said
