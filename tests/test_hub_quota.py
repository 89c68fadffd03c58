from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from forge_batch.content.hub_quota import PATH, read_quota
from forge_batch.quota import Reading


class Hub:
    """Answer the quota endpoint with what it is told."""

    def __init__(self) -> None:
        self.status, self.body = 200, ""
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(hub.status)
                self.send_header("Content-Length", str(len(hub.body)))
                self.end_headers()
                self.wfile.write(hub.body.encode())

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Give a server that plays the Hub."""
    found = Hub()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_reading_has_all_figures(hub: Hub) -> None:
    """Seconds, reset and paid seconds arrive, and the token is sent."""
    hub.body = json.dumps({"base": 2400, "current": 1800, "resetsAt": "2026-03-02T12:00:00.000Z", "overquotaUsed": 7})
    reading = read_quota("hf_x", hub.address)
    assert hub.asked == [(PATH, "Bearer hf_x")]
    assert reading is not None
    at = datetime.now(UTC)
    assert reading == Reading(2400, 1800, datetime(2026, 3, 2, 12, tzinfo=UTC), 7, reading.at)
    assert at - timedelta(seconds=30) < reading.at <= at


def test_a_period_that_is_not_open_has_no_reset(hub: Hub) -> None:
    """`resetsAt: null` means that the whole allowance is there."""
    hub.body = json.dumps({"base": 2400, "current": 2400, "resetsAt": None, "overquotaUsed": 0})
    reading = read_quota("hf_x", hub.address)
    assert reading is not None
    assert (reading.current, reading.resets_at) == (2400, None)


@pytest.mark.parametrize(("status", "body"), [(401, "{}"), (500, "oops"), (200, "<html>"), (200, "[]"), (200, '{"base": 1}')])
def test_what_is_no_answer_leaves_it_to_the_ledger(hub: Hub, status: int, body: str) -> None:
    """Errors and anything that is not the expected document give no reading, and no exception."""
    hub.status, hub.body = status, body
    assert read_quota("hf_x", hub.address) is None


def test_no_network_leaves_it_to_the_ledger() -> None:
    """Where nobody answers there is no reading."""
    assert read_quota("hf_x", "http://127.0.0.1:9") is None
