"""Keep the package of an asset that fails a quality gate, without ever calling it a result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from forge_batch.content.local import LocalContent
from forge_batch.explain import last_run
from forge_batch.jobs import Failure
from forge_batch.plan_text import status_text
from forge_batch.report import AssetReport
from forge_batch.runner import run
from forge_batch.standing import plans, standing
from tests.fakes import LEAST, FakeExecutor, Killed, Recorder, content_folder
from tests.hub_server import HubServer
from tests.hub_world import opened, repo_with

NO = Failure("gate", "height is 3, allowed at most 1 %", "report it")
REFUSED = {("crate", "inspect"): NO}
LEARNED = LEAST + "generate: {backend: trellis2}\n"


@pytest.fixture
def content(tmp_path: Path) -> LocalContent:
    """Give a content folder that asks for a crate."""
    return LocalContent(content_folder(tmp_path / "content", "crate"))


def go(content: Any, executor: FakeExecutor, *, retry: bool = False) -> AssetReport:
    """Run a batch of one asset."""
    (asset,) = run(content, executor, Recorder(), retry=retry).assets
    return asset


def exports(content: LocalContent) -> set[str]:
    """Name what lies in exports/ for the crate."""
    return {path.name for path in (content.home / "exports" / "crate").iterdir()}


def test_what_a_gate_refuses_is_kept_and_is_no_result(content: LocalContent) -> None:
    """One run makes rejected_Crate_UE5.zip from what inspect measured; the asset has failed and is not published."""
    executor = FakeExecutor(dict(REFUSED))
    report = go(content, executor)
    assert (report.state, report.failure, report.package) == ("failed", NO, None)
    assert report.rejected == "exports/crate/rejected_Crate_UE5.zip"
    assert exports(content) == {"rejected_Crate_UE5.zip", "rejected_preview.png", "report.json", "report.html"}
    assert executor.stages("crate")[-2:] == ["inspect", "export"]
    assert report.seconds == len(executor.ran)
    job = content.load_job("crate")
    assert (job.published, job.failure) == ("", NO)
    again = FakeExecutor()
    assert go(content, again).rejected == report.rejected
    assert again.ran == []


def test_plan_status_and_explain_say_it(content: LocalContent) -> None:
    """Each face names the gate and where the package is kept."""
    go(content, FakeExecutor(dict(REFUSED)))
    (plan,) = plans(content)[0]
    assert (plan.pending, plan.blocked) == ((), NO)
    stands = standing(content)
    assert stands.assets[0].rejected == "exports/crate/rejected_Crate_UE5.zip"
    assert not stands.ok
    assert "rejected_Crate_UE5.zip" in status_text(stands)
    assert "rejected_Crate_UE5.zip" in (content.root / "state" / "STATUS.md").read_text()
    html = (content.root / "exports" / "crate" / "report.html").read_text()
    assert "No result, but kept for you to decide about" in html
    assert json.loads((content.root / "exports" / "crate" / "report.json").read_text())["rejected"].endswith("_UE5.zip")
    said = "\n".join(last_run(content.home, "crate"))
    assert "height is 3, allowed at most 1 %" in said
    assert "exports/crate/rejected_Crate_UE5.zip" in said


def test_it_goes_away_once_the_asset_passes(content: LocalContent) -> None:
    """After a change that passes, exports/ holds the result alone."""
    go(content, FakeExecutor(dict(REFUSED)))
    (content.root / "manifests" / "crate.yaml").write_text(LEAST + "build_lods: {ratios: [0.4]}\n")
    assert go(content, FakeExecutor()).state == "done"
    assert exports(content) == {"export_Crate_UE5.zip", "preview.png", "report.json", "report.html"}
    assert content.load_job("crate").rejected == ""


def test_an_older_result_stays(content: LocalContent) -> None:
    """What passed before the change that fails is not taken away, and is not called the result of the change."""
    go(content, FakeExecutor())
    good = (content.root / "exports" / "crate" / "export_Crate_UE5.zip").read_bytes()
    (content.root / "manifests" / "crate.yaml").write_text(LEAST + "build_lods: {ratios: [0.4]}\n")
    report = go(content, FakeExecutor(dict(REFUSED)))
    assert (report.state, report.package) == ("failed", None)
    assert (content.root / "exports" / "crate" / "export_Crate_UE5.zip").read_bytes() == good
    assert "rejected_Crate_UE5.zip" in exports(content)


def test_seeds_are_tried_before_anything_is_rejected(content: LocalContent) -> None:
    """With two more seeds inspect refuses three times, and only the last is packed."""
    (content.root / "forge.yaml").write_text("forge: 1\nretry: {seeds: 2}\n")
    (content.root / "manifests" / "crate.yaml").write_text(LEARNED)
    executor = FakeExecutor(dict(REFUSED))
    report = go(content, executor)
    assert [executor.stages("crate").count(stage) for stage in ("generate", "inspect", "export")] == [3, 3, 1]
    assert "seed 2" in report.note
    assert report.rejected is not None


@pytest.mark.parametrize("silent", [False, True], ids=["told of", "not told of"])
@pytest.mark.parametrize("back", [0, 1], ids=["after export", "after inspect"])
def test_a_kill_repeats_no_stage_and_loses_nothing(content: LocalContent, silent: bool, back: int) -> None:
    """Killed after inspect or after export, the next run ends in the same files, and runs nothing twice."""
    whole = FakeExecutor(dict(REFUSED))
    other = LocalContent(content_folder(content.root.parent / "other", "crate"))
    go(other, whole)
    count = len(whole.ran)

    class Dying(FakeExecutor):
        """Die after so many tasks over all calls."""

        def run(self, chains: Any) -> Any:
            for event in super().run(chains):
                late = len(self.ran) == count - back and type(event).__name__ == "Finished"
                if late and silent:
                    raise Killed
                yield event
                if late:
                    raise Killed

    dying = Dying(dict(REFUSED))
    with pytest.raises(Killed):
        go(content, dying)
    rest = FakeExecutor(dict(REFUSED))
    assert go(content, rest).rejected == "exports/crate/rejected_Crate_UE5.zip"
    assert sorted(dying.ran + rest.ran) == sorted(whole.ran)
    package = "exports/crate/rejected_Crate_UE5.zip"
    assert (content.root / package).read_bytes() == (other.root / package).read_bytes()


def test_what_was_lost_is_measured_again_and_packed_in_one_run(content: LocalContent) -> None:
    """With work/ and the kept package deleted, one run makes all of it anew."""
    go(content, FakeExecutor(dict(REFUSED)))
    shutil.rmtree(content.root / "work")
    (content.root / "exports" / "crate" / "rejected_Crate_UE5.zip").unlink()
    executor = FakeExecutor(dict(REFUSED))
    assert go(content, executor).rejected is not None
    assert executor.stages("crate")[-2:] == ["inspect", "export"]


def test_it_is_packed_again_where_only_the_package_is_gone(content: LocalContent) -> None:
    """A deleted rejected package comes back without running a stage."""
    go(content, FakeExecutor(dict(REFUSED)))
    (content.root / "exports" / "crate" / "rejected_Crate_UE5.zip").unlink()
    executor = FakeExecutor()
    assert go(content, executor).rejected is not None
    assert executor.ran == []
    assert "rejected_Crate_UE5.zip" in exports(content)


def test_retrying_a_refused_asset_measures_it_again(content: LocalContent) -> None:
    """--retry runs inspect, and what passes now is a result."""
    go(content, FakeExecutor(dict(REFUSED)))
    executor = FakeExecutor()
    assert go(content, executor, retry=True).state == "done"
    assert executor.stages("crate") == ["inspect", "export"]
    assert "rejected_Crate_UE5.zip" not in exports(content)


def test_a_package_that_cannot_be_kept_hides_nothing(content: LocalContent) -> None:
    """Where packing fails for a lasting reason too, the gate is what the asset failed at, and it is not packed again."""
    report = go(content, FakeExecutor(REFUSED | {("crate", "export"): Failure("stage", "no room for a socket")}))
    assert (report.state, report.failure, report.rejected) == ("failed", NO, None)
    again = FakeExecutor()
    go(content, again)
    assert again.ran == []


@pytest.mark.hub
def test_a_dataset_repo_keeps_it_and_drops_it(hub: HubServer, tmp_path: Path) -> None:
    """The repo holds the rejected package, another disk knows of it, and it is deleted with the commit of the result."""
    repo = repo_with(hub, tmp_path, "crate")
    assert go(opened(hub, tmp_path / "disk"), FakeExecutor(dict(REFUSED))).rejected is not None
    kept = {"exports/crate/rejected_Crate_UE5.zip", "exports/crate/rejected_preview.png"}
    assert kept <= set(repo.below("exports"))
    other = FakeExecutor()
    assert go(opened(hub, tmp_path / "elsewhere"), other).rejected is not None
    assert other.ran == []
    assert go(opened(hub, tmp_path / "elsewhere"), FakeExecutor(), retry=True).state == "done"
    assert not kept & set(repo.below("exports"))
    assert "exports/crate/export_Crate_UE5.zip" in repo.below("exports")
    assert go(opened(hub, tmp_path / "disk"), FakeExecutor()).state == "skipped"
