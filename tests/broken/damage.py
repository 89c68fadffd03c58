"""Damage meshes as generators do: pure functions of a sound mesh, a severity in 0..1 and a random generator.

What a function does grows with the severity; 1 is about the worst seen in results of learned generators, or beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from forge_batch.ops.mesh import Mesh
from tests.broken.parts import add, area_normals, inscribed_ball, lining, patches, solid_bits
from tests.shapes import join

Random = np.random.Generator


@dataclass(frozen=True)
class Damage:
    """Be one kind of damage.

    Attributes:
        apply: Makes the broken mesh of a sound one.
        spares: Whether the outer surface is still there, so that the result must lie on it.
    """

    apply: Callable[[Mesh, float, Random], Mesh]
    spares: bool = True


def soup(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Let no two of some faces share a vertex."""
    loose = rng.random(len(mesh.faces)) < 0.2 + 0.8 * severity
    faces = mesh.faces.copy()
    corners = mesh.faces[loose].ravel()
    faces[loose] = len(mesh.vertices) + np.arange(len(corners)).reshape(-1, 3)
    return Mesh(np.concatenate([mesh.vertices, mesh.vertices[corners]]), faces)


def cracks(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Move every face's own copy of its corners a little: up to a ten-thousandth of the diagonal."""
    torn = soup(mesh, 1.0, rng)
    step = 1e-4 * severity**2 * mesh.diagonal
    return Mesh((torn.vertices + rng.uniform(-step, step, torn.vertices.shape)).astype(np.float32), torn.faces)


def rounded(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Round positions to a coarse grid, as a file of few bits does; small faces fall together."""
    step = 0.004 * severity * mesh.diagonal
    offset = rng.uniform(0, step, 3)
    return Mesh((np.round((mesh.vertices + offset) / step) * step - offset).astype(np.float32), mesh.faces)


def flipped_faces(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Turn up to half of the faces round."""
    turned = rng.random(len(mesh.faces)) < 0.5 * severity
    return Mesh(mesh.vertices, np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces))


def inside_out(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Turn all faces round, and unshare some."""
    return soup(Mesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1])), severity - 0.2, rng)


def flipped_patches(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Cut the surface into patches that share no vertex and turn every other one round."""
    owner = patches(mesh, 4 + int(60 * severity), rng)
    turned = (owner % 2 == 1)[:, None]
    pieces = [
        Mesh(mesh.vertices, np.where(turned, mesh.faces[:, ::-1], mesh.faces)[owner == k]) for k in range(owner.max() + 1)
    ]
    return join(*pieces)


def doubled_faces(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Give some faces twice, with own vertices or without, some of them round the other way."""
    again = mesh.faces[rng.random(len(mesh.faces)) < 0.5 * severity]
    back = mesh.faces[rng.random(len(mesh.faces)) < 0.2 * severity]
    return add(mesh, mesh.vertices, np.concatenate([again, back[:, ::-1]]), own=severity > 0.7)


def double_sided(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Give faces once for each side: some patches, or all of them."""
    owner = patches(mesh, 20, rng)
    both = mesh.faces[(owner < 20 * severity) | (severity >= 1)]
    return add(mesh, mesh.vertices, both[:, ::-1], own=severity < 0.7)


def degenerate_faces(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Add faces that name a vertex twice, and faces on a line."""
    edge = mesh.faces[rng.random(len(mesh.faces)) < 0.3 * severity]
    middle = 0.5 * (mesh.vertices[edge[:, 0]] + mesh.vertices[edge[:, 1]])
    new = len(mesh.vertices) + np.arange(len(edge))
    flat = np.stack([edge[:, 0], new, edge[:, 1]], axis=1)
    faces = np.concatenate([mesh.faces, edge[:, [0, 0, 1]], flat]).astype(np.int32)
    return Mesh(np.concatenate([mesh.vertices, middle]).astype(np.float32), faces)


def t_junctions(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Split an edge of some faces on one side only."""
    chosen = rng.random(len(mesh.faces)) < 0.3 * severity
    a, b, c = mesh.faces[chosen].T
    share = rng.uniform(0.2, 0.8, (len(a), 1))
    middle = mesh.vertices[a] * share + mesh.vertices[b] * (1 - share)
    new = len(mesh.vertices) + np.arange(len(a))
    faces = np.concatenate([mesh.faces[~chosen], np.stack([a, new, c], 1), np.stack([new, b, c], 1)])
    return Mesh(np.concatenate([mesh.vertices, middle]).astype(np.float32), faces.astype(np.int32))


def needles(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Divide some faces at a point that all but lies on an edge."""
    chosen = rng.random(len(mesh.faces)) < 0.3 * severity
    a, b, c = mesh.faces[chosen].T
    near = 10.0 ** rng.uniform(-7, -2, (len(a), 1))
    share = rng.uniform(0.1, 0.9, (len(a), 1))
    edge = mesh.vertices[a] * share + mesh.vertices[b] * (1 - share)
    middle = edge + near * (mesh.vertices[c] - edge)
    new = len(mesh.vertices) + np.arange(len(a))
    parts = [np.stack(part, axis=1) for part in ((a, b, new), (b, c, new), (c, a, new))]
    return Mesh(
        np.concatenate([mesh.vertices, middle]).astype(np.float32),
        np.concatenate([mesh.faces[~chosen], *parts]).astype(np.int32),
    )


def fins(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Hang triangles on edges."""
    on = mesh.faces[rng.choice(len(mesh.faces), 5 + int(200 * severity), replace=False)]
    tip = mesh.vertices[on[:, 0]] + rng.normal(0, 0.02 * mesh.diagonal, (len(on), 3))
    new = len(mesh.vertices) + np.arange(len(on))
    faces = np.concatenate([mesh.faces, np.stack([on[:, 0], on[:, 1], new], axis=1)])
    return Mesh(np.concatenate([mesh.vertices, tip]).astype(np.float32), faces.astype(np.int32))


def membranes(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Span faces through the inside, each on an edge of the surface and a vertex across it."""
    normals = area_normals(mesh)
    on = mesh.faces[rng.choice(len(mesh.faces), 5 + int(150 * severity), replace=False)]
    start = mesh.vertices[on].mean(axis=1)
    inwards = -normals[on].mean(axis=1)
    goal = cKDTree(mesh.vertices).query(start + 0.04 * mesh.diagonal * inwards)[1]
    return Mesh(mesh.vertices, np.concatenate([mesh.faces, np.stack([on[:, 0], on[:, 1], goal], axis=1)]).astype(np.int32))


def pinholes(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Leave out single faces here and there."""
    return Mesh(mesh.vertices, mesh.faces[rng.random(len(mesh.faces)) > 0.08 * severity])


def torn(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Leave out all faces round some points."""
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    seeds = middle[rng.choice(len(middle), 2 + int(10 * severity))]
    distance = cKDTree(seeds).query(middle)[0]
    return Mesh(mesh.vertices, mesh.faces[distance > (0.01 + 0.03 * severity) * mesh.diagonal])


def cut_off(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Leave out everything beyond a plane: up to a quarter of the faces."""
    along = rng.normal(size=3)
    height = mesh.vertices[mesh.faces].mean(axis=1) @ along
    return Mesh(mesh.vertices, mesh.faces[height < np.quantile(height, 1 - 0.25 * severity)])


def inner_shell(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Put a closed shell into the inside, facing either way."""
    centre, radius = inscribed_ball(mesh, rng)
    return join(mesh, solid_bits(centre[None], (0.3 + 0.6 * severity) * np.array([radius]), 3, bool(rng.integers(2))))


def double_shell(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Line the surface with a second one inside, a thin wall away, as remeshed voxels are."""
    wall = (0.002 + 0.006 * severity) * mesh.diagonal
    lined = lining(mesh, wall)
    faces = mesh.faces[:, ::-1] if rng.integers(2) else mesh.faces
    return join(mesh, Mesh(lined, np.ascontiguousarray(faces)))


def pierced_shell(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Line the surface with a second one and join both through small holes, so that they are one part."""
    wall = (0.002 + 0.006 * severity) * mesh.diagonal
    lined = lining(mesh, wall)
    shift = len(mesh.vertices)
    keep = np.ones(len(mesh.faces), bool)
    used: set[int] = set()
    tubes: list[tuple[int, int, int]] = []
    for hole in rng.choice(len(mesh.faces), 1 + int(20 * severity), replace=False):
        face = mesh.faces[hole].tolist()
        if used.isdisjoint(face):
            used.update(face)
            keep[hole] = False
            for p, q in zip(face, face[1:] + face[:1], strict=True):
                tubes += [(p, q, q + shift), (p, q + shift, p + shift)]
    faces = np.concatenate([mesh.faces[keep], mesh.faces[keep][:, ::-1] + shift, np.array(tubes)])
    return Mesh(np.concatenate([mesh.vertices, lined]), faces.astype(np.int32))


def floaters(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Strew small closed bits around."""
    count = 3 + int(80 * severity)
    normals = area_normals(mesh)
    at = rng.choice(len(mesh.vertices), count)
    away = rng.uniform(0.02, 0.1, (count, 1)) * mesh.diagonal
    return join(mesh, solid_bits(mesh.vertices[at] + away * normals[at], rng.uniform(0.001, 0.006, count) * mesh.diagonal, 0))


def inner_debris(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Strew bits inside, closed ones and open ones."""
    centre, radius = inscribed_ball(mesh, rng)
    count = 5 + int(60 * severity)
    places = centre + rng.normal(0, 0.25 * radius, (count, 3))
    bits = solid_bits(places, rng.uniform(0.02, 0.2, count) * radius, 0)
    return join(mesh, Mesh(bits.vertices, bits.faces[rng.random(len(bits.faces)) > 0.1 * severity]))


def stairs(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Draw the vertices to the planes of a voxel grid."""
    step = 0.008 * severity * mesh.diagonal
    offset = rng.uniform(0, step, 3)
    snapped = np.round((mesh.vertices + offset) / step) * step - offset
    return Mesh((0.3 * mesh.vertices + 0.7 * snapped).astype(np.float32), mesh.faces)


def noise(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Shake the vertices."""
    return Mesh(
        (mesh.vertices + rng.normal(0, 0.0012 * severity * mesh.diagonal, mesh.vertices.shape)).astype(np.float32), mesh.faces
    )


def bow_ties(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Make one vertex of two near ones that are no neighbours."""
    tree = cKDTree(mesh.vertices)
    at = rng.choice(len(mesh.vertices), 5 + int(60 * severity), replace=False)
    merged = np.arange(len(mesh.vertices))
    near = tree.query(mesh.vertices[at], k=np.array([30]))[1][:, 0]
    merged[at] = near
    return Mesh(mesh.vertices, merged[mesh.faces].astype(np.int32))


def horns(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Set closed bits onto edges of the surface, so that four faces meet there."""
    on = mesh.faces[rng.choice(len(mesh.faces), 3 + int(60 * severity), replace=False)]
    out = area_normals(mesh)[on].mean(axis=1)
    size = 0.01 * mesh.diagonal
    tip = mesh.vertices[on].mean(axis=1) + size * out
    side = np.cross(out, mesh.vertices[on[:, 1]] - mesh.vertices[on[:, 0]])
    side *= size / np.linalg.norm(side, axis=1, keepdims=True)
    a, b = on[:, 0], on[:, 1]
    c = len(mesh.vertices) + np.arange(len(on))
    d = c + len(on)
    bits = [np.stack(f, axis=1) for f in ((a, c, b), (a, b, d), (b, c, d), (c, a, d))]
    points = np.concatenate([mesh.vertices, tip, tip + side]).astype(np.float32)
    return Mesh(points, np.concatenate([mesh.faces, *bits]).astype(np.int32))


def clustered(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Merge all vertices of a coarse cell: thin parts fall flat and edges get many faces."""
    cell = (0.005 + 0.015 * severity) * mesh.diagonal
    grid = np.floor((mesh.vertices + rng.uniform(0, cell, 3)) / cell).astype(np.int64)
    _, first, which = np.unique(grid, axis=0, return_index=True, return_inverse=True)
    return Mesh(mesh.vertices[first], which.reshape(-1)[mesh.faces].astype(np.int32))


def intersecting(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Add solid bits that stick halfway in the surface."""
    at = rng.choice(len(mesh.vertices), 2 + int(20 * severity))
    return join(mesh, solid_bits(mesh.vertices[at], rng.uniform(0.02, 0.05, len(at)) * mesh.diagonal, 2))


def folds(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Let the ends of some edges change places, so that the surface folds over."""
    points = mesh.vertices.copy()
    for a, b, _ in mesh.faces[rng.choice(len(mesh.faces), 5 + int(0.02 * severity * len(mesh.faces)))]:
        points[[a, b]] = points[[b, a]]
    return Mesh(points, mesh.faces)


def spikes(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Throw some vertices far out."""
    points = mesh.vertices.copy()
    at = rng.choice(len(points), 2 + int(20 * severity))
    points[at] += rng.normal(0, (0.02 + 0.1 * severity) * mesh.diagonal, (len(at), 3))
    return Mesh(points, mesh.faces)


def patchwork(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Cut the surface into patches with gaps between them, up to a five-hundredth of the diagonal wide."""
    owner = patches(mesh, 6 + int(40 * severity), rng)
    pieces = []
    for k in range(owner.max() + 1):
        faces = mesh.faces[owner == k]
        step = 0.001 * severity * mesh.diagonal * rng.normal(size=3) / np.sqrt(3)
        pieces.append(Mesh((mesh.vertices + step).astype(np.float32), faces))
    return join(*pieces)


def stray_vertices(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Add vertices that no face uses, near, far and nowhere."""
    stray = rng.normal(0, 50 * severity * mesh.diagonal, (100, 3))
    stray[:5] = np.nan
    faces = mesh.faces + np.int32(len(stray))
    return Mesh(np.concatenate([stray, mesh.vertices]).astype(np.float32), faces)


def generated(mesh: Mesh, severity: float, rng: Random) -> Mesh:
    """Do what learned generators do, all at once: lining, stairs, turned faces, pinholes, floaters."""
    broken = stairs(mesh, 0.4 * severity, rng)
    broken = double_shell(broken, severity, rng)
    broken = floaters(broken, 0.2 * severity, rng)
    broken = pinholes(broken, 0.1 * severity, rng)
    return flipped_faces(broken, 0.6, rng)


KINDS: dict[str, Damage] = {
    **{
        function.__name__: Damage(function)
        for function in (
            soup, cracks, rounded, flipped_faces, inside_out, flipped_patches, doubled_faces, double_sided, degenerate_faces,
            t_junctions, needles, fins, membranes, pinholes, inner_shell, double_shell, pierced_shell, floaters, inner_debris,
            stairs, noise, bow_ties, patchwork, stray_vertices, generated,
        )
    },
    **{
        function.__name__: Damage(function, spares=False)
        for function in (torn, cut_off, horns, clustered, intersecting, folds, spikes)
    },
}  # fmt: skip
"""Every kind of damage by name."""


def broken(sound: Mesh, kind: str, severity: float, seed: int) -> Mesh:
    """Damage a mesh in one way; the same arguments give the same mesh."""
    damaged = KINDS[kind].apply(sound, severity, np.random.default_rng(seed))
    return Mesh(np.ascontiguousarray(damaged.vertices, np.float32), np.ascontiguousarray(damaged.faces, np.int32))
