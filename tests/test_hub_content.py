"""Run batches on a dataset repo: the real huggingface_hub client against our own Hub on loopback."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from forge_batch.content.hub_client import HubClient, within
from forge_batch.content.hub_options import Patience
from forge_batch.content.open import open_content
from forge_batch.errors import ContentError
from forge_batch.executors.contract import WindowEdge
from forge_batch.image_sets import VIEWS
from forge_batch.intake import take_in
from forge_batch.jobs import Failure
from forge_batch.picture_checks import CACHE
from forge_batch.standing import plans, standing
from tests.fakes import LEAST, FakeExecutor, Killed
from tests.hub_server import OWNER_TOKEN, READER_TOKEN, HubServer
from tests.hub_store import Blob
from tests.hub_world import NAME, assert_sound, exports_of, go, opened, options, repo_with, states, wish

pytestmark = pytest.mark.hub
GPU = {"generate", "bake_normal", "bake_base_color", "bake_material", "bake_occlusion", "inpaint"}


def test_a_batch_on_a_repo_becomes_packages(hub: HubServer, tmp_path: Path) -> None:
    """Packages, reports, jobs and status lie in the repo; one commit begins the window and one ends it."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    report = go(opened(hub, tmp_path / "disk"))
    assert states(report) == {"crate": "done", "lamp": "done"}
    titles = [commit.title.rsplit(" ", 1)[0] for commit in repo.commits[2:]]
    assert titles == ["[forge] begin", "[forge] finish"]
    names = {"export_Crate_UE5.zip", "preview.png", "report.html", "report.json"}
    assert set(repo.below("exports/crate")) == {f"exports/crate/{name}" for name in names}
    assert set(repo.below("state")) == {
        f"state/{name}"
        for name in ("jobs/crate.json", "jobs/lamp.json", "runner.json", "cache.json", "status.json", "STATUS.md")
    }
    assert "| crate | done | exports/crate/export_Crate_UE5.zip |" in repo.text("state/STATUS.md")
    assert "`one` is idle" in repo.text("state/STATUS.md")
    assert json.loads(repo.text("state/status.json"))["runner"]["state"] == "idle"
    assert_sound(repo)


def test_a_repo_and_a_folder_say_the_same(hub: HubServer, tmp_path: Path) -> None:
    """What `status` says of a repo, another machine says too."""
    repo_with(hub, tmp_path, "crate", "lamp")
    content = opened(hub, tmp_path / "disk")
    go(content, FakeExecutor({("lamp", "clean"): Failure("stage", "the mesh is empty")}))
    elsewhere = opened(hub, tmp_path / "elsewhere")
    assert standing(elsewhere).to_json() == standing(content).to_json()
    assert states(standing(elsewhere)) == {"crate": "done", "lamp": "failed"}


def test_nothing_to_do_is_one_request(hub: HubServer, tmp_path: Path) -> None:
    """A second run commits nothing, asks once, and so does a new process on the same disk."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    go(content)
    count = len(repo.commits)
    with hub.counting() as requests:
        assert states(go(content)) == {"crate": "skipped"}
    assert len(requests) == 1
    with hub.counting() as requests:
        again = opened(hub, tmp_path / "disk")
    assert len(requests) == 1
    assert states(go(again)) == {"crate": "skipped"}
    assert states(go(opened(hub, tmp_path / "new disk"))) == {"crate": "skipped"}
    assert len(repo.commits) == count


def test_only_what_changed_is_brought(hub: HubServer, tmp_path: Path) -> None:
    """After one manifest changed, one file comes down; what users deleted is gone here; unchanged files are the same."""
    repo = repo_with(hub, tmp_path, "crate", "lamp", "chair")
    content = opened(hub, tmp_path / "disk")
    old = content.root
    take_in(old)
    inode = (old / "inbox" / "lamp" / "front.png").stat().st_ino
    repo.put({"manifests/crate.yaml": LEAST + "seed: 9\n", "manifests/chair.yaml": None, "inbox/chair/front.png": None})
    with hub.counting() as requests:
        content.sync()
    assert {path.rsplit("/", 1)[1] for method, path in requests if "/resolve/" in path} == {"crate.yaml"}
    assert (content.root / CACHE).read_bytes() == (old / CACHE).read_bytes(), "pictures that were seen are not looked at again"
    assert not (content.root / "inbox" / "chair" / "front.png").exists()
    assert (content.root / "inbox" / "lamp" / "front.png").stat().st_ino == inode
    assert (old / "inbox" / "chair" / "front.png").is_file(), "tasks of a running batch may still read it"


def test_the_working_copy_passes_the_loaders_checks(hub: HubServer, tmp_path: Path) -> None:
    """No file of it is a link, so none seems to leave inbox/."""
    repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    intake = take_in(content.root)
    assert [order.manifest.asset for order in intake.orders] == ["crate"]
    assert not [path for path in content.root.rglob("*") if path.is_symlink()]
    assert VIEWS[0] in intake.orders[0].images


def test_other_files_stay_where_they_are(hub: HubServer, tmp_path: Path) -> None:
    """Of a repo with a 2 GiB zip and other users' folders, only what a runner needs is brought; nothing of them is touched."""
    repo = repo_with(hub, tmp_path, "crate")
    big = Blob(b"a", lfs=True, fake_size=2 << 30)
    repo.commit("big", {"exports/old/export_Old_UE5.zip": big, "backup/all.zip": big, "cache/" + "0" * 64 + "/mesh.npz": big})
    repo.put({"notes/a.txt": "mine", "inbox/unused/front.png": b"x"})
    go(opened(hub, tmp_path / "disk"))
    fetched = {path.split("/", 6)[6] for method, path in hub.requests if "/resolve/" in path}
    assert not {path for path in fetched if path.endswith((".zip", ".npz")) or path.startswith("notes")}
    assert repo.head.files["exports/old/export_Old_UE5.zip"] == big
    assert repo.head.files["backup/all.zip"] == big
    assert sum(path.stat().st_size for path in (tmp_path / "disk").rglob("*") if path.is_file()) < 1 << 20
    assert_sound(repo)


