"""Give the ways of laying a mesh out that benchmarks/unwrap.py compares: each takes a welded mesh and gives one with uv."""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymeshlab
import xatlas

from forge_batch.ops.atlas import build_atlas, signed_areas
from forge_batch.ops.box_charts import box_charts
from forge_batch.ops.components import face_components
from forge_batch.ops.measure_atlas import find_charts
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.plane_charts import plane_charts
from forge_batch.ops.topology import edge_pairs, face_areas, find_edges

SIZE, PADDING = 1024, 4
ALONE = -1.0
"""A crease that leaves every chart alone."""

PARTUV = "FORGE_PARTUV"
"""The folder that `pip install --no-deps --target FOLDER partuv` filled; its settings are upstream's defaults, but for `pamo`,
which needs a GPU, and for one thread."""

PARTUV_SETTINGS = """verbose: false
save_stuff: false
pipeline: {threshold: 1.25, parallelDepth: 10, component_maxDepth: 10, checkSelfIntersection: false, checkNon2Manifold: true,
  num_omp_threads: 1, num_cuda_streams: 10}
unwrap: {method: abf, abf_iters: 5, agg_parts: 10, pamo: false}
"""
IGL = "FORGE_IGL"
"""The folder that `pip install --no-deps --target FOLDER libigl` filled."""

Charted = tuple[np.ndarray, np.ndarray, np.ndarray]
Way = Callable[[Mesh], Mesh]


def packed(mesh: Mesh, charted: Charted | None, crease: float = 180.0) -> Mesh:
    """Let xatlas chart, or take charts (origin, faces, uv in metres), join them unless told not to, and pack."""
    base, faces = np.arange(len(mesh.vertices)), mesh.faces
    arrays: dict[str, np.ndarray] = {"vertices": mesh.vertices, "faces": mesh.faces}
    if charted is not None:
        base, faces, uv = charted
        arrays = {
            "vertices": mesh.vertices[base],
            "faces": faces.astype(np.int32),
            "uv": _metres(mesh.vertices[base], faces, uv),
        }
    made, _ = build_atlas(arrays, {"size": SIZE, "padding": PADDING, "density": None, "crease": crease, "atlases": 1})
    return Mesh(mesh.vertices[base[made["origin"]]], made["faces"], uv=np.clip(made["uv"] / SIZE, 0, 1).astype(np.float32))


