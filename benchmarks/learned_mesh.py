"""Make what TRELLIS.2 gives of a shape: a reference's surface with all the faults of such results."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from forge_batch.backends.trellis2 import TO_NATIVE


class LearnedMesh(NamedTuple):
    """Be a mesh and its coloured voxels, in the model's own axes.

    Attributes:
        vertices: (v, 3), in -0.5..0.5.
        faces: (f, 3).
        voxels: (n, 3), the cells round the surface.
        values: (n, 6): red, green, blue, metallic, roughness, alpha; beyond 0..1 in places.
        cells: Along an edge of the box.
    """

    vertices: np.ndarray
    faces: np.ndarray
    voxels: np.ndarray
    values: np.ndarray
    cells: int


def learned_mesh(path: Path, cells: int, openings: int = 0) -> LearnedMesh:
    """Make a double shell round the cells that a reference passes, with their stairs, noise and 30 in 100 faces flipped.

    Args:
        path: reference.glb, largest side 1, centred.
        cells: Along an edge; the faces grow with its square.
        openings: How often the shells are pierced, by holes of 0.024 across: both become one, of which the inner half is a
            lining, and only building the outside anew is left to repair.
    """
    rng = np.random.default_rng(0)
    house, color = _samples(path)
    native = house @ TO_NATIVE.T * 0.98
    cell = np.unique(np.floor((native + 0.5) * cells).astype(int), axis=0)
    if openings:
        middles = cell[np.linspace(0, len(cell) - 1, openings).astype(int)]
        cell = cell[cKDTree(middles).query(cell)[0] > max(0.012 * cells, 3)]
    low = cell.min(axis=0) - 4
    empty = np.ones(cell.max(axis=0) + 5 - low, bool)
    empty[tuple((cell - low).T)] = False
    # a wall of 1.25 cells to either side of the cells that the surface passes: an outer and an inner shell, with stairs
    distance = np.minimum(ndimage.distance_transform_edt(empty), 4).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(distance, 1.25)
    vertices = (vertices + low + 0.5 + rng.normal(0, 0.12, vertices.shape)) / cells - 0.5
    turned = rng.random(len(faces)) < 0.3
    faces = np.where(turned[:, None], faces[:, ::-1], faces)
    near = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    voxels = np.unique((cell[:, None] + near).reshape(-1, 3), axis=0)
    found = cKDTree(native).query((voxels + 0.5) / cells - 0.5, workers=2)[1]
    rest = np.tile([-0.2, 0.7, 1.0], (len(voxels), 1))  # metallic below 0, roughness, alpha
    return LearnedMesh(vertices, faces, voxels, np.hstack([color[found] * 1.3 - 0.15, rest]), cells)


def cells_for(path: Path, faces: int) -> int:
    """Give the cells at which a reference's mesh has about so many faces, which grow with their square."""
    few = 96
    return round(few * (faces / len(learned_mesh(path, few).faces)) ** 0.5)


def _samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spread three million points over a reference; give them and their colours (n, 3), 0..1."""
    pieces = trimesh.load(path, force="scene").dump()
    points, colors = [], []
    for piece in pieces:
        count = max(2000, int(3_000_000 * piece.area / sum(one.area for one in pieces)))
        material = piece.visual.material = piece.visual.material.to_simple()
        if piece.visual.uv is None or material.image is None:
            sample, _ = trimesh.sample.sample_surface(piece, count, seed=1)
            color = np.tile(material.main_color, (len(sample), 1))
        else:
            sample, _, color = trimesh.sample.sample_surface(piece, count, sample_color=True, seed=1)
        points.append(sample)
        colors.append(np.asarray(color)[:, :3] / 255)
    return np.concatenate(points), np.concatenate(colors)
