"""Receive the Hub's webhook: judge a call, and listen for calls on a port."""

from __future__ import annotations

import contextlib
import hmac
import json
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/webhooks/dataset"
SECRET = "X-Webhook-Secret"  # noqa: S105 - the name of a header
LARGEST = 1 << 20
"""Bytes of the largest call that is read."""


@dataclass(frozen=True)
class Answer:
    """Be what is answered to a call: the HTTP status and a word for the Hub's log of deliveries."""

    status: int
    text: str


@dataclass
class Webhook:
    """Judge calls of the Hub's webhook, and wake the runner for those that tell something new.

    A call is a hint and nothing else: it makes the runner look at the repo, so a repeated or stale one costs one request.

    Attributes:
        repo: OWNER/NAME; calls for others are ignored.
        secret: What calls must carry in the header X-Webhook-Secret.
        own: Commits of the runner, which wake nobody.
        wake: Called for news.
    """

    repo: str
    secret: str = field(repr=False)
    own: Container[str]
    wake: Callable[[], None]
    _last: str = ""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Judge one call. The secret is compared in constant time, before anything else is looked at."""
        given = next((value for name, value in headers.items() if name.lower() == SECRET.lower()), "")
        if not self.secret or not hmac.compare_digest(given.encode(), self.secret.encode()):
            return Answer(401, "wrong secret")
        if len(body) > LARGEST:
            return Answer(413, "too large")
        try:
            call = json.loads(body)
            repo, event = call["repo"], call["event"]
            mine = (repo["type"], repo["name"]) == ("dataset", self.repo)
            content = event["scope"].startswith("repo.content")
            heads = [ref["newSha"] for ref in call.get("updatedRefs") or () if ref.get("ref") == "refs/heads/main"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Answer(400, "not a webhook call")
        if not mine or not content:
            return Answer(200, "ignored: of no concern")
        if heads and (heads[-1] in self.own or heads[-1] == self._last):
            return Answer(200, "ignored: known")
        self._last = heads[-1] if heads else ""
        self.wake()
        return Answer(202, "looking")


@contextlib.contextmanager
def listen(webhook: Webhook, port: int, host: str = "0.0.0.0") -> Iterator[int]:  # noqa: S104 - the Hub calls from outside
    """Serve a webhook in a thread while the context lasts, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds; a caller that trickles holds nothing up

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != PATH:
                answer = Answer(404, "not here")
            elif not length.isdecimal():
                answer = Answer(411, "say the length")
            elif int(length) > LARGEST:
                answer = Answer(413, "too large")
            else:
                answer = webhook.receive(dict(self.headers.items()), self.rfile.read(int(length)))
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(answer.text)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.text.encode())

        def log_message(self, *words: Any) -> None:  # noqa: ARG002 - headers may hold secrets: nothing is logged
            return

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
