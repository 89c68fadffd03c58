"""Take a mesh apart into connected components and decide which of them are debris."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int32

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, edge_pairs, face_areas, find_edges, link
from forge_batch.ops.winding import winding_numbers

SAMPLES = 48
"""Points asked of a component before it is called an inner shell."""


def face_components(faces: Int32[np.ndarray, "f 3"]) -> Int32[np.ndarray, " f"]:
    """Label faces by component: faces are joined across edges, not across a single shared vertex."""
    edges = find_edges(faces)
    if (edges.uses > 2).any():
        flat = edges.of_corner.ravel()
        order = np.argsort(flat, kind="stable")
        same = flat[order][1:] == flat[order][:-1]
        return link(len(faces), order[:-1][same] // 3, order[1:][same] // 3)
    first, second = edge_pairs(edges, edges.uses == 2)
    return link(len(faces), first // 3, second // 3)


def component_areas(mesh: Mesh, labels: Int32[np.ndarray, " f"]) -> Float64[np.ndarray, " c"]:
    """Give the area of every component."""
    return np.bincount(labels, weights=face_areas(mesh))


def component_volumes(mesh: Mesh, labels: Int32[np.ndarray, " f"]) -> Float64[np.ndarray, " c"]:
    """Give the signed volume of every component, open ones closed by a fan from the middle of their boundary."""
    points = mesh.vertices.astype(np.float64)
    edges = find_edges(mesh.faces)
    open_half = np.flatnonzero((edges.uses == 1)[edges.of_corner.ravel()])
    count = int(labels.max(initial=-1)) + 1
    corners = points[mesh.faces]
    middles = [np.bincount(labels, weights=corners[:, :, k].mean(axis=1), minlength=count) for k in range(3)]
    apex = np.stack(middles, axis=1) / np.maximum(np.bincount(labels, minlength=count), 1)[:, None]
    if len(open_half):
        owner, rim = labels[open_half // 3], points[mesh.faces.ravel()[open_half]]
        weight = np.bincount(owner, minlength=count)
        middle = np.stack([np.bincount(owner, weights=rim[:, k], minlength=count) for k in range(3)], axis=1)
        apex = np.where(weight[:, None] > 0, middle / np.maximum(weight, 1)[:, None], apex)
    a, b, c = np.moveaxis(corners - apex[labels][:, None], 1, 0)
    return np.bincount(labels, weights=np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0, minlength=count)


def drop_flat_components(mesh: Mesh, ratio: float = 1e-5) -> Mesh:
    """Drop components that enclose nothing: |volume| under `ratio` times area ** 1.5 (a sphere has 0.094, a cube 0.068)."""
    labels = face_components(mesh.faces)
    volumes, areas = component_volumes(mesh, labels), component_areas(mesh, labels)
    keep = np.abs(volumes) >= ratio * areas**1.5
    return mesh if keep.all() else compact(Mesh(mesh.vertices, mesh.faces[keep[labels]]))


def keep_largest(mesh: Mesh, count: int) -> Mesh:
    """Keep the `count` components of largest area."""
    labels = face_components(mesh.faces)
    areas = component_areas(mesh, labels)
    if len(areas) <= count:
        return mesh
    keep = np.zeros(len(areas), bool)
    keep[np.argsort(-areas, kind="stable")[:count]] = True
    return compact(Mesh(mesh.vertices, mesh.faces[keep[labels]]))


def find_floaters(mesh: Mesh, labels: Int32[np.ndarray, " f"], share: float) -> Bool[np.ndarray, " c"]:
    """Mark components with less than `share` of the whole area; the largest is never one."""
    areas = component_areas(mesh, labels)
    small = areas < share * areas.sum()
    small[int(np.argmax(areas))] = False
    return np.asarray(small)


def drop_floaters(mesh: Mesh, share: float) -> Mesh:
    """Drop components with less than `share` of the whole area; what was closed stays closed."""
    labels = face_components(mesh.faces)
    floaters = find_floaters(mesh, labels, share)
    return compact(Mesh(mesh.vertices, mesh.faces[~floaters[labels]])) if floaters.any() else mesh


def find_inner_shells(mesh: Mesh, labels: Int32[np.ndarray, " f"]) -> Bool[np.ndarray, " c"]:
    """Mark components that lie wholly inside the solid others enclose, whichever way they face.

    Decided by generalised winding numbers of the other components, at up to `SAMPLES` vertices of each candidate. Only a
    component whose box lies inside another's box is a candidate; a part that pokes out anywhere stays if a sample finds it.
    """
    count = int(labels.max(initial=-1)) + 1
    corners = mesh.vertices[mesh.faces]
    low = np.full((count, 3), np.inf)
    high = np.full((count, 3), -np.inf)
    np.minimum.at(low, labels, corners.min(axis=1))
    np.maximum.at(high, labels, corners.max(axis=1))
    inner = np.zeros(count, bool)
    order = np.argsort(np.prod(high - low, axis=1), kind="stable")
    for component in order:
        around = (low <= low[component]).all(axis=1) & (high >= high[component]).all(axis=1) & ~inner
        around[component] = False
        if not around.any():
            continue
        own = np.unique(mesh.faces[labels == component])
        extremes = [own[f(mesh.vertices[own, k])] for k in range(3) for f in (np.argmin, np.argmax)]
        picked = np.unique(np.concatenate([own[:: max(1, len(own) // SAMPLES)][:SAMPLES], extremes]))
        points = mesh.vertices[picked].astype(np.float64)
        inner[component] = bool((winding_numbers(mesh.vertices, mesh.faces[around[labels]], points) > 0.5).all())
    return inner
