"""Hold `render` to showing what is in a package, whichever engine it is for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.errors import ContentError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import GAP, PANEL, PAPER, render
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.opened import open_package
from forge_batch.packages.zip_file import write_zip
from forge_batch.render_package import render_package
from tests import winged_box
from tests.fakes import content_folder
from tests.ops.test_fbx import corners

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


def domed(folder: Path, engine: str) -> Path:
    """Write an engine's package of a slab whose front bears a dome in its normal map and nothing in its shape."""
    x, y = np.meshgrid(np.linspace(-1, 1, 256), np.linspace(1, -1, 256))  # y grows up the picture
    inside = np.hypot(x, y) < 0.7
    normal = np.dstack([np.where(inside, x, 0), np.where(inside, y, 0), np.ones_like(x)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    image = np.round((normal * 0.5 + 0.5) * 65535).astype(np.uint16)
    # a closed slab: its front has the whole picture upright, seen from +Z with U to the right; the rest a corner without relief
    corner = np.array([[-0.5, 0, 0.05], [0.5, 0, 0.05], [0.5, 1, 0.05], [-0.5, 1, 0.05]])
    back = corner * [1, 1, -1]
    quads = [corner, back[[1, 0, 3, 2]]]
    quads += [np.array([corner[a], back[a], back[b], corner[b]]) for a, b in ((0, 1), (1, 2), (2, 3), (3, 0))]
    flat = np.array([[0.0, 0.04], [0.04, 0.04], [0.04, 0.0], [0.0, 0.0]])
    uv = [np.array([[0, 1], [1, 1], [1, 0], [0, 0]]), *([flat] * 5)]
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(6)]).astype(np.int32)
    sides = [np.cross(quad[1] - quad[0], quad[2] - quad[0]) for quad in quads]
    normals = np.repeat([side / np.linalg.norm(side) for side in sides], 4, axis=0)
    slab = Mesh(
        np.concatenate(quads).astype(np.float32),
        faces,
        uv=np.concatenate(uv).astype(np.float32),
        normals=normals.astype(np.float32),
    )
    plain = np.full((256, 256, 3), 128, np.uint8)
    orm = np.full((256, 256, 3), (255, 200, 0), np.uint8)
    asset = Asset("winged", [split_by_tangent(slab)], [1.0], [], plain, image, orm)
    files = {**ENGINES[engine].files(asset), "manifest.yaml": MANIFEST}
    files["report.json"] = json.dumps({"asset": "winged", "engine": engine}).encode()
    path = folder / "export_Winged.zip"
    write_zip(path, files)
    return path


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_bump_is_a_bump_in_the_light_from_either_side(engine: str, tmp_path: Path) -> None:
    """A dome that is only in the normal map is bright towards the light, left or right, and above: no dent, no flip."""
    opened = open_package(domed(tmp_path, engine))
    for light, bright in ((-70.0, "left"), (70.0, "right")):
        picture = render(opened.mesh, opened.maps, 0.0, 0.0, 200, light)[..., 1].astype(float)
        rows, columns = np.nonzero(picture)
        middle_row, middle = int(rows.mean()), int(columns.mean())
        half = (columns.max() - columns.min()) // 4
        box = picture[middle_row - half : middle_row + half, middle - half : middle + half]
        left, right = box[:, : half // 2].mean(), box[:, -half // 2 :].mean()
        assert (left > 1.3 * right) if bright == "left" else (right > 1.3 * left)
        assert box[: half // 2].mean() > 1.1 * box[-half // 2 :].mean()
