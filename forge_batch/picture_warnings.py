"""Say what about an image set will probably disappoint. Nothing here stops a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from forge_batch.errors import Problem
from forge_batch.ops.picture_facts import PictureFacts
from forge_batch.ops.sharpness import edge_width
from forge_batch.ops.view_pairs import Disagreement, Outline, compare_views

# The figures are those of benchmarks/picture_warnings.py; beside each limit, what sound pictures reach.
SMALLEST = 512  # pixels of the longer edge
SMALLEST_SUBJECT = 192  # pixels of the subject's longer edge
BLURRED = 2.0  # steepness; sound: 2.7 and more
BLURRED_SOFT, SOFT = 2.8, 4.0  # steepness where the outline is soft, and how soft; sound: 1.4, generated pictures 2.6
SHADOW = 0.04  # of the subject's area; sound cut-outs: 0
PART, PART_KEYED = 0.1, 0.4  # of the largest part's area: in a cut-out, and where the subject was guessed
RIM = 45  # levels of one channel; sound: 35 (a crate with dark edges)


@dataclass(frozen=True)
class View:
    """Be one picture of a set: the file's name, its hash and its facts."""

    name: str
    sha256: str
    facts: PictureFacts


def picture_warnings(views: Mapping[str, View], *, cameras: bool) -> list[Problem]:
    """Collect what will probably disappoint; refused pictures are passed over.

    Args:
        views: Pictures by view name.
        cameras: Whether the set says where its cameras stood; then views need not be of one scale.

    Returns:
        Warnings without a place: the caller knows which manifest names the pictures.
    """
    sound = {name: view for name, view in views.items() if not view.facts.refusal}
    found = [
        _warning(f"images.{name}", code, f"{view.name} {message}", hint)
        for name, view in sound.items()
        for code, message, hint in _of_one(view.facts)
    ]
    return [*found, *_same(sound), *_of_set(sound, cameras)]


def _warning(field: str, code: str, message: str, hint: str) -> Problem:
    return Problem("", 0, 0, field, "warning", code, message, hint)


def _of_one(facts: PictureFacts) -> Iterator[tuple[str, str, str]]:
    longest = max(facts.width, facts.height)
    extent = max(facts.box[2:]) if facts.box else longest
    if longest < SMALLEST:
        message = f"is only {facts.width} x {facts.height} pixels"
        yield "small_picture", message, f"use a picture of {SMALLEST} pixels or more; 1024 is better"
    elif extent < SMALLEST_SUBJECT:
        message = f"shows its subject only {extent} pixels long"
        yield "small_picture", message, "crop the picture closer to the subject, or take it from nearer"
    if facts.touches:
        message = f"is cut off: the subject touches the {' and the '.join(facts.touches)} of the picture"
        yield "touches_frame", message, "leave a margin around all of the subject"
    if blur := _blur(facts):
        yield "blurred", blur, "use a sharper picture; scaling a small one up adds no detail"
    if facts.shadow >= SHADOW:
        message = f"seems to hold a cast shadow, {facts.shadow:.0%} of the subject's area"
        yield "cast_shadow", message, "remove the shadow, or it becomes part of the object's shape and colour"
    if facts.subjects > 1 and facts.second >= (PART if facts.known_by == "alpha" else PART_KEYED):
        message = f"shows {facts.subjects} separate things, the second {facts.second:.0%} as large as the first"
        yield "several_subjects", message, "keep one object in the picture; give each other one a manifest of its own"
    if facts.rim is not None and max(map(abs, facts.rim)) >= RIM:
        yield "colour_fringes", _fringe(facts.rim), "cut the object out a pixel or two further in, or clean its edge"


def _blur(facts: PictureFacts) -> str:
    """Say how a picture is blurred; nothing if it is not, or if there is no edge to tell by."""
    soft = facts.outline is not None and facts.outline >= SOFT
    if soft and (facts.steepness is None or facts.steepness < BLURRED_SOFT):
        return f"is blurred: the subject's outline is {facts.outline:.0f} pixels wide"
    if facts.steepness is not None and facts.steepness < BLURRED:
        return f"is blurred: even its sharpest edges are about {edge_width(facts.steepness):.0f} pixels wide"
    return ""


def _fringe(rim: tuple[int, int, int]) -> str:
    if min(rim) >= RIM / 2:
        kind = "light"
    elif max(rim) <= -RIM / 2:
        kind = "dark"
    else:
        kind = "coloured"
    red, green, blue = rim
    return f"has a {kind} fringe: its edge differs from what is inside by {red:+d} red, {green:+d} green, {blue:+d} blue"


def _same(views: Mapping[str, View]) -> Iterator[Problem]:
    """Name each file that stands for two views."""
    first: dict[str, str] = {}
    for name, view in views.items():
        other = first.setdefault(view.sha256, name)
        if other != name:
            message = f"{view.name} ({name}) and {views[other].name} ({other}) are the same picture"
            yield _warning(f"images.{name}", "same_picture", message, f"give the picture of the {name}, or leave {name} out")


def _of_set(views: Mapping[str, View], cameras: bool) -> Iterator[Problem]:
    if len({(view.facts.width, view.facts.height) for view in views.values()}) > 1:
        return  # an error of its own; pixels of different pictures cannot be compared
    outlines = {}
    for name, view in views.items():
        mask = view.facts.mask()
        if mask is not None and view.facts.box is not None:
            outlines[name] = Outline(max(1, view.facts.box[2]), max(1, view.facts.box[3]), mask)
    # pictures of unequal size are an error already
    unequal = len({(view.facts.width, view.facts.height) for view in views.values()}) > 1
    for found in compare_views(outlines):
        first, second = (views[view] for view in found.views)
        if not ((cameras or unequal) and found.kind == "heights") and first.sha256 != second.sha256:
            yield _disagreement(found, first.name, second.name)


def _disagreement(found: Disagreement, first: str, second: str) -> Problem:
    less, more = found.values
    if found.kind == "heights":
        message = f"the subject is {less:.0f} pixels high in {first} but {more:.0f} in {second}"
        return _warning("images", "views_disagree", message, "show every view at one scale and from one height")
    if found.kind == "proportions":
        message = f"the subject is {less:.2f} times as wide as high in {first} but {more:.2f} times in {second}, its opposite"
        hint = "opposite views show one outline: look for a part that is missing, or for another pose or camera height"
        return _warning("images", "views_disagree", message, hint)
    if found.kind == "mirrored":
        message = f"{second} has the outline of {first} ({less:.0%} the same), not its mirror image ({more:.0%})"
        hint = f"one of them is mirrored, or shows the other's side: opposite views mirror each other; {found.views[0]} and "
        return _warning("images", "views_mirrored", message, f"{hint}{found.views[1]} are named as the viewer sees them")
    message = f"{first} and {second} show opposite sides ({more:.0%} alike; those named as opposites {less:.0%})"
    ways = ", or ".join(f"{one} with {other}" for one, other in found.exchange)
    return _warning("images", "views_swapped", message, f"exchange the files of {ways}")
