"""Pictures are looked at once, whatever happens to what was kept, and problems stand where the manifest names the picture."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from forge_batch.intake import take_in, take_in_files
from forge_batch.ops.image import check_image_set
from forge_batch.picture_checks import CACHE, CheckedSet, check_pictures
from tests.fakes import LEAST, content_folder, fill, picture, small_disk
from tests.planted import save, sound

OLD = time.time() - 100


def age(*paths: Path) -> None:
    """Let files look as if they had been written a while ago, as far as a program can."""
    for path in paths:
        os.utime(path, (OLD, OLD))


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder with two assets, one picture each."""
    return content_folder(tmp_path / "content", "one", "two")


def sets_of(content: Path) -> list[dict[str, Path]]:
    """Name the pictures of both assets."""
    return [{"front": content / "inbox" / name / "front.png"} for name in ("one", "two")]


def check(content: Path) -> list[CheckedSet]:
    """Look at both assets, which are all there is."""
    return check_pictures(content, sets_of(content), whole=True)


def kept(content: Path) -> dict[str, dict[str, object]]:
    """Read what was kept."""
    return json.loads((content / CACHE).read_text().partition("\n")[2])  # type: ignore[no-any-return]


def forge(content: Path, facts: dict[str, object]) -> None:
    """Replace the facts of every known picture by others, with a sound checksum."""
    from forge_batch.picture_checks import _checksum

    data = kept(content)
    body = json.dumps({**data, "facts": dict.fromkeys(data["facts"], facts)})
    (content / CACHE).write_text(f"{_checksum(body)}\n{body}")


def test_a_known_picture_is_not_looked_at_again(content: Path) -> None:
    """What was kept is believed: facts that were replaced by others come back."""
    assert [found.problems for found in check(content)] == [(), ()]
    forge(content, {"width": 100, "height": 100})
    assert [[problem.code for problem in found.problems] for found in check(content)] == [["small_picture"]] * 2


def test_equal_files_are_measured_once(content: Path) -> None:
    """Two files of one content have one entry."""
    hashes = [found.hashes["front"] for found in check(content)]
    assert hashes[0] == hashes[1]
    assert list(kept(content)["facts"]) == [hashes[0]]


def test_a_changed_picture_with_the_same_time_is_seen(content: Path) -> None:
    """Another picture of the same size in bytes and with the old time is hashed and measured again."""
    path = content / "inbox" / "one" / "front.png"
    save(path, np.full((600, 600, 3), 90, np.uint8))
    age(path)
    before = check(content)[0]
    size = path.stat().st_size
    save(path, np.full((600, 600, 3), 91, np.uint8))
    assert path.stat().st_size == size
    age(path)
    after = check(content)[0]
    assert after.hashes["front"] != before.hashes["front"]


def test_a_file_just_written_is_not_believed(content: Path) -> None:
    """Right after a write nothing but the facts by content is kept: the next write may have the same time."""
    check(content)
    assert kept(content)["files"] == []
    assert len(kept(content)["facts"]) == 1


