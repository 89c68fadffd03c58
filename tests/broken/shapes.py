"""Give sound solids in the form of real things: those in tests/data, and meshes that libraries ship."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pymeshlab
import trimesh

from forge_batch.ops.mesh import Mesh
from tests.shapes import blob

FACES = 12_000
"""Most triangles of a sound shape: few enough that 400 cases take minutes."""

_DATA = Path(__file__).parent.parent / "data"

FILES = {
    "horse": ("", "horse/reference.glb"),
    "barrel": ("", "wood_barrel/reference.glb"),
    "crate": ("", "ammo_crate/reference.glb"),
    "bunny": ("pymeshlab", "tests/sample_meshes/bunny.obj"),
    "cow": ("pymeshlab", "tests/sample_meshes/cow.obj"),
    "airplane": ("pymeshlab", "tests/sample_meshes/airplane.obj"),
    "bone": ("pymeshlab", "tests/sample_meshes/bone.ply"),
    "duck": ("gradio", "media_assets/models3d/Duck.glb"),
    "figure": ("gradio", "media_assets/models3d/sofia.stl"),
    "face": ("gradio", "media_assets/models3d/face.obj"),
}
"""Where each shape lies: the package that ships it (none: tests/data) and the path in it."""

SHAPES = (*FILES, "blob")


def sound_shape(name: str) -> Mesh:
    """Make a shape's outer surface: closed, manifold, one part, largest side 1, at most `FACES` triangles.

    The file's own mesh may have any fault; CGAL's alpha wrap, which shares nothing with the repair under test, is put round it.
    """
    if name == "blob":
        loaded = blob(64)
        points, faces = loaded.vertices.astype(np.float64), loaded.faces
    else:
        package, path = FILES[name]
        found = trimesh.load(_folder(package) / path, force="mesh", process=True)
        points, faces = np.asarray(found.vertices, np.float64), np.asarray(found.faces, np.int32)
    points = (points - points.mean(axis=0)) / np.ptp(points, axis=0).max()
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(points, faces))
    meshes.generate_alpha_wrap(alpha=pymeshlab.PercentageValue(1.0), offset=pymeshlab.PercentageValue(0.1))
    if meshes.current_mesh().face_number() > FACES:
        meshes.meshing_decimation_quadric_edge_collapse(  # what is left out is what the last call in this process said
            targetfacenum=FACES, preservetopology=True, preservenormal=True, planarquadric=False, qualityweight=False
        )
    made = meshes.current_mesh()
    made.compact()
    return Mesh(made.vertex_matrix().astype(np.float32), made.face_matrix().astype(np.int32))


def _folder(package: str) -> Path:
    if not package:
        return _DATA
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
