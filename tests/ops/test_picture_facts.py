"""Measure pictures of the checkout, as they are and with a defect planted."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from forge_batch.ops.cast_shadow import shadow_share
from forge_batch.ops.picture_facts import PictureFacts, measure_file, measure_picture
from forge_batch.ops.rim_color import rim_color_gap
from forge_batch.ops.sharpness import edge_width, measure_sharpness
from forge_batch.ops.subject import count_subjects, find_subject
from tests.planted import INBOX, before, blurred, fringed, save, shadowed, sound


def disc(size: int = 512, radius: int = 150, color: tuple[int, int, int] = (200, 60, 40)) -> np.ndarray:
    """Draw a smooth disc on a clear ground, with an even shade from left to right."""
    picture = np.zeros((size, size, 4), np.uint8)
    alpha = np.zeros((size * 4, size * 4), np.uint8)
    cv2.circle(alpha, (size * 2, size * 2), radius * 4, 255, -1)
    picture[..., 3] = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    shade = np.linspace(0.6, 1.0, size)[None, :, None]
    picture[..., :3] = (np.array(color) * shade * (picture[..., 3:] > 0)).astype(np.uint8)
    return picture


def test_a_disc_is_measured_as_it_was_drawn() -> None:
    """Box, silhouette and counts of a disc of radius 150 follow from its geometry."""
    facts = measure_picture(disc())
    assert (facts.width, facts.height, facts.known_by, facts.subjects, facts.touches) == (512, 512, "alpha", 1, ())
    assert facts.box == pytest.approx((106, 106, 301, 301), abs=1)
    mask = facts.mask()
    assert mask is not None
    assert mask.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert facts.shadow == 0
    assert facts.outline is not None
    assert 0 < facts.outline < 1.5


def test_a_smooth_thing_is_not_called_blurred() -> None:
    """A disc without an edge inside gives no steepness; only its outline speaks."""
    assert measure_picture(disc()).steepness is None


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0, 4.0])
def test_an_edge_is_as_wide_as_it_was_blurred(sigma: float) -> None:
    """A checkerboard blurred by sigma has edges of 2.56 sigma, within a pixel and a quarter."""
    board = np.kron(np.indices((12, 12)).sum(0) % 2, np.ones((48, 48)))
    soft = cv2.GaussianBlur((board * 160 + 50).astype(np.float32), (0, 0), sigma).astype(np.uint8)
    found = measure_sharpness(np.dstack([soft] * 3)).steepness
    assert found is not None
    assert edge_width(found) == pytest.approx(2.56 * sigma, abs=1.25)


@pytest.mark.parametrize("asset", ["ammo_crate", "horse", "teddy_bear", "wood_barrel"])
def test_blur_lowers_steepness_and_widens_the_outline(asset: str) -> None:
    """More blur is never measured as less."""
    steps = [measure_picture(picture) for picture in (sound(asset), *(blurred(sound(asset), sigma) for sigma in (2, 4)))]
    assert [step.steepness for step in steps] == sorted((step.steepness for step in steps), reverse=True)  # type: ignore[type-var]
    assert [step.outline for step in steps] == sorted(step.outline for step in steps)  # type: ignore[type-var]


def gap_of(picture: np.ndarray) -> tuple[int, int, int] | None:
    """Measure a whole cut-out."""
    return rim_color_gap(picture, np.ascontiguousarray(picture[..., 3]))


def test_a_fringe_has_the_background_s_colour() -> None:
    """A red disc cut generously out of white has a rim that is 200 levels greener; cut exactly, it has none."""
    assert gap_of(disc(color=(200, 40, 40))) == pytest.approx((0, 0, 0), abs=3)
    gap = gap_of(fringed(disc(color=(200, 40, 40)), 255))
    assert gap is not None
    assert gap[1] > 150
    assert gap_of(np.zeros((80, 80, 4), np.uint8)) is None


def test_colours_of_clear_pixels_do_not_count() -> None:
    """Whatever stands where alpha is below 250, the gap is the same: removing the background replaces it."""
    picture = sound("teddy_bear")
    loud = picture.copy()
    loud[loud[..., 3] < 250, :3] = (255, 0, 255)
    assert gap_of(loud) == gap_of(picture)


def test_a_shadow_is_found_and_half_transparent_glass_is_not() -> None:
    """A dark soft ground counts by its area; a bright half-transparent part and an even grey background do not."""
    dark = find_subject(shadowed(sound("teddy_bear")))
    assert dark is not None
    assert 0.03 < shadow_share(dark) < 0.5
    glass = disc()
    glass[300:360, 200:300] = (200, 220, 240, 128)
    for picture in (glass, before(sound("teddy_bear"), 235)):
        subject = find_subject(picture)
        assert subject is not None
        assert shadow_share(subject) == 0


def test_a_subject_is_known_by_alpha_or_a_plain_background_alone() -> None:
    """A cut-out, one before grey, and a photograph of a room."""
    kinds = []
    for picture in (sound("horse"), before(sound("horse"), 200), sound_photo()):
        subject = find_subject(picture)
        kinds.append(subject.kind if subject else "")
    assert kinds == ["alpha", "plain", ""]


def sound_photo() -> np.ndarray:
    """Read the photograph of the checkout."""
    with Image.open(INBOX / "teddy_bear_photo" / "front.png") as image:
        return np.asarray(image.convert("RGB"))


def test_parts_are_counted_by_their_share() -> None:
    """Of parts with 900, 400 and 25 pixels two have a tenth of the largest."""
    mask = np.zeros((100, 100), bool)
    mask[5:35, 5:35] = mask[50:70, 50:70] = mask[90:95, 90:95] = True
    assert count_subjects(mask, 0.1) == (2, 0.444)
    assert count_subjects(mask & False, 0.1) == (0, 0.0)


@pytest.mark.parametrize(
    ("side", "where"),
    [
        ("top", np.s_[:100, 100:300]),
        ("right", np.s_[99:300, -99:]),
        ("bottom", np.s_[-9:, 9:99]),
        ("left", np.s_[50:99, :70]),
    ],
)
def test_the_touched_side_is_named(side: str, where: tuple[slice, slice]) -> None:
    """A block at one side of the picture touches that side."""
    picture = np.zeros((400, 400, 4), np.uint8)
    picture[where] = (90, 120, 30, 255)
    assert measure_picture(picture).touches == (side,)


def test_facts_of_a_file_are_those_of_its_content(tmp_path: Path) -> None:
    """Hash and facts do not depend on the name, and JSON keeps them."""
    first, second = save(tmp_path / "a.png", disc()), save(tmp_path / "b" / "front.png", disc())
    digest, facts = measure_file(first)
    assert (digest, facts) == measure_file(second)
    assert digest == hashlib.sha256(first.read_bytes()).hexdigest()
    assert PictureFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    assert facts == measure_picture(disc())


def test_a_jpeg_and_a_palette_are_measured_too(tmp_path: Path) -> None:
    """What the fast decoder leaves alone is decoded by Pillow, and a refused file says why without its name."""
    Image.fromarray(before(disc(), 255)).save(tmp_path / "front.jpg", quality=95)
    assert measure_file(tmp_path / "front.jpg")[1].known_by == "plain"
    Image.fromarray(before(disc(), 255)).convert("P").save(tmp_path / "front.png")
    assert measure_file(tmp_path / "front.png")[1].box == pytest.approx((106, 106, 301, 301), abs=4)
    buffer = io.BytesIO()
    Image.new("L", (80, 80)).save(buffer, "PNG")
    (tmp_path / "grey.png").write_bytes(buffer.getvalue())
    facts = measure_file(tmp_path / "grey.png")[1]
    assert (facts.refusal, facts.hint) == ("is a grayscale PNG", "save it as RGB; its colours become the base color")


@pytest.mark.parametrize("size", [(64, 64), (64, 8192), (65, 777)])
@pytest.mark.parametrize("level", [0, 255])
def test_odd_pictures_are_measured_without_complaint(size: tuple[int, int], level: int) -> None:
    """Empty, full, tiny and long pictures have facts like any other."""
    for channels in (3, 4):
        facts = measure_picture(np.full((*size, channels), level, np.uint8))
        assert (facts.height, facts.width) == size
