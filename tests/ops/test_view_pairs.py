"""Silhouettes of shapes that are known tell which views do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.view_pairs import Outline, compare_views

VIEWS = ("front", "right", "back", "left")


def shape(*rows: str) -> np.ndarray:
    """Draw a silhouette of 8 x 8 cells, each 8 pixels wide."""
    assert len(rows) == 8
    return np.kron(np.array([[cell == "#" for cell in row] for row in rows]), np.ones((8, 8), bool))


FLAG = shape("########", "########", "########", "##......", "##......", "##......", "##......", "##......")
CHAIR = shape("......##", "......##", "......##", "......##", "########", "########", "#......#", "#......#")
BOX = np.ones((64, 64), bool)


def views(**changes: Outline) -> dict[str, Outline]:
    """Give the four views of one thing: a flag from the front, a chair from the side."""
    mirror = np.s_[:, ::-1]
    whole = {
        "front": Outline(50, 100, FLAG),
        "right": Outline(80, 100, CHAIR),
        "back": Outline(50, 100, FLAG[mirror]),
        "left": Outline(80, 100, CHAIR[mirror]),
    }
    return whole | changes


def kinds(outlines: dict[str, Outline]) -> list[tuple[str, tuple[str, str]]]:
    """Say what disagrees, and between which views."""
    return [(found.kind, found.views) for found in compare_views(outlines)]


def test_views_of_one_thing_agree() -> None:
    """Four views, or any of them, of one object give nothing to say."""
    whole = views()
    assert kinds(whole) == []
    for count in range(4):
        assert kinds(dict(list(whole.items())[:count])) == []


@pytest.mark.parametrize("view", ["front", "back", "right", "left"])
def test_a_mirrored_view_is_found(view: str) -> None:
    """Whichever of a pair is mirrored, its pair is named, with 100 % overlap as it is."""
    turned = views()[view]
    pair = ("front", "back") if view in {"front", "back"} else ("right", "left")
    (found,) = compare_views(views(**{view: turned._replace(mask=turned.mask[:, ::-1])}))
    assert (found.kind, found.views, found.values[0]) == ("mirrored", pair, 1.0)
    assert found.values[1] < 0.8


def test_a_symmetric_view_may_be_mirrored() -> None:
    """A box mirrored is the same box."""
    assert kinds({view: Outline(100, 100, BOX) for view in VIEWS}) == []


@pytest.mark.parametrize(("first", "second"), [("front", "right"), ("front", "left"), ("back", "right"), ("back", "left")])
def test_exchanged_files_are_found(first: str, second: str) -> None:
    """Two files of different pairs exchanged: doing one of the proposed exchanges mends the set."""
    whole = views()
    wrong = whole | {first: whole[second], second: whole[first]}
    (found,) = compare_views(wrong)
    assert found.kind == "swapped"
    assert {first, second} in [set(pair) for pair in found.exchange]
    for one, other in found.exchange:
        assert kinds(wrong | {one: wrong[other], other: wrong[one]}) == []


def test_an_exchange_among_three_is_found() -> None:
    """Without left, front and right exchanged leave back without an opposite but for right."""
    whole = views()
    found = compare_views({"front": whole["right"], "right": whole["front"], "back": whole["back"]})
    assert [(one.kind, one.exchange) for one in found] == [("swapped", (("right", "front"),))]


def test_left_and_right_exchanged_cannot_be_seen() -> None:
    """Each still mirrors the other, so nothing is said."""
    whole = views()
    assert kinds(whole | {"right": whole["left"], "left": whole["right"]}) == []


def test_other_heights_and_proportions_are_found() -> None:
    """A view 20 % lower is named with the tallest; one of 50 : 100 beside one of 30 : 100 is no opposite."""
    low = views(left=Outline(64, 80, views()["left"].mask))
    (found,) = compare_views(low)
    assert (found.kind, found.views[0], found.values) == ("heights", "left", (80.0, 100.0))
    assert kinds(views(back=Outline(30, 100, views()["back"].mask))) == [("proportions", ("front", "back"))]
    assert kinds(views(back=Outline(46, 96, views()["back"].mask))) == []
