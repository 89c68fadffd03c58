"""Find a soft shadow that an object casts on the ground: it would be carved and textured as if it were part of the object."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.ops.subject import Subject

_DARK, _GREY = 110, 40  # levels: a shadow's brightest channel, and its greatest difference of channels
_DEEPER, _HUE = 6.0, 8.0  # Lab: how much darker than the background a shadow is at least, and how much its hue may differ
_BRIGHT = 70.0  # Lab lightness of a background on which a grey object and a shadow are told apart
_TALLEST = 0.5  # of its width: a shadow on the ground lies flat, the shade of a white object does not
_DARKER, _DISTINCT = 45.0, 0.6  # Lab lightness below the background, and share of the object that must be so or of another
# hue: the shade on a pale object and the shadow beside it look the same
_STEEPEST = 4.0  # Lab lightness a pixel of the small copy at the rim of a soft shadow


def shadow_share(subject: Subject) -> float:
    """Give the area of what looks like a cast shadow over that of the rest of the subject, 0 if there is none.

    In a cut-out: dark, grey, half-transparent and more than an outline wide, in the lower half. Before a bright plain
    background: darker than it, of its hue, without an edge of its own, flat, in the lower half. A hard shadow looks like an
    object, so it is not found; nor is one beside a pale object, or one that was cut out as opaque.
    """
    if subject.kind == "plain" and (subject.background is None or subject.background[0] < _BRIGHT):
        return 0.0
    soft = _in_cut_out(subject.small) if subject.kind == "alpha" else _on_ground(subject)
    rest = subject.mask & ~soft
    rows = np.flatnonzero(rest.any(axis=1))
    if len(rows) == 0:
        return 0.0
    soft[: (rows[0] + rows[-1]) // 2] = False
    if subject.kind == "plain":
        _, _, width, height = cv2.boundingRect(soft.astype(np.uint8))
        if height > _TALLEST * width:
            return 0.0
    return round(float(soft.sum() / rest.sum()), 3)


def _in_cut_out(small: UInt8[np.ndarray, "k l 4"]) -> Bool[np.ndarray, "k l"]:
    alpha = small[..., 3]
    half = ((alpha > 30) & (alpha < 225)).astype(np.uint8)
    wide = np.asarray(cv2.morphologyEx(half, cv2.MORPH_OPEN, np.ones((4, 4), np.uint8)) > 0)
    if not wide.any():
        return wide
    red, green, blue = (small[..., channel].astype(np.int16) for channel in range(3))
    brightest = np.maximum(np.maximum(red, green), blue)
    dark_grey = (brightest < _DARK) & (brightest - np.minimum(np.minimum(red, green), blue) < _GREY)
    return np.asarray(wide & dark_grey)


def _on_ground(subject: Subject) -> Bool[np.ndarray, "k l"]:
    assert subject.background is not None
    lab = cv2.cvtColor(subject.small[..., :3].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    light, *hue = subject.background
    drop = light - lab[..., 0]
    same = np.hypot(lab[..., 1] - hue[0], lab[..., 2] - hue[1]) < _HUE
    smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.0)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8))
    soft = (same & (drop > _DEEPER / 2) & (slope < _STEEPEST)).astype(np.uint8)
    soft = cv2.morphologyEx(soft, cv2.MORPH_OPEN, np.ones((4, 4), np.uint8))
    # a shadow fades out: it is reached from the background without crossing an edge, which a grey object never is
    ground = ((np.abs(drop) <= _DEEPER / 2) & same).astype(np.uint8)
    _, labels = cv2.connectedComponents(soft | ground, connectivity=4)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    reached = np.isin(labels, outside[outside > 0]) & (soft > 0)
    shadow = np.asarray(reached & (drop > _DEEPER))
    rest = subject.mask & ~shadow
    distinct = ~same | (drop > _DARKER)
    if np.count_nonzero(distinct & rest) < _DISTINCT * np.count_nonzero(rest):
        return np.zeros_like(shadow)
    return shadow
