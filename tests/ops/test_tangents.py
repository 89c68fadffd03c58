from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.tangents import split_by_tangent, tangents
from tests.readers import NODE_MODULES, needs_node

TESTS = Path(__file__).parents[1]
ORACLE = """
const { generateTangents } = require(process.argv[1] + '/mikktspace');
const fs = require('fs');
const read = (name) => {
  const b = fs.readFileSync(process.argv[2] + '/' + name);
  return new Float32Array(b.buffer, b.byteOffset, b.length / 4);
};
fs.writeFileSync(process.argv[2] + '/out', Buffer.from(generateTangents(read('p'), read('n'), read('t')).buffer));
"""


def reference(name: str) -> Mesh:
    """Load a textured reference object; vertices are already split at its UV seams."""
    scene = trimesh.load(TESTS / "data" / name / "reference.glb")
    loaded = scene.to_geometry()
    vertices, faces = loaded.vertices.astype(np.float32), loaded.faces.astype(np.int32)
    uv = np.asarray(loaded.visual.uv, np.float32).copy()
    uv[:, 1] = 1 - uv[:, 1]
    return Mesh(vertices, faces, uv=uv, normals=split_vertex_normals(vertices, faces))


def torus(mirrored: bool = True) -> Mesh:
    """Make a torus whose UV grid is cut on both rings; the right half of the charts is mirrored in U if asked."""
    u, v = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 21), indexing="ij")
    a, b = 2 * np.pi * (u % 1), 2 * np.pi * (v % 1)
    points = np.stack([(1 + 0.4 * np.cos(b)) * np.cos(a), 0.4 * np.sin(b), -(1 + 0.4 * np.cos(b)) * np.sin(a)], -1)
    index = np.arange(41 * 21).reshape(41, 21)
    quads = [index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]]
    faces = np.concatenate([np.stack([quads[k] for k in t], -1).reshape(-1, 3) for t in ((0, 1, 2), (0, 2, 3))])
    vertices = points.reshape(-1, 3).astype(np.float32)
    uv = np.stack([np.abs(2 * u - 1) if mirrored else u, v], -1).reshape(-1, 2).astype(np.float32)
    return Mesh(vertices, faces.astype(np.int32), uv=uv, normals=split_vertex_normals(vertices, faces))


def quad(uv: list[list[float]]) -> Mesh:
    """Make the unit square in the XY plane, seen from +Z, with given UVs (bottom left, bottom right, top right, top left)."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    normals = np.tile(np.float32([0, 0, 1]), (4, 1))
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), uv=np.array(uv, np.float32), normals=normals)


UPRIGHT = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]


def oracle(mesh: Mesh, folder: Path) -> np.ndarray:
    """Ask the npm package: per-corner tangents with V turned to point up the texture."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    uv = mesh.uv * np.float32([1, -1]) + np.float32([0, 1])
    for name, values in (("p", mesh.vertices), ("n", mesh.normals), ("t", uv)):
        values[mesh.faces].astype(np.float32).tofile(folder / name)
    subprocess.run(["node", "-e", ORACLE, str(NODE_MODULES), str(folder)], check=True, timeout=60)
    return np.fromfile(folder / "out", np.float32).reshape(-1, 3, 4)


@pytest.mark.node
@pytest.mark.parametrize("name", ["horse", "ammo_crate", "wood_barrel", "torus", "mirrored_torus", "flattened_torus"])
def test_tangents_equal_those_of_the_reference_implementation(name: str, tmp_path: Path) -> None:
    """On real meshes and mirrored charts p99 of the angle to mikktspace 1.1.1 is below 0.1 degree and every sign equal."""
    needs_node("mikktspace")
    mesh = torus(mirrored=name != "torus") if name.endswith("torus") else reference(name)
    if name == "flattened_torus":
        assert mesh.uv is not None
        mesh.uv[300:400, 0] = mesh.uv[300, 0]
    ours, theirs = tangents(mesh), oracle(mesh, tmp_path)
    # Corners that no group reaches keep their initial (1, 0, 0, -1), even where that is the normal; ours are orthogonal to it.
    unset = (theirs == np.float32([1, 0, 0, -1])).all(axis=2) & without_uv_area(mesh)[:, None]
    assert unset.mean() < 0.1
    cosine = np.clip(np.einsum("fcx,fcx->fc", ours[..., :3], theirs[..., :3]), -1, 1)
    assert np.percentile(np.degrees(np.arccos(cosine[~unset])), 99) < 0.1
    np.testing.assert_array_equal(ours[~unset, 3], theirs[~unset, 3])


