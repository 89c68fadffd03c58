"""Stand between tests and the Hub of tests/hub_server.py: repos with sound assets, options without patience, invariants."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from forge_batch.content.hub import HubContent
from forge_batch.content.hub_options import HubOptions, Patience
from forge_batch.report import Report
from forge_batch.runner import run
from tests.fakes import LEAST, FakeExecutor, Recorder, picture
from tests.hub_server import OWNER_TOKEN, HubServer
from tests.hub_store import Commit, Repo

RUNNER_OWNED = ("state/", "cache/", "exports/")
NAME = "me/game"


def wish(asset: str, scratch: Path, seed: int = 0, manifest: str = LEAST) -> dict[str, bytes | str | None]:
    """Give the files of an asset: a picture and a manifest; another seed is another wish."""
    place = picture(scratch / "front.png")
    return {f"inbox/{asset}/front.png": place.read_bytes(), f"manifests/{asset}.yaml": f"{manifest}seed: {seed}\n"}


def repo_with(hub: HubServer, scratch: Path, *assets: str) -> Repo:
    """Make a repo that asks for assets, each with work of its own."""
    files: dict[str, bytes | str | None] = {"manifests/readme.txt": "manifests go here"}
    for number, asset in enumerate(assets):
        files |= wish(asset, scratch, seed=number)
    return hub.repo(NAME, files)


def options(hub: HubServer, home: Path, **more: Any) -> HubOptions:
    """Reach the Hub as its owner, hurried."""
    plain: dict[str, Any] = {
        "runner": "one",
        "commits_per_hour": 100_000,
        "commit_floor": 0.0,
        "home": home,
        "endpoint": hub.endpoint,
        "token": OWNER_TOKEN,
        "poll": 0.1,
        "patience": Patience(attempts=4, first=0.01, longest=0.05, call=20.0),
    }
    return HubOptions(**{**plain, **more})


def opened(hub: HubServer, home: Path, **more: Any) -> HubContent:
    """Open the repo."""
    return HubContent(NAME, options(hub, home, **more))


def go(content: HubContent, executor: FakeExecutor | None = None, **more: Any) -> Report:
    """Run a batch without listening."""
    return run(content, executor or FakeExecutor(), Recorder(), **more)


def states(report: Report) -> dict[str, str]:
    """Give each asset's state."""
    return {asset.asset: asset.state for asset in report.assets}


def dangling(commit: Commit) -> list[str]:
    """Name what the states of a commit speak of and the commit does not hold."""
    missing = []
    for path, blob in commit.files.items():
        if path.startswith("state/jobs/"):
            job = json.loads(blob.data)
            packages = [blob.data for one, blob in commit.files.items() if one.startswith(f"exports/{job['asset']}/export_")]
            if job["published"] and packages != [f"package_ue5 {job['published']}".encode()]:
                missing.append(f"{path}: package {job['published']}")
        if path == "state/status.json":
            said = [asset["package"] for asset in json.loads(blob.data)["assets"] if asset["package"]]
            missing += [f"{path}: {package}" for package in said if package not in commit.files]
    return missing


def trespasses(repo: Repo) -> list[str]:
    """Name what runners changed of what users own, over all history."""
    wrong = []
    for before, after in itertools.pairwise(repo.commits):
        changed = {path for path in {*before.files, *after.files} if before.files.get(path) != after.files.get(path)}
        if after.author == "runner":
            wrong += [f"{after.title}: {path}" for path in changed if not path.startswith(RUNNER_OWNED)]
    return wrong


def exports_of(repo: Repo, asset: str) -> list[str]:
    """Give the commits that put a package of an asset into the repo or changed it."""
    found, last = [], None
    for commit in repo.commits:
        packages = {path: blob for path, blob in commit.files.items() if path.startswith(f"exports/{asset}/export_")}
        if packages and packages != last:
            found.append(commit.title)
        last = packages or last
    return found


def assert_sound(repo: Repo) -> None:
    """See that the invariants hold at every commit."""
    assert trespasses(repo) == []
    assert [wrong for commit in repo.commits for wrong in dangling(commit)] == []
