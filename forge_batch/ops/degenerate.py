"""Drop faces that cover nothing."""

from __future__ import annotations

import numpy as np

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.topology import compact, face_areas, find_edges, link


def drop_repeated_corners(mesh: Mesh) -> Mesh:
    """Drop faces that use a vertex twice."""
    a, b, c = mesh.faces.T
    return compact(Mesh(mesh.vertices, mesh.faces[(a != b) & (b != c) & (c != a)]))


def drop_duplicates(mesh: Mesh) -> Mesh:
    """Keep one of faces on the same three vertices; where as many face one way as the other, only if the surface needs it.

    A flap, a coincident pair that faces both ways and hangs on others or on nothing, encloses nothing and makes normals of
    length zero: it goes. Where faces were given once for each side, one side stays (whichever came first: wind them after):
    without it the others would be open along an odd number of faces.
    """
    group = _same_corners(mesh.faces)
    size = np.bincount(group)
    if size.max(initial=1) == 1:
        return mesh
    turned = np.argmin(mesh.faces, axis=1)
    rolled = np.take_along_axis(mesh.faces, (turned[:, None] + np.arange(3)) % 3, axis=1)
    sign = np.where(rolled[:, 1] < rolled[:, 2], 1, -1)
    balance = np.bincount(group, weights=sign).astype(int)
    keep = np.zeros(len(mesh.faces), bool)
    even = balance[group] == 0
    if even.any():
        even[even] = ~_needed(mesh.faces, group, np.flatnonzero(even))
    wanted = np.flatnonzero(np.where(balance[group] == 0, ~even, balance[group] * sign > 0))
    keep[wanted[np.unique(group[wanted], return_index=True)[1]]] = True
    return compact(Mesh(mesh.vertices, mesh.faces[keep]))


def _same_corners(faces: np.ndarray) -> np.ndarray:
    """Number faces so that those on the same three vertices have the same number: they share the edge opposite the lowest."""
    edges = find_edges(faces)
    lowest = np.argmin(faces, axis=1)
    row = np.arange(len(faces))
    key = faces[row, lowest].astype(np.int64) * len(edges.uses) + edges.of_corner[row, (lowest + 1) % 3]
    return np.asarray(np.unique(key, return_inverse=True)[1]).ravel()


def _needed(faces: np.ndarray, group: np.ndarray, paired: np.ndarray) -> np.ndarray:
    """Tell for faces that stand back to back whether the patch of such faces that each is in closes others, or a volume."""
    first = np.unique(group, return_index=True)[1]  # one face of each group
    patch = paired[np.isin(paired, first)]
    once = np.concatenate([patch, np.flatnonzero(~np.isin(np.arange(len(faces)), paired))])
    edges = find_edges(faces[once])
    inside = edges.of_corner[: len(patch)]
    within = np.bincount(inside.ravel(), minlength=len(edges.uses))
    others = edges.uses - within
    flat = inside.ravel()
    order = np.argsort(flat, kind="stable")
    same = flat[order][1:] == flat[order][:-1]
    labels = link(len(patch), order[:-1][same] // 3, order[1:][same] // 3)
    owner = np.repeat(labels, 3)
    rim = within[flat] == 1
    closes = np.bincount(owner, weights=rim & (others[flat] % 2 == 1)) > 0
    loose = np.bincount(owner, weights=rim) > 0
    needed = (closes | ~loose)[labels]
    return np.asarray(np.isin(group[paired], group[patch][needed]))


def count_slivers(mesh: Mesh, area: float) -> int:
    """Count faces smaller than `area`."""
    return int((face_areas(mesh) < area).sum())


def collapse_slivers(mesh: Mesh, area: float, passes: int = 12) -> Mesh:
    """Remove faces smaller than `area` without opening the surface.

    The shortest edge of each is collapsed where that keeps the surface manifold (the link condition: the edge's ends share
    exactly the two vertices opposite to it); a flat triangle without a short edge has its longest edge flipped instead.
    What neither reaches is left, so count again.
    """
    for _ in range(passes):
        small = np.flatnonzero(face_areas(mesh) < area)
        if not len(small):
            break
        faces = _Surgery(mesh).operate(small)
        if np.array_equal(faces, mesh.faces):
            break
        mesh = drop_duplicates(drop_repeated_corners(Mesh(mesh.vertices, faces)))
    return mesh


class _Surgery:
    """Change single edges of a mesh; the surroundings of a change are left alone until the next pass."""

    def __init__(self, mesh: Mesh) -> None:
        self.old = mesh.faces
        self.faces = mesh.faces.copy()
        self.points = mesh.vertices.astype(np.float64)
        self.touched = np.zeros(len(mesh.vertices), bool)
        self.edges = find_edges(mesh.faces)
        corners, halves = mesh.faces.ravel(), self.edges.of_corner.ravel()
        self.at_vertex = np.argsort(corners, kind="stable")
        self.vertex_start = np.searchsorted(corners[self.at_vertex], np.arange(len(mesh.vertices) + 1))
        self.at_edge = np.argsort(halves, kind="stable")
        self.edge_start = np.searchsorted(halves[self.at_edge], np.arange(len(self.edges.uses) + 1))

    def operate(self, small: np.ndarray) -> np.ndarray:
        for face in small:
            corners = self.old[face]
            if self.touched[corners].any():
                continue
            lengths = np.linalg.norm(self.points[np.roll(corners, -1)] - self.points[corners], axis=1)
            short, long = int(np.argmin(lengths)), int(np.argmax(lengths))
            if lengths[short] > 0.05 * lengths[long] and self._flip(int(face), long):
                continue
            if not self._collapse(int(face), short):
                self._flip(int(face), long)
        return self.faces

    def _ring(self, vertex: int) -> np.ndarray:
        corners = self.at_vertex[self.vertex_start[vertex] : self.vertex_start[vertex + 1]]
        return np.unique(self.old[corners // 3])

    def _collapse(self, face: int, k: int) -> bool:
        keep, gone = int(self.old[face, k]), int(self.old[face, (k + 1) % 3])
        one, two = self._ring(keep), self._ring(gone)
        around = np.union1d(one, two)
        if len(np.intersect1d(one, two)) != 4 or self.edges.uses[self.edges.of_corner[face, k]] != 2:
            return False
        if self.touched[around].any():
            return False
        corners = self.at_vertex[self.vertex_start[gone] : self.vertex_start[gone + 1]]
        self.faces.ravel()[corners] = keep
        self.touched[around] = True
        return True

    def _flip(self, face: int, k: int) -> bool:
        edge = self.edges.of_corner[face, k]
        if self.edges.uses[edge] != 2 or self.edges.balance[edge] != 0:
            return False
        one, two = (int(h) for h in self.at_edge[self.edge_start[edge] : self.edge_start[edge + 1]])
        p, q = (int(self.old[h // 3, (h % 3 + 2) % 3]) for h in (one, two))
        a, b = (int(self.old[one // 3, (one % 3 + j) % 3]) for j in (0, 1))
        if p == q or q in self._ring(p) or self.touched[[p, q, a, b]].any():
            return False
        self.faces[one // 3] = (a, q, p)
        self.faces[two // 3] = (b, p, q)
        self.touched[[p, q, a, b]] = True
        return True
