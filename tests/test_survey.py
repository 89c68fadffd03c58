"""Look at content folders the way a page does: what it knows, what it says while it reads, and what a fault costs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forge_batch.content.local import LocalContent
from forge_batch.header_view import header
from forge_batch.jobs import Job, TaskRecord
from forge_batch.last_seen import PATH
from forge_batch.live import LiveFile
from forge_batch.queue_view import counts
from forge_batch.quota import Ledger
from forge_batch.survey import Survey
from tests.fakes import content_folder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def surveyed(content: LocalContent) -> Survey:
    """Look at a folder once."""
    survey = Survey(content, 1, clock=lambda: NOW)
    survey.look()
    return survey


def test_a_page_that_is_started_again_shows_how_the_queue_stood(tmp_path: Path) -> None:
    """Before anything is read the rows are those of the last time, and the header says of when they are."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", "hat"))
    before = surveyed(content)
    again = Survey(content, 1, clock=lambda: NOW)
    assert again.remember()
    assert [(row.asset, row.state, row.facts.estimated) for row in again.rows] == [
        (row.asset, row.state, row.facts.estimated) for row in before.rows
    ]
    said = header(again.queue, again.rows, NOW).doing
    assert said == f"The folder is being read; below is how it stood at {NOW.astimezone():%H:%M on %d %b}."
    (content.root / "manifests" / "hat.yaml").unlink()
    again.look()
    assert [row.asset for row in again.rows] == ["crate"]
    assert "being read" not in header(again.queue, again.rows, NOW).doing


def test_nothing_to_remember(tmp_path: Path) -> None:
    """On a first start, and from a damaged file, nothing is shown that is not known."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    assert not Survey(content, 1).remember()
    surveyed(content)
    (content.home / PATH).write_text('{"at": 5, "facts": [{"asset": "crate", "stages": [], "no such": 1}]}')
    survey = Survey(content, 1, clock=lambda: NOW)
    assert not survey.remember()
    assert survey.rows == []
    assert header(survey.queue, survey.rows, NOW).doing == "The folder is being read."


@dataclass
class Slow(LocalContent):
    """Be a folder whose reading takes until somebody lets it go on."""

    folder: Path
    go: threading.Event = field(default_factory=threading.Event)
    reading: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(self.folder)

    def load_job(self, asset: str) -> Job:
        self.reading.set()
        assert self.go.wait(60)
        return super().load_job(asset)


def test_reading_a_long_folder_holds_up_no_news_of_the_runner(tmp_path: Path) -> None:
    """While a look is under way, a glance tells what the runner does now and what was spent."""
    content = Slow(content_folder(tmp_path / "content", "crate"))
    (content.root / "forge.yaml").write_text("forge: 1\nallowance: seed\n")
    survey = Survey(content, 1, clock=lambda: NOW)
    look = threading.Thread(target=survey.look)
    look.start()
    assert content.reading.wait(60)
    live = LiveFile(content.home, clock=NOW.timestamp)
    live.began("0123")
    Ledger(content.home / "state" / "ledger.jsonl").reserve(100, NOW)
    survey.glance()
    assert look.is_alive()
    assert (survey.queue.live.state, survey.queue.live.seen) == ("working", "0123")
    assert survey.queue.left.seconds == 1400  # of the seed's 1500
    live.leave()
    content.go.set()
    look.join()
    assert [row.asset for row in survey.rows] == ["crate"]


def test_a_job_that_cannot_be_read_costs_its_asset_alone(tmp_path: Path) -> None:
    """A damaged file in state/jobs is said in that asset's row, with what to do; the others stand as they do."""
    content = LocalContent(content_folder(tmp_path / "content", "crate", "hat"))
    (content.home / "state" / "jobs").mkdir(parents=True)
    (content.home / "state" / "jobs" / "hat.json").write_text("{")
    survey = surveyed(content)
    assert {row.asset: row.state for row in survey.rows} == {"crate": "queued", "hat": "failed"}
    failed = survey.row("hat")
    assert failed is not None
    assert "hat.json cannot be read" in failed.why
    assert "delete it" in failed.why


def test_a_damaged_ledger_hides_nothing_else(tmp_path: Path) -> None:
    """What was known to be left stays, the queue goes on, and the header says what is wrong."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    (content.root / "forge.yaml").write_text("forge: 1\nallowance: seed\n")
    path = content.home / "state" / "ledger.jsonl"
    Ledger(path).reserve(100, NOW)
    survey = surveyed(content)
    path.write_text("nonsense\n" + path.read_text())
    survey.glance()
    assert survey.queue.left.seconds == 1400
    assert counts(survey.rows)["queued"] == 1
    said = header(survey.queue, survey.rows, NOW).doing
    assert "ledger.jsonl:1 cannot be read" in said


def test_every_record_teaches_before_anything_is_estimated(tmp_path: Path) -> None:
    """The first asset's estimate rests on what the last one's stages took: both are estimated alike."""
    content = LocalContent(content_folder(tmp_path / "content", "alder", "zebra"))
    survey = surveyed(content)
    task = survey.standings["zebra"].plan.tasks[0]
    params = task.params.model_dump(mode="json")
    record = TaskRecord(task.stage.name, task.key, "done", 900.0, params=params)
    prior = survey.queue.facts["alder"].estimated
    content.save_job(Job("zebra", {task.key: record}))
    for asset in ("alder", "zebra"):
        assert surveyed(content).queue.facts[asset].estimated > prior + 300
