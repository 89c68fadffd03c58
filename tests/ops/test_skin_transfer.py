from __future__ import annotations

from dataclasses import replace
from functools import cache

import fast_simplification
import numpy as np
import pytest

from forge_batch.backends.humanoid import make_rig
from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, rig_fault
from forge_batch.ops.skin_transfer import transfer_rig
from forge_batch.ops.skinned_glb import decode_skinned_glb
from tests import shapes
from tests.figures import human
from tests.skinned_glb import encode_skinned_glb


@cache
def coarse() -> tuple[Mesh, Rig]:
    """Rig a person of half the triangles, as a rigger that decimates does."""
    mesh, _ = human()
    points, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=2000)
    small = Mesh(points.astype(np.float32), faces.astype(np.int32))
    return small, make_rig(small, lambda *_: None).rig


def dense(rig: Rig) -> np.ndarray:
    """Give the weight of every joint at every vertex."""
    result = np.zeros((len(rig.weights), len(rig.names)))
    for column in range(rig.weights.shape[1]):
        np.add.at(result, (np.arange(len(result)), rig.influences[:, column]), rig.weights[:, column])
    return result


@pytest.mark.parametrize(
    ("turn", "scale", "offset"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 1.0, (0, 0, 0)),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 1.2, (0.1, -1.0, 0.2)),
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], 0.6, (0, 0, 3.0)),
        ([[1, 0, 0], [0, 0, 1], [0, -1, 0]], 100.0, (5.0, 0, 0)),
    ],
    ids=["as it is", "scaled", "Z up in a cube", "the other way, in cm"],
)
def test_a_decimated_copy_in_another_frame_gives_its_weights(
    turn: list[list[int]], scale: float, offset: tuple[float, ...]
) -> None:
    """Weights differ by 1 % on average from those made on the full mesh, joints by less than 5 mm; four of sum 1 stay."""
    mesh, _ = human()
    small, rig = coarse()
    matrix = np.array(turn, np.float64) * scale
    copy = Mesh((small.vertices @ matrix.T + offset).astype(np.float32), small.faces)
    far = replace(rig, joints=(rig.joints @ matrix.T + offset).astype(np.float32))
    made, distance = transfer_rig(copy, far, mesh)
    assert rig_fault(made, len(mesh.vertices)) is None
    assert distance < 0.005
    np.testing.assert_allclose(made.joints, rig.joints, atol=0.005)
    full = make_rig(mesh, lambda *_: None).rig
    assert np.abs(dense(made) - dense(full)).mean() < 0.01


def test_a_vertex_inside_a_triangle_gets_the_mean_of_its_corners() -> None:
    """In the middle of a triangle whose corners follow one joint each, each joint has a third."""
    copy = Mesh(np.float32([[0, 0, 0], [3, 0, 0], [0, 3, 0]]), np.array([[0, 1, 2]], np.int32))
    joints = np.arange(3, dtype=np.int32)[:, None]
    rig = Rig(("a", "b", "c"), copy.vertices, np.array([-1, 0, 0], np.int32), joints, np.ones((3, 1), np.float32))
    mesh = Mesh(np.float32([[0, 0, 0], [3, 0, 0], [0, 3, 0], [1, 1, 0]]), np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32))
    made, _ = transfer_rig(copy, rig, mesh)
    np.testing.assert_allclose(dense(made), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]], atol=1e-6)


def test_another_shape_is_refused() -> None:
    """A person's rig is not laid onto a box."""
    with pytest.raises(StageError, match="another shape"):
        transfer_rig(*coarse(), shapes.box())


def test_a_skinned_file_is_read_as_it_shows_itself() -> None:
    """A GLB whose joints were moved after the bind shows the moved mesh, and that is what is read."""
    mesh, rig = coarse()
    read, found = decode_skinned_glb(encode_skinned_glb(mesh, rig), "a.glb")
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-5)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    order = [found.names.index(name) for name in rig.names]
    np.testing.assert_allclose(found.joints[order], rig.joints, atol=1e-5)
    np.testing.assert_allclose(dense(found)[:, order], dense(rig), atol=1e-6)
    raised = encode_skinned_glb(mesh, rig, lift=0.25)
    np.testing.assert_allclose(
        decode_skinned_glb(raised, "a.glb")[0].vertices, mesh.vertices + np.float32([0, 0.25, 0]), atol=1e-5
    )
