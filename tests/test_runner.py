from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from forge_batch.content.local import LocalContent
from forge_batch.errors import ContentError
from forge_batch.executors.contract import Chain, Event, Finished, Waits
from forge_batch.intake import take_in
from forge_batch.jobs import Failure
from forge_batch.picture_checks import CACHE
from forge_batch.problem_text import problems_json, problems_text
from forge_batch.report import AssetReport, Report
from forge_batch.runner import run
from forge_batch.stages import STAGES
from forge_batch.standing import plans, standing
from tests.fakes import LEAST, FakeExecutor, Killed, Recorder, content_folder, picture

FEWER = LEAST + "build_lods: {ratios: [0.4]}\n"


@pytest.fixture
def content(tmp_path: Path) -> LocalContent:
    """Give a content folder that asks for a crate."""
    return LocalContent(content_folder(tmp_path / "content", "crate"))


def ask(content: LocalContent, asset: str, manifest: str = LEAST) -> None:
    """Put a manifest and its picture into a content folder."""
    content_folder(content.root, asset, manifest=manifest)


def go(content: LocalContent, executor: FakeExecutor | None = None, *, retry: bool = False) -> Report:
    """Run a batch without listening."""
    return run(content, executor or FakeExecutor(), Recorder(), retry=retry)


def only(report: Report) -> AssetReport:
    """Give the one asset of a report."""
    (asset,) = report.assets
    return asset


def enabled(content: LocalContent) -> list[str]:
    """Name the stages of the crate's plan."""
    found, _ = plans(content, "crate")
    return [task.stage.name for task in found[0].tasks]


def test_a_batch_becomes_packages(content: LocalContent) -> None:
    """Every asset ends with a package, a preview, a report and a recorded job; stages run in the order of STAGES."""
    ask(content, "lamp")
    executor, listener = FakeExecutor(), Recorder()
    report = run(content, executor, listener)
    assert [(asset.asset, asset.state) for asset in report.assets] == [("crate", "done"), ("lamp", "done")]
    assert report.ok
    order = [stage.name for stage in STAGES]
    for asset, title in (("crate", "Crate"), ("lamp", "Lamp")):
        assert executor.stages(asset) == sorted(enabled(content), key=order.index)
        folder = content.root / "exports" / asset
        assert {f"export_{title}_UE5.zip", "report.html", "preview.png"} <= {path.name for path in folder.iterdir()}
        job = json.loads((content.root / "state" / "jobs" / f"{asset}.json").read_text())
        assert job["failure"] is None
        assert len(job["records"]) == len(executor.stages(asset))
    assert [asset.asset for asset in listener.reports] == ["crate", "lamp"]
    assert sum(isinstance(event, Finished) for event in listener.events) == len(executor.ran)


def test_a_second_run_does_nothing_and_says_so(content: LocalContent) -> None:
    """Nothing runs, nothing in exports/ is touched, and the asset is reported as skipped with its package."""
    first = only(go(content))
    before = {path: path.stat().st_mtime_ns for path in (content.root / "exports").rglob("*")}
    executor = FakeExecutor()
    again = go(content, executor)
    assert executor.ran == []
    assert not again.worked
    assert again.ok
    assert (only(again).state, only(again).package) == ("skipped", first.package)
    assert all(line.cached for line in only(again).stages)
    assert {path: path.stat().st_mtime_ns for path in (content.root / "exports").rglob("*")} == before


def test_a_changed_option_runs_what_reads_from_it(content: LocalContent) -> None:
    """Other LOD ratios run build_lods, inspect and export again, and nothing else."""
    go(content)
    ask(content, "crate", FEWER)
    executor = FakeExecutor()
    report = only(go(content, executor))
    assert executor.stages("crate") == ["build_lods", "inspect", "export"]
    assert [line.name for line in report.stages if not line.cached] == ["build_lods", "inspect", "export"]
    assert report.seconds == 3.0


