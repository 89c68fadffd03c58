from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import MISS, NEAREST, Baker, make_baker
from forge_batch.ops.camera import Camera
from forge_batch.ops.gbuffer import gbuffer
from forge_batch.ops.gpu_baker import GpuBaker
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.gpu_raster import cover
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.raster import rasterize
from forge_batch.ops.source import Projection, SourceMesh
from forge_batch.ops.voxel_field import VoxelField
from tests.bake_pairs import colored, joined, low_square, sheet

pytest.importorskip("warp")


DEVICE = "cuda:0" if gpu_name() else "cpu"


def both(low: Mesh, source: SourceMesh, size: int = 64, cage: float = 0.2) -> tuple[CpuBaker, Baker]:
    """Make both bakers of a pair; without a GPU the kernels run on the CPU."""
    return CpuBaker(gbuffer(low, source, size, cage)), GpuBaker(low, source, size, cage, device=DEVICE)


def waves() -> Mesh:
    """Make a sheet of waves with overhangs towards no one."""
    return sheet(lambda x, y: 0.05 * np.sin(9 * x) * np.cos(7 * y), cells=60)


def painted(mesh: Mesh) -> SourceMesh:
    """Give a mesh a colour gradient, and half of it unseen."""
    x, y = mesh.vertices[:, :2].T / 2.2 + 0.5
    return replace(colored(mesh, np.stack([x, y, 1 - x], axis=1), seen=(x > 0.5).astype(np.float32)), metallic=x, roughness=y)


def test_every_map_of_the_kernels_is_that_of_the_arrays() -> None:
    """Same texels found in the same way; maps differ by one step of their depth at most."""
    cpu, gpu = both(low_square(), painted(waves()))
    np.testing.assert_array_equal(gpu.texel, cpu.texel)
    np.testing.assert_array_equal(gpu.kind, cpu.kind)
    assert gpu.overlap == cpu.overlap == 0
    maps = [*cpu.color_maps(), *cpu.material_maps(), cpu.normal_map(), cpu.occlusion_map(16, 1.0)]
    theirs = [*gpu.color_maps(), *gpu.material_maps(), gpu.normal_map(), gpu.occlusion_map(16, 1.0)]
    for one, other in zip(maps, theirs, strict=True):
        assert one.dtype == other.dtype
        assert one.std() > 0
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


@pytest.mark.parametrize("rays", [1, 2, 12, 32])
def test_the_order_of_rays_does_not_matter(rays: int) -> None:
    """Sent cell by cell, whatever their number, they are the rays of the pattern: occlusion is that of the arrays."""
    deep = sheet(lambda x, y: 0.2 * np.sin(9 * x) * np.cos(7 * y), cells=40)
    cpu, gpu = both(low_square(), colored(deep), 32, 0.4)
    difference = np.abs(cpu.occlusion_map(rays, 1.0).astype(int) - gpu.occlusion_map(rays, 1.0))
    assert (difference > 1).mean() < 0.01, "a ray that grazes an edge may be blocked in one of the two"


@pytest.mark.parametrize("rays", [1, 2, 7, 16, 32, 64, 100, 1024])
def test_each_cell_holds_one_point(rays: int) -> None:
    """in_cells sorts the very points of the pattern into the cells of its grid, one each."""
    pattern = hammersley(rays)
    points, (high, low) = in_cells(pattern)
    assert sorted(map(tuple, points.tolist())) == sorted(map(tuple, pattern.tolist()))
    assert high * low == rays
    np.testing.assert_array_equal(np.floor(points[:, 0] * high) * low + np.floor(points[:, 1] * low), np.arange(rays))