def test_a_new_disk_pays_no_gpu_second_again(hub: HubServer, tmp_path: Path) -> None:
    """After a restart with an empty disk, a changed option runs CPU stages alone; what GPU stages made comes from cache/."""
    repo = repo_with(hub, tmp_path, "crate")
    go(opened(hub, tmp_path / "disk"))
    repo.put(wish("crate", tmp_path, manifest=LEAST + "build_lods: {ratios: [0.4]}\n"))
    executor = FakeExecutor()
    with hub.counting() as requests:
        assert states(go(opened(hub, tmp_path / "new disk"), executor)) == {"crate": "done"}
    ran = {stage for _, stage in executor.ran}
    assert ran
    assert not ran & GPU
    brought = {path.rsplit("/", 1)[1] for _, path in requests if "/resolve/" in path and "/cache/" in path}
    assert "normal_map.png" in brought
    assert_sound(repo)


def test_the_cache_keeps_within_its_budget(hub: HubServer, tmp_path: Path) -> None:
    """With a budget of nothing the cache holds what waiting assets need and no more; when they are done it is empty."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    content = opened(hub, tmp_path / "disk", cache_bytes=0)
    assert states(go(content, FakeExecutor({("lamp", "pack_channels"): Failure("worker", "killed")}))) == {
        "crate": "done",
        "lamp": "failed",
    }
    kept = {path.split("/")[1] for path in repo.below("cache")}
    (lamp,) = plans(content, "lamp")[0]
    assert kept
    assert kept <= lamp.keys
    go(content)
    assert not repo.below("cache")
    assert_sound(repo)


def test_a_user_commit_in_the_middle_of_a_window_survives(hub: HubServer, tmp_path: Path) -> None:
    """Users add an asset while another is made: both sides are in the repo, and the next run makes the new one."""
    repo = repo_with(hub, tmp_path, "crate")
    hub.fault(
        "before", "POST", "/commit/", skip=1, act=lambda: repo.put({**wish("lamp", tmp_path, seed=5), "notes.txt": "mine"})
    )
    content = opened(hub, tmp_path / "disk")
    assert states(go(content)) == {"crate": "done"}
    assert repo.text("notes.txt") == "mine"
    assert "exports/crate/export_Crate_UE5.zip" in repo.head.files
    assert "| lamp | waiting |" in repo.text("state/STATUS.md")
    assert states(go(content)) == {"crate": "skipped", "lamp": "done"}
    assert_sound(repo)


def test_a_lost_race_costs_no_upload(hub: HubServer, tmp_path: Path) -> None:
    """Users commit something else at every try of the runner's last commit: the zips go up once, the commit is tried again."""
    repo = repo_with(hub, tmp_path, "crate")
    hub.fault("before", "POST", "/commit/", skip=1, times=4, act=lambda: repo.put({"notes.txt": str(len(repo.commits))}))
    with hub.counting() as requests:
        assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done"}
    assert sum(path.endswith("/objects/batch") for _, path in requests) == 1
    assert sum("/commit/" in path for _, path in requests) == 6
    assert len(exports_of(repo, "crate")) == 1
    assert_sound(repo)


def test_users_who_commit_before_the_window_are_heard(hub: HubServer, tmp_path: Path) -> None:
    """A commit between planning and the window's first commit makes the runner plan again."""
    repo = repo_with(hub, tmp_path, "crate")
    hub.fault("before", "POST", "/commit/", act=lambda: repo.put(wish("lamp", tmp_path, seed=5)))
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done", "lamp": "done"}
    assert_sound(repo)