def _metres(points: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Scale every chart to the area that it has in space, as the packer wants it."""
    chart = face_components(faces.astype(np.int32))
    wanted = np.bincount(chart, weights=face_areas(Mesh(points, faces)))
    has = np.bincount(chart, weights=np.abs(signed_areas(uv[faces])))
    scale = np.ones(len(uv))
    scale[faces] = np.sqrt(wanted / np.maximum(has, 1e-30))[chart][:, None]
    return np.asarray(uv * scale[:, None])


def plain_xatlas(mesh: Mesh) -> Mesh:
    """Leave everything to xatlas as it comes."""
    origin, faces, uv = xatlas.parametrize(mesh.vertices, mesh.faces.astype(np.uint32))
    return Mesh(mesh.vertices[origin], faces.astype(np.int32), uv=_upside(uv))


def by_pymeshlab(name: str, **options: Any) -> Way:
    """Use a filter of PyMeshLab on the whole mesh."""

    def way(mesh: Mesh) -> Mesh:
        meshes = pymeshlab.MeshSet()
        meshes.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(np.float64), mesh.faces))
        meshes.apply_filter(name, **options)
        made = meshes.current_mesh()
        faces, points = made.face_matrix(), made.vertex_matrix()
        if made.has_wedge_tex_coord():
            corners = points[faces].reshape(-1, 3).astype(np.float32)
            index = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
            return Mesh(corners, index, uv=_upside(made.wedge_tex_coord_matrix()))
        return Mesh(points.astype(np.float32), faces.astype(np.int32), uv=_upside(made.vertex_tex_coord_matrix()))

    return way


def each_chart(flatten: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Way:
    """Flatten our own charts anew by (points, faces) -> uv; a chart that it does not do keeps what it had."""

    def way(mesh: Mesh) -> Mesh:
        made = packed(mesh, None)
        assert made.uv is not None
        uv, chart = made.uv.astype(np.float64) * (1, -1), find_charts(made)
        for number in range(int(chart.max()) + 1):
            used, faces = np.unique(made.faces[chart == number], return_inverse=True)
            try:
                uv[used] = flatten(made.vertices[used].astype(np.float64), faces.reshape(-1, 3).astype(np.int32))
            except (RuntimeError, ValueError, pymeshlab.PyMeshLabException):
                continue
        return packed(made, (np.arange(len(uv)), made.faces, uv), ALONE)

    return way


def _by_filter(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def flatten(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
        meshes = pymeshlab.MeshSet()
        meshes.add_mesh(pymeshlab.Mesh(points, faces))
        meshes.apply_filter(name)
        return np.asarray(meshes.current_mesh().vertex_tex_coord_matrix())

    return flatten


def _by_igl(rigid: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def flatten(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
        sys.path.insert(0, os.environ[IGL])
        import igl

        rim = igl.boundary_loop(faces.astype(np.int64))
        ends = np.array([rim[0], rim[len(rim) // 2]], dtype=np.int64)
        uv, _ = igl.lscm(points, faces.astype(np.int64), ends, np.array([[0.0, 0.0], [1.0, 0.0]]))[:2]
        if not rigid:
            return np.asarray(uv)
        data = igl.ARAPData()
        igl.arap_precomputation(points, faces.astype(np.int64), 2, np.zeros(0, np.int64), data)
        return np.asarray(igl.arap_solve(np.zeros((0, 2)), data, uv))

    return flatten


def by_blender(method: str) -> Way:
    """Let Blender cut (smart UV project, 66 degrees) and flatten, and pack with ours; it runs in its own Python."""

    def way(mesh: Mesh) -> Mesh:
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
            np.savez(given, vertices=mesh.vertices, faces=mesh.faces)
            script = Path(__file__).with_name("unwrap_blender.py")
            command = [os.environ["FORGE_BLENDER_PYTHON"], str(script), str(given), str(made), method]
            subprocess.run(command, check=True, capture_output=True)
            uv = np.round(np.load(made)["uv"], 6)  # Blender packs corner by corner, so that one vertex has several last digits
        spot, index = np.unique(np.column_stack([mesh.faces.ravel(), uv]), axis=0, return_inverse=True)
        return packed(mesh, (spot[:, 0].astype(np.int64), index.reshape(-1, 3), spot[:, 1:]), ALONE)

    return way


def partuv(mesh: Mesh) -> Mesh:
    """Run PartUV's own core over a part tree of geometry alone, for its learned one needs weights that may not be sold with."""
    package = types.ModuleType("partuv")
    package.__path__ = [str(Path(os.environ[PARTUV]) / "partuv")]
    sys.modules["partuv"] = package  # its own __init__ imports the network
    from partuv import _core

    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.yaml"
        settings.write_text(PARTUV_SETTINGS)
        points, faces = np.asfortranarray(mesh.vertices.astype(np.float64)), np.asfortranarray(mesh.faces.astype(np.int32))
        parts, _ = _core.pipeline_numpy(points, faces, part_tree(mesh), str(settings), 1.25)
    whole = parts.to_components()
    made = Mesh(np.asarray(whole.V, np.float32), np.asarray(whole.F, np.int32))
    return packed(made, (np.arange(len(whole.V)), np.asarray(whole.F), np.asarray(whole.UV)[:, :2]), ALONE)


def part_tree(mesh: Mesh, bend: float = 0.3) -> dict[int, dict[str, int]]:
    """Cluster faces bottom up over their edges (Ward 1963) by place, in diagonals, and normal; give each node's two sons."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    count, area = len(mesh.faces), face_areas(mesh)
    mean = np.vstack([np.hstack([corners.mean(axis=1) / mesh.diagonal, bend * normal]), np.zeros((count, 6))])
    size = np.concatenate([np.maximum(area / area.sum(), 1e-12), np.zeros(count)])
    edges = find_edges(mesh.faces)
    near: list[set[int]] = [set() for _ in range(2 * count)]
    for i, j in zip(*edge_pairs(edges, edges.uses == 2), strict=True):
        near[i // 3].add(int(j) // 3)
        near[j // 3].add(int(i) // 3)

    def cost(i: int, j: int) -> float:
        return float(size[i] * size[j] / (size[i] + size[j]) * ((mean[i] - mean[j]) ** 2).sum())

    queue = [(cost(i, j), i, j) for i in range(count) for j in near[i] if i < j]
    heapq.heapify(queue)
    alive, tree = set(range(count)), {}
    while len(alive) > 1:
        i, j = heapq.heappop(queue)[1:] if queue else sorted(alive)[:2]
        if i not in alive or j not in alive:
            continue
        new = count + len(tree)
        tree[new] = {"left": int(i), "right": int(j)}
        size[new] = size[i] + size[j]
        mean[new] = (size[i] * mean[i] + size[j] * mean[j]) / size[new]
        near[new] = (near[i] | near[j]) - {i, j}
        alive.discard(i)
        alive.discard(j)
        alive.add(new)
        for other in near[new]:
            near[other] = (near[other] - {i, j}) | {new}
            heapq.heappush(queue, (cost(other, new), other, new))
    return tree


def _upside(uv: np.ndarray) -> np.ndarray:
    return np.asarray(uv * (1, -1) + (0, 1), dtype=np.float32)


WAYS: dict[str, Way] = {
    "ours: xatlas, mended, joined": lambda mesh: packed(mesh, None),
    "ours, not joined": lambda mesh: packed(mesh, None, ALONE),
    "ours, edges of 60 degrees apart": lambda mesh: packed(mesh, None, 60.0),
    "planes, joined": lambda mesh: packed(mesh, plane_charts(mesh)),
    "box, joined": lambda mesh: packed(mesh, box_charts(mesh)),
    "xatlas as it comes": plain_xatlas,
    "PartUV's core, a tree of geometry": partuv,
    "Blender smart project": by_blender("none"),
    "Blender smart project, angle based": by_blender("ANGLE_BASED"),
    "Blender smart project, minimum stretch": by_blender("MINIMUM_STRETCH"),
    "our charts by libigl LSCM": each_chart(_by_igl(rigid=False)),
    "our charts by libigl ARAP": each_chart(_by_igl(rigid=True)),
    "our charts by PyMeshLab LSCM": each_chart(_by_filter("compute_texcoord_parametrization_least_squares_conformal_maps")),
    "our charts by PyMeshLab harmonic": each_chart(_by_filter("compute_texcoord_parametrization_harmonic")),
    "PyMeshLab Voronoi atlas": by_pymeshlab("generate_voronoi_atlas_parametrization", regionnum=40),
    "PyMeshLab flat plane": by_pymeshlab("compute_texcoord_parametrization_flat_plane_per_wedge"),
    "PyMeshLab trivial per triangle": by_pymeshlab(
        "compute_texcoord_parametrization_triangle_trivial_per_wedge", textdim=SIZE, border=2, method=1
    ),
}
