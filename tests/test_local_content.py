from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge_batch.artifacts import Artifact
from forge_batch.content.local import RECORD, LocalContent, replace_file
from forge_batch.errors import ContentError
from forge_batch.jobs import Failure, Job, TaskRecord
from tests.fakes import content_folder, small_disk


@pytest.fixture
def content(tmp_path: Path) -> LocalContent:
    """Give an empty content folder."""
    return LocalContent(content_folder(tmp_path / "content"))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a real disk of 64 KiB."""
    with small_disk(tmp_path / "disk", 64) as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        yield disk


def files(folder: Path) -> dict[str, bytes]:
    """Give everything that lies in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def finished(content: LocalContent, key: str, data: bytes = b"0123456789") -> TaskRecord:
    """Put a finished task into the work folder."""
    folder = content.task_folder(key)
    folder.mkdir(parents=True)
    (folder / "mesh.npz").write_bytes(data)
    record = TaskRecord(
        "clean", key, "done", 2.5, outputs=(Artifact("mesh", "mesh.npz", "sha", len(data)),), metrics={"faces": 12}
    )
    (folder / RECORD).write_text(json.dumps(record.to_json()))
    return record


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing folder, and one without manifests/, are refused with the command that makes one."""
    with pytest.raises(ContentError, match=r"nowhere is not a folder: .*forge-batch init"):
        LocalContent(tmp_path / "nowhere")
    with pytest.raises(ContentError, match=r"has no manifests/ folder: .*forge-batch init"):
        LocalContent(tmp_path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content stands there, nothing else is left, and missing folders are made."""
    place = tmp_path / "a" / "b.json"
    replace_file(place, b"old")
    replace_file(place, b"new")
    assert files(tmp_path) == {"a/b.json": b"new"}


def test_a_full_disk_leaves_the_old_file(full_disk: Path) -> None:
    """When the disk is full, the old content stays, no half-written file is left, and the error says what to free."""
    place = full_disk / "status.json"
    replace_file(place, b"old")
    with pytest.raises(ContentError, match=r"cannot write .*\(No space left on device\): free some space on that disk"):
        replace_file(place, bytes(200_000))
    assert files(full_disk) == {"status.json": b"old"}


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    """When the system stops a write in the middle, the old content stays and no half-written file is left."""
    code = """
import resource, sys
from pathlib import Path
from forge_batch.content.local import replace_file
from forge_batch.errors import ContentError
place = Path(sys.argv[1])
replace_file(place, b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_file(place, bytes(5000))
except ContentError as error:
    print(error)
"""
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "status.json")], capture_output=True, text=True, check=True, timeout=60
    )
    assert child.stdout.startswith("cannot write ")
    assert files(tmp_path) == {"status.json": b"old"}


def test_what_cannot_be_replaced_is_a_content_error(tmp_path: Path) -> None:
    """A folder where the file should stand, and a file where its folder should, are named; nothing is left behind."""
    (tmp_path / "place" / "inner").mkdir(parents=True)
    with pytest.raises(ContentError, match=r"cannot write .*place"):
        replace_file(tmp_path / "place", b"new")
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(ContentError, match=r"cannot write .*file"):
        replace_file(tmp_path / "file" / "inner.json", b"new")
    assert files(tmp_path) == {"file": b"old"}


def test_a_job_is_read_as_it_was_saved(content: LocalContent) -> None:
    """A job comes back from its file; an asset without one has an empty history."""
    job = Job("thing", {"k": TaskRecord("clean", "k", "done", 1.0)}, "", Failure("stage", "no"))
    content.save_job(job)
    assert content.load_job("thing") == job
    assert content.load_job("other") == Job("other")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"records": [{}]}', "\xff"])
def test_a_broken_job_file_is_refused(content: LocalContent, text: str) -> None:
    """A job file that is not one is named, with what to do about it."""
    content.write("state/jobs/thing.json", text.encode("latin-1"))
    with pytest.raises(ContentError, match=r"thing\.json cannot be read .*delete it"):
        content.load_job("thing")


def test_a_package_that_was_deleted_is_published_no_more(content: LocalContent) -> None:
    """When exports/ has lost its package, the job forgets that it was published."""
    content.save_job(Job("thing", published="k"))
    assert content.load_job("thing").published == ""
    content.write("exports/thing/export_Thing_UE5.zip", b"zip")
    assert content.load_job("thing").published == "k"


def test_a_finished_task_is_recalled(content: LocalContent) -> None:
    """The outcome beside whole outputs is given back as it was."""
    record = finished(content, "k")
    assert content.recall("k") == record