def test_a_manifest_that_is_deleted_in_the_middle(hub: HubServer, tmp_path: Path) -> None:
    """What was made for it is dropped: no package and no job appear; the other asset is published."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    hub.fault("before", "POST", "/commit/", skip=1, act=lambda: repo.put({"manifests/lamp.yaml": None}))
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done"}
    count = len(repo.commits)
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "skipped"}
    assert len(repo.commits) == count
    assert not repo.below("exports/lamp")
    assert "state/jobs/lamp.json" not in repo.head.files
    assert repo.below("exports/crate")
    assert_sound(repo)


def test_a_manifest_that_is_changed_in_the_middle(hub: HubServer, tmp_path: Path) -> None:
    """The result of the old wish is not published; the asset waits, and the next run makes the new wish, once."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    hub.fault("before", "POST", "/commit/", skip=1, act=lambda: repo.put({"manifests/lamp.yaml": LEAST + "seed: 77\n"}))
    content = opened(hub, tmp_path / "disk")
    assert states(go(content)) == {"crate": "done", "lamp": "waiting"}
    assert not repo.below("exports/lamp")
    assert states(go(content)) == {"crate": "skipped", "lamp": "done"}
    assert len(exports_of(repo, "lamp")) == 1
    assert_sound(repo)


def test_a_picture_that_is_changed_in_the_middle(hub: HubServer, tmp_path: Path) -> None:
    """Tasks read the picture they were planned with; its result is not published for the new one."""
    repo = repo_with(hub, tmp_path, "crate")
    new = dict(wish("crate", tmp_path))
    new["inbox/crate/front.png"] = (tmp_path / "front.png").read_bytes() + b"\0"
    hub.fault("before", "POST", "/commit/", skip=1, act=lambda: repo.put(new))
    content = opened(hub, tmp_path / "disk")
    assert states(go(content)) == {"crate": "waiting"}
    assert states(go(content)) == {"crate": "done"}
    assert_sound(repo)


def test_history_may_be_squashed(hub: HubServer, tmp_path: Path) -> None:
    """Before a run, and in the middle of one: unknown parents are read as a change, nothing is lost or made twice."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    repo.squash("squashed")
    hub.fault("before", "POST", "/commit/", skip=1, act=lambda: repo.squash("squashed again"))
    executor = FakeExecutor()
    assert states(go(content, executor)) == {"crate": "done"}
    repo.squash("and again")
    assert states(go(content, executor)) == {"crate": "skipped"}
    assert len(executor.ran) == len(set(executor.ran))
    hub.fault("before", "GET", "/tree/", act=lambda: repo.squash("between two requests"))
    repo.put(wish("lamp", tmp_path, seed=5))
    assert states(go(content)) == {"crate": "skipped", "lamp": "done"}


@pytest.mark.parametrize("code", [0, 500, 503])
@pytest.mark.parametrize("which", [0, 1], ids=["begin", "finish"])
def test_a_commit_whose_reply_is_lost_is_made_once(hub: HubServer, tmp_path: Path, code: int, which: int) -> None:
    """The commit is found by the mark in its message, be the answer an error or none."""
    repo = repo_with(hub, tmp_path, "crate")
    hub.fault("lose", "POST", "/commit/", skip=which, code=code)
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done"}
    assert [commit.title.split()[1] for commit in repo.commits[2:]] == ["begin", "finish"]
    assert len(exports_of(repo, "crate")) == 1
    assert_sound(repo)


@pytest.mark.parametrize(
    ("kind", "code", "headers", "path"),
    [
        ("status", 429, {"RateLimit": '"api";r=0;t=0'}, "/commit/"),
        ("status", 503, {}, "/commit/"),
        ("status", 500, {}, "/preupload/"),
        ("status", 503, {}, "/tree/"),
        ("status", 429, {}, r"expand=sha"),
        ("drop", 0, {}, "/commit/"),
        ("drop", 0, {}, "/objects/batch"),
        ("drop", 0, {}, "/lfs/"),
        ("truncate", 0, {}, "/resolve/"),
    ],
)
def test_passing_faults_pass(hub: HubServer, tmp_path: Path, kind: str, code: int, headers: dict[str, str], path: str) -> None:
    """Busy, broken, cut and truncated answers are asked for again; no asset fails for them, and none counts an attempt."""
    repo = repo_with(hub, tmp_path, "crate")
    hub.fault(kind, "", path, times=2, code=code, headers=headers)
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done"}
    assert json.loads(repo.text("state/jobs/crate.json"))["failure"] is None
    assert_sound(repo)


def test_a_download_of_another_content_is_refused(hub: HubServer, tmp_path: Path) -> None:
    """A file whose bytes are not those of the commit is brought again, and never used."""
    repo = repo_with(hub, tmp_path, "crate")
    good = repo.head.files["manifests/crate.yaml"]
    bad = Blob(good.data.replace(b"6", b"7"), lfs=False)
    bad.__dict__["git_oid"] = good.git_oid  # lies about its content, once
    repo.head.files["manifests/crate.yaml"] = bad  # type: ignore[index]
    hub.fault("after", "GET", "/resolve/.*crate.yaml", act=lambda: repo.head.files.__setitem__("manifests/crate.yaml", good))  # type: ignore[attr-defined]
    content = opened(hub, tmp_path / "disk")
    assert (content.root / "manifests" / "crate.yaml").read_bytes() == good.data


def test_an_answer_that_trickles_is_given_up(hub: HubServer, tmp_path: Path) -> None:
    """A Hub that sends a byte now and then holds the runner no longer than the deadline; the next try succeeds."""
    repo_with(hub, tmp_path, "crate")
    hub.fault("drip", "GET", r"expand=sha")
    start = time.monotonic()
    opened(hub, tmp_path / "disk", patience=Patience(attempts=3, first=0.01, longest=0.05, call=1.5))
    assert time.monotonic() - start < 8


def test_a_call_that_hangs_is_left_behind() -> None:
    """The deadline holds for calls that never come back."""
    stop = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        within(Patience(call=0.05), 0, stop.wait)
    stop.set()


def test_a_hub_that_restarts_is_waited_for(hub: HubServer, tmp_path: Path) -> None:
    """A Hub that goes away for a second in the middle of a window costs nothing."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk", patience=Patience(attempts=8, first=0.2, longest=1.0, call=20.0))
    hub.fault("after", "POST", "/commit/", act=lambda: threading.Thread(target=hub.restart, args=(0.5,)).start())
    assert states(go(content)) == {"crate": "done"}
    assert_sound(repo)


