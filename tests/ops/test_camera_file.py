from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.camera_file import read_cameras

HORSE = Path(__file__).parents[2] / "inbox" / "horse" / "camera.json"


def changed(tmp_path: Path, **fields: Any) -> Path:
    """Write the horse's camera.json with other fields."""
    document = json.loads(HORSE.read_text())
    document.update(fields)
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(document))
    return path


def test_a_point_lands_where_the_file_says() -> None:
    """By hand: from z = 7 and with 5852.1868 px per unit of slope, (0.1, 0.2, 0) is 83.6 px right and 167.2 up."""
    pixels, depth = read_cameras(HORSE)["front"].project(np.array([[0.1, 0.2, 0.0]]))
    np.testing.assert_allclose(pixels[0], [512 + 83.6027, 512 - 167.2053], atol=1e-3)
    assert depth[0] == pytest.approx(7.0)


def test_right_looks_from_plus_x() -> None:
    """The front of the object (+Z) points to the left of the picture named right."""
    pixels, _ = read_cameras(HORSE)["right"].project(np.array([[0.0, 0.0, 0.3]]))
    assert pixels[0, 0] < 512


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"views": []}, "no list of views"),
        ({"views": [{"azimuth_deg": 0}]}, r"views\[0\] has no name"),
        ({"image": {"width": 4, "height": 4, "fx": "wide", "fy": 1, "cx": 0, "cy": 0}}, 'image.fx is "wide"'),
        ({"image": {"width": 4, "height": 4, "fx": -1, "fy": 1, "cx": 0, "cy": 0}}, "image.fx is -1"),
        ({"image": None}, "image is nothing"),
        ({"views": [{"name": "front", "camera_to_world": [[1, 0]]}]}, r"shape \(1, 2\)"),
        ({"views": [{"name": "front", "camera_to_world": np.diag([2, 1, 1, 1]).tolist()}]}, "no rotation"),
        ({"views": [{"name": "front", "camera_to_world": "up"}]}, "not 4 rows"),
    ],
)
def test_a_broken_file_is_refused_with_what_was_found(tmp_path: Path, fields: dict[str, Any], found: str) -> None:
    """Each fault names the view or the field, and what stands there."""
    with pytest.raises(StageError, match=found) as caught:
        read_cameras(changed(tmp_path, **fields))
    assert caught.value.hint


def test_a_view_named_twice_is_refused(tmp_path: Path) -> None:
    """Of two cameras for one picture none can be trusted."""
    view = json.loads(HORSE.read_text())["views"][0]
    with pytest.raises(StageError, match="front twice"):
        read_cameras(changed(tmp_path, views=[view, view]))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    """A file of text is a StageError, not a traceback."""
    path = tmp_path / "camera.json"
    path.write_text("front: 0 degrees")
    with pytest.raises(StageError, match="cannot be read as JSON"):
        read_cameras(path)