def test_a_changed_picture_runs_everything(content: LocalContent) -> None:
    """The content of an image counts, not its name or its time."""
    go(content)
    picture(content.root / "inbox" / "crate" / "front.png", (64, 96))
    executor = FakeExecutor()
    go(content, executor)
    assert executor.stages("crate") == enabled(content)


@pytest.mark.parametrize("silent", [False, True], ids=["told of", "not told of"])
@pytest.mark.parametrize("count", [1, 5, 12])
def test_a_killed_run_goes_on_where_it_was(content: LocalContent, count: int, silent: bool) -> None:
    """After a power cut the next run works on the rest, even if the last outcome never reached the job."""
    executor = FakeExecutor(die_after=count, silent_death=silent)
    with pytest.raises(Killed):
        go(content, executor)
    executor.die_after = None
    assert only(go(content, executor)).state == "done"
    assert executor.stages("crate") == enabled(content)


def test_a_run_that_is_killed_before_publishing_only_publishes(content: LocalContent) -> None:
    """When every stage is finished but nothing is published, the next run publishes without running a stage."""
    executor = FakeExecutor(die_after=len(enabled(content)), silent_death=True)
    with pytest.raises(Killed):
        go(content, executor)
    again = FakeExecutor()
    report = only(go(content, again))
    assert again.ran == []
    assert report.state == "done"
    assert (content.root / str(report.package)).is_file()


def test_what_is_on_disk_outlives_the_state(content: LocalContent) -> None:
    """With state/ deleted, finished work is found again and nothing runs."""
    go(content)
    shutil.rmtree(content.root / "state")
    executor = FakeExecutor()
    assert only(go(content, executor)).failure is None
    assert executor.ran == []


def test_the_work_folder_can_be_deleted(content: LocalContent) -> None:
    """Without work/ a finished asset stays finished, and a change makes again what it needs."""
    go(content)
    shutil.rmtree(content.root / "work")
    executor = FakeExecutor()
    assert only(go(content, executor)).state == "skipped"
    assert executor.ran == []
    ask(content, "crate", FEWER)
    assert only(go(content, executor)).state == "done"
    assert {"build_lods", "inspect", "export"} <= set(executor.stages("crate"))


def test_a_deleted_package_is_published_again(content: LocalContent) -> None:
    """A package that somebody removed from exports/ comes back without running a stage."""
    package = content.root / str(only(go(content)).package)
    package.unlink()
    executor = FakeExecutor()
    assert only(go(content, executor)).state == "done"
    assert executor.ran == []
    assert package.is_file()


def test_a_failed_asset_leaves_the_others_alone(content: LocalContent) -> None:
    """One asset fails in a stage, the other is finished; the report says which and why."""
    ask(content, "lamp")
    no = Failure("stage", "the mesh is empty", "use other images")
    report = go(content, FakeExecutor({("crate", "clean"): no}))
    crate, lamp = report.assets
    assert (crate.state, crate.failure, crate.package) == ("failed", no, None)
    assert lamp.state == "done"
    assert not report.ok
    states = {line.name: line.state for line in crate.stages}
    assert (states["generate"], states["clean"], states["export"]) == ("done", "failed", "pending")
    assert not list((content.root / "exports" / "crate").glob("*.zip"))


def test_a_lasting_failure_is_not_tried_again(content: LocalContent) -> None:
    """The same stage with the same inputs is not run again, unless --retry or a change asks for it."""
    no = Failure("stage", "the mesh is empty", "use other images")
    go(content, FakeExecutor({("crate", "clean"): no}))
    executor = FakeExecutor()
    again = only(go(content, executor))
    assert executor.ran == []
    assert (again.state, again.failure) == ("failed", no)
    assert only(go(content, executor, retry=True)).state == "done"
    assert executor.stages("crate")[0] == "clean"