def test_a_hub_that_stays_away_loses_nothing(hub: HubServer, tmp_path: Path) -> None:
    """The run ends with one clear sentence; the next one publishes without running a stage."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    fault = hub.fault("status", "POST", "/commit/", skip=1, times=1000, code=503)
    executor = FakeExecutor()
    with pytest.raises(ContentError, match=r"the Hub http://127.0.0.1:\d+ answers 503: nothing is lost; run again later"):
        go(content, executor)
    fault.times = 0
    ran = list(executor.ran)
    assert states(go(content, executor)) == {"crate": "done"}
    assert executor.ran == ran
    assert_sound(repo)


def test_results_come_before_the_state_in_large_batches(hub: HubServer, tmp_path: Path) -> None:
    """A batch of more files than a commit may hold is cut so that at every commit what states speak of is there."""
    repo = repo_with(hub, tmp_path, *(f"asset_{number}" for number in range(45)))
    go(opened(hub, tmp_path / "disk"))
    assert len(repo.commits) > 4
    assert max(len(after.files) - len(before.files) for before, after in itertools.pairwise(repo.commits[1:])) <= 205
    assert_sound(repo)


def test_one_asset_can_be_asked_for(hub: HubServer, tmp_path: Path) -> None:
    """Only that one is made; the status speaks of all, and what the others need stays in cache/."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    content = opened(hub, tmp_path / "disk")
    assert states(go(content, asset="lamp")) == {"lamp": "done"}
    assert "| crate | waiting |" in repo.text("state/STATUS.md")
    assert not repo.below("exports/crate")
    assert_sound(repo)


