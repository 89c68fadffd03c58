"""Finish broken meshes: by the stages of forge_batch, and by four libraries that are asked the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from forge_batch.artifacts import MESH
from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
from forge_batch.stage import Stage, StageContext
from forge_batch.stages import clean, decimate, repair

TRIANGLES = 5000


def by_forge_batch(mesh: Mesh) -> Mesh:
    """Run repair, clean and decimate with what a manifest has when it says nothing, but for the budget."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "broken.npz"
        save_mesh(path, mesh)
        for stage, params in (
            (repair.stage, repair.Params()),
            (clean.stage, clean.Params()),
            (decimate.stage, decimate.Params(triangles=TRIANGLES)),
        ):
            path = _run(stage, params, path, Path(name) / stage.name)
        return load_mesh(path)


def _run(stage: Stage, params: object, path: Path, folder: Path) -> Path:  # type: ignore[type-arg]
    folder.mkdir()
    context = StageContext("broken", params, 0, {}, {MESH.name: path}, folder)
    stage.run(context)  # type: ignore[arg-type]
    return context.out(MESH)


def by_pymeshfix(mesh: Mesh) -> Mesh:
    """Let MeshFix do everything it does by default."""
    import pymeshfix

    fixer = pymeshfix.MeshFix(mesh.vertices.astype(np.float64), mesh.faces)
    fixer.repair()
    return Mesh(np.asarray(fixer.points, np.float32), np.asarray(fixer.faces, np.int32))


def by_pymeshlab(mesh: Mesh) -> Mesh:
    """Run the filters that PyMeshLab's users are told to run, in the order they are told."""
    import pymeshlab

    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
    meshes.meshing_merge_close_vertices(threshold=pymeshlab.PercentageValue(0.001))
    meshes.meshing_remove_duplicate_vertices()
    meshes.meshing_remove_duplicate_faces()
    meshes.meshing_remove_null_faces()
    meshes.meshing_remove_connected_component_by_face_number(mincomponentsize=25)
    meshes.meshing_repair_non_manifold_edges()
    meshes.meshing_repair_non_manifold_vertices()
    meshes.meshing_close_holes(maxholesize=1000)
    meshes.meshing_re_orient_faces_coherently()
    meshes.meshing_repair_non_manifold_edges()
    meshes.meshing_remove_unreferenced_vertices()
    made = meshes.current_mesh()
    made.compact()
    return Mesh(made.vertex_matrix().astype(np.float32), made.face_matrix().astype(np.int32))


def by_manifold3d(mesh: Mesh) -> Mesh:
    """Merge open edges and make a manifold; what manifold3d refuses is refused."""
    import manifold3d

    given = manifold3d.Mesh(mesh.vertices, mesh.faces.astype(np.uint32))
    given.merge()
    solid = manifold3d.Manifold(given)
    if solid.status() != manifold3d.Error.NoError:
        raise RefusedError(str(solid.status()))
    made = solid.to_mesh()
    return Mesh(np.asarray(made.vert_properties, np.float32)[:, :3], np.asarray(made.tri_verts, np.int32))


def by_trimesh(mesh: Mesh) -> Mesh:
    """Process the mesh and call everything that trimesh.repair has."""
    import trimesh

    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True, validate=True)
    solid.update_faces(solid.unique_faces() & solid.nondegenerate_faces())
    solid.remove_unreferenced_vertices()
    trimesh.repair.fix_winding(solid)
    trimesh.repair.fill_holes(solid)
    trimesh.repair.fix_inversion(solid, multibody=True)
    trimesh.repair.fix_normals(solid)
    return Mesh(np.asarray(solid.vertices, np.float32), np.asarray(solid.faces, np.int32))


class RefusedError(Exception):
    """Say that a library gave no mesh and why."""


FINISHERS: dict[str, Callable[[Mesh], Mesh]] = {
    "forge_batch": by_forge_batch,
    "pymeshfix": by_pymeshfix,
    "pymeshlab": by_pymeshlab,
    "manifold3d": by_manifold3d,
    "trimesh": by_trimesh,
}
"""By name; ours first."""
