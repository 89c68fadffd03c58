"""Run remove_background on image sets of every kind it must tell apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.artifacts import CUTOUTS
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.mesh import load_arrays
from forge_batch.stage import Metrics, StageContext
from forge_batch.stages.remove_background import Params, stage

INBOX = Path(__file__).parents[2] / "inbox"


def _run(images: dict[str, Path], folder: Path, params: Params | None = None) -> tuple[Metrics, dict[str, np.ndarray], dict]:
    folder.mkdir(exist_ok=True)
    context = StageContext("thing", params or Params(), 0, images, {}, folder)
    metrics = stage.run(context)
    arrays, meta = load_arrays(folder / CUTOUTS.filename)
    return metrics, arrays, meta


def _plain(path: Path, *, box: tuple[int, int, int, int] = (30, 30, 90, 100)) -> Path:
    image = Image.new("RGB", (128, 128), (200, 210, 220))
    image.paste((120, 30, 30), box)
    image.save(path)
    return path


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model be found."""
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))


def test_pictures_with_alpha_are_believed(tmp_path: Path) -> None:
    """Four views with transparency keep their alpha to the bit, name their method and bring their cameras."""
    folder = INBOX / "mailbox"
    images = {view: folder / f"{view}.png" for view in ("front", "right", "back", "left")} | {"camera": folder / "camera.json"}
    metrics, arrays, meta = _run(images, tmp_path)
    assert metrics["methods"] == dict.fromkeys(("front", "right", "back", "left"), "alpha")
    assert meta["model"] is None
    assert set(meta["cameras"]) == set(arrays) == {"front", "right", "back", "left"}
    for view, cutout in arrays.items():
        original = np.asarray(Image.open(images[view]))
        assert np.array_equal(cutout[..., 3], original[..., 3])
        solid = original[..., 3] == 255
        assert np.array_equal(cutout[solid], original[solid])


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write equal files."""
    images = {"front": INBOX / "ammo_crate" / "front.png"}
    for name in ("a", "b"):
        _run(images, tmp_path / name)
    assert (tmp_path / "a" / CUTOUTS.filename).read_bytes() == (tmp_path / "b" / CUTOUTS.filename).read_bytes()


@pytest.mark.usefixtures("no_models")
def test_a_background_without_any_way_to_remove_it_names_the_command(tmp_path: Path) -> None:
    """Without model and without leave to key, the picture is named and the hint says what to install or do."""
    with pytest.raises(BackendUnavailable, match=r"^room\.png has a background, and") as caught:
        _run({"front": _plain(tmp_path / "room.png")}, tmp_path / "out")
    assert "transparent background" in caught.value.hint


@pytest.mark.usefixtures("no_models")
def test_the_key_is_used_only_with_leave(tmp_path: Path) -> None:
    """With allow_key a plain background is keyed, and the metrics say so."""
    metrics, arrays, _ = _run({"front": _plain(tmp_path / "front.png")}, tmp_path / "out", Params(allow_key=True))
    assert metrics["methods"] == {"front": "key"}
    covered = arrays["front"][..., 3] >= 128
    assert abs(int(covered.sum()) - 60 * 70) <= 20
    assert (arrays["front"][..., 0] < 130).all()


@pytest.mark.parametrize(
    ("alpha", "words"),
    [(0, "front.png: nothing is left"), (255, "front.png has no transparency")],
)
def test_an_empty_or_opaque_alpha_names_the_picture(alpha: int, words: str, tmp_path: Path) -> None:
    """A wholly clear picture is an error, and so is an opaque one when alpha was asked for."""
    Image.new("RGBA", (96, 96), (90, 80, 70, alpha)).save(tmp_path / "front.png")
    with pytest.raises(StageError) as caught:
        _run({"front": tmp_path / "front.png"}, tmp_path / "out", Params(method="alpha"))
    assert str(caught.value).startswith(words)


def test_a_mask_without_background_is_an_error(tmp_path: Path) -> None:
    """A plain picture keyed to nothing names the picture."""
    Image.new("RGB", (96, 96), (90, 80, 70)).save(tmp_path / "blank.png")
    with pytest.raises(StageError, match=r"^blank\.png: nothing is left after removing the background by key"):
        _run({"front": tmp_path / "blank.png"}, tmp_path / "out", Params(method="key"))


def test_odd_masks_are_warned_of(tmp_path: Path) -> None:
    """An object cut off on three sides comes through with a warning that names the picture."""
    image = np.zeros((96, 96, 4), np.uint8)
    image[20:, :] = (10, 200, 30, 255)
    Image.fromarray(image).save(tmp_path / "close.png")
    metrics, _, _ = _run({"front": tmp_path / "close.png"}, tmp_path / "out")
    assert metrics["warnings"] == ["close.png: the object is cut off by the picture's bottom, left, right"]


def test_bad_pictures_are_refused_together(tmp_path: Path) -> None:
    """Two broken views give one error in one line that names both."""
    (tmp_path / "front.png").write_bytes(b"")
    with pytest.raises(StageError) as caught:
        _run({"front": tmp_path / "front.png", "back": tmp_path / "back.png"}, tmp_path / "out")
    assert "front.png is empty" in str(caught.value)
    assert "back.png does not exist" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cameras_of_another_size_are_refused(tmp_path: Path) -> None:
    """A camera file written for larger pictures is an error that names both files."""
    small = Image.open(INBOX / "mailbox" / "front.png").resize((512, 512))
    small.save(tmp_path / "front.png")
    camera = tmp_path / "camera.json"
    camera.write_text(json.dumps(json.loads((INBOX / "mailbox" / "camera.json").read_text())))
    with pytest.raises(StageError, match=r"camera\.json was written for 1024 x 1024 pixels, front\.png has 512 x 512"):
        _run({"front": tmp_path / "front.png", "camera": camera}, tmp_path / "out")