@pytest.mark.parametrize("size", [16, 67, 256])
def test_both_rasters_cover_the_same_texels(size: int) -> None:
    """A random soup of triangles, thin and fat, overlapping, beyond the page: same faces, same weights, same overlaps."""
    rng = np.random.default_rng(size)
    corners = rng.uniform(-0.1, 1.1, (40, 1, 2)) + rng.uniform(-0.2, 0.2, (40, 3, 2)) * rng.uniform(0.01, 1, (40, 1, 1))
    uv = corners.reshape(-1, 2).astype(np.float32)
    faces = np.arange(120, dtype=np.int32).reshape(-1, 3)
    expected = rasterize(uv, faces, size, conservative=True)
    found = cover(Mesh(np.zeros((120, 3), np.float32), faces, uv=uv), size, "own", DEVICE)
    np.testing.assert_array_equal(found.face.numpy().reshape(size, size), expected.face)
    np.testing.assert_array_equal(found.centre.numpy().reshape(size, size) > 0, expected.centre)
    covered = expected.face >= 0
    np.testing.assert_allclose(found.weights.numpy().reshape(size, size, 3)[covered], expected.barycentric[covered], atol=1e-6)
    assert found.overlap == expected.overlap > 0


def test_pictures_and_voxels_colour_alike() -> None:
    """A picture from the front, one that grazes, and voxels with a gap beneath: the same colours, the same unseen."""
    mesh = waves()
    image = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    view = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 4]])
    camera = Camera(view, np.array([40.0, 40.0]), np.array([15.0, 10.0]), (30, 20), orthographic=False)
    weights = np.clip(mesh.vertices[:, 0] + 0.5, 0, 1).astype(np.float32)
    beside = Camera(np.array([[0.0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 3]]), camera.focal / 4, camera.centre, (30, 20), True)
    grid = np.array([(x, y, z) for x in range(12) for y in range(12) for z in range(4) if not 4 <= x < 8], np.int16)
    values = np.random.default_rng(6).integers(0, 256, (len(grid), 5), dtype=np.uint8)
    frame = np.diag([5.0, 5.0, 5.0, 1.0])
    frame[:3, 3] = (6, 6, 2)
    source = replace(
        painted(mesh),
        projections=(Projection(image, camera, weights), Projection(image, beside, 1 - weights)),
        field=VoxelField(grid, values, frame),
    )
    cpu, gpu = both(low_square(), source)
    for one, other in zip([*cpu.color_maps(), *cpu.material_maps()], [*gpu.color_maps(), *gpu.material_maps()], strict=True):
        assert one.std() > 0
        difference = np.abs(one.astype(int) - other.astype(int))
        assert (difference > 1).mean() < 0.002, "what is unseen is all or nothing, so a texel on the border may differ"


def test_misses_are_padded_and_walls_within_the_cage_keep_to_themselves() -> None:
    """Beside a hole in the source texels take the nearest point or miss, alike; a second wall in the cage is not taken."""
    floor = waves()
    x, y = floor.vertices[floor.faces].mean(axis=1)[:, :2].T
    holed = replace(floor, faces=np.ascontiguousarray(floor.faces[x**2 + y**2 > 0.3]))
    wall = sheet(lambda x, _: np.full_like(x, -0.3), cells=6)
    cpu, gpu = both(low_square(), painted(joined(holed, wall)), cage=0.05)
    assert set(np.unique(cpu.kind)) >= {MISS, NEAREST}
    np.testing.assert_array_equal(gpu.kind, cpu.kind)
    hit = cpu.texel[cpu.kind != MISS]
    difference = np.abs(cpu.normal_map().astype(int) - gpu.normal_map().astype(int)).reshape(-1, 3)
    assert difference[hit].max() <= 2
    assert (gpu.normal_map()[..., 2] > 30000).all(), "padding copies normals, it leaves no hole"


def test_a_source_that_is_nowhere_near_is_said() -> None:
    """Both bakers refuse in the same words."""
    far = colored(sheet(lambda x, _: np.full_like(x, 9.0), cells=4))
    with pytest.raises(StageError, match="met at none of 256 texels"):
        GpuBaker(low_square(), far, 16, 0.02, device=DEVICE)
    with pytest.raises(StageError, match="met at none of 256 texels"):
        gbuffer(low_square(), far, 16, 0.02)


@pytest.mark.skipif(bool(gpu_name()), reason="speaks of machines without a GPU")
def test_nvdiffrast_without_a_gpu_says_what_to_write() -> None:
    """The choice is refused with the word that gives the same coverage anywhere."""
    with pytest.raises(BackendUnavailable, match="needs an NVIDIA GPU") as caught:
        make_baker(low_square(), colored(waves()), 16, 0.1, "nvdiffrast")
    assert "raster: own" in caught.value.hint
