"""What holds of any baker, seen to hold of the kernels: where there is no GPU they run on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from forge_batch.errors import StageError
from forge_batch.ops.baker import MISS, RAY, Search, Sky
from forge_batch.ops.gpu_baker import GpuBaker
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.srgb import srgb_to_linear
from forge_batch.ops.tangents import split_by_tangent
from tests.bake_pairs import UPRIGHT, colored, flat_sheet, low_square, sheet
from tests.ops.test_bake_invariants import box, rainbow, shells, show_no_cut, torus, trefoil

pytest.importorskip("warp")


def bake(low: Mesh, source: SourceMesh, size: int, cage: float, samples: int = 1, crease: float = 180.0) -> GpuBaker:
    """Make the baker of the kernels."""
    return GpuBaker(low, source, size, Search(cage, samples, crease), "cuda:0" if gpu_name() else "cpu")


def eight_bits(normal: np.ndarray) -> np.ndarray:
    """Round a normal map half up."""
    return np.floor(normal / 257 + 0.5 + 1e-9)


def shown(low: Mesh, normal: np.ndarray) -> np.ndarray:
    """Decode the normal map of the flat square: unit vectors (s, s, 3)."""
    assert low.tangents is not None
    T, sign, N = low.tangents[0, :3], low.tangents[0, 3], np.array([0, 0, 1])
    frame = np.stack([T, sign * np.cross(N, T), N])
    world = (normal.astype(float) / 32767.5 - 1) @ frame
    return np.asarray(world / np.linalg.norm(world, axis=2, keepdims=True))


@pytest.mark.parametrize("samples", [1, 2])
def test_a_flat_square_over_a_flat_source_is_neutral_everywhere(samples: int) -> None:
    """Normal (128, 128, 255), colour that of the source, occlusion open, no miss, the whole atlas."""
    baker = bake(low_square(), colored(flat_sheet()), 64, 0.05, samples)
    assert len(baker.texel) == 64 * 64
    assert (baker.kind != MISS).all()
    assert (eight_bits(baker.normal_map()) == [128, 128, 255]).all()
    assert (baker.color_maps().base_color == [188, 137, 255]).all()
    assert (baker.occlusion_map(Sky(16, 1.0)) == 255).all()


def test_the_normals_of_a_spherical_bump_are_the_analytic_ones() -> None:
    """Over a cap of a sphere of radius 2 the decoded normals differ from (x, y, z) / 2 by less than half a degree."""
    low = low_square()
    bump = sheet(lambda x, y: np.sqrt(4 - x**2 - y**2) - 1.8, cells=160)
    found = shown(low, bake(low, colored(bump), 128, 0.4).normal_map())
    x, y = np.meshgrid((np.arange(128) + 0.5) / 64 - 1, 1 - (np.arange(128) + 0.5) / 64)
    expected = np.stack([x, y, np.sqrt(4 - x**2 - y**2)], axis=2) / 2
    assert np.degrees(np.arccos(np.clip((found * expected).sum(axis=2).min(), -1, 1))) < 0.5


@pytest.mark.parametrize("turned", ["mirrored", "quarter turn"])
def test_a_mirrored_or_turned_chart_gives_back_the_same_normals(turned: str) -> None:
    """Whatever way the chart lies, a shader gets the source's slope back within 0.1 degree."""
    low = low_square(tuple((1 - u, v) for u, v in UPRIGHT) if turned == "mirrored" else (*UPRIGHT[1:], UPRIGHT[0]))
    found = shown(low, bake(low, colored(sheet(lambda x, y: 0.1 * x - 0.2 * y)), 32, 0.2).normal_map())
    expected = np.array([-0.1, 0.2, 1]) / np.linalg.norm([0.1, 0.2, 1])
    assert np.degrees(np.arccos(np.clip((found @ expected).min(), -1, 1))) < 0.1


@pytest.mark.parametrize("samples", [1, 2])
def test_a_uv_cut_does_not_show(samples: int) -> None:
    """On both sides of every cut of a torus, colours agree to 2/255 and world-space normals to 2 degrees."""
    low, source = torus()
    baker = bake(low, source, 384, 0.02, samples)
    show_no_cut(low, baker.color_maps().base_color, baker.normal_map())


@pytest.mark.parametrize("inner_faces", ["outwards", "inwards"])
def test_two_shells_a_millimetre_apart_keep_to_themselves(inner_faces: str) -> None:
    """In a cage of 60 mm each texel takes its own shell, all by ray."""
    baker = bake(*shells(inner_faces), 128, 0.06 / 3.9)
    image = baker.color_maps().base_color
    assert (baker.kind == RAY).mean() > 0.999
    assert (image[:, :63] == [255, 0, 0]).all()
    assert (image[:, 65:] == [0, 255, 0]).all()


def test_the_strands_of_a_knot_keep_to_themselves() -> None:
    """In a cage of three times the gaps between strands, colours are those of the strand."""
    baker = bake(*trefoil(), 256, 0.03)
    row, column = np.divmod(baker.texel, 256)
    place = (np.stack([column, row], axis=1) + 0.5) / 256
    inside = (np.abs(place - 0.5) < 0.48).all(axis=1)
    found = srgb_to_linear(baker.color_maps().base_color.reshape(-1, 3)[baker.texel[inside]])
    assert (baker.kind != MISS).all()
    assert np.abs(found - rainbow((place[inside] - 0.02) / 0.96)).max() < 0.08


@pytest.mark.parametrize(("hard", "crease"), [(True, 180.0), (False, 30.0)])
def test_a_box_with_hard_edges_is_flat_up_to_its_edges(hard: bool, crease: float) -> None:
    """Whether the source has hard normals or gets them by crease: every texel is found and is (128, 128, 255)."""
    source = box(hard)
    plain = Mesh(source.vertices, source.faces, normals=source.normals)
    baker = bake(split_by_tangent(box(True)), colored(plain), 128, 0.05, crease=crease)
    assert (baker.kind != MISS).all()
    assert (eight_bits(baker.normal_map()) == [128, 128, 255]).all()


def test_a_source_elsewhere_or_an_empty_atlas_is_an_error_of_the_asset() -> None:
    """Both say what is wrong rather than giving an invented map."""
    far = flat_sheet()
    far = Mesh(far.vertices + np.float32([0, 0, 9]), far.faces, normals=far.normals)
    with pytest.raises(StageError, match="met at none of 256 texels"):
        bake(low_square(), colored(far), 16, 0.05)
    with pytest.raises(StageError, match="2 of 2 faces, 100% of the surface, have no area in UV space"):
        bake(low_square(((0.5, 0.5),) * 4), colored(flat_sheet()), 16, 0.05)