def test_a_change_is_reason_to_try_again(content: LocalContent) -> None:
    """After the failed stage's options change, it runs without --retry."""
    go(content, FakeExecutor({("crate", "build_lods"): Failure("stage", "no")}))
    ask(content, "crate", FEWER)
    executor = FakeExecutor()
    assert only(go(content, executor)).state == "done"
    assert executor.stages("crate")[0] == "build_lods"


@pytest.mark.parametrize("code", ["worker", "content", "memory", "backend_unavailable", "bug"])
def test_a_passing_failure_is_tried_again(content: LocalContent, code: str) -> None:
    """A killed worker, a full disk or a missing backend counts against nobody."""
    assert only(go(content, FakeExecutor({("crate", "clean"): Failure(code, "no")}))).state == "failed"
    executor = FakeExecutor()
    assert only(go(content, executor)).state == "done"
    assert executor.stages("crate")[0] == "clean"


def test_a_refused_manifest_costs_its_own_asset_only(content: LocalContent) -> None:
    """A manifest with a mistake is reported as failed with its place, and the other asset is finished."""
    ask(content, "lamp", LEAST + "decimat: {triangles: 7}\n")
    crate, lamp = go(content).assets
    assert crate.state == "done"
    assert lamp.state == "failed"
    assert lamp.failure is not None
    assert lamp.failure.message.startswith("manifests/lamp.yaml:3:1: error: ")


def test_exports_that_cannot_be_written_lose_no_work(content: LocalContent) -> None:
    """The asset fails with the path; once the path is free the next run publishes without running a stage."""
    (content.root / "exports").write_text("in the way")
    executor = FakeExecutor()
    report = only(go(content, executor))
    assert report.state == "failed"
    assert report.failure is not None
    assert (report.failure.code, "exports" in report.failure.message) == ("content", True)
    (content.root / "exports").unlink()
    executor.ran.clear()
    assert only(go(content, executor)).state == "done"
    assert executor.ran == []


def test_one_asset_can_be_asked_for(content: LocalContent) -> None:
    """With a name, only that asset is worked on; an unknown name is refused with those that are known."""
    ask(content, "lamp")
    executor = FakeExecutor()
    report = run(content, executor, Recorder(), asset="lamp")
    assert [asset.asset for asset in report.assets] == ["lamp"]
    assert {asset for asset, _ in executor.ran} == {"lamp"}
    with pytest.raises(ContentError, match="no manifest makes an asset named hat: known assets: crate, lamp"):
        run(content, executor, Recorder(), asset="hat")


def test_the_urgent_asset_comes_first(content: LocalContent) -> None:
    """Chains are handed over by priority, then by name."""
    ask(content, "zebra", LEAST + "priority: 90\n")
    ask(content, "ant")
    executor = FakeExecutor()
    go(content, executor)
    assert list(dict.fromkeys(asset for asset, _ in executor.ran)) == ["zebra", "ant", "crate"]


def test_two_assets_of_one_wish_share_their_work(content: LocalContent) -> None:
    """A second asset with the same images and options takes over what the first made, up to where its name matters."""
    go(content)
    shutil.copytree(content.root / "inbox" / "crate", content.root / "inbox" / "box")
    (content.root / "manifests" / "box.yaml").write_text(LEAST)
    executor = FakeExecutor()
    go(content, executor)
    assert "generate" not in executor.stages("box")
    assert executor.stages("box")[-1] == "export"


def test_a_dry_run_changes_nothing(content: LocalContent) -> None:
    """Planning and asking how things stand write no file but what was seen in the pictures."""
    before = sorted(content.root.rglob("*"))
    found, problems = plans(content)
    assert [task.stage.name for task in found[0].pending] == enabled(content)
    assert problems == ()
    assert [asset.state for asset in standing(content).assets] == ["waiting"]
    kept = content.root / CACHE
    after = set(content.root.rglob("*")) - {kept, kept.parent, kept.parent / ".gitignore"}
    assert sorted(after) == before


