from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forge_batch.cli import main
from forge_batch.content.local import LocalContent
from forge_batch.dry_run import priced
from forge_batch.intake import take_in
from forge_batch.plan_text import price_json, price_text
from forge_batch.price import Price
from forge_batch.quota import Ledger
from forge_batch.runner import run
from tests.fakes import LEAST, FakeExecutor, Recorder, content_folder

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LEARNED = LEAST + "generate: {backend: trellis2, quality: balanced}\n"
HERO = LEAST + "generate: {backend: trellis2, quality: hero}\n"
HEAVY = LEAST + "generate: {backend: trellis2, quality: hero, shape_steps: 50, texture_steps: 50, structure_steps: 50}\n"


def folder(root: Path, allowance: str, count: int = 3, manifest: str = LEARNED) -> LocalContent:
    """Make a content folder with assets a, b, c, ... that need a GPU."""
    content_folder(root, *"abcdefghijklmnopqrstuvwxyz"[:count], manifest=manifest)
    (root / "forge.yaml").write_text(allowance)
    return LocalContent(root)


def price_of(content: LocalContent, only: set[str] | None = None) -> Price:
    """Price a content folder in the morning of a Monday."""
    return priced(content, take_in(content.root).orders, NOW, 2, only)


def test_every_asset_has_a_price_before_anything_ran(tmp_path: Path) -> None:
    """GPU and CPU seconds as p50 below p90, bytes, a window and a day, for each asset; the total is no less than a part."""
    price = price_of(folder(tmp_path, "allowance: zerogpu-pro\n"))
    assert [asset.plan.asset for asset in price.assets] == ["a", "b", "c"]
    for asset in price.assets:
        assert 0 < asset.gpu.p50 < asset.gpu.p90
        assert 0 < asset.cpu.p50 < asset.cpu.p90
        assert asset.cpu.p50 < asset.without_gpu.p50
        assert asset.disk > 1_000_000
        assert asset.turn is not None
        assert asset.turn.day == NOW.date()
    assert price.gpu.p50 > 2.9 * price.assets[0].gpu.p50
    assert price.gpu.p90 < 3 * price.assets[0].gpu.p90 + 300
    assert price.windows == max(asset.turn.window for asset in price.assets if asset.turn)


def test_what_is_done_is_cached_and_free(tmp_path: Path) -> None:
    """After a run everything is cached; after a change of LODs only what follows from them costs anything, and no GPU."""
    content = folder(tmp_path, "allowance: seed\n", 1)
    run(content, FakeExecutor(), Recorder())
    (asset,) = price_of(content).assets
    assert (asset.plan.pending, asset.gpu.p50, asset.cpu.p50, asset.disk, asset.turn) == ((), 0, 0, 0, None)
    assert asset.saved.p50 > 0
    assert "up to date" in price_text(price_of(content))
    (tmp_path / "manifests" / "a.yaml").write_text(LEARNED + "build_lods: {ratios: [0.3]}\n")
    (asset,) = price_of(content).assets
    assert [task.stage.name for task in asset.plan.pending] == ["build_lods", "inspect", "export"]
    assert "generate" in asset.cached
    assert asset.gpu.p50 == 0 < asset.cpu.p50


def test_a_queue_larger_than_a_day_goes_on_tomorrow(tmp_path: Path) -> None:
    """With 1,500 seconds a day, two dozen assets take days; none is promised before an older one of more priority."""
    content = folder(tmp_path, "allowance: seed\n", 24, HERO)
    (tmp_path / "manifests" / "x.yaml").write_text(HERO + "priority: 90\n")
    price = price_of(content)
    days = {asset.plan.asset: asset.turn.day for asset in price.assets if asset.turn}
    assert len(days) == 24
    assert days["x"] == NOW.date()
    assert price.days >= 1
    assert "done tomorrow" in price_text(price) or f"{max(days.values()):%a}" in price_text(price)


def test_one_asset_waits_for_the_others(tmp_path: Path) -> None:
    """The price of one asset is its own, but its window is the one that the whole queue leaves for it."""
    content = folder(tmp_path, "allowance: seed\n", 24, HERO)
    (tmp_path / "manifests" / "b.yaml").write_text(HERO + "priority: 0\n")
    everything = price_of(content)
    alone = price_of(content, {"b"})
    (asset,) = alone.assets
    assert asset == next(one for one in everything.assets if one.plan.asset == "b")
    assert asset.turn is not None
    assert asset.turn.day > NOW.date()
    assert alone.gpu.p50 < everything.gpu.p50 / 10


