"""Run the product end to end on one small asset, with everything that may happen to a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from forge_batch.content.local import RECORD, LocalContent
from forge_batch.executors.contract import Chain, Event, Finished, Progress, TaskSpec
from forge_batch.executors.local import LocalExecutor
from forge_batch.jobs import TaskRecord
from forge_batch.standing import plans
from tests.fakes import LEAST, content_folder, fill, small_disk

ROOT = Path(__file__).parent.parent
SMALL = """\
forge: 1
place: {height_cm: 30}
generate: {quality: fast}
decimate: {triangles: 1000}
unwrap: {texture_size: 512}
bake_occlusion: {rays: 16}
build_collision: {method: box}
"""
SURVIVED = 4  # stages that are finished when the first run is killed


def forge(*words: object) -> subprocess.Popen[str]:
    """Start the command line as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "forge_batch.cli", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def document_of(process: subprocess.Popen[str]) -> tuple[int, Any]:
    """Wait for a run with --json; give exit code and document."""
    out, err = process.communicate(timeout=240)
    assert out, err
    return process.returncode, json.loads(out)


def records(root: Path) -> dict[str, int]:
    """Give the time each finished task was recorded, by key."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (root / "work").glob(f"*/{RECORD}")}


def alive(group: int) -> list[int]:
    """List the processes of a group that still run (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(process_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


@dataclass(frozen=True)
class Story:
    """Be what four runs over one asset did: killed in the middle, finished, repeated, and after a change.

    `kept` and `after_kill` are the records that the killed run left, before and after the second run.
    """

    root: Path
    kept: dict[str, int]
    left: list[int]
    after_kill: dict[str, int]
    finished: tuple[int, Any]
    repeated: tuple[int, Any]
    changed: tuple[int, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Live through the four runs."""
    root = tmp_path_factory.mktemp("story") / "content"
    (root / "manifests").mkdir(parents=True)
    shutil.copytree(ROOT / "inbox" / "ammo_crate", root / "inbox" / "ammo_crate")
    manifest = root / "manifests" / "ammo_crate.yaml"
    manifest.write_text(SMALL)
    command = ("run", "--content", root, "--json")
    first = forge(*command)
    deadline = time.monotonic() + 200
    while len(records(root)) < SURVIVED and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    while (left := alive(first.pid)) and time.monotonic() < deadline and sys.platform == "linux":
        time.sleep(0.05)
    kept = records(root)
    finished = document_of(forge(*command))
    after_kill = records(root)
    repeated = document_of(forge(*command))
    manifest.write_text(SMALL + "build_lods: {ratios: [0.4, 0.2]}\n")
    changed = document_of(forge(*command))
    return Story(root, kept, left, after_kill, finished, repeated, changed)


def stages(run: tuple[int, Any], cached: bool) -> list[str]:
    """Name the stages of a run's one asset that were cached, or that ran."""
    (asset,) = run[1]["assets"]
    return [stage["name"] for stage in asset["stages"] if stage["cached"] is cached]


@pytest.mark.slow
def test_a_killed_run_dies_whole(story: Story) -> None:
    """When the runner is killed, its workers end with it; they do not go on behind the next runner's back."""
    assert story.left == []


@pytest.mark.slow
def test_no_finished_stage_is_repeated_after_a_kill(story: Story) -> None:
    """The run after a kill finishes the asset; what was recorded before the kill is cached and untouched."""
    code, document = story.finished
    (asset,) = document["assets"]
    assert (code, asset["state"], asset["error"]) == (0, "done", None)
    assert len(story.kept) >= SURVIVED
    assert {key: story.after_kill[key] for key in story.kept} == story.kept
    assert len(stages(story.finished, cached=True)) == len(story.kept)
    assert stages(story.finished, cached=True)[:SURVIVED] == ["remove_background", "generate", "repair", "clean"]


@pytest.mark.slow
def test_a_finished_asset_has_its_files(story: Story) -> None:
    """The package is a sound zip, the preview a picture, the report a page, and nothing half-made is left."""
    folder = story.root / "exports" / "ammo_crate"
    with zipfile.ZipFile(folder / "export_AmmoCrate_UE5.zip") as package:
        assert package.testzip() is None
        assert package.namelist()
    with Image.open(folder / "preview.png") as preview:
        assert min(preview.size) >= 256
    assert "ammo_crate" in (folder / "report.html").read_text()
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []
    assert list((story.root / "work" / "unfinished").glob("*")) == []


@pytest.mark.slow
def test_a_second_run_skips_and_says_so(story: Story) -> None:
    """When nothing changed, nothing runs."""
    code, document = story.repeated
    assert (code, document["assets"][0]["state"]) == (0, "skipped")
    assert stages(story.repeated, cached=False) == []


@pytest.mark.slow
def test_a_changed_option_runs_what_reads_from_it(story: Story) -> None:
    """Other LOD ratios run build_lods, inspect and export, and no other stage."""
    code, document = story.changed
    assert (code, document["assets"][0]["state"]) == (0, "done")
    assert stages(story.changed, cached=False) == ["build_lods", "inspect", "export"]


def test_an_interrupted_run_ends_at_once(tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and one line that says that finished work is kept; no worker is left behind."""
    root = content_folder(tmp_path / "content", "crate")
    process = forge("run", "--content", root)
    deadline = time.monotonic() + 60
    while not (root / "work" / "logs" / "crate.log").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted; what is finished is kept, run again to go on\n")
    assert "Traceback" not in err
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(process.pid) == []


def chain_of(root: Path, asset: str, cost: float = 1.0) -> Chain:
    """Give the first task of an asset as a chain."""
    content = LocalContent(root)
    found, _ = plans(content, asset)
    work = root / "work"
    return Chain(asset, (TaskSpec.of(found[0].pending[0], found[0], work),), cost)


def ended(events: Sequence[Event]) -> dict[str, TaskRecord]:
    """Give the outcome of each asset's one task."""
    return {event.asset: event.record for event in events if isinstance(event, Finished)}


def test_outputs_lie_in_place_before_they_are_told_of(tmp_path: Path) -> None:
    """When Finished comes, the task's folder holds its outputs and the same record, which content recalls."""
    root = content_folder(tmp_path / "content", "crate")
    chain = chain_of(root, "crate")
    heard = []
    for event in LocalExecutor(1).run([chain]):
        heard.append(event)
        if isinstance(event, Finished):
            assert event.record.state == "done"
            assert LocalContent(root).recall(chain.tasks[0].key) == event.record
    assert isinstance(heard[0], Progress)
    assert isinstance(heard[-1], Finished)
    assert (root / "work" / "logs" / "crate.log").is_file()


def test_a_worker_that_is_killed_fails_its_asset_only(tmp_path: Path) -> None:
    """The asset of a killed worker ends with a worker failure that names the signal; the next asset is finished."""
    root = content_folder(tmp_path / "content", "crate")
    content_folder(root, "lamp", manifest=LEAST + "seed: 1\n")
    executor, heard = LocalExecutor(1), []
    for event in executor.run([chain_of(root, "crate", 2.0), chain_of(root, "lamp", 1.0)]):
        heard.append(event)
        if isinstance(event, Progress) and event.asset == "crate" and event.fraction == 0:
            for child in children():
                os.kill(child, signal.SIGKILL)
    outcome = ended(heard)
    assert outcome["lamp"].state == "done"
    failure = outcome["crate"].failure
    assert failure is not None
    assert failure.code == "worker"
    assert "SIGKILL" in failure.message
    assert not (root / "work" / outcome["crate"].key).exists()


def test_a_silent_worker_is_heard_of(tmp_path: Path) -> None:
    """A worker in the middle of long work is said to be where it was every second, so that a listener can stop the run."""
    run = LocalExecutor(1).run([chain_of(content_folder(tmp_path / "content", "crate"), "crate")])
    next(run)
    for child in children():
        os.kill(child, signal.SIGSTOP)
    start = time.monotonic()
    heard = [next(run) for _ in range(4)]
    assert isinstance(heard[-1], Progress)
    assert heard[-1] == heard[-2]
    assert time.monotonic() - start < 10
    run.close()
    assert children() == []


def children() -> list[int]:
    """List this process's worker processes."""
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid]


def test_a_stage_error_becomes_a_failed_record(tmp_path: Path) -> None:
    """A picture without an object fails remove_background with a sentence and leaves no folder."""
    root = content_folder(tmp_path / "content", "crate")
    Image.new("RGBA", (64, 64)).save(root / "inbox" / "crate" / "front.png")
    record = ended(list(LocalExecutor(1).run([chain_of(root, "crate")])))["crate"]
    assert record.state == "failed"
    assert record.failure is not None
    assert record.failure.code == "stage"
    assert not (root / "work" / record.key).exists()
    assert list((root / "work" / "unfinished").glob("*")) == []


def test_a_full_disk_becomes_a_failed_record(tmp_path: Path) -> None:
    """A stage that finds the disk full fails with what to free, as a fault that is worth another try."""
    with small_disk(tmp_path / "disk", 64) as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        root = content_folder(disk, "crate")
        chain = chain_of(root, "crate")
        (root / "work").mkdir(exist_ok=True)
        fill(disk)
        record = ended(list(LocalExecutor(1).run([chain])))["crate"]
        assert record.failure is not None
        assert record.failure.code == "content"
        assert record.failure.hint == "free some space"
