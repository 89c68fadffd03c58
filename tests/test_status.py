from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forge_batch.cli import main
from forge_batch.content.local import LocalContent
from forge_batch.jobs import Job, TaskRecord
from forge_batch.quota import Ledger
from forge_batch.standing import plans
from tests.fakes import content_folder
from tests.test_hub_quota import Hub

QUOTA = {"base": 2400, "current": 1800, "resetsAt": "2999-01-01T00:00:00Z", "overquotaUsed": 0}


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Play the Hub, and have a token for it."""
    hub = Hub()
    hub.body = json.dumps(QUOTA)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def content(tmp_path: Path) -> LocalContent:
    """Make a folder with an allowance that a platform counts, of which 100 s are spent as far as the ledger knows."""
    root = content_folder(tmp_path / "content", "crate")
    (root / "forge.yaml").write_text("allowance: zerogpu-pro\n")
    ledger = Ledger(root / "state" / "ledger.jsonl")
    ledger.settle(ledger.reserve(300, datetime.now(UTC)), 100, datetime.now(UTC))
    return LocalContent(root)


def said(capsys: pytest.CaptureFixture[str], command: str, content: LocalContent) -> dict[str, Any]:
    """Give what a command prints as JSON."""
    assert main([command, "--content", str(content.root), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("command", ["status", "plan"])
def test_the_platform_is_asked_where_there_is_a_token(
    platform: Hub, content: LocalContent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """With a token it is the platform's 1,800 s, without one, or when it is silent, the ledger's 2,300 s; and it says which."""
    allowance = said(capsys, command, content)["allowance"]
    assert (allowance["left"], allowance["source"]) == (1800, "platform")
    assert platform.asked[0][1] == "Bearer hf_test"
    platform.status = 500
    assert said(capsys, command, content)["allowance"]["source"] == "ledger"
    monkeypatch.delenv("HF_TOKEN")
    count = len(platform.asked)
    allowance = said(capsys, command, content)["allowance"]
    assert (allowance["left"], allowance["source"], len(platform.asked)) == (2300, "ledger", count)


def test_status_says_who_counts_and_how_well_it_foretold(content: LocalContent, capsys: pytest.CaptureFixture[str]) -> None:
    """The text names the source of the seconds, and the share of past tasks that took less than their p90."""
    (asset,), _ = plans(content)
    took = [5.0, 15.0, 25.0, 12.0]
    records = [
        TaskRecord(task.stage.name, task.key, "done", seconds, expected=(10.0, 20.0))
        for task, seconds in zip([task for task in asset.tasks if task.stage.device == "cpu"], took, strict=False)
    ]
    content.save_job(Job("crate", {record.key: record for record in records}))
    assert main(["status", "--content", str(content.root)]) == 0
    text = capsys.readouterr().out
    assert "allowance zerogpu-pro: 2300 of 2400 s left (ledger)" in text
    assert "estimates: 75% of 4 past tasks took less than their p90 (90% is right)" in text
