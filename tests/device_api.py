"""Play the device API of ZeroGPU, which schedules and charges; what it answers can be told call by call."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse


@dataclass(frozen=True)
class Answer:
    """Be one answer to /schedule."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()


def granted(*, idle: bool = True) -> Answer:
    """Give the GPU at once."""
    return Answer(200, {"idle": idle, "nvidiaIndex": 0, "nvidiaUUID": "GPU-x", "allowToken": "t1"})


def refused(left: int, wait: int, **headers: str) -> Answer:
    """Refuse for want of allowance."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(429, {"left": left, "wait": wait}, {"X-Authenticated": "pro", **named})


class DeviceApi:
    """Be the server.

    Attributes:
        script: Answers to the next calls of /schedule; without one the GPU is granted.
        schedules: Queries of the calls so far.
        pids: Processes that were allowed on the GPU, in order.
        releases: Queries of /release.
    """

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.schedules: list[dict[str, str]] = []
        self.pids: list[int] = []
        self.releases: list[dict[str, str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                api.answer(self)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one call."""
        url = urlparse(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        answer = Answer()
        if url.path == "/schedule":
            self.schedules.append(query)
            answer = self.script.popleft() if self.script else granted()
        elif url.path == "/allow":
            self.pids.append(int(query["pid"]))
        elif url.path == "/release":
            self.releases.append(query)
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        body = "".join(answer.events).encode() if answer.events else json.dumps(answer.body).encode()
        request.send_header("Content-Type", "text/event-stream" if answer.events else "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()