def test_results_do_not_wait_for_the_end_of_a_long_run(hub: HubServer, tmp_path: Path) -> None:
    """When a heartbeat is due, what is finished goes with it."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    content = opened(hub, tmp_path / "disk", heartbeat=0.0)
    go(content)
    first = next(commit for commit in repo.commits if "exports/crate/export_Crate_UE5.zip" in commit.files)
    assert "exports/lamp/export_Lamp_UE5.zip" not in first.files
    assert first.title.startswith("[forge] results")
    assert_sound(repo)


def test_what_cost_gpu_seconds_is_soon_in_the_repo(hub: HubServer, tmp_path: Path) -> None:
    """A run that loses its disk right after a long CPU task has its GPU results in cache/ already."""
    repo = repo_with(hub, tmp_path, "crate")
    clock = Clock()

    class Long(FakeExecutor):
        def _work(self, task):  # type: ignore[no-untyped-def]
            clock.now += 130 if task.stage == "repair" else 0
            return super()._work(task)

    with pytest.raises(Killed):
        go(on_clock(hub, tmp_path / "disk", clock), Long(die_after=4))
    shutil.rmtree(tmp_path / "disk")
    assert [commit.title.split()[1] for commit in repo.commits[2:]] == ["begin", "results"]
    executor = FakeExecutor()
    assert states(go(on_clock(hub, tmp_path / "disk", clock), executor)) == {"crate": "done"}
    assert ("crate", "generate") not in executor.ran
    assert_sound(repo)


def test_each_window_begins_and_ends_with_a_commit(hub: HubServer, tmp_path: Path) -> None:
    """Where the floor between commits allows it, the edges of GPU windows are commits; where not, one follows later."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")

    class Windows(FakeExecutor):
        def run(self, chains):  # type: ignore[no-untyped-def]
            for chain in chains:
                yield WindowEdge(begins=True)
                yield from super().run([chain])
                yield WindowEdge(begins=False)

    go(opened(hub, tmp_path / "disk", commit_floor=0.0), Windows())
    titles = [commit.title.split()[1] for commit in repo.commits[2:]]
    assert titles == ["begin", "results", "results", "results", "results", "finish"]
    by_files = [commit for commit in repo.commits if "exports/crate/export_Crate_UE5.zip" in commit.files]
    assert "exports/lamp/export_Lamp_UE5.zip" not in by_files[0].files
    assert_sound(repo)


def test_windows_keep_the_floor_between_commits(hub: HubServer, tmp_path: Path) -> None:
    """Windows that follow each other faster than the floor share a commit."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")

    class Windows(FakeExecutor):
        def run(self, chains):  # type: ignore[no-untyped-def]
            for chain in chains:
                yield WindowEdge(begins=True)
                yield from super().run([chain])
                yield WindowEdge(begins=False)

    content = on_clock(hub, tmp_path / "disk", Clock(), commit_floor=20.0)
    go(content, Windows())
    assert [commit.title.split()[1] for commit in repo.commits[2:]] == ["begin", "finish"]
    assert_sound(repo)


def test_a_crash_costs_what_was_not_committed(hub: HubServer, tmp_path: Path) -> None:
    """A power cut in the middle: the next run on this disk goes on where it was."""
    repo = repo_with(hub, tmp_path, "crate")
    executor = FakeExecutor(die_after=7)
    with pytest.raises(Killed):
        go(opened(hub, tmp_path / "disk"), executor)
    assert json.loads(repo.text("state/runner.json"))["state"] == "working"
    executor.die_after = None
    assert states(go(opened(hub, tmp_path / "disk"), executor)) == {"crate": "done"}
    assert len(executor.ran) == len(set(executor.ran))
    assert_sound(repo)


def test_a_failure_outlives_a_crash(hub: HubServer, tmp_path: Path) -> None:
    """A GPU stage that failed for a lasting reason is not paid again after a power cut; the next run tells the repo of it."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    go(opened(hub, tmp_path / "disk"), FakeExecutor({("crate", "clean"): Failure("worker", "killed")}), asset="crate")
    no = Failure("gate", "the mesh is a blob")
    dying = FakeExecutor({("crate", "clean"): no, ("lamp", "generate"): no}, die_after=3)
    with pytest.raises(Killed):
        go(opened(hub, tmp_path / "disk"), dying)
    assert dying.ran[0] == ("crate", "clean")
    assert ("lamp", "generate") in dying.ran
    again = FakeExecutor()
    assert states(go(opened(hub, tmp_path / "disk"), again)) == {"crate": "failed", "lamp": "failed"}
    assert again.ran == []
    assert "the mesh is a blob" in repo.text("state/jobs/crate.json")
    assert states(standing(opened(hub, tmp_path / "elsewhere"))) == {"crate": "failed", "lamp": "failed"}
    assert_sound(repo)


def test_ctrl_c_hands_over_what_is_finished(hub: HubServer, tmp_path: Path) -> None:
    """An interrupted run commits finished work, gives the lease back, and ends."""

    class Interrupted(FakeExecutor):
        def _work(self, task):  # type: ignore[no-untyped-def]
            if (task.asset, task.stage) == ("lamp", "clean"):
                raise KeyboardInterrupt
            return super()._work(task)

    repo = repo_with(hub, tmp_path, "crate", "lamp")
    with pytest.raises(KeyboardInterrupt):
        go(opened(hub, tmp_path / "disk"), Interrupted())
    assert json.loads(repo.text("state/runner.json"))["state"] == "idle"
    assert repo.below("exports/crate")
    assert repo.below("cache")
    assert_sound(repo)


