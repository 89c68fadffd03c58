from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from forge_batch.ops.camera import Camera
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import STRETCHED, Projection, SourceMesh


def ball(*directions: tuple[float, float, float]) -> SourceMesh:
    """Make a ball that pictures from these directions colour alike, wherever they look."""
    shape = trimesh.creation.icosphere(subdivisions=4)
    mesh = Mesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32), normals=shape.vertices.astype(np.float32))
    one = np.ones(len(mesh.vertices), np.float32)
    pictures = []
    for direction in directions:
        back = -np.array(direction, np.float64)
        right = np.cross(back, [0.0, 1.0, 0.0])
        rotation = np.array([right, np.cross(back, right), back])
        camera = Camera(
            np.column_stack([rotation, [0, 0, 5]]), np.array([40.0, 40.0]), np.array([50.0, 50.0]), (100, 100), True
        )
        weight = (mesh.normals @ np.float32(direction) > 0.05).astype(np.float32)
        pictures.append(Projection(np.full((100, 100, 3), 128, np.uint8), camera, weight))
    grey = np.full((len(one), 3), 0.2, np.float32)
    return SourceMesh(mesh, grey, 0 * one, one, np.max([picture.weights for picture in pictures], axis=0), tuple(pictures))


def seen_at_vertices(source: SourceMesh) -> np.ndarray:
    """Sample the first corner of every face."""
    return source.sample(np.arange(len(source.mesh.faces)), np.tile([1.0, 0.0, 0.0], (len(source.mesh.faces), 1))).seen


def test_what_a_picture_shows_stretched_does_not_count_as_seen() -> None:
    """On a ball seen from the front exactly the points whose normal has a cosine of 0.18 or more to the viewer are seen."""
    source = ball((0.0, 0.0, 1.0))
    cosine = source.mesh.vertices[source.mesh.faces[:, 0], 2]
    clear = np.abs(cosine - STRETCHED) > 1e-3
    np.testing.assert_array_equal(seen_at_vertices(source)[clear] > 0.5, (cosine > STRETCHED)[clear])


def test_one_picture_that_is_not_stretched_suffices() -> None:
    """Where the front is stretched the side view sees well: between both, half the weight keeps such points seen."""
    source = ball((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    corner = source.mesh.vertices[source.mesh.faces[:, 0]]
    both = (corner[:, 2] > 0.06) & (corner[:, 2] < STRETCHED - 0.01) & (corner[:, 0] > 0.5)
    assert both.sum() > 10
    np.testing.assert_allclose(seen_at_vertices(source)[both], 0.5, atol=1e-6)


@pytest.mark.parametrize("change", ["no pictures", "no normals"])
def test_without_pictures_or_normals_the_generator_is_believed(change: str) -> None:
    """A learned generator's `seen` is handed on as it is."""
    source = ball((0.0, 0.0, 1.0))
    plain = replace(source, projections=()) if change == "no pictures" else replace(
        source, mesh=replace(source.mesh, normals=None)
    )  # fmt: skip
    np.testing.assert_array_equal(seen_at_vertices(plain), source.seen[source.mesh.faces[:, 0]])
