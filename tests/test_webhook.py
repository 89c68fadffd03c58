from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

import pytest

from forge_batch.content import webhook
from forge_batch.content.webhook import Webhook, listen

SECRET = "the secret of the webhook"


def call(sha: str = "a" * 40, repo: str = "me/game", scope: str = "repo.content", kind: str = "dataset") -> bytes:
    """Give the body that the Hub sends after a push."""
    return json.dumps(
        {
            "event": {"action": "update", "scope": scope},
            "repo": {"type": kind, "name": repo, "id": "1", "private": True, "headSha": sha},
            "updatedRefs": [{"ref": "refs/heads/main", "oldSha": "0" * 40, "newSha": sha}],
            "webhook": {"id": "2", "version": 3},
        }
    ).encode()


class Rung:
    """Count how often the runner is woken."""

    def __init__(self, own: tuple[str, ...] = ()) -> None:
        self.count = 0
        self.hook = Webhook("me/game", SECRET, own, self.ring)

    def ring(self) -> None:
        self.count += 1

    def receive(self, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Call, by default with the right secret; give the status."""
        return self.hook.receive(headers if headers is not None else {"X-Webhook-Secret": SECRET}, body).status


def test_a_push_wakes_the_runner() -> None:
    """A call with the secret about a new commit of the repo wakes it; the header's case does not matter."""
    rung = Rung()
    assert rung.receive(call()) == 202
    assert rung.receive(call("b" * 40), {"x-webhook-secret": SECRET}) == 202
    assert rung.count == 2


@pytest.mark.parametrize(
    "headers", [{}, {"X-Webhook-Secret": ""}, {"X-Webhook-Secret": SECRET + "x"}, {"X-Webhook-Secret": "ü"}]
)
def test_a_call_without_the_secret_is_refused(headers: Mapping[str, str]) -> None:
    """No secret, an empty one, a wrong one: 401, and nobody is woken."""
    rung = Rung()
    assert rung.receive(call(), headers) == 401
    assert rung.count == 0


def test_without_a_secret_of_our_own_nothing_is_accepted() -> None:
    """An unset secret is no secret: the empty header does not match it."""
    woken: list[int] = []
    assert Webhook("me/game", "", (), lambda: woken.append(1)).receive({"X-Webhook-Secret": ""}, call()).status == 401
    assert not woken


def test_own_commits_wake_nobody() -> None:
    """The runner's own pushes are ignored."""
    rung = Rung(own=("a" * 40,))
    assert rung.receive(call()) == 200
    assert rung.count == 0


def test_replays_are_harmless() -> None:
    """The same delivery again wakes nobody again."""
    rung = Rung()
    assert [rung.receive(call()) for _ in range(3)] == [202, 200, 200]
    assert rung.count == 1


@pytest.mark.parametrize("body", [call(repo="you/game"), call(kind="model"), call(scope="discussion")])
def test_what_is_of_no_concern_is_ignored(body: bytes) -> None:
    """Other repos, models and discussions."""
    rung = Rung()
    assert rung.receive(body) == 200
    assert rung.count == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"repo": 1, "event": 2}', b"\xff", b"[" * 100_000])
def test_what_is_no_call_is_refused(body: bytes) -> None:
    """400, without a traceback."""
    assert Rung().receive(body) == 400


def test_a_huge_call_is_refused() -> None:
    """More than a mebibyte is not read as JSON."""
    assert Rung().receive(b" " * (webhook.LARGEST + 1)) == 413


def test_calls_come_in_over_http() -> None:
    """The endpoint answers over HTTP as `receive` judges; other paths and missing or huge lengths are refused."""
    rung = Rung()

    def post(path: str, body: bytes, **headers: str) -> int:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        link.putrequest("POST", path)
        for name, value in headers.items():
            link.putheader(name.replace("_", "-"), value)
        link.endheaders(body)
        status = link.getresponse().status
        link.close()
        return status

    with listen(rung.hook, 0, "127.0.0.1") as port:
        good = {"X_Webhook_Secret": SECRET, "Content_Length": str(len(call()))}
        assert post("/webhooks/dataset", call(), **good) == 202
        assert post("/webhooks/dataset", call(), **good) == 200
        assert post("/webhooks/dataset", call(), Content_Length=str(len(call()))) == 401
        assert post("/elsewhere", b"", Content_Length="0") == 404
        assert post("/webhooks/dataset", b"") == 411
        assert post("/webhooks/dataset", b"", Content_Length=str(1 << 40)) == 413
    assert rung.count == 1
