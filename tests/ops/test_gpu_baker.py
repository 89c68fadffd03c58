from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops import gpu_copy
from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import MISS, NEAREST, Baker, Search, Sky, make_baker
from forge_batch.ops.camera import Camera
from forge_batch.ops.gbuffer import GBuffer, gbuffer
from forge_batch.ops.gpu_baker import GpuBaker
from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.gpu_raster import cover
from forge_batch.ops.hemisphere import hammersley, in_cells
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.raster import rasterize
from forge_batch.ops.source import Projection, SourceMesh
from forge_batch.ops.surface_texture import SurfaceTexture
from forge_batch.ops.voxel_field import VoxelField
from tests.bake_pairs import colored, joined, low_square, sheet, unwrapped

pytest.importorskip("warp")


DEVICE = "cuda:0" if gpu_name() else "cpu"


def both(
    low: Mesh, source: SourceMesh, size: int = 64, cage: float = 0.2, samples: int = 1, crease: float = 180.0
) -> tuple[CpuBaker, GpuBaker]:
    """Make both bakers of a pair; without a GPU the kernels run on the CPU."""
    search = Search(cage, samples, crease)
    return CpuBaker(GBuffer(low, source, size, search)), GpuBaker(low, source, size, search, device=DEVICE)


def waves() -> Mesh:
    """Make a sheet of waves with overhangs towards no one."""
    return sheet(lambda x, y: 0.05 * np.sin(9 * x) * np.cos(7 * y), cells=60)


def painted(mesh: Mesh) -> SourceMesh:
    """Give a mesh a colour gradient, and half of it unseen."""
    x, y = mesh.vertices[:, :2].T / 2.2 + 0.5
    return replace(colored(mesh, np.stack([x, y, 1 - x], axis=1), seen=(x > 0.5).astype(np.float32)), metallic=x, roughness=y)


