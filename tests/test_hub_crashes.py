"""Kill runners at random points and let two of them race: the repo stays whole, and nothing is made or paid twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.hub_runner import many_runs, one_run, paid, started
from tests.hub_server import HubServer
from tests.hub_world import assert_sound, dangling, exports_of, options, wish

pytestmark = [pytest.mark.hub, pytest.mark.slow]

POINTS = 50
ASSETS = ("crate", "lamp")


def killed(hub: HubServer, repo: str, home: Path, notes: Path, choice: random.Random) -> bool:
    """Start a runner and kill it at a random request, at a random task, or after a random time; tell whether it died."""
    before = len(hub.faults)
    how = choice.choice(["request", "request", "request", "task", "time"])
    die_at = (choice.randrange(26), choice.random() < 0.5) if how == "task" else None
    slow = 0.02 if how == "time" else 0.0
    victim: list[int] = []

    def kill() -> None:
        while not victim:
            time.sleep(0.001)
        os.kill(victim[0], signal.SIGKILL)

    if how == "request":
        skip, applied = choice.randrange(30), choice.random() < 0.5
        hub.fault("after" if applied else "before", skip=skip, act=kill)
        if not applied:
            hub.fault("drop", skip=skip)
    process = started(one_run, repo, options(hub, home), notes, die_at, slow)
    victim.append(int(process.pid or 0))
    if how == "time":
        process.join(choice.uniform(0.05, 1.2))
        process.kill()
    process.join(60)
    assert process.exitcode in {0, -signal.SIGKILL}
    del hub.faults[before:]
    return process.exitcode != 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_a_runner_killed_at_any_point_is_made_good(hub: HubServer, tmp_path: Path, disk: str) -> None:
    """By kill -9 at 50 random points, up to three times in a row: the next run finishes.

    No GPU task is paid twice where the disk survives; where it is lost, none that had reached the repo. At no commit does a
    state point at a missing file.
    """
    choice = random.Random(f"{disk} disk")
    deaths = 0
    for point in range(POINTS // 2):
        name, home, notes = f"me/{disk}{point}", tmp_path / f"disk{point}", tmp_path / f"notes{point}"
        files: dict[str, bytes | str | None] = {}
        for number, asset in enumerate(ASSETS):
            files |= wish(asset, tmp_path, seed=number)
        repo = hub.repo(name, files)
        safe: list[tuple[int, set[str]]] = []
        for _ in range(choice.choice([1, 1, 2, 3])):
            deaths += killed(hub, name, home, notes, choice)
            if disk == "lost":
                shutil.rmtree(home, ignore_errors=True)
                safe.append((len(paid(notes)), {path.split("/")[1] for path in repo.below("cache")}))
        last = started(one_run, name, options(hub, home), notes, None, 0.0)
        last.join(60)
        assert last.exitcode == 0
        for asset in ASSETS:
            assert len(exports_of(repo, asset)) == 1, (point, asset)
        keys = paid(notes)
        if disk == "kept":
            assert len(keys) == len(set(keys)), point
        for count, cached in safe:
            assert not cached & set(keys[count:]), point
        assert_sound(repo)
        assert dangling(repo.head) == []
    assert deaths >= POINTS // 2


@pytest.mark.timeout(600)
def test_two_runners_on_one_repo_export_everything_once(hub: HubServer, tmp_path: Path) -> None:
    """200 assets come in bit by bit while two runners race for them: each is made by one of them and exported exactly once."""
    assets = [f"asset_{number:03}" for number in range(200)]
    repo = hub.repo("me/race", wish(assets[0], tmp_path, seed=0))
    notes = tmp_path / "notes"
    stop = threading.Event()

    def order() -> None:
        """Commit as users do: now and then a few more wishes."""
        for start in range(1, len(assets), 25):
            files: dict[str, bytes | str | None] = {}
            for number in range(start, min(start + 25, len(assets))):
                files |= wish(assets[number], tmp_path, seed=number)
            repo.put(files)
            stop.wait(1.5)

    threading.Thread(target=order, daemon=True).start()
    runners = [
        started(many_runs, "me/race", options(hub, tmp_path / name, runner=name), notes, assets, 400.0)
        for name in ("one", "two")
    ]
    for runner in runners:
        runner.join(450)
    stop.set()
    assert [runner.exitcode for runner in runners] == [0, 0]
    assert [asset for asset in assets if len(exports_of(repo, asset)) != 1] == []
    lines = [line.rsplit(" ", 1) for line in notes.read_text().splitlines()]
    tasks = [task for task, _ in lines]
    assert len(tasks) == len(set(tasks))
    assert len({process for _, process in lines}) == 2, "both have worked"
    assert_sound(repo)
