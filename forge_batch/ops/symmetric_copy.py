"""Make a mesh and its source symmetric, in one of three ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.radial_symmetry import find_pose, turn_about_y
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.symmetry import Folded, asymmetry, carry, find_mirror, fold, unfold

Mode = Literal["bilateral_x", "bilateral_y", "radial"]


@dataclass(frozen=True)
class Symmetry:
    """Be a symmetry: the planes that bound the kept part, the copies that rebuild the whole, and how far the object is from it.

    Attributes:
        planes: (point, normal) each; the kept part lies on the positive side of all.
        transforms: A (4, 4) matrix for each copy, the identity first.
        shared: The plane that copy k shares with copy k + 1.
        asymmetry: Worst 95th percentile of distances between the surface and its images, in diagonals.
    """

    planes: list[tuple[np.ndarray, np.ndarray]]
    transforms: list[np.ndarray]
    shared: list[int]
    asymmetry: float


def find_symmetry(mesh: Mesh, mode: Mode, count: int) -> Symmetry:
    """Find where the planes of a symmetry lie best.

    `bilateral_x` mirrors left and right and keeps the +x side; `bilateral_y` mirrors top and bottom and keeps the upper side;
    the plane may be tilted where that is how the thing stands, see `find_mirror`. `radial` is the symmetry of a regular polygon
    round an axis that may lean, turned as it stands (see `find_pose`), `count` mirrored wedges: rotation alone would leave
    wedges whose cut sides do not meet.
    """
    if mode != "radial":
        axis = 0 if mode == "bilateral_x" else 1
        point, normal = find_mirror(mesh, axis)
        image = _reflect(point, normal)
        return Symmetry([(point, normal)], [np.eye(4), image], [0], asymmetry(mesh, image))
    pose, half = find_pose(mesh, count), np.pi / count
    centre, back = pose[:3, 3], np.linalg.inv(pose)
    sides = [(centre, pose[:3, :3] @ _across(0.0)), (centre, -pose[:3, :3] @ _across(half))]
    transforms, shared = [np.eye(4)], [1]
    for k in range(1, 2 * count):
        local = turn_about_y(half * (k + k % 2)) @ (np.diag([1.0, 1.0, -1.0, 1.0]) if k % 2 else np.eye(4))
        transforms.append(pose @ local @ back)
        shared.append(1 - k % 2)
    worst = max(asymmetry(mesh, transforms[1]), asymmetry(mesh, transforms[2 % (2 * count)]))
    return Symmetry(sides, transforms, shared, worst)


def make_symmetric(mesh: Mesh, symmetry: Symmetry, part: Folded | None = None) -> Mesh:
    """Rebuild the mesh from its kept part."""
    return unfold(part or fold(mesh, symmetry.planes), symmetry.transforms, symmetry.shared)[0]


def to_meta(symmetry: Symmetry) -> dict[str, Any]:
    """Write a symmetry as a JSON document that `move_meta` and `ops.shared_layout` read."""
    return {
        "planes": [[point.tolist(), normal.tolist()] for point, normal in symmetry.planes],
        "copies": [matrix.tolist() for matrix in symmetry.transforms],
    }


def move_meta(meta: Mapping[str, Any], matrix: Float64[np.ndarray, "4 4"]) -> dict[str, Any]:
    """Carry a symmetry along with the thing, by a similarity."""
    turn = matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))
    back = np.linalg.inv(matrix)
    return {
        "planes": [
            [(matrix[:3, :3] @ point + matrix[:3, 3]).tolist(), (turn @ normal).tolist()] for point, normal in meta["planes"]
        ],
        "copies": [(matrix @ np.array(copy) @ back).tolist() for copy in meta["copies"]],
    }


def make_source_symmetric(source: SourceMesh, symmetry: Symmetry) -> SourceMesh:
    """Rebuild the source alike: colour, metallic, roughness and `seen` from the kept side.

    Mirrored once, each input image is kept and used a second time through a mirrored camera. With more than two copies the
    images are read into the vertex colours and dropped: 2 * count cameras for each image would cost more than they show.
    """
    part = fold(source.mesh, symmetry.planes)
    mesh, vertex, copy = unfold(part, symmetry.transforms, symmetry.shared)
    color = source.base_color
    projections = []
    if len(symmetry.transforms) == 2:
        for index, transform in enumerate(symmetry.transforms):
            for projection in source.projections:
                weights = carry(part, projection.weights)
                here = (copy == index) | part.on[0][vertex]
                camera = projection.camera.moved(transform) if index else projection.camera
                projections.append(
                    replace(projection, camera=camera, weights=np.where(here, weights[vertex], 0).astype(np.float32))
                )
    elif source.projections:
        color = _vertex_colors(source)
    mesh = replace(mesh, normals=vertex_normals(mesh.vertices, mesh.faces))

    def at(values: np.ndarray) -> np.ndarray:
        return np.asarray(carry(part, values)[vertex])

    return SourceMesh(mesh, at(color), at(source.metallic), at(source.roughness), at(source.seen), tuple(projections))


def _vertex_colors(source: SourceMesh) -> np.ndarray:
    """Read the images at the vertices."""
    corner = np.zeros(len(source.mesh.vertices), np.int64)
    corner[source.mesh.faces.ravel()] = np.arange(source.mesh.faces.size)
    return np.asarray(source.sample(corner // 3, np.eye(3, dtype=np.float32)[corner % 3]).base_color)


def _across(angle: float) -> Float64[np.ndarray, " 3"]:
    """Give the normal of the half plane through +Y at an angle from +X towards -Z; it points to growing angles."""
    return np.array([-np.sin(angle), 0.0, -np.cos(angle)])


def _reflect(centre: np.ndarray, normal: np.ndarray) -> Float64[np.ndarray, "4 4"]:
    matrix = np.eye(4)
    matrix[:3, :3] -= 2.0 * np.outer(normal, normal)
    matrix[:3, 3] = 2.0 * (centre @ normal) * normal
    return matrix
