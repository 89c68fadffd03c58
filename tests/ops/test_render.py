"""Hold the renderer to what can be said of a picture by hand."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.render import PANEL, Maps, contact_sheet, render, silhouette
from tests.bake_pairs import low_square

NO_MAPS = Maps(None, None, None)
MARKS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255)}


def _box(extents: tuple[float, float, float], centre: tuple[float, float, float]) -> Mesh:
    box = trimesh.creation.box(extents=extents)
    return Mesh((box.vertices + centre).astype(np.float32), box.faces.astype(np.int32))


def _marked() -> tuple[Mesh, Maps]:
    """A grey body with a red knob on +X, a green one on +Y and a blue one on +Z, coloured through a 4-texel map."""
    parts = [
        _box((0.4, 0.4, 0.4), (0.0, 0.0, 0.0)),
        _box((0.2, 0.2, 0.2), (0.6, 0.0, 0.0)),
        _box((0.2, 0.2, 0.2), (0.0, 0.6, 0.0)),
        _box((0.2, 0.2, 0.2), (0.0, 0.0, 0.6)),
        _box((0.02, 0.02, 0.02), (-0.7, -0.7, -0.7)),
    ]
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + 8 * index for index, part in enumerate(parts)]).astype(np.int32)
    columns = np.repeat([0, 1, 2, 3, 0], 8)
    uv = np.stack([(columns + 0.5) / 4, np.full(40, 0.5)], axis=1).astype(np.float32)
    texture = np.array([[(128, 128, 128), *MARKS.values()]], np.uint8)
    return Mesh(vertices, faces, uv), Maps(texture, None, None)


def _centre(picture: np.ndarray, color: str) -> tuple[float, float]:
    """Give the centre (x, y) in 0..1 of the pixels that are mostly of one colour."""
    channel = int(np.argmax(MARKS[color]))
    rgb = picture[..., :3].astype(int)
    others = np.delete(rgb, channel, axis=2).max(axis=2)
    rows, columns = np.nonzero((rgb[..., channel] > others + 60) & (picture[..., 3] > 200))
    return float(columns.mean()) / picture.shape[1], float(rows.mean()) / picture.shape[0]


@pytest.mark.parametrize(
    ("azimuth", "elevation", "mark", "side"),
    [
        (0.0, 0.0, "red", "right"),
        (0.0, 0.0, "green", "top"),
        (0.0, 0.0, "blue", "middle"),
        (90.0, 0.0, "blue", "left"),
        (180.0, 0.0, "red", "left"),
        (270.0, 0.0, "blue", "right"),
        (0.0, 90.0, "blue", "bottom"),
        (0.0, 90.0, "red", "right"),
    ],
)
def test_views_are_named_as_the_viewer_names_them(azimuth: float, elevation: float, mark: str, side: str) -> None:
    """A knob on +X stands right in the front view and left in the back view; on +Z, left when seen from +X."""
    mesh, maps = _marked()
    x, y = _centre(render(mesh, maps, azimuth, elevation, 96, azimuth + 20.0), mark)
    expected = {"right": (1, 0), "left": (-1, 0), "top": (0, -1), "bottom": (0, 1), "middle": (0, 0)}[side]
    assert (int(np.round((x - 0.5) * 4)), int(np.round((y - 0.5) * 4))) == expected


def test_the_near_face_hides_the_far_one() -> None:
    """From -Z the blue knob on +Z cannot be seen."""
    mesh, maps = _marked()
    picture = render(mesh, maps, 180.0, 0.0, 96, 180.0)
    assert (picture[..., 2].astype(int) - picture[..., 0] < 60).all()


def test_the_lit_side_is_brighter() -> None:
    """A ball lit from the left is brighter on its left half, and the other way round."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    mesh = Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32), normals=ball.vertices.astype(np.float32))
    for light, sign in ((-60.0, 1), (60.0, -1)):
        grey = render(mesh, NO_MAPS, 0.0, 0.0, 64, light)[..., 0].astype(float)
        assert sign * (grey[:, :32].mean() - grey[:, 32:].mean()) > 10


@pytest.mark.parametrize(("lean", "sign"), [((1.0, 0.0), 1), ((-1.0, 0.0), -1)])
@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_the_normal_map_leans_towards_its_red_channel(lean: tuple[float, float], sign: int, handedness: float) -> None:
    """A normal leaning along +T turns the face to the light standing there, whatever the bitangent's sign."""
    corners = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    mesh = Mesh(
        corners,
        np.int32([[0, 1, 2], [0, 2, 3]]),
        np.float32([[0, 1], [1, 1], [1, 0], [0, 0]]),
        np.tile(np.float32([0, 0, 1]), (4, 1)),
        np.tile(np.float32([1, 0, 0, handedness]), (4, 1)),
    )
    leaning = np.array([0.6 * lean[0], 0.0, 0.8])
    normal = np.tile(np.round((leaning * 0.5 + 0.5) * 65535).astype(np.uint16), (4, 4, 1))
    flat = render(mesh, NO_MAPS, 0.0, 0.0, 32, 70.0)[16, 16, 0]
    leant = render(mesh, Maps(None, normal, None), 0.0, 0.0, 32, 70.0)[16, 16, 0]
    assert sign * (int(leant) - int(flat)) > 15


