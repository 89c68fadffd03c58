from __future__ import annotations

import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.bake import CpuBaker, color_maps, material_maps, normal_map
from forge_batch.ops.baker import Sky
from forge_batch.ops.gbuffer import GBuffer, gbuffer
from forge_batch.ops.mesh import Mesh
from tests.bake_pairs import UPRIGHT, colored, flat_sheet, joined, low_square, sheet, unwrapped


def decoded(buffer: GBuffer) -> np.ndarray:
    """Read the normal map as a shader does: world-space unit normals (t, 3) of the covered texels."""
    texels = normal_map(buffer).reshape(-1, 3)[buffer.texel].astype(np.float64) / 65535 * 2 - 1
    [band] = buffer.bands()
    frame = band.frame(np.arange(len(buffer.texel)))
    bitangent = frame.sign[:, None] * np.cross(frame.normal, frame.tangent)
    world = texels[:, :1] * frame.tangent + texels[:, 1:2] * bitangent + texels[:, 2:] * frame.normal
    return np.asarray(world / np.linalg.norm(world, axis=1, keepdims=True))


def low_points(buffer: GBuffer) -> np.ndarray:
    """Give the points of the low poly under its texels."""
    [band] = buffer.bands()
    corners = buffer.mesh.faces[band.face]
    return np.asarray(np.einsum("tk,tkx->tx", band.barycentric, buffer.mesh.vertices[corners]))


def occlusion_map(buffer: GBuffer, rays: int, distance: float) -> np.ndarray:
    """Bake occlusion, filled and in 8 bits."""
    return CpuBaker(buffer).occlusion_map(Sky(rays, distance))


def test_a_flat_square_over_a_flat_source_is_neutral_everywhere() -> None:
    """Normal (128, 128, 255) to 8 bits, colour and material those of the source, occlusion open, no miss, whole atlas."""
    buffer = gbuffer(low_square(), colored(flat_sheet()), 64, 0.05)
    assert buffer.misses == 0
    assert len(buffer.texel) == 64 * 64
    normals = np.floor(normal_map(buffer).astype(np.float64) / 257 + 0.5 + 1e-9)
    np.testing.assert_array_equal(normals.reshape(-1, 3), np.tile([128, 128, 255], (4096, 1)))
    color = color_maps(buffer)
    np.testing.assert_array_equal(color.base_color.reshape(-1, 3), np.tile([188, 137, 255], (4096, 1)))
    assert (color.unseen == 0).all()
    metallic, roughness = material_maps(buffer)
    assert (metallic == 51).all()
    assert (roughness == 153).all()
    assert (occlusion_map(buffer, 16, 1.0) == 255).all()


def test_the_normals_of_a_spherical_bump_are_the_analytic_ones() -> None:
    """Over a cap of a sphere of radius 2 the decoded normals differ from (x, y, z) / 2 by less than half a degree."""
    bump = sheet(lambda x, y: np.sqrt(4 - x**2 - y**2) - 1.8, cells=160)
    buffer = gbuffer(low_square(), colored(bump), 128, 0.4)
    assert buffer.misses == 0
    x, y = low_points(buffer)[:, :2].T
    expected = np.stack([x, y, np.sqrt(4 - x**2 - y**2)], 1) / 2
    cosine = np.einsum("tx,tx->t", decoded(buffer), expected)
    assert np.degrees(np.arccos(np.clip(cosine.min(), -1, 1))) < 0.5


def test_green_points_up_the_texture() -> None:
    """A slope that looks towards the top of the texture has more than half green, one that looks right more than half red."""
    up = normal_map(gbuffer(low_square(), colored(sheet(lambda _, y: -0.1 * y)), 16, 0.2))
    right = normal_map(gbuffer(low_square(), colored(sheet(lambda x, _: -0.1 * x)), 16, 0.2))
    assert (up[..., 1] > 35000).all()
    assert (abs(up[..., 0].astype(int) - 32768) < 20).all()
    assert (right[..., 0] > 35000).all()


@pytest.mark.parametrize("turned", ["mirrored", "quarter turn"])
def test_a_mirrored_or_turned_chart_gives_back_the_same_normals(turned: str) -> None:
    """Whatever way the chart lies, a shader gets the source's slope back within 0.1 degree."""
    uv = tuple((1 - u, v) for u, v in UPRIGHT) if turned == "mirrored" else (*UPRIGHT[1:], UPRIGHT[0])
    buffer = gbuffer(low_square(uv), colored(sheet(lambda x, y: 0.1 * x - 0.2 * y)), 32, 0.2)
    expected = np.array([-0.1, 0.2, 1]) / np.linalg.norm([0.1, 0.2, 1])
    assert np.degrees(np.arccos(np.clip((decoded(buffer) @ expected).min(), -1, 1))) < 0.1


def facing_down(mesh: Mesh, height: float) -> Mesh:
    """Turn a plate over and lift it: it faces -Z at a height."""
    flip = np.float32([1, -1, -1])
    normals = None if mesh.normals is None else mesh.normals * flip
    return Mesh(mesh.vertices * flip + np.float32([0, 0, height]), mesh.faces, uv=mesh.uv, normals=normals)


