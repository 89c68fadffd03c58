from __future__ import annotations

import numpy as np
import pytest

from forge_batch.ops.gpu_name import gpu_name
from forge_batch.ops.mesh import Mesh
from tests.shapes import blob, box, join

wp = pytest.importorskip("warp")

from forge_batch.ops.gpu_tree import build_tree  # noqa: E402 - both import warp
from forge_batch.ops.warp_tree import Tree, meet  # noqa: E402

DEVICE = "cuda:0" if gpu_name() else "cpu"
REACH = 3.0


@wp.kernel(enable_backward=False)
def ask_both(
    tree: Tree,
    scene: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    along: wp.array(dtype=wp.vec3),
    found: wp.array(dtype=wp.float32, ndim=2),
) -> None:
    """Ask for the nearest face, for any face, and Warp's own tree for the nearest."""
    i = wp.tid()
    found[i, 0] = meet(tree, origins[i], along[i], REACH, False)
    found[i, 1] = meet(tree, origins[i], along[i], REACH, True)
    other = wp.mesh_query_ray(scene, origins[i], along[i], REACH)
    found[i, 2] = wp.where(other.result, other.t, REACH)


def rays(mesh: Mesh, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Send rays every way from everywhere in and around a mesh, a tenth of them along an axis."""
    rng = np.random.default_rng(1)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    origins = low + (rng.random((count, 3)) * 1.4 - 0.2) * (high - low)
    along = rng.normal(size=(count, 3))
    along[: count // 10] = np.eye(3)[rng.integers(0, 3, count // 10)] * rng.choice([-1, 1], (count // 10, 1))
    return origins.astype(np.float32), (along / np.linalg.norm(along, axis=1, keepdims=True)).astype(np.float32)


ONE = Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0.1]]), np.int32([[0, 1, 2]]))
MESHES = {
    "one face": ONE,
    "a box": box(),
    "five boxes, far from the origin": join(*(box((0.1, 0.2, 0.3), (5 + 0.3 * k, 8, -7)) for k in range(5))),
    "a blob of 20,000 faces": blob(),
    "with faces of no area": Mesh(ONE.vertices, np.int32([[0, 1, 2], *[[1, 1, 1]] * 40])),
}


@pytest.mark.parametrize("name", MESHES)
def test_a_ray_finds_what_warps_own_tree_finds(name: str) -> None:
    """The nearest face is as far as by Warp's own tree, and any face is found if and only if there is one."""
    mesh = MESHES[name]
    vertices, faces = wp.array(mesh.vertices, dtype=wp.vec3, device=DEVICE), wp.array(mesh.faces, dtype=wp.int32, device=DEVICE)
    tree = build_tree(vertices, faces, mesh.bounds)
    origins, along = rays(mesh)
    found = wp.zeros((len(origins), 3), dtype=wp.float32, device=DEVICE)
    theirs = wp.Mesh(vertices, faces.flatten())
    sent = [tree, theirs.id, *(wp.array(one, dtype=wp.vec3, device=DEVICE) for one in (origins, along))]
    wp.launch(ask_both, len(origins), [*sent, found], device=DEVICE)
    nearest, any_, other = found.numpy().T
    assert 0.01 < (other < REACH).mean() < 0.99
    same = np.abs(nearest - other) < 1e-4
    assert (~same).mean() < 0.001, "a ray that grazes an edge may pass in one of the two"
    np.testing.assert_array_equal(any_ < REACH, nearest < REACH)
    assert (any_ >= nearest - 1e-6).all()