def test_green_up_is_opengl() -> None:
    """With w = +1 and T = +X on a face towards +Z, a normal with green above half leans up, towards a light from above."""
    corners = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    mesh = Mesh(
        corners,
        np.int32([[0, 1, 2], [0, 2, 3]]),
        np.float32([[0, 1], [1, 1], [1, 0], [0, 0]]),
        np.tile(np.float32([0, 0, 1]), (4, 1)),
        np.tile(np.float32([1, 0, 0, 1]), (4, 1)),
    )
    shades = []
    for green in (0.6, -0.6):
        normal = np.tile(np.round((np.array([0.0, green, 0.8]) * 0.5 + 0.5) * 65535).astype(np.uint16), (4, 4, 1))
        shades.append(int(render(mesh, Maps(None, normal, None), 0.0, 0.0, 32, 0.0)[16, 16, 0]))
    assert shades[0] > shades[1] + 15


def test_occlusion_darkens() -> None:
    """The ORM's red channel at 0 takes the ambient light away."""
    mesh, _ = _marked()
    shades = [
        int(render(mesh, Maps(None, None, np.full((2, 2, 3), (red, 200, 0), np.uint8)), 0.0, 0.0, 64, 180.0)[..., 0].sum())
        for red in (255, 0)
    ]
    assert shades[0] > 1.5 * shades[1]


def test_an_inverted_face_shows_as_a_hole() -> None:
    """Faces turned away are not drawn."""
    mesh, _ = _marked()
    inside_out = Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())
    front = render(mesh, NO_MAPS, 0.0, 0.0, 64, 0.0)
    back = render(inside_out, NO_MAPS, 0.0, 0.0, 64, 0.0)
    assert (front[..., 3] > 0).sum() == (back[..., 3] > 0).sum()
    assert not np.array_equal(front, back)


@pytest.mark.parametrize("azimuth", [0.0, 180.0])
def test_holes_cut_by_alpha_are_seen_from_both_sides(azimuth: float) -> None:
    """A square whose left half is clear covers a half of its frame as seen from the front and from behind, equally bright."""
    sheet = low_square()
    texture = np.full((8, 8, 4), 200, np.uint8)
    texture[:, :4, 3], texture[:, 4:, 3] = 0, 255
    cut = render(sheet, Maps(texture, None, None), azimuth, 0.0, 64, azimuth)
    whole = render(sheet, Maps(texture[..., :3], None, None), 0.0, 0.0, 64, 0.0)
    columns = np.flatnonzero((cut[..., 3] > 127).any(axis=0))
    assert (cut[..., 3] > 127).sum() == pytest.approx((whole[..., 3] > 127).sum() / 2, rel=0.05)
    assert (columns.mean() > 32) == (azimuth == 0)
    np.testing.assert_allclose(cut[cut[..., 3] == 255].mean(axis=0), whole[whole[..., 3] == 255].mean(axis=0), atol=2)


def test_the_silhouette_has_the_area_of_the_box() -> None:
    """A 1 x 0.5 x 0.5 box in a frame made for another box covers its share of the pixels within a row or two."""
    box = _box((1.0, 0.5, 0.5), (0.0, 0.0, 0.0))
    bounds = np.float32([[-1, -1, -1], [1, 1, 1]])
    size = 512
    edge = 1.06 * np.hypot(2, 2)
    for azimuth, width in ((0.0, 1.0), (90.0, 0.5), (45.0, 1.5 / np.sqrt(2))):
        mask = silhouette(box.vertices, box.faces, azimuth, 0.0, size, bounds)
        assert mask.sum() == pytest.approx(width * 0.5 * (size / edge) ** 2, rel=0.03)


def test_the_sheet_shows_the_input_at_the_size_of_the_render() -> None:
    """The input's cut-out and the front render cover the same rows of their panels."""
    mesh, maps = _marked()
    front = np.zeros((300, 200, 4), np.uint8)
    front[40:240, 60:150] = (200, 30, 30, 255)
    sheet = contact_sheet(mesh, maps, front, "thing", ["a line", "another"])
    assert sheet.dtype == np.uint8
    panel = sheet[42 : 42 + PANEL, 6 : 6 + PANEL].astype(int)
    rows = np.flatnonzero((panel[..., 0] > panel[..., 1] + 80).any(axis=1))
    alpha = render(mesh, maps, 0.0, 0.0, PANEL, -55.0)[..., 3] > 127
    expected = np.flatnonzero(alpha.any(axis=1))
    assert abs(rows[0] - expected[0]) <= 1
    assert abs(rows[-1] - expected[-1]) <= 1
