"""Let Hypothesis look for an order of commits, runs, crashes and takeovers that breaks what must hold."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from forge_batch.content.hub import GPU_STAGES, HubContent
from forge_batch.errors import ContentError
from forge_batch.executors.contract import TaskSpec
from forge_batch.jobs import TaskRecord
from forge_batch.runner import run
from forge_batch.standing import plans
from tests.fakes import FakeExecutor, Killed, Recorder
from tests.hub_server import HubServer
from tests.hub_store import Repo
from tests.hub_world import NAME, assert_sound, options, wish

ASSETS = st.sampled_from(["crate", "lamp", "hat"])
RUNNERS = st.sampled_from(["one", "two"])


class Payer(FakeExecutor):
    """See that no GPU task is paid that lies in the repo's cache/ or on this disk."""

    def __init__(self, repo: Repo, work: Path, die_after: int | None) -> None:
        super().__init__(die_after=die_after)
        self.repo, self.work = repo, work

    def _work(self, task: TaskSpec) -> TaskRecord:
        if task.stage in GPU_STAGES:
            assert f"cache/{task.key}/record.json" not in self.repo.head.files, f"{task.stage} is paid twice"
            assert not (self.work / task.key / "record.json").exists(), f"{task.stage} is paid twice"
        return super()._work(task)


class HubMachine(RuleBasedStateMachine):
    """Two runners with disks of their own, and users, on one repo."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = HubServer()
        self.hub.start()
        self.scratch = Path(tempfile.mkdtemp(prefix="forge-machine-"))
        self.now = 1_800_000_000.0
        self.wishes: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        self.repo = self.hub.repo(NAME, wish("crate", self.scratch))
        self.wishes["crate"] = 0

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _run(self, runner: str, die_after: int | None = None) -> None:
        place = options(self.hub, self.scratch / runner, runner=runner)
        content = HubContent(NAME, place, now=lambda: self.now, sleep=self._sleep)
        run(content, Payer(self.repo, content.home / "work", die_after), Recorder())

    @rule(asset=ASSETS, seed=st.integers(0, 3))
    def user_asks(self, asset: str, seed: int) -> None:
        seed += 10 * len(asset)  # no two assets ask for the same
        self.repo.put(wish(asset, self.scratch, seed=seed))
        self.wishes[asset] = seed

    @rule(asset=ASSETS)
    def user_takes_back(self, asset: str) -> None:
        if asset in self.wishes and len(self.wishes) > 1:
            self.repo.put({f"manifests/{asset}.yaml": None})
            del self.wishes[asset]

    @rule()
    def user_squashes(self) -> None:
        self.repo.squash("squash")

    @rule(runner=RUNNERS)
    def run_through(self, runner: str) -> None:
        with contextlib.suppress(ContentError):
            self._run(runner)

    @rule(runner=RUNNERS, tasks=st.integers(1, 30))
    def crash(self, runner: str, tasks: int) -> None:
        with contextlib.suppress(ContentError, Killed):
            self._run(runner, tasks)

    @rule(runner=RUNNERS, asset=ASSETS, seed=st.integers(0, 3), commit=st.integers(0, 1))
    def user_asks_in_the_middle(self, runner: str, asset: str, seed: int, commit: int) -> None:
        self.hub.fault("before", "POST", "/commit/", skip=commit, act=lambda: self.user_asks(asset, seed))
        self.run_through(runner)
        self.hub.faults.clear()

    @rule(runner=RUNNERS, asset=ASSETS, commit=st.integers(0, 1))
    def user_takes_back_in_the_middle(self, runner: str, asset: str, commit: int) -> None:
        self.hub.fault("before", "POST", "/commit/", skip=commit, act=lambda: self.user_takes_back(asset))
        self.run_through(runner)
        self.hub.faults.clear()

    @rule(runner=RUNNERS, commit=st.integers(0, 1), code=st.sampled_from([0, 500]))
    def reply_is_lost(self, runner: str, commit: int, code: int) -> None:
        self.hub.fault("lose", "POST", "/commit/", skip=commit, code=code)
        self.run_through(runner)
        self.hub.faults.clear()

    @rule(runner=RUNNERS)
    def disk_is_lost(self, runner: str) -> None:
        shutil.rmtree(self.scratch / runner, ignore_errors=True)

    @rule(minutes=st.sampled_from([5, 31]))
    def time_passes(self, minutes: int) -> None:
        self.now += 60 * minutes

    @invariant()
    def the_repo_is_sound(self) -> None:
        if hasattr(self, "repo"):
            assert_sound(self.repo)
            manifests = {path for path in self.repo.below("manifests") if path.endswith(".yaml")}
            assert manifests == {f"manifests/{asset}.yaml" for asset in self.wishes}
            for asset, seed in self.wishes.items():
                assert f"seed: {seed}\n" in self.repo.text(f"manifests/{asset}.yaml")

    def teardown(self) -> None:
        """See that in the end every wish is granted, whatever happened before."""
        try:
            if hasattr(self, "repo"):
                self.now += 3600
                self._run("one")
                content = HubContent(NAME, options(self.hub, self.scratch / "judge"))
                found, _ = plans(content)
                assert {plan.asset for plan in found} == set(self.wishes)
                for plan in found:
                    (package,) = (
                        blob.data for path, blob in self.repo.below(f"exports/{plan.asset}").items() if path.endswith("zip")
                    )
                    assert package == f"package_ue5 {plan.last.key}".encode()
                    assert plan.pending == ()
                assert json.loads(self.repo.text("state/runner.json"))["state"] == "idle"
                assert_sound(self.repo)
        finally:
            self.hub.stop()
            shutil.rmtree(self.scratch, ignore_errors=True)


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(
    max_examples=20, stateful_step_count=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestHubMachine.pytestmark = [pytest.mark.hub, pytest.mark.slow, pytest.mark.timeout(600)]
TestHubMachine.__doc__ = "No order of commits, runs, crashes and takeovers loses a wish, pays twice or breaks the repo."
