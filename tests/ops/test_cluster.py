"""Coarsen meshes to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from forge_batch.ops.cluster import preview_mesh
from forge_batch.ops.deviation import measure_deviation
from forge_batch.ops.mesh import Mesh, save_mesh
from forge_batch.previews import Previews
from forge_batch.source_preview import SOURCE_FACES
from tests.shapes import blob, box


def test_a_preview_keeps_to_its_triangles_and_near_the_surface() -> None:
    """46,000 faces become at most 1,000 that lie within a percent of the diagonal of the shape, almost everywhere."""
    mesh = blob(100)
    made = preview_mesh(mesh, 1000)
    assert 500 < len(made.faces) <= 1000
    assert measure_deviation(made, mesh, 10_000).p99 < 0.01 * mesh.diagonal


def test_the_page_shows_the_mesh_that_all_was_made_from(tmp_path: Path) -> None:
    """A GLB of at most 60,000 triangles in the size of the generator's mesh, made once."""
    mesh = blob(120)
    save_mesh(tmp_path / "mesh.npz", mesh)
    (tmp_path / "package.zip").write_bytes(b"a package")
    previews = Previews(tmp_path, tmp_path / "package.zip", source=tmp_path)
    shown = trimesh.load(previews.source_model(), force="mesh")
    assert 30_000 < len(shown.faces) <= SOURCE_FACES < len(mesh.faces)
    assert np.ptp(shown.vertices, axis=0) == pytest.approx(np.ptp(mesh.vertices, axis=0), rel=0.01)
    before = previews.source_model().stat().st_mtime_ns
    assert previews.source_model().stat().st_mtime_ns == before


def test_what_is_coarse_already_stays_as_it_is() -> None:
    """A box has too few triangles to lose any."""
    assert preview_mesh(box(), 100).faces.tolist() == box().faces.tolist()


def test_a_flat_or_tiny_mesh_is_no_error() -> None:
    """A sheet without thickness, a nanometre wide, is coarsened like anything else."""
    sheet = blob(60)
    flat = Mesh((sheet.vertices * [1e-9, 0, 1e-9]).astype(np.float32), sheet.faces)
    assert 0 < len(preview_mesh(flat, 200).faces) <= 200
