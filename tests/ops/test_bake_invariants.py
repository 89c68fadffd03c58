from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from forge_batch.ops.bake import CpuBaker, color_maps, normal_error, normal_map
from forge_batch.ops.baker import MISS, RAY, Search, Sky
from forge_batch.ops.gbuffer import GBuffer, gbuffer
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.render import read_linear
from forge_batch.ops.source import SourceMesh, load_source, save_source
from forge_batch.ops.srgb import linear_to_srgb, srgb_to_linear
from forge_batch.ops.surface_texture import SurfaceTexture, masked_texture
from forge_batch.ops.tangents import split_by_tangent
from tests.bake_pairs import UPRIGHT, colored, flat_sheet, joined, knot, low_square, ring, sheet, tube, unwrapped


def smooth(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """Make a source with smooth normals."""
    return Mesh(vertices, faces, normals=split_vertex_normals(vertices, faces))


def rainbow(place: np.ndarray) -> np.ndarray:
    """Colour a tube by its place, without a seam."""
    along, around = 2 * np.pi * place.T
    return np.stack([0.5 + 0.4 * np.sin(along), 0.5 + 0.4 * np.cos(along), 0.5 + 0.4 * np.sin(around)], 1)


def torus() -> tuple[Mesh, SourceMesh]:
    """Make a torus that is cut along and round, and one with relief to bake from."""
    vertices, faces, place = tube(ring(), 0.4, 48, 24)
    low = unwrapped(vertices, faces, (0.03 + 0.94 * place).astype(np.float32))
    fine, fine_faces, fine_place = tube(ring(), 0.4, 160, 80, relief=0.004)
    return low, colored(smooth(fine, fine_faces), rainbow(fine_place))


@pytest.mark.parametrize("samples", [1, 2])
def test_a_uv_cut_does_not_show(samples: int) -> None:
    """On both sides of every cut of a torus, colours agree to 2/255 and world-space normals to 2 degrees, read bilinearly."""
    low, source = torus()
    buffer = GBuffer(low, source, 384, Search(0.02, samples))
    show_no_cut(low, color_maps(buffer).base_color, normal_map(buffer))


def show_no_cut(low: Mesh, color: np.ndarray, normal: np.ndarray) -> None:
    """Compare what a shader sees of the maps at each vertex from every chart that it lies in."""
    assert low.uv is not None
    assert low.normals is not None
    assert low.tangents is not None
    _, spot = np.unique(np.round(low.vertices, 5), axis=0, return_inverse=True)
    order = np.argsort(spot.ravel(), kind="stable")
    same = spot.ravel()[order][1:] == spot.ravel()[order][:-1]
    one, other = order[1:][same], order[:-1][same]
    assert len(one) > 70
    bitangent = low.tangents[:, 3:] * np.cross(low.normals, low.tangents[:, :3])
    x, y, z = np.split(read_linear(normal, low.uv).astype(float) * 2 - 1, 3, axis=1)
    world = x * low.tangents[:, :3] + y * bitangent + z * low.normals
    world /= np.linalg.norm(world, axis=1, keepdims=True)
    turned = np.degrees(np.arccos(np.clip(np.einsum("vx,vx->v", world[one], world[other]), -1, 1)))
    shown = read_linear(color, low.uv).astype(float) * 255
    assert turned.max() < 2
    assert np.abs(shown[one] - shown[other]).max() < 2


def shells(inner_faces: str) -> tuple[Mesh, SourceMesh]:
    """Make tubes of 400 and 401 mm in one another, red and green, whose charts are the left and the right of the atlas."""
    parts, colors = [], []
    for number, radius in enumerate((0.4, 0.401)):
        vertices, faces, place = tube(ring(), radius, 240, 120)
        uv = (0.02 + 0.96 * place) * [0.5, 1] + [0.5 * number, 0]
        turned = faces[:, ::-1] if inner_faces == "inwards" and not number else faces
        parts.append((vertices, turned, uv))
        colors.append(np.tile(np.eye(3)[number], (len(vertices), 1)))
    offset = np.int32(len(parts[0][0]))
    vertices, faces = np.concatenate([parts[0][0], parts[1][0]]), np.concatenate([parts[0][1], parts[1][1] + offset])
    normals = np.concatenate([split_vertex_normals(part[0], part[1]) for part in parts])
    uv = np.concatenate([part[2] for part in parts]).astype(np.float32)
    low = split_by_tangent(Mesh(vertices, faces, uv=uv, normals=normals))
    return low, colored(Mesh(vertices, faces, normals=normals), np.concatenate(colors))


@pytest.mark.parametrize("inner_faces", ["outwards", "inwards"])
def test_two_shells_a_millimetre_apart_keep_to_themselves(inner_faces: str) -> None:
    """In a cage of 60 mm each texel takes its own shell, all by ray."""
    buffer = gbuffer(*shells(inner_faces), 128, 0.06 / 3.9)
    image = color_maps(buffer).base_color
    assert (buffer.kind == RAY).mean() > 0.999
    assert buffer.misses == 0
    np.testing.assert_array_equal(image[:, :63].reshape(-1, 3), np.tile([255, 0, 0], (128 * 63, 1)))
    np.testing.assert_array_equal(image[:, 65:].reshape(-1, 3), np.tile([0, 255, 0], (128 * 63, 1)))


def trefoil() -> tuple[Mesh, SourceMesh]:
    """Make a knot whose strands pass 1 % of its size apart, and one with relief to bake from."""
    vertices, faces, place = tube(knot, 0.46, 300, 24)
    low = unwrapped(vertices, faces, (0.02 + 0.96 * place).astype(np.float32))
    fine, fine_faces, fine_place = tube(knot, 0.46, 900, 48, relief=0.01)
    return low, colored(smooth(fine, fine_faces), rainbow(fine_place))


def test_the_strands_of_a_knot_keep_to_themselves() -> None:
    """In a cage of three times the gaps between strands, colours are those of the strand."""
    low, source = trefoil()
    buffer = gbuffer(low, source, 256, 0.03)
    [band] = buffer.bands()
    corners = low.faces[band.face]
    assert low.uv is not None
    at = (np.einsum("tk,tkx->tx", band.barycentric, low.uv[corners]) - 0.02) / 0.96
    found = srgb_to_linear(color_maps(buffer).base_color.reshape(-1, 3)[buffer.texel])
    assert buffer.misses == 0
    assert np.abs(found - rainbow(at)).max() < 0.08


def box(hard: bool) -> Mesh:
    """Make the cube -1..1 of six charts, with flat normals or welded with none."""
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            corners = np.full((4, 3), sign)
            square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
            corners[:, [(axis + 1) % 3, (axis + 2) % 3]] = square if sign > 0 else square[::-1]
            sides.append(corners)
    vertices = np.concatenate(sides).astype(np.float32)
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(6)]).astype(np.int32)
    if not hard:
        places, index = np.unique(vertices, axis=0, return_inverse=True)
        return Mesh(places, index.reshape(-1)[faces].astype(np.int32))
    chart = np.array([[0.02, 0.02], [0.31, 0.02], [0.31, 0.31], [0.02, 0.31]])
    uv = np.concatenate([chart + np.array([k % 3, k // 3]) * 0.33 for k in range(6)]).astype(np.float32)
    normals = np.repeat(np.array([[k == axis for k in range(3)] for axis in (0, 0, 1, 1, 2, 2)], np.float32), 4, axis=0)
    normals *= np.repeat(np.tile([-1, 1], 3), 4)[:, None].astype(np.float32)
    return Mesh(vertices, faces, uv=uv, normals=normals)


@pytest.mark.parametrize(("source", "crease"), [(box(True), 180.0), (box(False), 30.0)])
def test_a_box_with_hard_edges_is_flat_up_to_its_edges(source: Mesh, crease: float) -> None:
    """Whether the source has hard normals or gets them by crease: every texel is found and is (128, 128, 255)."""
    low = split_by_tangent(box(True))
    buffer = GBuffer(low, colored(replace(source, uv=None)), 128, Search(0.05, crease=crease))
    assert (buffer.kind != MISS).all()
    assert (np.floor(normal_map(buffer) / 257 + 0.5 + 1e-9) == [128, 128, 255]).all()
    smooth_map = normal_map(GBuffer(low, colored(box(False)), 128, Search(0.05)))
    assert (np.abs(smooth_map.astype(int) - [32768, 32768, 65535]).max(axis=2) > 2000).mean() > 0.5


def stripes(count: int) -> Mesh:
    """Make the plane of strips, each two of them of one pair of faces, whose vertices are not shared."""
    edges = np.linspace(-1, 1, count + 1)
    strips = [np.array([[a, -1.1, 0], [b, -1.1, 0], [b, 1.1, 0], [a, 1.1, 0]]) for a, b in pairwise(edges)]
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(count)])
    vertices = np.concatenate(strips).astype(np.float32)
    return Mesh(vertices, faces.astype(np.int32), normals=np.tile(np.float32([0, 0, 1]), (len(vertices), 1)))


def test_samples_of_a_texel_are_averaged_in_linear_light() -> None:
    """Of stripes a quarter of a texel wide, black and white, 4 samples make mid grey, 188 in sRGB; one sample sees but one."""
    black_white = np.repeat(np.arange(64 * 4) % 2, 4)[:, None] * np.ones(3)
    source = colored(stripes(64 * 4), black_white)
    fine = color_maps(GBuffer(low_square(), source, 64, Search(0.05, samples=4))).base_color
    coarse = color_maps(GBuffer(low_square(), source, 64, Search(0.05))).base_color
    np.testing.assert_array_equal(fine, np.full((64, 64, 3), 188))
    assert set(np.unique(coarse)) <= {0, 255}


def test_a_textured_source_is_read_between_its_texels_in_linear_light(tmp_path: Path) -> None:
    """Of a picture of a black and a white column, saved and loaded: half way between them 188, on them 0 and 255."""
    plate = flat_sheet()
    uv = ((plate.vertices[:, :2] + 1) / 2)[plate.faces].astype(np.float32)
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[:, 1] = 255
    material = np.full((2, 2, 2), (51, 102), np.uint8)
    save_source(tmp_path / "source.npz", replace(colored(plate), texture=SurfaceTexture(uv, picture, material)))
    baker = CpuBaker(gbuffer(low_square(), load_source(tmp_path / "source.npz"), 64, 0.05))
    row = baker.color_maps().base_color[32, :, 0].astype(float)
    place = (np.arange(64) + 0.5) / 64
    white = np.abs((2 * place - 0.5 + 1) % 2 - 1)
    np.testing.assert_allclose(row, linear_to_srgb(white) * 255, atol=0.51)
    assert (baker.material_maps().metallic == 51).all()
    assert (baker.material_maps().roughness == 102).all()


def test_a_masked_source_leaves_its_alpha_beside_clean_colour(tmp_path: Path) -> None:
    """A green leaf left of clear black, saved and loaded: alpha falls linearly, half way at the border, and all stays green."""
    plate = flat_sheet()
    uv = ((plate.vertices[:, :2] + 1) / 2)[plate.faces].astype(np.float32)
    leaf = np.zeros((8, 8, 4), np.uint8)
    leaf[:, :4] = (40, 160, 60, 255)
    save_source(tmp_path / "source.npz", replace(colored(plate), texture=masked_texture(uv, leaf)))
    chart = low_square(tuple((0.1 + 0.8 * u, 0.1 + 0.8 * v) for u, v in UPRIGHT))
    image = color_maps(GBuffer(chart, load_source(tmp_path / "source.npz"), 80, Search(0.05, samples=2))).base_color
    np.testing.assert_array_equal(image[..., :3], np.broadcast_to([40, 160, 60], (80, 80, 3)))
    place = (np.arange(64) + 0.5) / 8  # texels of the leaf: 8 of the map each
    falling = np.clip(4.5 - place, 0, 1)[8:56]
    np.testing.assert_allclose(image[40, 16:64, 3], falling * 255, atol=0.51)
    assert set(image[40, 16:36, 3]) == {255}
    assert set(image[40, 44:60, 3]) == {0}


def test_an_opaque_texture_leaves_no_alpha() -> None:
    """A picture whose alpha is 255 all over, or 0 all over, covers a surface without holes: three channels."""
    uv = np.zeros((1, 3, 2), np.float32)
    for alpha in (255, 0):
        texture = masked_texture(uv, np.full((2, 2, 4), alpha, np.uint8))
        assert texture.alpha is None
        assert texture.base_color.shape == (2, 2, 3)


def test_only_covered_samples_count() -> None:
    """A chart that ends in the middle of a texel: that texel is the mean of its covered half, not of what lies beyond."""
    low = low_square(tuple((u * 10.5 / 32, v) for u, v in UPRIGHT))
    ramp = sheet(lambda x, _: np.zeros_like(x), cells=100)
    buffer = GBuffer(low, colored(ramp, np.repeat(ramp.vertices[:, :1] / 2.4 + 0.5, 3, axis=1)), 32, Search(0.05, samples=4))
    place = np.arange(32 * 4) / 4 + 0.125
    value = (2 * place / 10.5 - 1) / 2.4 + 0.5
    whole = linear_to_srgb(value.reshape(32, 4).mean(axis=1)) * 255
    half = float(linear_to_srgb(value.reshape(32, 4)[10, :2].mean(keepdims=True))[0]) * 255
    row = color_maps(buffer).base_color[16, :, 0]
    np.testing.assert_allclose(row[:10], whole[:10], atol=0.51)
    assert abs(float(row[10]) - half) < 0.51
    assert (row[11:] == row[10]).all(), "the background is filled from the chart's rim"


def test_the_error_map_is_the_angle_that_a_map_is_off() -> None:
    """A flat map over a slope of 0.1 errs by atan(0.1) = 5.7 degrees; the baked map by nothing; a miss is 255."""
    slope = colored(sheet(lambda x, _: -0.1 * x))
    buffer = gbuffer(low_square(), slope, 16, 0.2)
    flat = np.broadcast_to(np.array([32768, 32768, 65535], np.uint16), (16, 16, 3))
    assert (normal_error(buffer, flat) == 57).all()
    assert (normal_error(buffer, normal_map(buffer)) == 0).all()
    cut = flat_sheet()
    cut = Mesh(cut.vertices * np.float32([0.5, 1, 1]) - np.float32([0.55, 0, 0]), cut.faces, normals=cut.normals)
    beside = gbuffer(low_square(), colored(cut), 16, 0.01)
    assert (normal_error(beside, flat)[:, 10:] == 255).all()
    assert (normal_error(beside, flat)[:, :7] == 0).all()


def test_the_ground_takes_half_the_sky_of_a_wall() -> None:
    """A wall on an endless floor sees half of the sky at any height; without the floor all of it."""
    low = Mesh(*(getattr(low_square(), name) for name in ("vertices", "faces", "uv", "normals", "tangents")))
    baker = CpuBaker(gbuffer(low, colored(flat_sheet()), 16, 0.05))
    assert (baker.occlusion_map(Sky(64, 100.0)) == 255).all()
    ground = baker.occlusion_map(Sky(256, 1e4, ground=True)) / 255
    np.testing.assert_allclose(ground, 0.5, atol=0.02)


def test_darkness_fades_towards_the_end_of_the_rays() -> None:
    """Under an endless roof at fraction c of the rays' length, with falloff 1, the open share is 1 - (1 - c)^2."""
    roof = sheet(lambda x, _: np.zeros_like(x), cells=2, half=400.0)
    flip = np.float32([1, -1, -1])
    down = np.tile(np.float32([0, 0, -1]), (len(roof.vertices), 1))
    roof = Mesh(roof.vertices * flip + np.float32([0, 0, 0.5]), roof.faces, normals=down)
    buffer = gbuffer(low_square(), colored(joined(flat_sheet(), roof)), 32, 0.05)
    reach = 2.0
    sky = Sky(256, reach / buffer.mesh.diagonal, falloff=1.0)
    shade = CpuBaker(buffer).occlusion_map(sky)
    assert abs(shade.mean() / 255 - (1 - (1 - 0.5 / reach) ** 2)) < 0.01
