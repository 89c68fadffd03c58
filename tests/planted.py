"""Plant the defects that pictures have in sound ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

INBOX = Path(__file__).parent.parent / "inbox"


def sound(asset: str, view: str = "front") -> np.ndarray:
    """Read a picture of the checkout: (1024, 1024, 4) uint8 RGBA."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(INBOX / asset / f"{view}.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA))


def save(path: Path, picture: np.ndarray) -> Path:
    """Write a picture of 3 or 4 channels as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, code))
    return path


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a cut-out, its outline as well."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    light = cv2.GaussianBlur(np.dstack([picture[..., :3] * alpha, alpha]).astype(np.float32), (0, 0), sigma)
    color = light[..., :3] / np.maximum(light[..., 3:], 1e-3)
    return np.dstack([np.where(light[..., 3:] > 0.002, color, 0), light[..., 3] * 255]).clip(0, 255).astype(np.uint8)


def shadowed(picture: np.ndarray) -> np.ndarray:
    """Put a soft half-transparent shadow under a cut-out."""
    left, top, width, height = cv2.boundingRect((picture[..., 3] >= 128).astype(np.uint8))
    ground = np.zeros(picture.shape[:2], np.float32)
    cv2.ellipse(ground, (left + width // 2, top + height), (width // 2, 40), 0, 0, 360, 1.0, -1)
    shadow = cv2.GaussianBlur(ground, (0, 0), 10) * 0.5
    alpha = picture[..., 3].astype(np.float32) / 255
    both = alpha + shadow * (1 - alpha)
    color = picture[..., :3] * (alpha / np.maximum(both, 1e-6))[..., None]
    return np.dstack([color, both * 255]).astype(np.uint8)


def before(picture: np.ndarray, level: int) -> np.ndarray:
    """Put a cut-out before a grey background; the result has 3 channels."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + level * (1 - alpha)).astype(np.uint8)


def fringed(picture: np.ndarray, level: int) -> np.ndarray:
    """Cut the object two pixels too generously out of a grey background."""
    wide = cv2.dilate((picture[..., 3] >= 128).astype(np.uint8), np.ones((5, 5), np.uint8)) * 255
    return np.dstack([before(picture, level), wide])


def with_second(picture: np.ndarray) -> np.ndarray:
    """Put a copy of half the size beside the object."""
    left, top, width, height = cv2.boundingRect((picture[..., 3] >= 128).astype(np.uint8))
    copy = cv2.resize(picture[top : top + height, left : left + width], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = np.zeros((picture.shape[0], picture.shape[1] + copy.shape[1] + 40, 4), np.uint8)
    wide[:, : picture.shape[1]] = picture
    wide[top : top + copy.shape[0], picture.shape[1] + 20 : picture.shape[1] + 20 + copy.shape[1]] = copy
    return wide


def scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale the whole picture to (width, height)."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def mirrored(picture: np.ndarray) -> np.ndarray:
    """Mirror a picture."""
    return np.ascontiguousarray(picture[:, ::-1])
