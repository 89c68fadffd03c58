"""Read the cameras of an image set from its camera.json.

The file follows glTF: a camera looks along its own -Z with +Y up, `camera_to_world` is a rigid (4, 4) matrix, pixels count
from the top left with centres at +0.5. One set of intrinsics (`image`: width, height, fx, fy, cx, cy) serves all views; a view
may bring its own `image`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.errors import StageError
from forge_batch.ops.camera import Camera

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # glTF looks along -Z with +Y up, Camera along +Z with +Y down
_HINT = (
    "write image {width, height, fx, fy, cx, cy} and views [{name, camera_to_world}], or delete the file for orthographic views"
)


def read_cameras(path: Path) -> dict[str, Camera]:
    """Read perspective cameras by view name.

    Args:
        path: camera.json of an image set.

    Raises:
        StageError: The file is not JSON, or a field is missing or makes no camera; says which and what was found.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StageError(f"{path.name} cannot be read as JSON ({error})", _HINT) from error
    views = document.get("views") if isinstance(document, dict) else None
    if not isinstance(views, list) or not views:
        raise StageError(f"{path.name} has no list of views, found {_shown(views)}", _HINT)
    cameras: dict[str, Camera] = {}
    for index, view in enumerate(views):
        if not isinstance(view, dict) or not isinstance(view.get("name"), str):
            raise StageError(f"{path.name}: views[{index}] has no name, found {_shown(view)}", _HINT)
        name = view["name"]
        if name in cameras:
            raise StageError(f"{path.name} names the view {name} twice", "give every view a name of its own")
        where = f"{path.name}: view {name}"
        cameras[name] = _camera(view.get("image", document.get("image")), view.get("camera_to_world"), where)
    return cameras


def _camera(image: Any, matrix: Any, where: str) -> Camera:
    """Build one camera; `where` leads every complaint."""
    if not isinstance(image, Mapping):
        raise StageError(f"{where}: image is {_shown(image)}, not a mapping", _HINT)
    number = {key: _number(image, key, where) for key in ("width", "height", "fx", "fy", "cx", "cy")}
    for key in ("width", "height", "fx", "fy"):
        if number[key] <= 0:
            raise StageError(f"{where}: image.{key} is {number[key]:g}, must be above 0", _HINT)
    try:
        pose = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StageError(f"{where}: camera_to_world is {_shown(matrix)}, not 4 rows of 4 numbers", _HINT) from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise StageError(f"{where}: camera_to_world has shape {pose.shape}, must be 4 rows of 4 finite numbers", _HINT)
    turn = pose[:3, :3]
    skew = float(np.abs(turn.T @ turn - np.eye(3)).max())
    if skew > 1e-3 or np.linalg.det(turn) < 0 or not np.allclose(pose[3], [0, 0, 0, 1]):
        raise StageError(f"{where}: camera_to_world is no rotation and translation (off by {skew:.3g})", _HINT)
    return Camera(
        view=(_FLIP @ np.linalg.inv(pose))[:3],
        focal=np.array([number["fx"], number["fy"]]),
        centre=np.array([number["cx"], number["cy"]]),
        size=(round(number["width"]), round(number["height"])),
        orthographic=False,
    )


def _number(image: Mapping[str, Any], key: str, where: str) -> float:
    value = image.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise StageError(f"{where}: image.{key} is {_shown(value)}, not a number", _HINT)
    return float(value)


def _shown(value: Any) -> str:
    """Quote what was found, short."""
    if value is None:
        return "nothing"
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
