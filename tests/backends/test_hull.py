from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from forge_batch.backends import hull
from forge_batch.backends.contract import Fineness
from forge_batch.errors import StageError
from forge_batch.ops.camera_file import read_cameras
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.topology import measure_topology, signed_volume

ROOT = Path(__file__).parents[2]
VIEWS = ("front", "right", "back", "left")
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (40, 40, 220), (230, 230, 230)


def cutout(mask: np.ndarray, color: tuple[int, int, int] | np.ndarray) -> np.ndarray:
    """Paint a mask (h, w) with one colour, or with a picture (h, w, 3)."""
    image = np.zeros((*mask.shape, 4), np.uint8)
    image[..., :3] = color
    image[..., 3] = mask * 255
    image[~mask] = 0
    return image


def block(width: int, height: int, color: tuple[int, int, int], margin: int = 20) -> np.ndarray:
    """Paint a rectangle."""
    mask = np.zeros((height + 2 * margin, width + 2 * margin), bool)
    mask[margin : margin + height, margin : margin + width] = True
    return cutout(mask, color)


def disc(radius: int, shaded: bool = False) -> np.ndarray:
    """Paint a grey disc, lit from the left if shaded."""
    size = 2 * radius + 40
    y, x = (np.indices((size, size)) + 0.5 - size / 2) / radius
    image = np.full((size, size, 3), 180, np.float64)
    if shaded:
        image *= (0.75 - 0.2 * x)[..., None]
    return cutout(x * x + y * y < 1, np.clip(image, 0, 255).astype(np.uint8))


def generate(cutouts: dict[str, np.ndarray], quality: str = "fast") -> SourceMesh:
    """Run the generator on orthographic views."""
    return hull.generate(cutouts, None, Fineness(quality), 0, lambda *_: None)


