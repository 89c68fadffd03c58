"""Measure in a picture what tells whether its asset will disappoint, as numbers small enough to keep.

Only what a file holds is measured, never its name, so the facts of equal files are equal. What is too much or too little is
decided elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.ops.cast_shadow import shadow_share
from forge_batch.ops.image import LARGEST, LARGEST_FILE, SMALLEST, ImageRefused, Stream, decode_image
from forge_batch.ops.plain_png import decode_plain_png
from forge_batch.ops.rim_color import rim_color_gap
from forge_batch.ops.sharpness import measure_sharpness
from forge_batch.ops.subject import COVERED, count_subjects, find_subject

VERSION = 1
"""Goes up with every change of what is measured; kept facts of another version are measured anew."""

OUTLINE = 64
"""Pixels of an edge of the kept silhouette."""

_PART = 0.1  # area of the largest part from which another one counts as a subject
_CLEAR = 30.0  # contrast with a plain background from which parts can be counted
_MARGIN = 12  # pixels around the subject in which a blurred outline fades
_SIDES = ("top", "right", "bottom", "left")


@dataclass(frozen=True)
class PictureFacts:
    """Be what is known of a file's content. Where it was refused, nothing below `hint` is known.

    Attributes:
        refusal: Why it cannot be used, to be read after the file's name; empty if it can.
        hint: How to save it instead.
        width: Pixels.
        height: Pixels.
        known_by: What tells the subject from its background: alpha, plain (an even background) or nothing.
        touches: Sides of the picture that the subject reaches.
        box: Left, top, width and height of the subject, pixels.
        steepness: See `ops.sharpness`.
        outline: See `ops.sharpness`.
        shadow: Area of a cast shadow over that of the subject.
        subjects: Separate parts, of at least a tenth of the largest one's area.
        second: Area of the second largest part over the largest one's.
        rim: Red, green, blue: how far the outermost solid pixels differ from those further in; None if unknown.
        silhouette: The subject's box scaled to 64 x 64, a bit a pixel, row by row, as hexadecimal digits.
    """

    refusal: str = ""
    hint: str = ""
    width: int = 0
    height: int = 0
    known_by: str = ""
    touches: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    steepness: float | None = None
    outline: float | None = None
    shadow: float = 0.0
    subjects: int = 0
    second: float = 0.0
    rim: tuple[int, int, int] | None = None
    silhouette: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the fields that say something."""
        return {name: value for name, value in vars(self).items() if value != _UNKNOWN[name]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PictureFacts:
        """Read what `to_json` gave.

        Raises:
            TypeError: It holds something else.
        """
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return cls(**fields)

    def mask(self) -> Bool[np.ndarray, "64 64"] | None:
        """Unpack the silhouette; None if there is none."""
        if not self.silhouette:
            return None
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self.silhouette), np.uint8))
        return bits.reshape(OUTLINE, OUTLINE).astype(bool)


_UNKNOWN = vars(PictureFacts())


def measure_file(path: Path) -> tuple[str, PictureFacts]:
    """Read a file once, and give its SHA-256 and its facts.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST_FILE:
            return hashlib.file_digest(file, "sha256").hexdigest(), _measure(file)
        data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    image = decode_plain_png(data, SMALLEST, LARGEST)
    return digest, _measure(io.BytesIO(data)) if image is None else measure_picture(image)


def _measure(file: Stream) -> PictureFacts:
    try:
        image, _ = decode_image("", file)
    except ImageRefused as refusal:
        return PictureFacts(refusal.message.strip(), refusal.hint)
    return measure_picture(image)


def measure_picture(image: UInt8[np.ndarray, "h w c"]) -> PictureFacts:
    """Measure a decoded picture: sRGB, 3 channels, or 4 with straight alpha."""
    height, width = image.shape[:2]
    subject = find_subject(image)
    if subject is None:
        return PictureFacts(width=width, height=height, steepness=measure_sharpness(image).steepness)
    alpha = cv2.extractChannel(image, 3) if subject.kind == "alpha" else None
    mask = subject.mask.astype(np.uint8) if alpha is None else cv2.compare(alpha, COVERED - 1, cv2.CMP_GT)
    box = _scaled(cv2.boundingRect(mask), mask.shape, (height, width))
    left, top, wide, high = box
    around = np.s_[max(0, top - _MARGIN) : top + high + _MARGIN, max(0, left - _MARGIN) : left + wide + _MARGIN]
    steepness, outline = measure_sharpness(image[around], None if alpha is None else alpha[around])
    subjects, second = count_subjects(subject.mask, _PART) if subject.contrast >= _CLEAR else (1, 0.0)
    return PictureFacts(
        width=width,
        height=height,
        known_by=subject.kind,
        touches=_touched(mask),
        box=box,
        steepness=steepness,
        outline=outline,
        shadow=shadow_share(subject),
        subjects=subjects,
        second=second,
        rim=None if alpha is None else rim_color_gap(image[around], alpha[around]),
        silhouette=_silhouette(subject.mask),
    )


def _scaled(box: Sequence[int], own: tuple[int, ...], picture: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give a box that was found in a copy of the shape `own` in pixels of the picture."""
    down, across = picture[0] / own[0], picture[1] / own[1]
    left, top, wide, high = box
    return round(left * across), round(top * down), round(wide * across), round(high * down)


def _touched(mask: UInt8[np.ndarray, "h w"]) -> tuple[str, ...]:
    """Name the sides along which the subject reaches the picture's edge for more than a speck."""
    lines = (mask[0], mask[:, -1], mask[-1], mask[:, 0])
    return tuple(side for side, line in zip(_SIDES, lines, strict=True) if np.count_nonzero(line) > max(2, len(line) // 200))


def _silhouette(mask: Bool[np.ndarray, "k l"]) -> str:
    left, top, wide, high = cv2.boundingRect(mask.astype(np.uint8))
    inside = mask[top : top + high, left : left + wide].astype(np.uint8) * 255
    scaled = cv2.resize(inside, (OUTLINE, OUTLINE), interpolation=cv2.INTER_AREA)
    return np.packbits(scaled > 127).tobytes().hex()
