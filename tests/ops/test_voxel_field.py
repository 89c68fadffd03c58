from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import SourceMesh, load_source, save_source
from forge_batch.ops.voxel_field import VoxelField


def field_of(voxels: dict[tuple[int, int, int], int], frame: np.ndarray | None = None) -> VoxelField:
    """Give a field whose five values are equal, by voxel."""
    values = np.repeat(np.array(list(voxels.values()), np.uint8)[:, None], 5, axis=1)
    return VoxelField(np.array(list(voxels), np.int16), values, np.eye(4) if frame is None else frame)


def test_values_are_those_of_the_centres_and_straight_between_them() -> None:
    """At voxel c's centre, c + 0.5, the value is its own; halfway between two it is their mean."""
    field = field_of({(4, 2, 7): 0, (5, 2, 7): 200})
    points = np.array([(4.5, 2.5, 7.5), (5.5, 2.5, 7.5), (5.0, 2.5, 7.5), (4.75, 2.5, 7.5)])
    np.testing.assert_allclose(field.read(points)[:, 0] * 255, [0, 200, 100, 50], atol=1e-3)


def test_a_linear_function_is_kept() -> None:
    """A full block whose values rise by 10 a voxel along each axis gives that plane everywhere between the centres."""
    voxels = {(x, y, z): 10 * (x + y + z) for x in range(4) for y in range(4) for z in range(4)}
    points = np.random.default_rng(1).uniform(0.5, 3.5, (50, 3))
    np.testing.assert_allclose(field_of(voxels).read(points)[:, 3] * 255, 10 * (points - 0.5).sum(axis=1), atol=1e-3)


def test_absent_voxels_do_not_darken() -> None:
    """Next to a hole the present neighbours alone count; far from all, the nearest voxel does."""
    field = field_of({(0, 0, 0): 100, (9, 9, 9): 40})
    points = np.array([(0.9, 0.9, 0.9), (3.0, 3.0, 3.0), (-50.0, 0.0, 0.0), (1e6, 1e6, 1e6)])
    np.testing.assert_allclose(field.read(points)[:, 0] * 255, [100, 100, 100, 40], atol=1e-3)


def test_a_moved_field_is_read_at_the_moved_point() -> None:
    """Rotation, scale and translation of object and point together change nothing."""
    rng = np.random.default_rng(2)
    field = field_of({tuple(map(int, c)): int(v) for *c, v in rng.integers(0, 6, (40, 4))})  # type: ignore[misc]
    points = rng.uniform(0, 6, (30, 3))
    matrix = np.eye(4)
    matrix[:3, :3] = 2.5 * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    matrix[:3, 3] = (3, -4, 5)
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(field.moved(matrix).read(moved), field.read(points), atol=1e-6)


def test_a_source_with_a_field_is_kept_in_a_file_and_sampled_from_the_field(tmp_path: Path) -> None:
    """Between vertices the field decides: a stripe that no vertex carries comes back from the file, decoded to linear."""
    mesh = Mesh(np.array([(0, 0, 0), (3, 0, 0), (0, 3, 0)], np.float32), np.array([(0, 1, 2)], np.int32))
    grey = np.zeros(3, np.float32)
    field = VoxelField(
        np.array([(0, 0, 0), (1, 1, 0), (2, 0, 0)], np.int16),
        np.array([(0, 0, 0, 0, 0), (255, 188, 0, 128, 64), (0, 0, 0, 0, 0)], np.uint8),
        np.eye(4),
    )
    save_source(tmp_path / "s.npz", SourceMesh(mesh, np.zeros((3, 3), np.float32), grey, grey, grey + 1, (), field))
    samples = load_source(tmp_path / "s.npz").sample(np.array([0]), np.array([[0.0, 0.5, 0.5]]))
    # at (1.5, 1.5, 0) only voxel (1, 1, 0) lies within reach
    np.testing.assert_allclose(samples.base_color, [[1.0, 0.5029, 0.0]], atol=1e-3)
    assert samples.metallic[0] == pytest.approx(128 / 255, abs=1e-6)
    assert samples.roughness[0] == pytest.approx(64 / 255, abs=1e-6)