@pytest.mark.parametrize("thickness", [0.0, 0.01])
def test_two_plates_closer_than_the_cage_keep_to_themselves(thickness: float) -> None:
    """Across a gap of a fifth of the cage each plate takes its own colour, even if the other has a back within the cage."""
    low = low_square(tuple((u / 2, v) for u, v in UPRIGHT))
    assert low.uv is not None
    gap = 0.05
    other = facing_down(Mesh(low.vertices, low.faces, uv=low.uv + np.float32([0.5, 0]), normals=low.normals), gap)
    whole = joined(Mesh(low.vertices, low.faces, low.uv, low.normals), other)
    assert whole.uv is not None
    mesh = unwrapped(whole.vertices, whole.faces, whole.uv)
    below = flat_sheet()
    plates = [below, facing_down(below, gap)]
    colors = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
    if thickness:
        top = Mesh(below.vertices + np.float32([0, 0, gap + thickness]), below.faces, normals=below.normals)
        plates, colors = [*plates, top], [*colors, (0.0, 1.0, 0.0)]
    color = np.repeat(np.float32(colors), len(below.vertices), axis=0)
    buffer = gbuffer(mesh, colored(joined(*plates), color), 64, 0.25 / mesh.diagonal)
    image = color_maps(buffer).base_color
    assert buffer.misses == 0
    np.testing.assert_array_equal(image[:, :31].reshape(-1, 3), np.tile([255, 0, 0], (64 * 31, 1)))
    np.testing.assert_array_equal(image[:, 33:].reshape(-1, 3), np.tile([0, 0, 255], (64 * 31, 1)))


def test_occlusion_beside_a_wall_is_that_of_the_form_factor() -> None:
    """At distance d from a long wall of height h the open share is 1 - (1 - d / sqrt(d^2 + h^2)) / 2, within 0.01."""
    height = 1.0
    wall = Mesh(
        np.array([[-1.0, -60, 0], [-1.0, 60, 0], [-1.0, 60, height], [-1.0, -60, height]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        normals=np.tile(np.float32([1, 0, 0]), (4, 1)),
    )
    buffer = gbuffer(low_square(), colored(joined(flat_sheet(), wall)), 64, 0.05)
    image = occlusion_map(buffer, 256, 100.0)[:, 2:]
    distance = (np.arange(64)[2:] + 0.5) / 32
    expected = 1 - (1 - distance / np.hypot(distance, height)) / 2
    np.testing.assert_allclose(image.mean(axis=0) / 255, expected, atol=0.01)


def test_occlusion_ends_at_its_distance() -> None:
    """A roof over everything makes it dark; a roof farther away than the distance does not."""
    floor = flat_sheet()
    roof = facing_down(sheet(lambda x, _: np.zeros_like(x), cells=2, half=200.0), 0.5)
    buffer = gbuffer(low_square(), colored(joined(floor, roof)), 32, 0.05)
    assert occlusion_map(buffer, 32, 100.0).max() <= 2
    assert occlusion_map(buffer, 32, 0.4 / buffer.mesh.diagonal).min() == 255


def test_misses_are_counted_and_filled_from_the_nearest_hit() -> None:
    """Where the source ends, half of the square misses but for what is within reach, and takes the colour beside it."""
    half = flat_sheet()
    cut = Mesh(half.vertices * np.float32([0.5, 1, 1]) - np.float32([0.55, 0, 0]), half.faces, normals=half.normals)
    buffer = gbuffer(low_square(), colored(cut), 64, 0.01)
    assert 0.45 < buffer.misses < 0.5
    assert (buffer.kind == 2).any()
    assert (color_maps(buffer).base_color == [188, 137, 255]).all()


def test_a_source_elsewhere_or_an_empty_atlas_is_an_error_of_the_asset() -> None:
    """Both say what is wrong rather than giving an invented map."""
    far = flat_sheet()
    far = Mesh(far.vertices + np.float32([0, 0, 9]), far.faces, normals=far.normals)
    with pytest.raises(StageError, match="met at none of 256 texels"):
        gbuffer(low_square(), colored(far), 16, 0.05)
    with pytest.raises(StageError, match="2 of 2 faces, 100% of the surface, have no area in UV space"):
        gbuffer(low_square(((0.5, 0.5),) * 4), colored(flat_sheet()), 16, 0.05)


def test_two_runs_give_the_same_bytes() -> None:
    """Threads and progress reports leave no trace in any map."""
    bump = colored(sheet(lambda x, y: 0.1 * np.sin(5 * x) * np.cos(4 * y)))
    heard: list[float] = []
    maps = []
    for _ in range(2):
        buffer = gbuffer(low_square(), bump, 512, 0.1, heard.append)
        shade = CpuBaker(buffer).occlusion_map(Sky(8, 0.5), heard.append)
        maps.append([normal_map(buffer), *color_maps(buffer), *material_maps(buffer), shade])
    for first, second in zip(*maps, strict=True):
        assert first.tobytes() == second.tobytes()
    assert max(heard) == 1.0
