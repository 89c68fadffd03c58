"""Hold `render` to showing what is in a package, whichever engine it is for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.errors import ContentError
from forge_batch.ops.render import GAP, PANEL, PAPER
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.opened import open_package
from forge_batch.packages.zip_file import write_zip
from forge_batch.render_package import render_package
from tests import winged_box
from tests.fakes import content_folder
from tests.ops.test_fbx import corners

pytest.importorskip("ufbx", reason="ufbx is not installed: it is in the dev group of pyproject.toml")
COLOR, ORM, NORMAL = (200, 40, 40), (250, 180, 30), (128 * 257, 140 * 257, 250 * 257)
MANIFEST = b"forge: 1\nasset: winged\nplace: {height_cm: 80}\nimages: winged\n"


def packed(folder: Path, engine: str) -> Path:
    """Write an engine's package of the winged box in one colour."""
    size = (64, 64, 3)
    color, orm, normal = (
        np.full(size, value, kind) for value, kind in ((COLOR, np.uint8), (ORM, np.uint8), (NORMAL, np.uint16))
    )
    asset = Asset("winged", winged_box.levels(), [1.0, 0.5, 0.25], winged_box.hulls(), color, normal, orm)
    files = {**ENGINES[engine].files(asset), "manifest.yaml": MANIFEST}
    files["report.json"] = json.dumps({"asset": "winged", "engine": engine}).encode()
    path = folder / "export_Winged.zip"
    write_zip(path, files)
    return path


@pytest.mark.parametrize("engine", list(ENGINES))
def test_every_engines_package_comes_back_to_the_house(engine: str, tmp_path: Path) -> None:
    """Corners, as a set, and all three maps are those that were packed; only the web's coders err, by 0.1 mm and 4 of 255."""
    opened = open_package(packed(tmp_path, engine))
    house = winged_box.levels()[0]
    assert (opened.asset, opened.engine, len(opened.mesh.faces)) == ("winged", engine, 48)
    found, expected = corners(opened.mesh, opened.mesh.vertices), corners(house, house.vertices)
    gap = np.abs(found[:, None] - expected[None]).max(axis=2)
    assert max(gap.min(axis=0).max(), gap.min(axis=1).max()) < (1e-4 if engine == "web" else 1e-6)
    assert opened.mesh.tangents is not None
    tolerance = 4 if engine == "web" else 0
    for image, value in ((opened.maps.base_color, COLOR), (opened.maps.orm, ORM)):
        assert image is not None
        np.testing.assert_allclose(image.astype(int), np.broadcast_to(value, image.shape), atol=tolerance)
    assert opened.maps.normal is not None
    np.testing.assert_allclose(opened.maps.normal // 257, np.broadcast_to((128, 140, 250), (64, 64, 3)), atol=tolerance)


def thin_side(path: Path) -> str:
    """Tell at which end of a turntable frame the thing is lower: there the nose or the wing sticks out of the body."""
    with Image.open(path) as image:
        picture = np.asarray(image).astype(int)
    assert picture.shape == (128, 128, 3)
    heights = (np.abs(picture - picture[0, 0]).max(axis=2) > 12).sum(axis=0)
    seen = np.flatnonzero(heights)
    left, right = heights[seen[2:8]].mean(), heights[seen[-8:-2]].mean()
    assert not 0.6 < left / right < 1.6
    return "left" if left < right else "right"


def test_a_turn_shows_the_thing_from_all_sides(tmp_path: Path) -> None:
    """From the front the wing, on the thing's own left, is at the right; from +X the nose points left; then mirrored."""
    out = tmp_path / "pictures"
    files = render_package(packed(tmp_path, "godot4"), tmp_path, out, frames=4, size=128)
    assert [path.name for path in files] == ["sheet.png", "turn_000.png", "turn_090.png", "turn_180.png", "turn_270.png"]
    assert {path.name for path in out.iterdir()} == {path.name for path in files}
    assert [thin_side(path) for path in files[1:]] == ["right", "left", "left", "right"]


def panel(sheet: Path, row: int, column: int) -> np.ndarray:
    """Cut one picture out of the sheet."""
    x, y = GAP + column * (PANEL + GAP), GAP + row * (PANEL + GAP)
    with Image.open(sheet) as image:
        return np.asarray(image)[y : y + PANEL, x : x + PANEL]


def reds(picture: np.ndarray) -> int:
    """Count pixels that are plainly red."""
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    return int(((red > 2 * green) & (red > 2 * blue)).sum())


def test_the_sheet_lays_the_input_over_the_result(tmp_path: Path) -> None:
    """The brown box of the front picture fills the middle of the first panel; below it and beside it is the red result."""
    root = content_folder(tmp_path / "content", "winged")
    (sheet, *_) = render_package(packed(tmp_path, "godot4"), root, tmp_path / "out", frames=1, size=64)
    middle = PANEL // 2
    assert panel(sheet, 0, 0)[middle, middle].tolist() == [120, 80, 40]
    assert (reds(panel(sheet, 0, 0)), reds(panel(sheet, 1, 0)) > 5000) == (0, True)


def test_without_its_pictures_the_sheet_shows_the_bare_mesh(tmp_path: Path) -> None:
    """Where no inbox/ holds them, grey renders stand where the input would be."""
    (sheet, *_) = render_package(packed(tmp_path, "godot4"), tmp_path, tmp_path / "out", frames=1, size=64)
    assert (reds(panel(sheet, 0, 0)), reds(panel(sheet, 1, 0)) > 5000) == (0, True)
    assert np.abs(panel(sheet, 0, 0).astype(int) - PAPER).max() > 40


@pytest.mark.parametrize("data", [None, b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_package_is_refused(data: bytes | None, tmp_path: Path) -> None:
    """A missing file, no zip and a zip without report are refused, and nothing is written."""
    path = tmp_path / "export_A.zip"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ContentError, match=r"export_A\.zip"):
        render_package(path, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
