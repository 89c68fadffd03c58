"""Plant each defect that `forge_batch.picture_warnings` knows in sound pictures, and count what is found and what is not there.

python benchmarks/picture_warnings.py --data DIR

DIR holds folders with front.png, right.png, back.png and left.png (cut out, 1024 x 1024). Blur, shadow, fringe, cropping, a
second thing and smallness are planted in each front and right view; mirrored, swapped, squeezed, scaled and doubled views in
each set. Other pictures below DIR (photographs, generated views) count for false alarms alone. Where silhouettes do not show a
defect at all (a symmetric object mirrored), it is counted apart. Writes results/picture_warnings.json.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forge_batch.ops.image import read_image
from forge_batch.ops.picture_facts import PictureFacts, measure_picture
from forge_batch.picture_warnings import View, picture_warnings

HERE = Path(__file__).parent
VIEWS = ("front", "right", "back", "left")
FLIP = {"front": "back", "back": "front", "right": "left", "left": "right"}
Picture = np.ndarray
Set = dict[str, Picture]


def premultiplied(picture: Picture, change: Callable[[Picture], Picture]) -> Picture:
    """Apply a filter to a picture as light, so that no colour of clear pixels bleeds in."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    changed = change(np.dstack([picture[..., :3] * alpha, alpha * 255]).astype(np.float32))
    color = changed[..., :3] / np.maximum(changed[..., 3:] / 255, 1e-6)
    clear = changed[..., 3:] < 0.5
    return np.clip(np.dstack([np.where(clear, 0, color), changed[..., 3:]]) + 0.5, 0, 255).astype(np.uint8)


def blurred(sigma: float) -> Callable[[Picture], Picture]:
    """Blur by a Gaussian of so many pixels."""
    return lambda picture: premultiplied(picture, lambda light: cv2.GaussianBlur(light, (0, 0), sigma))


def blurred_inside(sigma: float) -> Callable[[Picture], Picture]:
    """Blur the colours alone, as if a blurred photograph had been cut out sharply."""

    def change(picture: Picture) -> Picture:
        soft = blurred(sigma)(picture)
        return np.where(picture[..., 3:] > 0, np.dstack([soft[..., :3], picture[..., 3]]), 0).astype(np.uint8)

    return change


def enlarged(factor: int) -> Callable[[Picture], Picture]:
    """Scale down and up again."""

    def change(light: Picture) -> Picture:
        height, width = light.shape[:2]
        small = cv2.resize(light, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)

    return lambda picture: premultiplied(picture, change)


def box_of(picture: Picture) -> tuple[int, int, int, int]:
    """Give left, top, width and height of the subject."""
    left, top, width, height = cv2.boundingRect((picture[..., 3] >= 128).astype(np.uint8))
    return left, top, width, height