class Clock:
    """Tell the time that a test wants."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def on_clock(hub: HubServer, home: Path, clock: Clock, **more: object):  # type: ignore[no-untyped-def]
    """Open the repo with a clock of our own."""
    from forge_batch.content.hub import HubContent

    return HubContent(NAME, options(hub, home, **more), now=clock, sleep=clock.sleep)


def test_a_second_runner_is_kept_out(hub: HubServer, tmp_path: Path) -> None:
    """While one works, another is told who and since when; after three silent heartbeats it takes over."""
    repo = repo_with(hub, tmp_path, "crate")
    clock = Clock()
    dead = FakeExecutor(die_after=3)
    with pytest.raises(Killed):
        go(on_clock(hub, tmp_path / "disk", clock), dead)
    other = on_clock(hub, tmp_path / "other", clock, runner="two")
    clock.now += 1799
    with pytest.raises(
        ContentError, match=r"another runner \(one\) is at work on hf://datasets/me/game, last heard of 1799 s ago"
    ):
        go(other)
    clock.now += 2
    assert states(go(other)) == {"crate": "done"}
    assert len(exports_of(repo, "crate")) == 1
    assert_sound(repo)


def test_two_runners_that_begin_at_once(hub: HubServer, tmp_path: Path) -> None:
    """If another runner was faster by a moment, nothing that it made is made again."""
    repo = repo_with(hub, tmp_path, "crate")
    fast, slow = FakeExecutor(), FakeExecutor()
    hub.fault("before", "POST", "/commit/", act=lambda: go(opened(hub, tmp_path / "other", runner="two"), fast))
    assert states(go(opened(hub, tmp_path / "disk"), slow)) == {"crate": "skipped"}
    assert fast.ran
    assert not slow.ran
    assert len(exports_of(repo, "crate")) == 1


def test_two_runners_that_begin_at_once_keep_apart(hub: HubServer, tmp_path: Path) -> None:
    """If the faster one is still at work, the slower one is told so, and works on nothing."""
    repo_with(hub, tmp_path, "crate")
    slow = FakeExecutor()

    def begin() -> None:
        with contextlib.suppress(Killed):
            go(opened(hub, tmp_path / "other", runner="two"), FakeExecutor(die_after=1))

    hub.fault("before", "POST", "/commit/", act=begin)
    with pytest.raises(ContentError, match=r"another runner \(two\) is at work"):
        go(opened(hub, tmp_path / "disk"), slow)
    assert not slow.ran


def test_a_runner_that_was_taken_for_dead_stops(hub: HubServer, tmp_path: Path) -> None:
    """If it was alive after all, it commits nothing any more and says why."""
    repo = repo_with(hub, tmp_path, "crate")
    clock = Clock()

    class Slow(FakeExecutor):
        def _work(self, task):  # type: ignore[no-untyped-def]
            if task.stage == "clean" and clock.now < 1_800_001_800:
                clock.now += 2000
                go(on_clock(hub, tmp_path / "other", clock, runner="two"))
            return super()._work(task)

    with pytest.raises(ContentError, match="runner two has taken over hf://datasets/me/game"):
        go(on_clock(hub, tmp_path / "disk", clock), Slow())
    assert json.loads(repo.text("state/runner.json"))["runner"] == "two"
    assert len(exports_of(repo, "crate")) == 1
    assert_sound(repo)


def test_the_heart_beats_while_a_task_is_silent(hub: HubServer, tmp_path: Path) -> None:
    """A task of many heartbeats that says nothing does not cost the lease; STATUS.md says what is worked on meanwhile."""
    repo = repo_with(hub, tmp_path, "crate")

    class Silent(FakeExecutor):
        def _work(self, task):  # type: ignore[no-untyped-def]
            if task.stage == "generate":
                time.sleep(1.5)
            return super()._work(task)

    content = opened(hub, tmp_path / "disk", heartbeat=0.4)
    go(content)
    repo.put({"manifests/crate.yaml": LEAST + "seed: 9\n"})
    go(content, Silent())
    beats = [commit for commit in repo.commits if commit.title.startswith("[forge] heartbeat")]
    assert len(beats) >= 2
    assert "`one` is at work on crate since" in beats[-1].files["state/STATUS.md"].data.decode()
    assert "`one` is idle" in repo.text("state/STATUS.md")
    assert_sound(repo)


def test_commits_keep_to_the_hours_limit(hub: HubServer, tmp_path: Path) -> None:
    """Twenty windows in a row never make more than 12 commits in an hour, and no two within the floor."""
    repo = repo_with(hub, tmp_path, "crate")
    clock = Clock()
    content = on_clock(hub, tmp_path / "disk", clock, commits_per_hour=12, commit_floor=20.0)
    times: list[float] = []
    hub.fault("before", "POST", "/commit/", times=1000, act=lambda: times.append(clock.now))
    for seed in range(20):
        repo.put({"manifests/crate.yaml": LEAST + f"seed: {seed + 100}\n"})
        go(content)
    assert len(times) == 40
    assert all(sum(when - 3599 < other <= when for other in times) <= 12 for when in times)
    assert min(after - before for before, after in itertools.pairwise(times)) >= 19.9


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (
            False,
            r"private and no token .* set HF_TOKEN to .* `Read access to contents .* or to .* `Write access to contents",
        ),
        ("hf_wrongToken0123456", r"does not accept the token .*: set HF_TOKEN to a valid one: .*`Write access"),
    ],
)  # fmt: skip
def test_a_private_repo_says_which_token_it_takes(hub: HubServer, tmp_path: Path, token: str | None, message: str) -> None:
    """Without a token, or with a wrong one, the message says which token with which scope."""
    repo_with(hub, tmp_path, "crate")
    with pytest.raises(ContentError, match=message) as caught:
        opened(hub, tmp_path / "disk", token=token)
    assert "hf_wrong" not in str(caught.value)


def test_a_read_token_may_look_and_not_run(hub: HubServer, tmp_path: Path) -> None:
    """Planning works; running says that the token needs the write scope, before any work is done."""
    repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk", token=READER_TOKEN)
    assert [plan.asset for plan in plans(content)[0]] == ["crate"]
    executor = FakeExecutor()
    with pytest.raises(
        ContentError, match=r"the token may not do this .*: set HF_TOKEN to a token with the scope `Write access"
    ):
        go(content, executor)
    assert executor.ran == []


def test_what_is_no_content_repo_is_refused(hub: HubServer, tmp_path: Path) -> None:
    """Missing repos, repos without manifests/ and other addresses each say what to do."""
    with pytest.raises(
        ContentError, match=r"me/game does not exist, or the token may not see it: .*forge-batch init --hub me/game"
    ):
        opened(hub, tmp_path / "disk")
    hub.repo(NAME, {"README.md": "hello"})
    with pytest.raises(ContentError, match="has no manifests/ folder: make one with: forge-batch init --hub me/game"):
        opened(hub, tmp_path / "disk")
    for text in ("hf://spaces/me/game", "hf://me/game", "hf://datasets/game", "hf://datasets/../x", "hf://datasets/a/b/c"):
        with pytest.raises(ContentError, match=r"write (hf://datasets/)?OWNER/NAME"):
            open_content(text, options(hub, tmp_path / "disk"))


def test_a_hub_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """Nobody listens: one sentence with the address."""
    from forge_batch.content.hub_options import HubOptions

    far = HubOptions(endpoint="http://127.0.0.1:9", token=OWNER_TOKEN, home=tmp_path, patience=Patience(2, 0.01, 0.01, 5))
    with pytest.raises(ContentError, match=r"the Hub http://127.0.0.1:9 cannot be reached"):
        HubClient(NAME, far).head()


def test_watching_a_repo(hub: HubServer, tmp_path: Path) -> None:
    """Users' commits wake the watch, the runner's own do not, a failed run is tried again, and an absent Hub is waited for."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    seen: list[str] = []
    faults = iter([False, True, False, False])

    def watch() -> None:
        for _ in content.changes():
            if next(faults):
                seen.append("failed")
                continue
            seen.append(" ".join(f"{name} {state}" for name, state in states(go(content)).items()))
            if len(seen) == 4:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    wait_for(seen, 1)
    time.sleep(0.5)
    assert seen == ["crate done"]
    repo.put(wish("lamp", tmp_path, seed=5))
    wait_for(seen, 3)
    hub.fault("status", "GET", "expand=sha", times=30, code=503)
    repo.put(wish("hat", tmp_path, seed=6))
    wait_for(seen, 4, 60)
    assert seen == ["crate done", "failed", "crate skipped lamp done", "crate skipped hat done lamp skipped"]
    thread.join(10)


