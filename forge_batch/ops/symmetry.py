"""Find a mirror plane and rebuild a surface from one side of it.

PyMeshLab has no such filter. A slice by library leaves cut vertices apart (8,920 boundary edges on 200,000 faces); here every
cut edge gets one vertex, and the copies share what lies on the planes, so a closed surface stays closed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from forge_batch.ops.deviation import distances, sample_surface
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import find_edges, link

SAMPLES = 20_000
TILT = 0.18
"""Largest slope of a mirror plane against its axis: ten degrees, by which generators turn things."""

SEARCH = {"maxiter": 150, "xatol": 2e-4, "fatol": 1e-7}
PROBES = 4_000


class Folded(NamedTuple):
    """Be the part of a surface on the kept side of one or two planes.

    Attributes:
        mesh: Vertices and faces of the part, in the coordinates of the planes' frame.
        origin: (n, 2) each vertex lies between these two vertices of the whole,
        weight: (n,) this much towards the second.
        on: (p, n) which vertices lie on each plane.
    """

    mesh: Mesh
    origin: np.ndarray
    weight: np.ndarray
    on: np.ndarray


def asymmetry(mesh: Mesh, transform: Float64[np.ndarray, "4 4"]) -> float:
    """Give how far the surface lies from its image: the 95th percentile of distances from `PROBES` points, in diagonals."""
    image = sample_surface(mesh, PROBES) @ transform[:3, :3].T + transform[:3, 3]
    return float(np.quantile(distances(image, mesh), 0.95)) / mesh.diagonal


def mirror(axis: int, offset: float) -> Float64[np.ndarray, "4 4"]:
    """Give the reflection at the plane where coordinate `axis` equals `offset`."""
    matrix = np.eye(4)
    matrix[axis, axis], matrix[axis, 3] = -1.0, 2.0 * offset
    return matrix


def find_plane(mesh: Mesh, axis: int) -> float:
    """Find the offset of the best mirror plane across an axis, within 5 % of the extent around the box's middle."""
    low, high = mesh.vertices.min(axis=0)[axis], mesh.vertices.max(axis=0)[axis]
    middle, reach = float(low + high) / 2, 0.05 * float(high - low)
    points = sample_surface(mesh, SAMPLES)
    tree, probes = cKDTree(points), points[::17]

    def cost(offset: float) -> float:
        image = probes.copy()
        image[:, axis] = 2 * offset - image[:, axis]
        return float(tree.query(image)[0].mean())

    best, step = middle, reach / 4
    candidates = middle + np.linspace(-reach, reach, 9)
    best = min(candidates, key=lambda o: (round(cost(o), 12), abs(o - middle)))
    while step > 1e-4 * (high - low):
        step /= 2
        best = min((best, best - step, best + step), key=cost)
    # Samples are noisy: the middle of the box wins unless another place is clearly better.
    return float(middle if cost(middle) <= 1.05 * cost(best) else best)


