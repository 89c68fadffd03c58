"""Each warning fires on what it is for, and on no sound picture of the checkout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forge_batch.errors import Problem
from forge_batch.ops.picture_facts import measure_picture
from forge_batch.picture_warnings import View, picture_warnings
from tests.planted import before, blurred, fringed, mirrored, scaled, shadowed, sound, with_second

VIEWS = ("front", "right", "back", "left")
ASSETS = ("ammo_crate", "hanging_lantern", "horse", "mailbox", "teddy_bear", "wood_barrel")


def warnings_of(pictures: dict[str, np.ndarray], *, cameras: bool = False) -> list[Problem]:
    """Judge pictures that were never saved; equal pictures have equal hashes."""
    views = {name: View(f"{name}.png", str(hash(p.tobytes())), measure_picture(p)) for name, p in pictures.items()}
    found = picture_warnings(views, cameras=cameras)
    assert all(one.severity == "warning" and one.hint and "\n" not in one.message for one in found)
    return found


def codes(pictures: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    """Give field and code of every warning."""
    return [(problem.field, problem.code) for problem in warnings_of(pictures)]


@pytest.mark.parametrize("asset", ASSETS)
def test_a_sound_set_gives_no_warning(asset: str) -> None:
    """Four clean views, with or without the picture of a camera file, and each alone before a plain background."""
    pictures = {view: sound(asset, view) for view in VIEWS}
    assert warnings_of(pictures) == []
    for picture in pictures.values():
        assert warnings_of({"front": before(picture, 235)}) == []


OF_ONE: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "blur": ("blurred", lambda picture: blurred(picture, 3), "front.png is blurred: the subject's outline is"),
    "blur before grey": ("blurred", lambda picture: before(blurred(picture, 4), 235), "even its sharpest edges are about"),
    "shadow": ("cast_shadow", shadowed, "front.png seems to hold a cast shadow"),
    "white fringe": ("colour_fringes", lambda picture: fringed(picture, 255), "front.png has a light fringe"),
    "black fringe": ("colour_fringes", lambda picture: fringed(picture, 0), "front.png has a dark fringe"),
    "second thing": ("several_subjects", with_second, "shows 2 separate things, the second 2"),
    "small": ("small_picture", lambda picture: scaled(picture, (500, 500)), "front.png is only 500 x 500 pixels"),
    "small in its picture": (
        "small_picture",
        lambda picture: np.pad(scaled(picture, (160, 160)), ((500, 0), (500, 0), (0, 0))),
        "shows its subject only 1",
    ),
    "cut off": ("touches_frame", lambda picture: picture[:, :760].copy(), "touches the right of the picture"),
    "cut off before grey": ("touches_frame", lambda picture: before(picture[:, :760], 235), "touches the right"),
}


@pytest.mark.parametrize("defect", OF_ONE)
def test_a_planted_defect_is_named_with_its_measure(defect: str) -> None:
    """A teddy bear with one defect has that warning alone, on its view."""
    code, plant, words = OF_ONE[defect]
    (found,) = warnings_of({"front": plant(sound("teddy_bear"))})
    assert (found.field, found.code) == ("images.front", code)
    assert words in found.message


def test_a_green_fringe_is_coloured() -> None:
    """The outermost pixels of a fox-red horse cut out of green are said to be greener."""
    picture = fringed(sound("horse"), 255)
    edge = (picture[..., 3] > 0) & (sound("horse")[..., 3] < 250)
    picture[edge, :3] = (30, 220, 40)
    (found,) = warnings_of({"front": picture})
    assert found.code == "colour_fringes"
    assert "coloured fringe" in found.message


def test_a_mirrored_side_is_named() -> None:
    """The horse's left view mirrored has the outline of its right view."""
    pictures = {view: sound("horse", view) for view in VIEWS}
    (found,) = warnings_of(pictures | {"left": mirrored(pictures["left"])})
    assert (found.field, found.code) == ("images", "views_mirrored")
    assert found.message.startswith("left.png has the outline of right.png (9")


def test_exchanged_files_are_named_with_what_to_exchange() -> None:
    """The horse's front and right views exchanged: one warning, whose hint mends it."""
    pictures = {view: sound("horse", view) for view in VIEWS}
    (found,) = warnings_of(pictures | {"front": pictures["right"], "right": pictures["front"]})
    assert (found.field, found.code) == ("images", "views_swapped")
    assert "front with right" in found.hint


def test_a_file_that_stands_for_two_views_is_named() -> None:
    """One picture as right and left is the same picture, and not mirrored besides."""
    pictures = {view: sound("horse", view) for view in VIEWS}
    assert codes(pictures | {"left": pictures["right"]}) == [("images.left", "same_picture")]


def test_views_of_other_scales_are_named_unless_cameras_explain_them() -> None:
    """A back view at 0.7 of the scale disagrees in height; with a camera file that is no fault."""
    pictures = {view: sound("mailbox", view) for view in VIEWS}
    pictures["back"] = np.pad(scaled(pictures["back"], (717, 717)), ((153, 154), (153, 154), (0, 0)))
    (found,) = warnings_of(pictures)
    assert (found.field, found.code) == ("images", "views_disagree")
    assert "pixels high in back.png" in found.message
    assert warnings_of(pictures, cameras=True) == []


def test_a_squeezed_view_is_named() -> None:
    """A left view at three quarters of its width does not fit the right one."""
    pictures = {view: sound("teddy_bear", view) for view in VIEWS}
    pictures["left"] = np.pad(scaled(pictures["left"], (768, 1024)), ((0, 0), (128, 128), (0, 0)))
    assert codes(pictures) == [("images", "views_disagree")]