def without_uv_area(mesh: Mesh) -> np.ndarray:
    """Tell the faces whose UVs lie on a line."""
    assert mesh.uv is not None
    a, b, c = np.moveaxis(mesh.uv[mesh.faces].astype(np.float64), 1, 0)
    return np.asarray((b - a)[:, 0] * (c - a)[:, 1] == (b - a)[:, 1] * (c - a)[:, 0])


def test_a_tangent_points_along_growing_u_and_the_bitangent_up_the_texture() -> None:
    """On an upright square T is +X, N is +Z, and `B = w * cross(N, T)` is +Y, where row 0 of the texture lies."""
    result = tangents(quad(UPRIGHT))
    np.testing.assert_allclose(result, np.broadcast_to([1, 0, 0, 1], (2, 3, 4)), atol=1e-7)


def test_a_mirrored_chart_has_the_other_sign() -> None:
    """With U mirrored T is -X and w is -1, so that B still points up the texture."""
    result = tangents(quad([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(result, np.broadcast_to([-1, 0, 0, -1], (2, 3, 4)), atol=1e-7)


@pytest.mark.parametrize("uv", [[[0.5, 0.5]] * 4, [[0.2, 0.5], [0.5, 0.5], [0.9, 0.5], [0.6, 0.5]]])
def test_faces_without_uv_area_get_unit_tangents_orthogonal_to_the_normal(uv: list[list[float]]) -> None:
    """Charts collapsed to a point or a line give no NaN but unit tangents in the surface."""
    result = tangents(quad(uv))
    np.testing.assert_allclose(np.linalg.norm(result[..., :3], axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(result[..., 2], 0, atol=1e-6)


def test_a_face_without_area_borrows_from_its_neighbour() -> None:
    """A face with two corners at one place gets the tangents of the faces that share its corners."""
    mesh = quad(UPRIGHT)
    with_sliver = Mesh(mesh.vertices, np.vstack([mesh.faces, [[0, 0, 1]]]).astype(np.int32), mesh.uv, mesh.normals)
    np.testing.assert_allclose(tangents(with_sliver)[2], np.broadcast_to([1, 0, 0, 1], (3, 4)), atol=1e-7)


def test_splitting_keeps_every_corner_and_splits_only_where_tangents_differ() -> None:
    """After the split each corner reads its own tangent, position and UV; an unmirrored square keeps its 4 vertices."""
    mesh = torus()
    split = split_by_tangent(mesh)
    assert split.tangents is not None
    assert split.uv is not None
    assert mesh.uv is not None
    np.testing.assert_array_equal(split.tangents[split.faces], tangents(mesh))
    np.testing.assert_array_equal(split.vertices[split.faces], mesh.vertices[mesh.faces])
    np.testing.assert_array_equal(split.uv[split.faces], mesh.uv[mesh.faces])
    # The mirror line u = 0.5 is one ring of 21 vertices; each stands on both sides with another sign.
    assert len(split.vertices) == len(mesh.vertices) + 21
    assert len(split_by_tangent(quad(UPRIGHT)).vertices) == 4


def test_splitting_merges_vertices_that_are_equal_in_everything() -> None:
    """A square whose two faces have vertices of their own comes back with 4."""
    mesh = quad(UPRIGHT)
    assert mesh.uv is not None
    assert mesh.normals is not None
    corner = mesh.faces.ravel()
    apart = Mesh(mesh.vertices[corner], np.arange(6, dtype=np.int32).reshape(2, 3), mesh.uv[corner], mesh.normals[corner])
    assert len(split_by_tangent(apart).vertices) == 4


def test_the_oracle_is_pinned() -> None:
    """tests/node/package.json names the exact version of mikktspace that these tests speak of."""
    assert json.loads((TESTS / "node" / "package.json").read_text())["dependencies"]["mikktspace"] == "1.1.1"