def all_maps(baker: Baker) -> list[np.ndarray]:
    """Bake everything."""
    normal = baker.normal_map()
    maps = [*baker.color_maps(), *baker.material_maps(), normal, baker.normal_error(normal // 1024 * 1024)]
    return [*maps, baker.occlusion_map(Sky(16, 1.0))]


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_every_map_of_the_kernels_is_that_of_the_arrays(samples: int) -> None:
    """Same texels found in the same way; maps differ by one step of their depth at most."""
    cpu, gpu = both(low_square(), painted(waves()), samples=samples)
    np.testing.assert_array_equal(gpu.texel, cpu.texel)
    np.testing.assert_array_equal(gpu.kind, cpu.kind)
    assert gpu.overlap == cpu.overlap == 0
    maps, theirs = all_maps(cpu), all_maps(gpu)
    for one, other in zip(maps, theirs, strict=True):
        assert one.dtype == other.dtype
        assert one.std() > 0
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


@pytest.mark.parametrize("rays", [1, 2, 12, 32])
def test_the_order_of_rays_does_not_matter(rays: int) -> None:
    """Sent cell by cell, whatever their number, they are the rays of the pattern: occlusion is that of the arrays."""
    cpu, gpu = both(low_square(), deep(), 32, 0.4)
    difference = np.abs(cpu.occlusion_map(Sky(rays, 1.0)).astype(int) - gpu.occlusion_map(Sky(rays, 1.0)))
    assert (difference > 1).mean() < 0.01, "a ray that grazes an edge may be blocked in one of the two"


def deep() -> SourceMesh:
    """Make a source of hollows."""
    return colored(sheet(lambda x, y: 0.2 * np.sin(9 * x) * np.cos(7 * y), cells=40))


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("sky", [Sky(16, 0.4, falloff=1.5), Sky(16, 0.4, ground=True), Sky(16, 0.4, denoise=True)])
def test_what_else_darkens_is_the_same_on_both(sky: Sky, samples: int) -> None:
    """Falloff, the ground and the filter against noise change the map, and change it alike."""
    low = low_square()
    upright = replace(low, vertices=np.ascontiguousarray(low.vertices[:, [0, 2, 1]] * np.float32([1, 1, -1])))
    lowered = deep()
    turned = replace(lowered.mesh, vertices=np.ascontiguousarray(lowered.mesh.vertices[:, [0, 2, 1]] * np.float32([1, 1, -1])))
    turned = replace(turned, normals=vertex_normals(turned.vertices, turned.faces))
    cpu, gpu = both(unwrapped(upright.vertices, upright.faces, low.uv), replace(lowered, mesh=turned), 32, 0.4, samples=samples)
    plain, ours, theirs = cpu.occlusion_map(Sky(16, 0.4)), cpu.occlusion_map(sky), gpu.occlusion_map(sky)
    assert np.abs(plain.astype(int) - ours).mean() > 1
    assert (np.abs(ours.astype(int) - theirs) > 1).mean() < 0.01, "a ray that grazes an edge may be blocked in one of the two"


def test_a_crease_is_the_same_on_both() -> None:
    """Flat faces give another map than smooth ones, and the kernels' is that of the arrays."""
    cpu, gpu = both(low_square(), deep(), crease=0.0)
    smooth = GpuBaker(low_square(), deep(), 64, Search(0.2), DEVICE).normal_map()
    assert np.abs(cpu.normal_map().astype(int) - smooth).mean() > 100
    difference = np.abs(cpu.normal_map().astype(int) - gpu.normal_map()).max(axis=2)
    assert (difference > 2).mean() < 0.02, "a ray that meets an edge may take either of its faces"


def test_bands_leave_no_seam() -> None:
    """An atlas made of many bands, none of them kept, is that made at once, on both sides."""
    low, source, search = low_square(), painted(waves()), Search(0.2, samples=2)
    whole = [all_maps(baker) for baker in both(low, source, samples=2)]
    parts: list[Baker] = [CpuBaker(TinyBuffer(low, source, 64, search)), TinyBaker(low, source, 64, search, DEVICE)]
    for one, other in zip(whole, map(all_maps, parts), strict=True):
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


class TinyBuffer(GBuffer):
    """Work in bands of five rows."""

    band, kept = 5 * 64 * 4, 1000


class TinyBaker(GpuBaker):
    """Work in bands of five rows."""

    band, kept = 5 * 64 * 4, 1000


@pytest.mark.parametrize("rays", [1, 2, 7, 16, 32, 64, 100, 1024])
def test_each_cell_holds_one_point(rays: int) -> None:
    """in_cells sorts the very points of the pattern into the cells of its grid, one each."""
    pattern = hammersley(rays)
    points, (high, low) = in_cells(pattern)
    assert sorted(map(tuple, points.tolist())) == sorted(map(tuple, pattern.tolist()))
    assert high * low == rays
    np.testing.assert_array_equal(np.floor(points[:, 0] * high) * low + np.floor(points[:, 1] * low), np.arange(rays))


@pytest.mark.parametrize(("shape", "name"), [((700, 3), "vec3"), ((70, 2), "vec2d"), ((50, 3, 2), "vec2"), ((900, 3), "uint8")])
def test_arrays_cross_in_pieces_unchanged(shape: tuple[int, ...], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up and down again through a stage far smaller than the array, vectors or not."""
    import warp

    monkeypatch.setattr(gpu_copy, "STAGE", 1000)
    kind = {"uint8": np.uint8, "vec2d": np.float64}.get(name, np.float32)
    values = (np.random.default_rng(3).random(shape) * 200).astype(kind)
    there = gpu_copy.upload(values, getattr(warp, name), DEVICE)
    np.testing.assert_array_equal(there.numpy(), values)
    np.testing.assert_array_equal(gpu_copy.download(there), values)


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


def test_textures_that_repeat_colour_alike() -> None:
    """A source with pictures of its own, laid three times over it: colours, metallic and roughness are the same on both."""
    mesh, rng = waves(), np.random.default_rng(7)
    uv = (mesh.vertices[:, :2] * 1.5 - 0.2)[mesh.faces].astype(np.float32)
    color, material = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8), rng.integers(0, 256, (8, 8, 2), dtype=np.uint8)
    cpu, gpu = both(low_square(), replace(painted(mesh), texture=SurfaceTexture(uv, color, material)))
    for one, other in zip([*cpu.color_maps(), *cpu.material_maps()], [*gpu.color_maps(), *gpu.material_maps()], strict=True):
        assert one.std() > 0
        assert (np.abs(one.astype(int) - other) > 1).mean() < 0.001


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
        GpuBaker(low_square(), far, 16, Search(0.02), device=DEVICE)
    with pytest.raises(StageError, match="met at none of 256 texels"):
        gbuffer(low_square(), far, 16, 0.02)


@pytest.mark.skipif(bool(gpu_name()), reason="speaks of machines without a GPU")
def test_nvdiffrast_without_a_gpu_says_what_to_write() -> None:
    """The choice is refused with the word that gives the same coverage anywhere."""
    with pytest.raises(BackendUnavailable, match="needs an NVIDIA GPU") as caught:
        make_baker(low_square(), colored(waves()), 16, Search(0.1, raster="nvdiffrast"))
    assert "raster: own" in caught.value.hint