def find_mirror(mesh: Mesh, axis: int) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]]:
    """Find the best mirror plane that is within some ten degrees of being across an axis: a point on it and its unit normal.

    The straight plane of `find_plane` stands unless a tilted one is clearly better: samples are noisy, and a thing that is
    nearly symmetric is meant to stand straight.
    """
    straight = find_plane(mesh, axis)
    points = sample_surface(mesh, SAMPLES)
    tree, probes = cKDTree(points), points[::17]
    middle = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)).astype(np.float64)
    middle[axis] = straight
    scale = mesh.diagonal

    def plane(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        normal = np.roll(np.array([1.0, x[1], x[2]]), axis)
        normal /= np.linalg.norm(normal)
        return middle + x[0] * scale * normal, normal

    def cost(x: np.ndarray) -> float:
        point, normal = plane(x)
        image = probes - 2.0 * ((probes - point) @ normal)[:, None] * normal
        return float(tree.query(image)[0].mean()) + scale * max(0.0, float(np.abs(x[1:]).max()) - TILT)

    starts = [np.zeros(3), *(np.array([0.0, s * t, s * (1 - t)]) for s in (-0.1, 0.1) for t in (0, 1))]
    found = [
        minimize(cost, start, method="Nelder-Mead", options=SEARCH | {"initial_simplex": _simplex(start)}) for start in starts
    ]
    best = min(found, key=lambda one: round(float(one.fun), 12)).x
    tilted = float(np.hypot(best[1], best[2])) > 0.002 and cost(best) < 0.8 * cost(np.zeros(3))
    return plane(best if tilted else np.zeros(3))


def _simplex(start: np.ndarray) -> np.ndarray:
    return np.asarray(start + np.vstack([np.zeros(3), np.diag([0.02, 0.04, 0.04])]))


def fold(mesh: Mesh, planes: list[tuple[np.ndarray, np.ndarray]]) -> Folded:
    """Keep what lies on the positive side of planes given as (point, normal)."""
    origin = np.repeat(np.arange(len(mesh.vertices))[:, None], 2, axis=1)
    part = Folded(mesh, origin, np.zeros(len(mesh.vertices)), np.zeros((0, len(mesh.vertices)), bool))
    for point, normal in planes:
        part = _clip(part, point, normal)
    return part


def _clip(part: Folded, point: np.ndarray, normal: np.ndarray) -> Folded:
    """Clip by one plane; vertices within a millionth of the diagonal are moved onto it."""
    points = part.mesh.vertices.astype(np.float64)
    faces = part.mesh.faces.astype(np.int64)
    height = (points - point) @ normal
    on = np.abs(height) < 1e-6 * part.mesh.diagonal
    points = points - np.where(on, height, 0.0)[:, None] * normal
    height = np.where(on, 0.0, height)
    edges = find_edges(part.mesh.faces)
    a, b = edges.ends.T
    cut = np.flatnonzero(height[a] * height[b] < 0)
    new = np.full(len(edges.ends), -1)
    new[cut] = len(points) + np.arange(len(cut))
    share = height[a[cut]] / (height[a[cut]] - height[b[cut]])
    extra = points[a[cut]] + share[:, None] * (points[b[cut]] - points[a[cut]])
    made = _cut_faces(faces, height, new[edges.of_corner])
    vertices = np.concatenate([points, extra])
    # A vertex between cut ones of an earlier plane keeps the ends of the edge it lies on now: good to one edge length.
    ends = np.concatenate([part.origin, np.stack([part.origin[a[cut], 0], part.origin[b[cut], 0]], axis=1)])
    weight = np.concatenate([part.weight, share])
    flags = np.concatenate([part.on, np.zeros((len(part.on), len(cut)), bool)], axis=1)
    flags[:, len(points) :] = part.on[:, a[cut]] & part.on[:, b[cut]]
    flags = np.vstack([flags, np.concatenate([on, np.ones(len(cut), bool)])])
    inside = ~flags[-1][made].all(axis=1)
    used, index = np.unique(made[inside], return_inverse=True)
    mesh = Mesh(vertices[used].astype(np.float32), index.reshape(-1, 3).astype(np.int32))
    return Folded(mesh, ends[used], weight[used], flags[:, used])


def _cut_faces(faces: Int64[np.ndarray, "f 3"], height: np.ndarray, new: np.ndarray) -> Int64[np.ndarray, "g 3"]:
    """Cut faces at height 0 and keep what lies above; `new[f, k]` is the vertex on the edge from corner k, or -1."""
    sign = np.sign(height[faces]).astype(int)
    whole = faces[(sign >= 0).all(axis=1)]
    parts = [whole]
    for k in range(3):
        a, b, c = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        ab, bc, ca = new[:, k], new[:, (k + 1) % 3], new[:, (k + 2) % 3]
        sa, sb, sc = sign[:, k], sign[:, (k + 1) % 3], sign[:, (k + 2) % 3]
        tip = (sa > 0) & (sb < 0) & (sc < 0)
        parts.append(np.stack([a, ab, ca], axis=1)[tip])
        base = (sa < 0) & (sb > 0) & (sc > 0)
        parts += [np.stack([ab, b, c], axis=1)[base], np.stack([ab, c, ca], axis=1)[base]]
        through = (sa == 0) & (sb > 0) & (sc < 0)
        parts.append(np.stack([a, b, bc], axis=1)[through])
        through = (sa == 0) & (sb < 0) & (sc > 0)
        parts.append(np.stack([a, bc, c], axis=1)[through])
    return np.concatenate(parts)


def unfold(part: Folded, transforms: list[np.ndarray], planes: list[int]) -> tuple[Mesh, Int64[np.ndarray, " n"], np.ndarray]:
    """Lay copies of a part side by side, sharing the vertices on the planes between them.

    Args:
        part: What fold kept.
        transforms: A (4, 4) matrix for each copy; those that mirror get their faces turned.
        planes: `planes[k]` is the plane that copy k shares with copy k + 1; one entry more closes the round.

    Returns:
        The whole, and for each of its vertices the part's vertex and the copy it comes from.
    """
    n, copies = len(part.mesh.vertices), len(transforms)
    points = part.mesh.vertices.astype(np.float64)
    laid = np.concatenate([points @ m[:3, :3].T + m[:3, 3] for m in transforms])
    faces = [
        (part.mesh.faces.astype(np.int64) if np.linalg.det(m[:3, :3]) > 0 else part.mesh.faces[:, ::-1].astype(np.int64))
        + k * n
        for k, m in enumerate(transforms)
    ]
    joined = [np.flatnonzero(part.on[plane]) for plane in planes]
    first = np.concatenate([at + k * n for k, at in enumerate(joined)])
    second = np.concatenate([at + ((k + 1) % copies) * n for k, at in enumerate(joined)])
    labels = link(n * copies, first, second)
    where = np.unique(labels, return_index=True)[1]
    mesh = Mesh(laid[where].astype(np.float32), labels[np.concatenate(faces)].astype(np.int32))
    return mesh, where % n, where // n


def carry(part: Folded, values: Float32[np.ndarray, "v ..."]) -> Float32[np.ndarray, "n ..."]:
    """Interpolate per-vertex values of the whole at the vertices of the part."""
    weight = part.weight.reshape((-1,) + (1,) * (values.ndim - 1))
    a, b = values[part.origin[:, 0]], values[part.origin[:, 1]]
    return np.asarray(a + weight * (b - a), dtype=np.float32)