def wait_for(seen: list[str], count: int, seconds: float = 20.0) -> None:
    """Wait until that much was seen."""
    end = time.monotonic() + seconds
    while len(seen) < count and time.monotonic() < end:
        time.sleep(0.02)
    assert len(seen) >= count, seen


def test_a_webhook_wakes_at_once(hub: HubServer, tmp_path: Path) -> None:
    """With a poll of an hour, a rung bell is enough."""
    from forge_batch.content.hub_watch import changes

    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk", poll=3600.0)
    go(content)
    bell = threading.Event()
    watch = changes(content, bell)
    next(watch)
    go(content)
    repo.put(wish("lamp", tmp_path, seed=5))
    bell.set()
    start = time.monotonic()
    next(watch)
    assert time.monotonic() - start < 10
    watch.close()


def test_a_watch_listens_for_the_webhook(hub: HubServer, tmp_path: Path) -> None:
    """With a port and a secret, `run --watch` is woken by the Hub's call over HTTP; without the secret it sleeps on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk", poll=3600.0, webhook_port=port, webhook_secret="the secret")
    watch = content.changes()
    next(watch)
    go(content)
    sha = repo.put(wish("lamp", tmp_path, seed=5)).oid
    call = {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {"type": "dataset", "name": NAME},
        "updatedRefs": [{"ref": "refs/heads/main", "newSha": sha}],
    }

    def deliver(secret: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/webhooks/dataset", json.dumps(call).encode())
        request.add_header("X-Webhook-Secret", secret)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10).close()

    woken: list[str] = []
    thread = threading.Thread(target=lambda: woken.append(str(next(watch))), daemon=True)
    thread.start()
    deliver("another secret")
    thread.join(0.5)
    assert woken == []
    deliver("the secret")
    thread.join(10)
    assert woken == ["None"]
    watch.close()


def test_no_secret_is_written_anywhere(hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Through a batch with faults of all kinds, the token stands in no file, no commit, no message and no output."""
    repo = repo_with(hub, tmp_path, "crate", "lamp")
    said = []
    for seed, fault in enumerate((
        {"kind": "lose", "path": "/commit/", "code": 500},
        {"kind": "status", "path": "/commit/", "code": 403, "headers": {"X-Error-Message": f"token {OWNER_TOKEN} is too weak"}},
        {"kind": "status", "path": "expand=sha", "code": 401, "headers": {"X-Error-Message": f"Bearer {OWNER_TOKEN}"}},
        {"kind": "drop", "path": "/commit/", "times": 50},
    )):  # fmt: skip
        repo.put(wish("crate", tmp_path, seed=seed + 50))
        spoiled = hub.fault(**fault)
        try:
            go(opened(hub, tmp_path / "disk"))
        except ContentError as error:
            said.append(str(error))
        spoiled.times = 0
    go(opened(hub, tmp_path / "disk"))
    assert len(said) == 3
    out, err = capfd.readouterr()
    secret = OWNER_TOKEN.encode()
    assert secret not in (out + err + " ".join(said) + repr(options(hub, tmp_path))).encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    for commit in repo.commits:
        assert OWNER_TOKEN not in commit.title
        assert not any(secret in blob.data for blob in commit.files.values())


