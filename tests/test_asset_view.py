"""Look at one asset the way its page does: what failed, shown; what was refused, said; every level of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.content.local import LocalContent
from forge_batch.jobs import Failure, Job, TaskRecord
from forge_batch.ops.gate_limits import LIMITS
from forge_batch.previews import Previews
from forge_batch.settings import PageOptions
from forge_batch.survey import Survey
from forge_batch.ui.routes import find_file
from forge_batch.ui.site import Site
from forge_batch.ui.views import Views
from tests import winged_box
from tests.fakes import FakeExecutor, content_folder, picture
from tests.page_server import package

OVERLAP = {
    "name": "uv_overlap", "value": 3, "limit": 0, "unit": "texels", "result": "fail", "note": "texels covered more than once",
    "picture": "failed_uv_overlap.png",
}  # fmt: skip
OPEN = {"name": "watertight", "value": 0, "limit": 0, "unit": "edges", "result": "pass", "note": "open edges"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give the site of a crate that a gate refused, and whose package was kept."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    site = Site(content, Survey(content, 1), PageOptions(), FakeExecutor)
    site.survey.look()
    key = next(task.key for task in site.survey.standings["crate"].plan.tasks if task.stage.name == "inspect")
    failure = Failure("gate", "a quality gate failed: uv_overlap is 3, allowed at most 0 texels")
    content.save_job(Job("crate", {key: TaskRecord("inspect", key, "failed", 1.0, failure=failure)}, failure=failure))
    exports = content.home / "exports" / "crate"
    exports.mkdir(parents=True)
    (exports / "report.json").write_text(json.dumps({"gates": [OPEN, OVERLAP]}))
    (exports / "report.html").write_text("<p>report</p>")
    package(exports / "rejected_Crate_UE5.zip", "crate")
    picture(content.task_folder(key) / "failed_uv_overlap.png", (64, 64))
    site.survey.look()
    return site


def test_what_failed_is_shown_with_its_picture(site: Site) -> None:
    """The gate that failed stands first with value, limit, what to change and its picture; one that passed has no card."""
    head = Views(site).asset("crate")["head"]
    card = head[head.index("What failed") :]
    assert "uv overlap" in card
    assert "<b>3 texels</b> measured; the limit is 0 texels." in card
    assert LIMITS["uv_overlap"].advice in card
    assert '<img src="files/crate/failed_uv_overlap.png"' in card
    assert "watertight" not in card
    path = find_file(site, "crate", "failed_uv_overlap.png")
    assert path is not None
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_a_picture_there_is_no_broken_image(site: Site) -> None:
    """Where the picture is gone, or is named like something else, the gate is said without one."""
    path = find_file(site, "crate", "failed_uv_overlap.png")
    assert path is not None
    path.unlink()
    site.survey.glance()
    head = Views(site).asset("crate")["head"]
    assert "the limit is 0 texels" in head
    assert "failed_uv" not in head
    report = site.content.home / "exports" / "crate" / "report.json"
    report.write_text(json.dumps({"gates": [{**OVERLAP, "picture": "../../manifests/crate.yaml"}]}))
    assert "manifests/crate" not in Views(site).asset("crate")["head"]
    for name in ("failed_../x.png", "failed_nothing.png", "failed_UV.png"):
        assert find_file(site, "crate", name) is None


def test_a_refused_package_is_no_result(site: Site) -> None:
    """It can be taken home under a plain warning, its model can be looked at, and the asset has failed all the same."""
    views = Views(site)
    row = site.survey.row("crate")
    assert row is not None
    assert row.state == "failed"
    head = views.asset("crate")["head"]
    assert "Not fit to ship." in head
    assert 'href="files/crate/rejected_Crate_UE5.zip" download>Download all the same: ' in head
    served = find_file(site, "crate", "rejected_Crate_UE5.zip")
    assert served == site.content.home / "exports" / "crate" / "rejected_Crate_UE5.zip"
    assert views.levels("crate") == ["LOD0", "LOD1", "LOD2"]


def test_every_level_comes_from_the_package_alone(tmp_path: Path) -> None:
    """On a disk that never made the asset each level has its triangles, stands where it stood, and takes every map."""
    path = tmp_path / "export_Box_UE5.zip"
    package(path, "box")
    made = Previews(tmp_path, path)
    assert made.levels() == 3
    for level, mesh in zip(made._levels(), winged_box.levels(), strict=True):
        assert len(level.faces) == len(mesh.faces)
        assert level.vertices.min(axis=0) == pytest.approx(mesh.vertices.min(axis=0), abs=1e-4)
        assert level.vertices.max(axis=0) == pytest.approx(mesh.vertices.max(axis=0), abs=1e-4)
    sizes = {shown: made.model(2, shown).stat().st_size for shown in ("all maps", "base colour", "no maps")}
    assert sizes["no maps"] < sizes["base colour"] < sizes["all maps"]


def test_input_and_render_lie_over_each_other(tmp_path: Path) -> None:
    """The two sides of the slider have one size, and show what they show at the same height, centred alike."""
    path = tmp_path / "export_Box_UE5.zip"
    package(path, "box")
    boxes = []
    for one in Previews(tmp_path, path).pair("front", picture(tmp_path / "front.png", (300, 512))):
        pixels = np.asarray(Image.open(one).convert("RGB")).astype(int)
        assert pixels.shape == (640, 640, 3)
        boxes.append(np.argwhere(np.abs(pixels - pixels[0, 0]).sum(axis=2) > 60))
    ends = [[found[:, 0].min(), found[:, 0].max()] for found in boxes]
    middles = [(found[:, 1].min() + found[:, 1].max()) / 2 for found in boxes]
    assert ends[0] == pytest.approx(ends[1], abs=3)
    assert middles[0] == pytest.approx(middles[1], abs=3)


def test_a_refresh_stays_small_whatever_an_asset_says(tmp_path: Path) -> None:
    """With a manifest of a thousand mistakes and a log of megabytes the parts of its view weigh less than 50 kB."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    keys = "".join(f"<k{number}>: 1\n" for number in range(900))
    (content.root / "manifests" / "crate.yaml").write_text(f"forge: 1\n{keys}")
    log = content.home / "work" / "logs" / "crate.log"
    log.parent.mkdir(parents=True)
    log.write_text("<&>" * 1_000_000)
    site = Site(content, Survey(content, 1), PageOptions(), FakeExecutor)
    site.survey.look()
    parts = Views(site).asset("crate")
    assert "characters more" in parts["rest"]
    assert len(json.dumps(parts)) < 50_000
