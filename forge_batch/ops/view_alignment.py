"""Put orthographic views of unknown scale into one space."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import UInt8

from forge_batch.errors import StageError
from forge_batch.ops.camera import Camera

# right, down and forward of each view's camera: front looks from +Z, right from +X
AXES = {
    "front": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "right": ((0, 0, -1), (0, -1, 0), (-1, 0, 0)),
    "back": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "left": ((0, 0, 1), (0, -1, 0), (1, 0, 0)),
}
_DISTANCE = 2.0  # metres from the middle of the object, so that depths are positive


def align_views(alphas: Mapping[str, UInt8[np.ndarray, "_ _"]]) -> dict[str, Camera]:
    """Give each view an orthographic camera so that all show an object of the same height, largest side 1, centred.

    Pictures may be cropped and scaled freely: only the box of the opaque pixels counts. Heights are made equal, the middle of
    each box is the middle of the object. What stands out towards one camera only (a tilted camera, a cut foot) is not found
    here; the visual hull's overlap tells.

    Args:
        alphas: Alpha by view name (front, right, back, left), each of its own size.

    Raises:
        StageError: A view is empty or has a name that is no view.
    """
    boxes: dict[str, tuple[int, int, int, int]] = {}
    for name, alpha in alphas.items():
        if name not in AXES:
            raise StageError(f"there is no view named {name}", f"name the pictures {', '.join(AXES)}")
        box = cv2.boundingRect((alpha > 127).astype(np.uint8))
        if min(box[2:]) < 2:
            raise StageError(f"the {name} view is empty: no pixel is more than half opaque", "check its background removal")
        boxes[name] = box
    widest = max(max(width / height, 1.0) for _, _, width, height in boxes.values())
    cameras = {}
    for name, (left, top, width, height) in boxes.items():
        rows, columns = alphas[name].shape
        view = np.concatenate([np.array(AXES[name], float), [[0.0], [0.0], [_DISTANCE]]], axis=1)
        cameras[name] = Camera(
            view=view,
            focal=np.full(2, height * widest),
            centre=np.array([left + width / 2, top + height / 2]),
            size=(columns, rows),
            orthographic=True,
        )
    return cameras