def test_the_state_says_how_every_asset_stands(content: LocalContent) -> None:
    """status.json is what `standing` says and STATUS.md has a row for each asset."""
    ask(content, "lamp")
    no = Failure("stage", "the mesh is empty", "use | other images")
    go(content, FakeExecutor({("lamp", "clean"): no}))
    document = json.loads((content.root / "state" / "status.json").read_text())
    assert document == standing(content).to_json()
    assert [asset["state"] for asset in document["assets"]] == ["done", "failed"]
    rows = (content.root / "state" / "STATUS.md").read_text().splitlines()
    assert any(row.startswith("| crate | done | exports/crate/export_Crate_UE5.zip |") for row in rows)
    assert any(row.startswith("| lamp | failed |") and r"use \| other images" in row for row in rows)


def test_what_validate_says_stands_in_job_and_status(content: LocalContent) -> None:
    """A refused manifest and a warning are in the asset's job, in status.json and, with line and caret, in STATUS.md."""
    ask(content, "lamp", LEAST + "decimat: on\n")
    ask(content, "vase", LEAST + "rig: {backend: skintokens}\n")
    report = go(content, FakeExecutor())
    said = take_in(content.root).problems
    assert [(problem.file, problem.line, problem.code) for problem in said] == [
        ("manifests/lamp.yaml", 3, "unknown_key"),
        ("manifests/vase.yaml", 3, "stage_is_off"),
    ]
    assert report.problems == said
    assert content.load_job("lamp").problems == said[:1]
    assert content.load_job("lamp").failure is not None
    assert content.load_job("vase").problems == said[1:]
    assert json.loads((content.root / "state" / "status.json").read_text())["problems"] == problems_json(said)
    status = (content.root / "state" / "STATUS.md").read_text()
    assert problems_text(said, content.root) in status
    assert "    3 | decimat: on\n      | ^\n" in status
    assert "stage_is_off" in (content.root / "exports" / "vase" / "report.json").read_text()
    ask(content, "lamp")
    ask(content, "vase")
    go(content, FakeExecutor())
    assert content.load_job("lamp").problems == content.load_job("vase").problems == ()
    assert "Problems" not in (content.root / "state" / "STATUS.md").read_text()


def test_a_second_runner_is_kept_out(content: LocalContent) -> None:
    """While one run is at work, another ends at once."""
    with content.lock(), pytest.raises(ContentError, match="another runner is at work"):
        go(content)


def test_what_waits_for_a_gpu_is_reported_as_waiting(content: LocalContent) -> None:
    """When an executor ends without having done everything, the asset waits; the next run goes on, its age kept."""

    class Halting(FakeExecutor):
        def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
            yield Waits("the allowance is spent", None)

    report = go(content, Halting())
    assert (only(report).state, only(report).failure, report.ok) == ("waiting", None, True)
    executor = FakeExecutor()
    assert only(go(content, executor)).state == "done"
    assert content.load_job("crate").since == ""


def test_predictions_stand_beside_what_was_taken(content: LocalContent) -> None:
    """Every task is handed over with the p50 and p90 that it was expected to take."""
    seen: list[Chain] = []

    class Watching(FakeExecutor):
        def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
            seen.extend(chains)
            return super().run(chains)

    go(content, Watching())
    expected = [spec.expected for spec in seen[0].tasks]
    assert all(one is not None and 0 < one[0] < one[1] for one in expected)


@pytest.mark.parametrize("line", ["deadline: 2026-12-24\n", "priority: 90\n"])
def test_when_it_is_wanted_is_no_part_of_what_is_made(content: LocalContent, line: str) -> None:
    """Another deadline or priority leaves every task key as it is: nothing runs again."""
    ask(content, "crate", LEAST)
    before = run(content, FakeExecutor(), Recorder()).assets[0]
    ask(content, "crate", LEAST + line)
    executor = FakeExecutor()
    (after,) = run(content, executor, Recorder()).assets
    assert (before.state, after.state, executor.ran) == ("done", "skipped", [])