def test_what_no_allowance_holds_is_said(tmp_path: Path) -> None:
    """An asset that needs more in one window than a whole day has is named, and gets no day."""
    price = price_of(folder(tmp_path, "allowance: custom\ncustom_allowance: {seconds: 60}\n", 1, HEAVY))
    assert price.assets[0].turn is None
    assert price.assets[0].too_large > 60
    assert "more than the whole allowance: lower generate.quality" in price_text(price)


def test_what_was_spent_is_taken_off(tmp_path: Path) -> None:
    """The ledger's seconds are missing from what is left, and the text says who counted."""
    content = folder(tmp_path, "allowance: seed\n", 1)
    (tmp_path / "state").mkdir()
    ledger = Ledger(tmp_path / "state" / "ledger.jsonl")
    ledger.settle(ledger.reserve(500, NOW), 400, NOW)
    price = price_of(content)
    assert price.left.seconds == 1100
    assert "allowance seed: 1100 of 1500 s left (ledger), the rest comes back at 00:00 UTC on 03 Mar" in price_text(price)


def test_prices_are_data_too(tmp_path: Path) -> None:
    """The JSON form has what the table has, and survives being written."""
    document = json.loads(json.dumps(price_json(price_of(folder(tmp_path, "allowance: seed\n", 2)))))
    assert [asset["asset"] for asset in document["assets"]] == ["a", "b"]
    for asset in document["assets"]:
        assert set(asset["gpu"]) == set(asset["cpu"]) == {"p50", "p90"}
        assert asset["day"] == "2026-03-02"
        assert asset["disk_bytes"] > 0
    assert document["total"]["windows"] >= 1
    assert document["allowance"] == {"profile": "seed", "seconds": 1500, "left": 1500, "resets_at": None, "source": "ledger"}


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_validate_prints_prices_in_every_form(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`validate --price` says what is wrong and what the sound ones cost; a mistake still ends with 1."""
    content = folder(tmp_path, "allowance: seed\n", 2)
    (tmp_path / "manifests" / "bad.yaml").write_text("forge: 1\n")
    assert main(["validate", "--price", "--format", form, "--content", str(content.root)]) == 1
    out = capsys.readouterr().out
    assert "height_cm" in out
    if form == "json":
        assert [asset["asset"] for asset in json.loads(out)["price"]["assets"]] == ["a", "b"]
    elif form == "github":
        assert "::notice title=price of a::" in out
    else:
        assert "allowance seed: 1500 of 1500 s left (ledger); this takes" in out


def test_a_manifest_is_priced_before_it_lies_in_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Validating one file prices that one alone, behind the queue that is there."""
    content = folder(tmp_path / "content", "allowance: seed\n", 2)
    draft = tmp_path / "draft.yaml"
    draft.write_text(LEARNED + "images: a\n")
    assert main(["validate", str(draft), "--price", "--format", "json", "--content", str(content.root)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [asset["asset"] for asset in document["price"]["assets"]] == ["draft"]


def test_a_deadline_that_will_be_missed_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plan and validate say with line and column which asset comes after its deadline, and nothing of the one that does not."""
    content = folder(
        tmp_path / "content", "allowance: custom\ncustom_allowance: {seconds: 400}\n", 2, HERO + "deadline: 2020-01-01\n"
    )
    (content.root / "manifests" / "b.yaml").write_text(HERO + "deadline: 2999-12-31\n")
    assert main(["plan", "--content", str(content.root), "--json"]) == 0
    said = capsys.readouterr()
    late = {asset["asset"]: (asset["deadline"], asset["late"]) for asset in json.loads(said.out)["assets"]}
    assert late == {"a": ("2020-01-01", True), "b": ("2999-12-31", False)}
    assert "manifests/a.yaml:4:11: warning: deadline: a will probably be done" in said.err
    assert "manifests/b.yaml" not in said.err
    assert main(["validate", "--price", "--content", str(content.root), "--format", "json"]) == 0
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(one["code"], one["severity"], one["file"], one["line"]) for one in problems] == [
        ("late", "warning", "manifests/a.yaml", 4)
    ]