def views_of(name: str) -> dict[str, np.ndarray]:
    """Read an object of the inbox."""
    folder = ROOT / "inbox" / name
    return {v: cv2.cvtColor(cv2.imread(str(folder / f"{v}.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA) for v in VIEWS}


def test_four_evenly_lit_rectangles_become_a_box() -> None:
    """A box of 1 by 0.5 by 0.25 has all of its volume, so none of its edges were rounded away."""
    front, side = block(200, 400, RED), block(100, 400, GREEN)
    source = generate({"front": front, "right": side, "back": front, "left": side})
    assert measure_topology(source.mesh.faces).closed
    assert signed_volume(source.mesh) == pytest.approx(0.5 * 0.25, rel=0.03)


def test_four_shaded_discs_become_a_ball() -> None:
    """The body of four discs has a ball's volume, not that of the hull's crossed cylinders, which is 1.27 times as much."""
    ball = disc(150, shaded=True)
    source = generate(dict.fromkeys(VIEWS, ball))
    assert signed_volume(source.mesh) == pytest.approx(np.pi / 6, rel=0.06)


def test_views_of_other_sizes_and_crops_give_the_same_body() -> None:
    """Doubling one picture and cropping another moves no side by more than two cells."""
    front, side = block(200, 400, RED), block(100, 400, GREEN)
    plain = generate({"front": front, "right": side})
    scaled = {"front": cv2.resize(front, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), "right": side[19:-19, 19:-19]}
    other = generate(scaled)
    for corner in (np.min, np.max):
        np.testing.assert_allclose(corner(plain.mesh.vertices, 0), corner(other.mesh.vertices, 0), atol=2 / 128)


def test_each_view_colors_its_own_side() -> None:
    """The camera named right looks from +X, and so on: the middle of each side shows that picture's colour, as seen."""
    colors = dict(zip(VIEWS, (RED, GREEN, BLUE, WHITE), strict=True))
    source = generate({view: block(300, 300, color) for view, color in colors.items()})
    sides = {"front": (0, 0, 1), "right": (1, 0, 0), "back": (0, 0, -1), "left": (-1, 0, 0)}
    assert source.mesh.normals is not None
    corners = source.mesh.vertices[source.mesh.faces].mean(axis=1)
    for view, direction in sides.items():
        face = np.array([int(np.argmin(np.linalg.norm(corners - 0.5 * np.array(direction), axis=1)))])
        sample = source.sample(face, np.full((1, 3), 1 / 3))
        assert sample.seen[0] == pytest.approx(1.0)
        assert int(sample.base_color.argmax()) == int(np.argmax(colors[view]))
        vertex = source.mesh.faces[face[0], 0]
        assert source.mesh.normals[vertex] @ direction > 0.95


def test_front_left_and_right_are_not_swapped() -> None:
    """What stands at the front picture's right edge lies at +X, and at the right picture's left edge at +Z."""
    mask = np.zeros((300, 300), bool)
    mask[20:280, 60:160] = True
    mask[200:280, 160:260] = True
    foot = cutout(mask, RED)
    source = generate({"front": foot, "right": np.ascontiguousarray(foot[:, ::-1])})
    low = source.mesh.vertices[source.mesh.vertices[:, 1] < 0]
    assert low[:, 0].max() > 0.3
    middle = source.mesh.vertices[source.mesh.vertices[:, 1] > 0.1]
    assert middle[:, 0].max() < 0.1
    assert middle[:, 2].max() < 0.1
    assert low[:, 2].max() > 0.3


def test_one_view_becomes_a_closed_solid_of_the_same_outline() -> None:
    """The outline fits to 98 %, the far half is unseen and shows the mirrored picture."""
    picture = disc(150)
    source = generate({"front": picture})
    assert measure_topology(source.mesh.faces).closed
    assert outline_overlap(source.mesh, picture[..., 3], source.projections[0].camera) > 0.98
    behind = source.mesh.vertices[:, 2] < -0.1
    assert not source.seen[behind].any()
    np.testing.assert_allclose(source.base_color[behind], source.base_color[~behind].mean(), atol=0.05)


def test_front_and_back_alone_are_inflated() -> None:
    """Two views along one line give a closed solid seen from both ends."""
    source = generate({"front": disc(100), "back": disc(100)})
    assert measure_topology(source.mesh.faces).closed
    assert 0.2 < np.ptp(source.mesh.vertices[:, 2]) < 1.0
    assert source.seen[source.mesh.vertices[:, 2] > 0.2].all()
    assert source.seen[source.mesh.vertices[:, 2] < -0.2].all()


def test_the_same_pictures_give_the_same_bytes() -> None:
    """Two runs agree in every vertex, face and weight."""
    views = {"front": disc(80), "right": block(120, 160, BLUE)}
    first, second = generate(views), generate(views)
    assert first.mesh.vertices.tobytes() == second.mesh.vertices.tobytes()
    assert first.mesh.faces.tobytes() == second.mesh.faces.tobytes()
    assert first.base_color.tobytes() == second.base_color.tobytes()
    assert [p.weights.tobytes() for p in first.projections] == [p.weights.tobytes() for p in second.projections]


def test_contradicting_views_are_refused_with_numbers() -> None:
    """A column in front and two far discs from behind cannot be one object, and the message says how badly each view fits."""
    mask = np.zeros((300, 300), bool)
    mask[40:260, 20:50] = True
    mask[40:260, 250:280] = True
    column = block(300, 300, RED)
    with pytest.raises(StageError, match=r"front, right, back.*front 0\.\d\d"):
        generate({"front": column, "right": block(300, 300, RED), "back": cutout(mask, RED)})


def test_an_empty_view_is_refused_by_name() -> None:
    """A view whose background removal left nothing is named."""
    with pytest.raises(StageError, match="right view is empty"):
        generate({"front": disc(50), "right": np.zeros((50, 50, 4), np.uint8)})


def test_a_picture_that_does_not_fit_its_camera_is_refused() -> None:
    """A camera.json for another size would project colours to the wrong place."""
    cameras = read_cameras(ROOT / "inbox" / "horse" / "camera.json")
    with pytest.raises(StageError, match=r"90 x 90.*1024 x 1024"):
        hull.generate({"front": block(50, 50, RED)}, {"front": cameras["front"]}, Fineness("fast"), 0, lambda *_: None)


@pytest.mark.parametrize("name", ["teddy_bear", "ammo_crate", "hanging_lantern"])
def test_real_views_with_cameras_are_met(name: str) -> None:
    """Outlines of real objects are met to 97 % on average, by a closed manifold that reports its progress to the end."""
    views, told = views_of(name), []
    cameras = read_cameras(ROOT / "inbox" / name / "camera.json")
    source = hull.generate(views, cameras, Fineness("balanced"), 0, lambda fraction, _: told.append(fraction))
    assert measure_topology(source.mesh.faces).closed
    overlap = [outline_overlap(source.mesh, views[view][..., 3], cameras[view]) for view in VIEWS]
    assert np.mean(overlap) > 0.97
    assert told == sorted(told)
    assert told[-1] == 1.0