def test_the_ledger_only_grows(hub: HubServer, tmp_path: Path) -> None:
    """What the executor appends is committed; lines that a killed run left on this disk are kept beside those of the repo."""

    class Spender(FakeExecutor):
        def run(self, chains):  # type: ignore[no-untyped-def]
            with (content.home / "state" / "ledger.jsonl").open("a") as file:
                file.write(f'{{"spent": {len(self.ran)}}}\n')
            yield from super().run(chains)

    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    go(content, Spender())
    assert repo.text("state/ledger.jsonl") == '{"spent": 0}\n'
    with (content.home / "state" / "ledger.jsonl").open("a") as file:
        file.write('{"reserved": 7}\n{"torn')  # and then a power cut
    repo.put({**wish("lamp", tmp_path, seed=5), "state/ledger.jsonl": '{"spent": 0}\n{"elsewhere": 1}'})
    go(opened(hub, tmp_path / "disk"))
    assert repo.text("state/ledger.jsonl") == '{"spent": 0}\n{"elsewhere": 1}\n{"reserved": 7}\n'


def test_the_state_may_be_deleted(hub: HubServer, tmp_path: Path) -> None:
    """A user who deletes state/ and cache/ in the repo costs work, and nothing else."""
    repo = repo_with(hub, tmp_path, "crate")
    content = opened(hub, tmp_path / "disk")
    go(content)
    repo.commit("clean up", {}, ("state/", "cache/"))
    shutil.rmtree(tmp_path / "disk")
    assert states(go(opened(hub, tmp_path / "disk"))) == {"crate": "done"}


@pytest.mark.slow
def test_a_thousand_manifests(hub: HubServer, tmp_path: Path) -> None:
    """`validate` and `plan` stay under 5 s of one core each; a sync without news makes one request, one change costs five."""
    files: dict[str, bytes | str | None] = {}
    for number in range(1000):
        files |= wish(f"asset_{number:04}", tmp_path, seed=number)
    repo = hub.repo(NAME, files)
    content = opened(hub, tmp_path / "disk")
    with hub.counting() as requests:
        content.sync()
        opened(hub, tmp_path / "disk")
    assert len(requests) == 2
    start = time.process_time()
    intake = take_in(content.root)
    assert time.process_time() - start < 5
    assert (len(intake.orders), intake.errors) == (1000, ())
    start = time.process_time()
    assert len(plans(content)[0]) == 1000
    assert time.process_time() - start < 5
    repo.put({"manifests/asset_0000.yaml": LEAST + "seed: 5000\n"})
    with hub.counting() as requests:
        content.sync()
    assert len(requests) == 5, "head, the top, manifests/ again, and two for the file"