def test_what_is_not_whole_is_not_recalled(content: LocalContent) -> None:
    """Truncated, missing and misplaced outputs, broken records and unknown tasks count as not done."""
    finished(content, "truncated")
    (content.task_folder("truncated") / "mesh.npz").write_bytes(b"0123")
    finished(content, "missing")
    (content.task_folder("missing") / "mesh.npz").unlink()
    finished(content, "misplaced")
    content.task_folder("misplaced").rename(content.task_folder("elsewhere"))
    finished(content, "broken")
    (content.task_folder("broken") / RECORD).write_text('{"stage"')
    finished(content, "recordless")
    (content.task_folder("recordless") / RECORD).unlink()
    for key in ("truncated", "missing", "misplaced", "elsewhere", "broken", "recordless", "unknown"):
        assert content.recall(key) is None, key


def test_publishing_replaces_the_files_of_an_asset(content: LocalContent, tmp_path: Path) -> None:
    """Published files are copies of the sources, older ones are replaced, and nothing else is left or touched."""
    (tmp_path / "new.zip").write_bytes(b"new")
    content.write("exports/thing/thing.zip", b"old")
    content.write("exports/thing/mine.txt", b"mine")
    content.write("exports/thing/.thing.zip.part", b"left by a killed run")
    content.publish("thing", {"thing.zip": tmp_path / "new.zip", "preview.png": tmp_path / "new.zip"})
    assert files(content.root / "exports") == {
        "thing/thing.zip": b"new",
        "thing/preview.png": b"new",
        "thing/mine.txt": b"mine",
    }
    assert (tmp_path / "new.zip").read_bytes() == b"new"


def test_publishing_to_a_full_disk_leaves_what_was_published(full_disk: Path, tmp_path: Path) -> None:
    """If the second file no longer fits, neither is replaced and no part is left."""
    content = LocalContent(content_folder(full_disk))
    (tmp_path / "small").write_bytes(b"new")
    (tmp_path / "large").write_bytes(bytes(200_000))
    content.publish("thing", {"a.zip": tmp_path / "small", "b.png": tmp_path / "small"})
    with pytest.raises(ContentError, match="No space left on device"):
        content.publish("thing", {"a.zip": tmp_path / "large", "b.png": tmp_path / "large"})
    (tmp_path / "small").write_bytes(b"newer")
    with pytest.raises(ContentError, match="No space left on device"):
        content.publish("thing", {"a.zip": tmp_path / "small", "b.png": tmp_path / "large"})
    assert files(full_disk / "exports") == {"thing/a.zip": b"new", "thing/b.png": b"new"}


def test_exports_that_cannot_be_written_are_named(content: LocalContent, tmp_path: Path) -> None:
    """A file where exports/ should be is a ContentError that names it."""
    (tmp_path / "a.zip").write_bytes(b"new")
    (content.root / "exports").write_text("in the way")
    with pytest.raises(ContentError, match=r"cannot write .*exports"):
        content.publish("thing", {"a.zip": tmp_path / "a.zip"})


def test_a_read_only_disk_is_named(full_disk: Path, tmp_path: Path) -> None:
    """On a disk that is mounted read-only, publishing is a ContentError that says to make it writable."""
    content = LocalContent(content_folder(full_disk))
    (tmp_path / "a.zip").write_bytes(b"new")
    subprocess.run(["mount", "-o", "remount,ro", str(full_disk)], check=True)
    with pytest.raises(ContentError, match=r"cannot write .*Read-only file system\): make that folder writable"):
        content.publish("thing", {"a.zip": tmp_path / "a.zip"})


def test_the_lock_keeps_a_second_runner_out(content: LocalContent) -> None:
    """While one runner is in, another is told so; afterwards it may go in."""
    with content.lock():
        with pytest.raises(ContentError, match=r"another runner is at work on .*: wait until it is done"), content.lock():
            pass
        with pytest.raises(ContentError, match="another runner"), LocalContent(content.root).lock():
            pass
    with content.lock():
        pass


def test_the_lock_ends_with_its_process(content: LocalContent) -> None:
    """A runner that is killed leaves no lock behind, and what it left half-written is swept up by the next."""
    code = """
import sys, time
from pathlib import Path
from forge_batch.content.local import LocalContent
with LocalContent(Path(sys.argv[1])).lock():
    print("in", flush=True)
    time.sleep(120)
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(content.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        with pytest.raises(ContentError, match="another runner"), content.lock():
            pass
        content.write("work/unfinished/k-1/mesh.npz", b"half")
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    with content.lock():
        assert not (content.root / "work" / "unfinished").exists()
