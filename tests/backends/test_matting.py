"""Hold the ways of cutting out to masks known by construction, and the learned one to an exact rendering's alpha."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.backends.matting import Matter, decontaminate, has_real_alpha, key_alpha, suspicions, without_crumbs
from forge_batch.errors import BackendUnavailable, StageError

INBOX = Path(__file__).parents[2] / "inbox"
MODEL = Path(os.environ.get("U2NET_HOME", "/nonexistent")) / "u2netp.onnx"
needs_model = pytest.mark.skipif(not MODEL.is_file(), reason="no u2netp.onnx in U2NET_HOME: `make test` puts one there")


def _disc(color: tuple[int, int, int], background: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A disc with a background-coloured hole inside, before a noisy plain background, and its mask (the hole counts as it)."""
    y, x = np.mgrid[:128, :128]
    mask = np.hypot(x - 64, y - 60) < 40
    image = np.empty((128, 128, 4), np.uint8)
    image[..., :3] = np.where(mask[..., None], color, background)
    image[np.hypot(x - 64, y - 60) < 8, :3] = background
    noise = np.random.default_rng(1).integers(-3, 4, (128, 128, 3))
    image[..., :3] = np.clip(image[..., :3].astype(int) + noise, 0, 255)
    image[..., 3] = 255
    return image, mask


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("background", [(240, 240, 240), (10, 200, 20), (0, 0, 0)])
def test_the_key_follows_the_outline_and_keeps_what_is_enclosed(background: tuple[int, int, int]) -> None:
    """A disc on a noisy plain background is cut along its outline; a background-coloured hole inside stays solid."""
    image, mask = _disc((150, 40, 60), background)
    assert _overlap(key_alpha(image, 12.0) >= 128, mask) > 0.97


def test_the_key_refuses_a_busy_background() -> None:
    """Without one colour along the edge there is nothing to key."""
    image = np.random.default_rng(2).integers(0, 256, (96, 96, 4), np.uint8)
    with pytest.raises(StageError, match="the background is not plain: only"):
        key_alpha(image, 12.0)


def test_only_a_cut_out_counts_as_real_alpha() -> None:
    """Opaque and nearly opaque pictures have none; a picture with a clear tenth has; a wholly clear one is believed too."""
    image = np.full((100, 100, 4), 255, np.uint8)
    assert not has_real_alpha(image)
    image[0, :40, 3] = 0
    assert not has_real_alpha(image)
    image[:10, :, 3] = 0
    assert has_real_alpha(image)
    image[..., 3] = 0
    assert has_real_alpha(image)


def test_fringes_take_the_colour_of_the_inside() -> None:
    """A red disc antialiased against green has no green left anywhere once decontaminated, and its alpha is unchanged."""
    y, x = np.mgrid[:96, :96]
    cover = np.clip(30.5 - np.hypot(x - 48, y - 48), 0, 1)
    image = np.zeros((96, 96, 4), np.uint8)
    image[..., 0] = cover * 255
    image[..., 1] = (1 - cover) * 255
    image[..., 3] = cover * 255
    for margin in (0, 2):
        clean = decontaminate(image, image[..., 3], margin)
        assert (clean[..., 1] <= 5).all()
        assert (clean[..., 0] >= 250).all()
        assert np.array_equal(clean[..., 3], image[..., 3])


def test_a_thin_part_keeps_its_own_colour() -> None:
    """A blue rod three pixels wide beside a red block stays blue along its length."""
    image = np.zeros((96, 96, 4), np.uint8)
    image[20:80, 10:50] = (255, 0, 0, 255)
    image[48:51, 50:90] = (0, 0, 255, 255)
    clean = decontaminate(image, image[..., 3], 2)
    assert (clean[49, 60:88, 2] == 255).all()


def test_crumbs_go_and_parts_stay() -> None:
    """A speck of 1/400 of the largest part is cleared, a part of 1/100 is kept."""
    alpha = np.zeros((200, 200), np.uint8)
    alpha[50:150, 50:150] = 255
    alpha[5:15, 5:15] = 255
    alpha[180:185, 180:185] = 255
    kept = without_crumbs(alpha)
    assert kept[10, 10] == 255
    assert kept[182, 182] == 0
    assert kept[100, 100] == 255


def test_odd_masks_are_named() -> None:
    """Less than one percent, and touching three sides, are said in words; a sound mask says nothing."""
    alpha = np.zeros((100, 100), np.uint8)
    alpha[50:55, 50:55] = 255
    assert suspicions(alpha) == ["the object covers only 0.25% of the picture"]
    alpha[20:, 20:80] = 255
    assert suspicions(alpha) == []
    alpha[40:60] = 255
    assert suspicions(alpha) == ["the object is cut off by the picture's bottom, left, right"]


@needs_model
def test_the_learned_mask_finds_a_bear_in_a_room() -> None:
    """The photo's mask overlaps the exact alpha of the same view by more than 0.95, without touching the network."""
    photo = INBOX / "teddy_bear_photo" / "front.png"
    if not photo.is_file():
        pytest.skip("no teddy_bear_photo in inbox")
    image = np.asarray(Image.open(photo).convert("RGBA"))
    exact = np.asarray(Image.open(INBOX / "teddy_bear" / "front.png"))[..., 3] >= 128
    matter = Matter.load("u2netp")
    alpha = without_crumbs(matter.alpha(image))
    assert _overlap(alpha >= 128, exact) > 0.95
    assert np.array_equal(alpha, without_crumbs(matter.alpha(image)))


@needs_model
def test_loading_a_model_prints_nothing_on_stdout() -> None:
    """Everything that rembg and onnxruntime print goes to stderr: stdout belongs to --json."""
    code = "from forge_batch.backends.matting import Matter; Matter.load('u2netp')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == ""


def test_a_missing_model_is_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its file the backend says the command that gets it, and opens no socket."""
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(BackendUnavailable) as caught:
        Matter.load("u2netp")
    assert "new_session('u2netp')" in caught.value.hint or "pip install" in caught.value.hint
    assert not list(tmp_path.rglob("*.onnx"))
