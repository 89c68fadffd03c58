"""Plant defects of every kind in sound shapes and see the gates find each, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forge_batch.ops.measure_atlas import measure_layout
from forge_batch.ops.measure_shape import Soundness, measure_soundness
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.simplify import simplify
from tests.broken.parts import area_normals, inscribed_ball, solid_bits
from tests.broken.trial import sound_shapes
from tests.shapes import join

NAMES = ("horse", "crate", "bone", "cow")
SEEDS = 8
NOTHING = Soundness(0, 0, 0, 0, 0, 0, 0.0)

Random = np.random.Generator


def _hole(mesh: Mesh, rng: Random) -> Mesh:
    return Mesh(mesh.vertices, np.delete(mesh.faces, rng.integers(len(mesh.faces)), axis=0))


def _turned(mesh: Mesh, rng: Random) -> Mesh:
    faces = mesh.faces.copy()
    at = rng.integers(len(faces))
    faces[at] = faces[at][::-1]
    return Mesh(mesh.vertices, faces)


def _fin(mesh: Mesh, rng: Random) -> Mesh:
    a, b, _ = mesh.faces[rng.integers(len(mesh.faces))]
    tip = mesh.vertices[a] + 0.05 * area_normals(mesh)[a]
    faces = np.concatenate([mesh.faces, [[a, b, len(mesh.vertices)]]]).astype(np.int32)
    return Mesh(np.concatenate([mesh.vertices, tip[None]]).astype(np.float32), faces)


def _inside_out(mesh: Mesh, _: Random) -> Mesh:
    return Mesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]))


def _sliver(mesh: Mesh, rng: Random) -> Mesh:
    points = mesh.vertices.copy()
    a, b, _ = mesh.faces[rng.integers(len(mesh.faces))]
    points[a] = points[b]
    return Mesh(points, mesh.faces)


def _floater(mesh: Mesh, rng: Random) -> Mesh:
    place = mesh.vertices.max(axis=0) + rng.uniform(0.05, 0.3, 3)
    return join(mesh, solid_bits(place[None], rng.uniform(0.001, 0.005, 1), 0))


def _shell(mesh: Mesh, rng: Random) -> Mesh:
    centre, radius = inscribed_ball(mesh, rng)
    return join(mesh, solid_bits(centre[None], np.array([0.9 * radius]), 1))


DEFECTS: dict[str, tuple[Callable[[Mesh, Random], Mesh], str]] = {
    "hole": (_hole, "open_edges"),
    "turned": (_turned, "conflicting_edges"),
    "fin": (_fin, "crowded_edges"),
    "inside out": (_inside_out, "inverted_parts"),
    "sliver": (_sliver, "slivers"),
    "floater": (_floater, "floaters"),
    "shell": (_shell, "inner_share"),
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mesh]:
    """Sound shapes of 3,000 triangles at most."""
    made = sound_shapes(NAMES, Path(tmp_path_factory.mktemp("shapes")))
    return {name: simplify(mesh, 3000, preview=False, solid=True) for name, mesh in made.items()}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_planted_defect_is_found(defect: str, shapes: dict[str, Mesh]) -> None:
    """One of 224 defects of 7 kinds, small ones among them, is never missed."""
    plant, measure = DEFECTS[defect]
    for name, mesh in shapes.items():
        for seed in range(SEEDS):
            found = measure_soundness(plant(mesh, np.random.default_rng(seed)))
            assert getattr(found, measure) > 0, (name, seed)


def test_nothing_is_found_where_nothing_is(shapes: dict[str, Mesh]) -> None:
    """52 clean meshes, four shapes at thirteen numbers of triangles, have no defect of any kind."""
    levels = [simplify(mesh, 200 + 200 * k, preview=False, solid=True) for mesh in shapes.values() for k in range(13)]
    assert len(levels) == 52
    assert [measure_soundness(mesh) for mesh in levels] == [NOTHING] * len(levels)


def _laid_out(mesh: Mesh) -> Mesh:
    """Give every face a cell of its own on the page, half a cell filled."""
    edge = int(np.ceil(np.sqrt(len(mesh.faces))))
    row, column = np.divmod(np.arange(len(mesh.faces)), edge)
    corner = np.array([[0.2, 0.2], [0.2, 0.8], [0.8, 0.2]])  # counter-clockwise with v down
    uv = (np.stack([column, row], axis=1)[:, None] + corner) / edge
    faces = np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3)
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), faces, uv=uv.reshape(-1, 2).astype(np.float32))


def _spoilt(mesh: Mesh, rng: Random, kind: str) -> Mesh:
    uv = mesh.uv.copy().reshape(-1, 3, 2)
    one, other = rng.choice(len(uv), 2, replace=False)
    if kind == "overlap":
        uv[one] = uv[other]
    elif kind == "mirrored":
        uv[one] = uv[one][::-1]
    else:
        uv[one] = uv[one][:1]
    return Mesh(mesh.vertices, mesh.faces, uv=uv.reshape(-1, 2))


@pytest.mark.parametrize(("kind", "measure"), [("overlap", "overlap"), ("mirrored", "mirrored"), ("flat", "empty_faces")])
def test_each_defect_of_a_layout_is_found(kind: str, measure: str, shapes: dict[str, Mesh]) -> None:
    """One of 96 faces that lies on another, from behind or flat is never missed, and the layouts before have none."""
    for mesh in shapes.values():
        sound = _laid_out(mesh)
        assert measure_layout(sound, 1024, 0.0)[:2] == (0, 0)
        assert measure_layout(sound, 1024, 0.0).mirrored == 0
        for seed in range(SEEDS):
            assert getattr(measure_layout(_spoilt(sound, np.random.default_rng(seed), kind), 1024, 0.0), measure) > 0
