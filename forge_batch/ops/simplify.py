"""Bring a solid down to a number of triangles."""

from __future__ import annotations

import fast_simplification
import numpy as np
import pymeshlab
from jaxtyping import Float64

from forge_batch.errors import StageError
from forge_batch.ops.components import component_areas, drop_floaters, face_components, keep_largest
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outline_weights import outline_shares
from forge_batch.ops.solid import make_solid

FAST_FACTOR = 10
"""The fast pass stops at this many times the target: the quality pass then costs a tenth and errs no more (see `simplify`)."""


PLANAR = 1e-5
"""Weight of the quadrics that shape triangles on flat ground: 0.001 costs 40 % of the mean error, 0 leaves needles."""

HUNDREDFOLD = 2.0
"""Share of views at which a vertex on their outlines would weigh a hundred times: on half of them it weighs 26 times as much.

Twice the weights gain little more and err more; moving the vertices of the result so that the 24 outlines fit gains as much in
these, but nothing in other views (docs/repair.md).
"""

FEW = 100
"""Triangles up to which outlines are not weighed: they run along nearly every edge then, and a box would lose a corner."""

FLOATER = 0.001
"""Share of the whole area below which a part is debris: the gate's limit and what `clean` removes unless told otherwise."""


def simplify(mesh: Mesh, triangles: int, *, preview: bool, solid: bool) -> Mesh:
    """Reduce to at most `triangles` faces; the result is as closed and manifold as the input.

    Crumbs that thin parts break into are dropped: there are never more components than before, and none is debris if none
    was (a part of 0.1 % of the area may shrink below it). Where debris was left in on purpose, half its size is the limit.

    fast-simplification (agg=5) to ten times the target, then PyMeshLab's quadric collapse, in which vertices that outlines run
    along weigh more. Each pass may leave non-manifold edges and coincident faces, so each is followed by `make_solid`, and
    since that may add faces the target is lowered until the ceiling holds. PyMeshLab alone errs as much at nine times the CPU
    time on a million faces; fast-simplification alone errs 0.30 instead of 0.18 per mille of the diagonal; agg=7 leaves 171
    non-manifold edges where agg=5 leaves 73.

    Raises:
        StageError: The surface falls apart, or cannot go as low as that.
    """
    if len(mesh.faces) <= triangles:
        return mesh
    rim, areas = 0.2 * mesh.diagonal if solid else 0.0, component_areas(mesh, face_components(mesh.faces))
    least = areas.min() / areas.sum()
    if len(mesh.faces) > FAST_FACTOR * triangles or preview:
        goal = triangles if preview else FAST_FACTOR * triangles
        fast = make_solid(_fast(mesh, goal), 0.0, rim)
        if not any(fast.topology if solid else fast.topology[1:]):
            mesh = fast.mesh
    mesh = keep_largest(_quadric_under(mesh, triangles, rim), len(areas))
    return drop_floaters(mesh, FLOATER if least >= FLOATER else 0.5 * float(least))


def _quadric_under(mesh: Mesh, triangles: int, rim: float) -> Mesh:
    """Reduce, mend, and reduce again a little lower while there are too many faces or anything is open."""
    goal, found = triangles, ""
    if len(mesh.faces) <= triangles:
        return mesh
    shares = outline_shares(mesh) if triangles > FEW else np.zeros(len(mesh.vertices))
    for _ in range(6):
        result = make_solid(_quadric(mesh, goal, shares), 0.0, rim)
        wrong = result.topology if rim > 0 else result.topology[1:]
        if len(result.mesh.faces) <= triangles and not any(wrong):
            return result.mesh
        found = f"{len(result.mesh.faces)} triangles, {result.topology}"
        goal = max(4, goal - max(len(result.mesh.faces) - triangles, triangles // 50, 2))
    raise StageError(f"the mesh does not reduce to {triangles} triangles and stay closed ({found})", "raise decimate.triangles")


def _fast(mesh: Mesh, triangles: int) -> Mesh:
    """Collapse edges greedily by quadric error, in sweeps."""
    points, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=triangles, agg=5)[:2]
    return Mesh(np.asarray(points, dtype=np.float32), np.asarray(faces, dtype=np.int32))


def _quadric(mesh: Mesh, triangles: int, shares: Float64[np.ndarray, " v"]) -> Mesh:
    """Collapse edges in order of quadric error, each to its best place; errors count more where outlines run.

    PyMeshLab stretches the weights given to 1..100, and fails where all are equal; so two vertices that no face uses hold the
    ends of the scale. What a call does not say it takes from the call before.
    """
    loose = np.zeros((2, 3)) + mesh.vertices[0]
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(
        pymeshlab.Mesh(
            np.concatenate([mesh.vertices.astype(np.float64), loose]),
            mesh.faces,
            v_scalar_array=np.append(shares, [0.0, HUNDREDFOLD]),
        )
    )
    meshes.meshing_decimation_quadric_edge_collapse(
        targetfacenum=triangles,
        preservenormal=True,
        preservetopology=True,
        planarquadric=True,
        planarweight=PLANAR,
        qualityweight=True,
    )
    meshes.meshing_remove_unreferenced_vertices()
    result = meshes.current_mesh()
    result.compact()
    return Mesh(result.vertex_matrix().astype(np.float32), result.face_matrix().astype(np.int32))