def shade(picture: Picture, strength: float, softness: float) -> np.ndarray:
    """Draw a shadow on the ground (h, w), 0 to 1."""
    left, top, width, height = box_of(picture)
    ground = np.zeros(picture.shape[:2], np.float32)
    middle = left + width // 2 + 60, top + height - height // 50
    cv2.ellipse(ground, middle, (int(width * 0.6), max(int(width * 0.12), 18)), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(ground, (0, 0), softness) * strength


def shadowed(strength: float, softness: float) -> Callable[[Picture], Picture]:
    """Put a half-transparent shadow under the cut-out."""

    def change(picture: Picture) -> Picture:
        shadow, alpha = shade(picture, strength, softness), picture[..., 3].astype(np.float32) / 255
        both = alpha + shadow * (1 - alpha)
        color = picture[..., :3] * alpha[..., None] / np.maximum(both, 1e-6)[..., None]
        return np.dstack([color, both * 255]).astype(np.uint8)

    return change


def before(level: int, shadow: tuple[float, float] | None = None) -> Callable[[Picture], Picture]:
    """Put the object before a plain grey background, its shadow on the ground or not."""

    def change(picture: Picture) -> Picture:
        alpha = picture[..., 3:].astype(np.float32) / 255
        ground = np.full((*picture.shape[:2], 3), level, np.float32)
        if shadow:
            ground *= 1 - shade(picture, *shadow)[..., None]
        return np.clip(picture[..., :3] * alpha + ground * (1 - alpha), 0, 255).astype(np.uint8)

    return change


def fringed(color: tuple[int, int, int], pixels: int) -> Callable[[Picture], Picture]:
    """Cut the object out of a coloured background too generously."""

    def change(picture: Picture) -> Picture:
        alpha = picture[..., 3:].astype(np.float32) / 255
        mixed = picture[..., :3] * alpha + np.float32(color) * (1 - alpha)
        solid = (picture[..., 3] >= 128).astype(np.uint8)
        wide = cv2.dilate(solid, np.ones((2 * pixels + 1,) * 2, np.uint8)) * 255
        return np.dstack([mixed, cv2.GaussianBlur(wide, (3, 3), 0)]).astype(np.uint8)

    return change


def pale(picture: Picture) -> Picture:
    """Make the object nearly white."""
    color = cv2.cvtColor(picture, cv2.COLOR_RGBA2GRAY).astype(np.float32)[..., None] * 0.25 + np.float32([190, 189, 187])
    return np.dstack([np.where(picture[..., 3:] > 0, color, 0), picture[..., 3]]).astype(np.uint8)


def cropped(picture: Picture) -> Picture:
    """Cut away a tenth of the subject on its right."""
    left, _, width, _ = box_of(picture)
    return np.ascontiguousarray(picture[:, : left + width - width // 10])


def with_second(scale: float) -> Callable[[Picture], Picture]:
    """Put a smaller copy of the object beside it."""

    def change(picture: Picture) -> Picture:
        small = premultiplied(picture, lambda light: cv2.resize(light, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        left, top, width, height = box_of(small)
        copy = small[top : top + height, left : left + width]
        wide = np.zeros((picture.shape[0], picture.shape[1] + width + 40, 4), np.uint8)
        wide[:, : picture.shape[1]] = picture
        wide[top : top + height, picture.shape[1] + 20 : picture.shape[1] + 20 + width] = copy
        return wide

    return change


def scaled(size: int) -> Callable[[Picture], Picture]:
    """Scale the whole picture."""
    return lambda picture: premultiplied(picture, lambda light: cv2.resize(light, (size, size), interpolation=cv2.INTER_AREA))


def placed(across: float, down: float) -> Callable[[Picture], Picture]:
    """Scale the subject within its picture."""

    def change(light: Picture) -> Picture:
        height, width = light.shape[:2]
        matrix = np.array([[across, 0, width * (1 - across) / 2], [0, down, height * (1 - down) / 2]])
        return cv2.warpAffine(light, matrix, (width, height), flags=cv2.INTER_LINEAR)

    return lambda picture: premultiplied(picture, change)


OF_ONE: dict[str, tuple[str, Callable[[Picture], Picture]]] = {
    **{f"blur {sigma} px": ("blurred", blurred(sigma)) for sigma in (1, 2, 3, 4)},
    **{f"blur {sigma} px, cut out sharply": ("blurred", blurred_inside(sigma)) for sigma in (2, 3, 4)},
    "scaled up 2 times": ("blurred", enlarged(2)),
    "scaled up 4 times": ("blurred", enlarged(4)),
    "shadow, cut out": ("cast_shadow", shadowed(0.55, 12)),
    "weak shadow, cut out": ("cast_shadow", shadowed(0.35, 12)),
    "hard shadow, cut out": ("cast_shadow", shadowed(0.8, 2)),
    "shadow before light grey": ("cast_shadow", before(235, (0.55, 12))),
    "soft shadow before light grey": ("cast_shadow", before(235, (0.45, 30))),
    "weak shadow before light grey": ("cast_shadow", before(235, (0.3, 12))),
    "white fringe 2 px": ("colour_fringes", fringed((255, 255, 255), 2)),
    "black fringe 2 px": ("colour_fringes", fringed((0, 0, 0), 2)),
    "green fringe 2 px": ("colour_fringes", fringed((40, 200, 60), 2)),
    "white fringe 1 px": ("colour_fringes", fringed((255, 255, 255), 1)),
    "a tenth cut off": ("touches_frame", cropped),
    "a tenth cut off before light grey": ("touches_frame", lambda picture: before(235)(cropped(picture))),
    "a second thing half as large": ("several_subjects", with_second(0.5)),
    "a second thing a third as large": ("several_subjects", with_second(0.34)),
    "a second thing 0.8 as large before light grey": (
        "several_subjects",
        lambda picture: before(235)(with_second(0.8)(picture)),
    ),
    "400 pixels": ("small_picture", scaled(400)),
}
"""Defects of one picture: the warning that is due, and how to plant it."""

SOUND_CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "before light grey": before(235),
    "before white": before(255),
    "before grey": before(128),
    "pale": pale,
    "pale before white": lambda picture: before(255)(pale(picture)),
    "pale before light grey": lambda picture: before(225)(pale(picture)),
    "512 pixels": scaled(512),
    "turned by a quarter": lambda picture: np.ascontiguousarray(np.rot90(picture)),
}
"""Changes that leave a picture sound."""


def exchange(first: str, second: str) -> Callable[[Set], Set]:
    """Exchange two files."""
    return lambda views: {**views, first: views[second], second: views[first]}


def replaced(view: str, change: Callable[[Set], Picture]) -> Callable[[Set], Set]:
    """Give one view another picture."""
    return lambda views: {**views, view: change(views)}


OF_SET: dict[str, tuple[str, Callable[[Set], Set]]] = {
    "back mirrored": ("views_mirrored", replaced("back", lambda views: np.ascontiguousarray(views["back"][:, ::-1]))),
    "left mirrored": ("views_mirrored", replaced("left", lambda views: np.ascontiguousarray(views["left"][:, ::-1]))),
    "front and right exchanged": ("views_swapped", exchange("front", "right")),
    "front and left exchanged": ("views_swapped", exchange("front", "left")),
    "right and back exchanged": ("views_swapped", exchange("right", "back")),
    "left missing, front and right exchanged": (
        "views_swapped",
        lambda views: {view: picture for view, picture in exchange("front", "right")(views).items() if view != "left"},
    ),
    "left is a copy of right": ("same_picture", replaced("left", lambda views: views["right"])),
    "back scaled by 0.8": ("views_disagree", replaced("back", lambda views: placed(0.8, 0.8)(views["back"]))),
    "left squeezed to 0.75": ("views_disagree", replaced("left", lambda views: placed(0.75, 1.0)(views["left"]))),
    "right stretched in height by 1.2": ("views_disagree", replaced("right", lambda views: placed(0.9, 0.75)(views["right"]))),
}
"""Defects of a set."""

SOUND_SETS: dict[str, Callable[[Set], Set]] = {
    "as it is": lambda views: views,
    "mirrored as a whole": lambda views: {
        view: np.ascontiguousarray(views[FLIP[view] if view in {"right", "left"} else view][:, ::-1]) for view in views
    },
    "front and back": lambda views: {view: views[view] for view in ("front", "back")},
    "left missing": lambda views: {view: views[view] for view in ("front", "right", "back")},
    "right missing": lambda views: {view: views[view] for view in ("front", "back", "left")},
    "back missing": lambda views: {view: views[view] for view in ("front", "right", "left")},
    "seen from the right as front": lambda views: {
        view: views[other] for view, other in zip(VIEWS, ("right", "back", "left", "front"), strict=True)
    },
}
"""Changes that leave a set consistent."""


@dataclass
class Count:
    """Count found defects, and those that no silhouette shows."""

    found: int = 0
    planted: int = 0
    unseen: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    also: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, name: str, due: str, codes: set[str]) -> None:
        """Count one planted defect."""
        self.planted += 1
        self.found += due in codes
        if due not in codes:
            self.missed.append(name)
        for code in codes - {due}:
            self.also[code] += 1

    def to_json(self) -> dict[str, Any]:
        """Give the row of the table."""
        row: dict[str, Any] = {"found": self.found, "planted": self.planted}
        row |= {"cannot_show": self.unseen} if self.unseen else {}
        return row | ({"missed": self.missed} if self.missed else {}) | ({"also": dict(self.also)} if self.also else {})


def shows(before_it: Set, after: Set) -> bool:
    """Tell whether some view's silhouette is another one than before: it need not be if the object is symmetric."""
    for view in before_it.keys() & after.keys():
        outlines = []
        for picture in (before_it[view], after[view]):
            left, top, width, height = box_of(picture)
            crop = picture[top : top + height, left : left + width, 3]
            mask = cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA) >= 128
            outlines.append((mask, width / height))
        (one, proportion), (other, changed) = outlines
        if (one & other).sum() < 0.92 * (one | other).sum() or abs(proportion - changed) > 0.15 * max(proportion, changed):
            return True
    return False


def codes_of(pictures: Set, *, cache: dict[int, PictureFacts]) -> set[str]:
    """Give the codes of all warnings about a set that has no cameras."""
    views = {}
    for view, picture in pictures.items():
        facts = cache.get(id(picture)) or measure_picture(picture)
        views[view] = View(f"{view}.png", str(id(picture)), facts)
    return {problem.code for problem in picture_warnings(views, cameras=False)}


def load(folder: Path) -> Set:
    """Read the four views of an object."""
    return {view: read_image(folder / f"{view}.png")[0] for view in VIEWS}


def look_at(folder: Path, planted: dict[str, Count], alarms: dict[str, list[str]]) -> None:
    """Plant every defect in one object's pictures."""
    views = load(folder)
    known = {id(picture): measure_picture(picture) for picture in views.values()}
    for name, alter in SOUND_SETS.items():
        alarms[name] += [f"{folder.name}: {code}" for code in sorted(codes_of(alter(views), cache=known))]
    for name, (due, alter) in OF_SET.items():
        altered = alter(views)
        if due in {"views_mirrored", "views_swapped"} and not shows(views, altered):
            planted[name].unseen.append(folder.name)
        else:
            planted[name].add(folder.name, due, codes_of(altered, cache=known))
    for view in ("front", "right"):
        for name, (due, change) in OF_ONE.items():
            planted[name].add(f"{folder.name} {view}", due, codes_of({"front": change(views[view])}, cache={}))
    for view, picture in views.items():
        for name, change in SOUND_CHANGES.items():
            alarms[name] += [f"{folder.name} {view}: {code}" for code in codes_of({"front": change(picture)}, cache={})]


def main() -> None:
    """Plant, look and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    folders = sorted(path.parent for path in data.glob("*/front.png") if (path.parent / "left.png").is_file())
    planted: dict[str, Count] = defaultdict(Count)
    alarms: dict[str, list[str]] = {name: [] for name in (*SOUND_SETS, *SOUND_CHANGES, "other pictures")}
    for folder in folders:
        look_at(folder, planted, alarms)
    used = {folder / f"{view}.png" for folder in folders for view in VIEWS}
    others = sorted(path for suffix in ("png", "jpg") for path in data.glob(f"*/*.{suffix}") if path not in used)
    for path in others:
        codes = codes_of({"front": read_image(path)[0]}, cache={})
        alarms["other pictures"] += [f"{path.parent.name}/{path.name}: {code}" for code in codes]
    document = {
        "objects": [folder.name for folder in folders],
        "planted": {name: count.to_json() for name, count in planted.items()},
        "false_alarms": alarms,
        "looked_at": {"sound sets": len(folders) * len(SOUND_SETS), "other pictures": len(others)}
        | {name: 4 * len(folders) for name in SOUND_CHANGES},
    }
    (HERE / "results" / "picture_warnings.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, count in planted.items():
        print(f"{name:50s} {count.found:3d} of {count.planted}  {', '.join(count.missed)[:150]} {dict(count.also) or ''}")
    for name, found in alarms.items():
        print(f"{name:50s} {len(found)} false alarms {found[:12]}")


if __name__ == "__main__":
    main()