def test_a_file_at_rest_is_known_by_its_stamp(content: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a file has rested for two seconds, its hash is kept by size, times and inode."""
    later = time.time_ns() + 10**10
    monkeypatch.setattr(time, "time_ns", lambda: later)
    check(content)
    rows = kept(content)["files"]
    assert [row[0] for row in rows] == ["inbox/one/front.png", "inbox/two/front.png"]  # type: ignore[attr-defined]
    status = (content / "inbox" / "one" / "front.png").stat()
    assert rows[0][1:5] == [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]  # type: ignore[index]


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"\xff\xfe", b"0\n{}", b"[" * 100_000],
    ids=["empty", "another document", "no text", "wrong checksum", "deep"],
)
def test_a_damaged_memory_is_made_anew(content: Path, damage: bytes) -> None:
    """Whatever stands in the file, the result is the same and a sound file takes its place."""
    expected = check(content)
    (content / CACHE).write_bytes(damage)
    assert check(content) == expected
    assert len(kept(content)["facts"]) == 1


def test_half_a_memory_is_made_anew(content: Path) -> None:
    """A file that was cut in the middle counts as lost."""
    expected = check(content)
    whole = (content / CACHE).read_bytes()
    (content / CACHE).write_bytes(whole[: len(whole) // 2])
    assert check(content) == expected
    assert (content / CACHE).read_bytes() == whole


def test_a_place_that_cannot_be_written_costs_nothing_but_time(content: Path) -> None:
    """Where work/ is a file, as where it is read-only, checking works and says nothing."""
    (content / "work").write_text("in the way")
    assert [found.problems for found in check(content)] == [(), ()]
    assert (content / "work").read_text() == "in the way"


def test_a_full_disk_costs_nothing_but_time(tmp_path: Path) -> None:
    """On a full disk the pictures are checked and no half file is left."""
    with small_disk(tmp_path / "disk", 1024) as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        content = content_folder(disk, "one", "two")
        fill(disk)
        assert [found.problems for found in check(content)] == [(), ()]
        assert not [path for path in content.rglob("*.part") if path.stat().st_size]


def test_what_is_gone_is_forgotten(content: Path) -> None:
    """Looking at all sets forgets pictures that none of them has; looking at one keeps the others."""
    picture(content / "inbox" / "two" / "front.png", (700, 512))
    check(content)
    assert len(kept(content)["facts"]) == 2
    check_pictures(content, sets_of(content)[:1], whole=True)
    assert len(kept(content)["facts"]) == 1


def test_nothing_is_written_where_nothing_changed(content: Path) -> None:
    """A second look leaves the file alone."""
    check(content)
    inode = (content / CACHE).stat().st_ino
    check(content)
    assert (content / CACHE).stat().st_ino == inode


def test_many_pictures_are_measured_in_processes_to_the_same_end(tmp_path: Path) -> None:
    """Thirty pictures, some of them refused, give what check_image_set says of each set, in two workers."""
    sets = []
    for index in range(30):
        mode, size = ("L", (512, 512)) if index % 7 == 3 else ("RGB", (512, 512 + index))
        path = picture(tmp_path / "inbox" / f"set{index}" / "front.png", size, mode)
        if index % 7 == 5:
            path.write_bytes(path.read_bytes()[:200])
        sets.append({"front": path})
    found = check_pictures(tmp_path, sets, workers=2)
    for files, result in zip(sets, found, strict=True):
        errors = [problem for problem in result.problems if problem.severity == "error"]
        assert [(e.field, e.message, e.hint) for e in errors] == [(e.field, e.message, e.hint) for e in check_image_set(files)]
    assert sum(bool(result.problems) for result in found) == 8


def test_a_killed_command_leaves_no_worker(tmp_path: Path) -> None:
    """When the process that checks is killed in the middle, its workers end by themselves."""
    front = sound("teddy_bear")
    for index in range(60):
        front[..., 0] ^= np.uint8(index)
        save(tmp_path / "inbox" / f"set{index}" / "front.png", front)
    script = (
        "import sys; from pathlib import Path; from forge_batch.picture_checks import check_pictures\n"
        "if __name__ == '__main__':\n"
        "    root = Path(sys.argv[1])\n"
        "    check_pictures(root, [{'front': path} for path in root.glob('inbox/*/*.png')], workers=2)\n"
    )
    program = tmp_path / "program.py"
    program.write_text(script)
    command = [sys.executable, str(program), str(tmp_path)]
    running = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)})
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    if not children.exists():
        running.kill()
        pytest.skip("this system does not list the children of a process")
    workers: list[str] = []
    deadline = time.monotonic() + 60
    while len(workers) < 3 and running.poll() is None and time.monotonic() < deadline:  # two workers and a tracker
        workers = children.read_text().split()
    time.sleep(0.3)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(workers) >= 3
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}/exe").exists()]


def test_unreadable_files_are_problems(content: Path) -> None:
    """A picture and a licence that are gone when they are read are named, and the set has no hash for them."""
    files = sets_of(content)[0] | {"right": content / "inbox" / "gone.png", "license": content / "inbox" / "LICENSE.txt"}
    (found,) = check_pictures(content, [files])
    assert [problem.message for problem in found.problems] == ["gone.png does not exist", "LICENSE.txt cannot be read"]
    assert set(found.hashes) == {"front"}


def test_problems_stand_where_the_manifest_names_the_picture(content: Path) -> None:
    """By view, by folder, and nowhere: line and column of the path, of the folder's name, and the file alone."""
    small = picture(content / "inbox" / "shared" / "front.png", (300, 300))
    shutil.copy(small, content / "inbox" / "one" / "front.png")
    manifests = content / "manifests"
    (manifests / "one.yaml").write_text(LEAST)
    (manifests / "two.yaml").write_text(LEAST + "images:\n  front: shared/front.png\n")
    (manifests / "three.yaml").write_text(LEAST + "images: shared\n")
    found = take_in(content)
    assert len(found.orders) == 3
    assert sorted((p.file, p.line, p.column, p.field, p.severity, p.code) for p in found.problems) == [
        ("manifests/one.yaml", 0, 0, "images.front", "warning", "small_picture"),
        ("manifests/three.yaml", 3, 9, "images.front", "warning", "small_picture"),
        ("manifests/two.yaml", 4, 10, "images.front", "warning", "small_picture"),
    ]
    assert take_in_files(content, [manifests / "two.yaml"]).problems == tuple(
        problem for problem in found.problems if problem.file == "manifests/two.yaml"
    )


def test_a_refused_picture_costs_its_order_and_says_where(content: Path) -> None:
    """An error stands at the picture's path, and the other asset is taken in."""
    picture(content / "inbox" / "one" / "front.png", (512, 512), "L")
    (content / "manifests" / "one.yaml").write_text(LEAST + "images: {front: one/front.png}\n")
    found = take_in(content)
    assert [order.manifest.asset for order in found.orders] == ["two"]
    (problem,) = found.errors
    assert (problem.line, problem.column, problem.field, problem.code) == (3, 17, "images.front", "image")
    assert problem.message == "front.png is a grayscale PNG"
