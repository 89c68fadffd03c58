"""Hold our gates against other programs that judge meshes: the 3dqa linter (PyPI) and Khronos' glTF validator.

python -m benchmarks.linters PACKAGE... [--out benchmarks/results/linters.json]

Each PACKAGE is a zip for Unreal. Its GLB is judged as it is, and once more with each defect of DEFECTS planted in it. 3dqa may
be used but not passed on, so it is no dependency of ours: `pip install 3dqa` beside the others, and `npm ci` in tests/node.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.check import check
from forge_batch.ops.glb import Look, encode_glb
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import decode_mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.tangents import split_by_tangent
from tests.readers import validate_glb

OURS = {
    "polygon_budget": ("budget",),
    "manifold_edges": ("manifold",),
    "watertight": ("watertight",),
    "face_normals": ("winding", "inverted_parts"),
    "floating_clusters": ("floaters",),
}
"""Our gates by the check of 3dqa that asks the same; `uv_coordinates` and `appearance` ask whether there are any at all."""

Defect = Callable[[Mesh], Mesh]


def _faces(change: Callable[[np.ndarray], np.ndarray]) -> Defect:
    return lambda mesh: Mesh(mesh.vertices, np.ascontiguousarray(change(mesh.faces.copy())), uv=mesh.uv)


def _turned(faces: np.ndarray) -> np.ndarray:
    faces[:20] = faces[:20, ::-1]
    return faces


def _added(corners: Callable[[Mesh], np.ndarray]) -> Defect:
    """Add faces (n, 3, 3) whose uv lie in the page's corner."""

    def add(mesh: Mesh) -> Mesh:
        new = corners(mesh).reshape(-1, 3).astype(np.float32)
        faces = np.arange(len(new), dtype=np.int32).reshape(-1, 3) + len(mesh.vertices)
        uv = np.tile(np.float32([[0.001, 0.001], [0.001, 0.002], [0.002, 0.001]]), (len(new) // 3, 1))
        uvs = np.concatenate([mesh.uv, uv]) if mesh.uv is not None else None
        return Mesh(np.concatenate([mesh.vertices, new]), np.concatenate([mesh.faces, faces]), uv=uvs)

    return add


def _fin(mesh: Mesh) -> np.ndarray:
    a, b, _ = mesh.vertices[mesh.faces[50]]
    return np.stack([a, b, a + np.float32([0, 0.1, 0])])[None]


def _tetrahedron(mesh: Mesh) -> np.ndarray:
    place = mesh.vertices.max(axis=0) + 0.1 * mesh.diagonal
    points = place + 0.003 * mesh.diagonal * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    return np.asarray(points[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]])


DEFECTS: dict[str, Defect] = {
    "none": lambda mesh: mesh,
    "a hole": _faces(lambda faces: np.delete(faces, 100, axis=0)),
    "turned faces": _faces(_turned),
    "inside out": _faces(lambda faces: faces[:, ::-1]),
    "a fin": _added(_fin),
    "a floater": _added(_tetrahedron),
}


def judge(path: Path) -> dict[str, Any]:
    """Ask all three about a GLB."""
    lint = Path(sys.executable).with_name("3dqa")
    told = json.loads(subprocess.run([lint, "lint", path], capture_output=True, text=True, check=False).stdout)
    theirs = {one["check"]: one["passed"] for one in told["findings"]}
    gates = {gate.name: gate.result for gate in check(path).gates}
    mine = {name: all(gates[gate] in {"pass", "not_tested"} for gate in ours) for name, ours in OURS.items()}
    issues = validate_glb(path)["issues"]
    khronos = {"errors": issues["numErrors"], "warnings": issues["numWarnings"]}
    differ = {name: {"3dqa": theirs[name], "ours": mine[name]} for name in OURS if theirs.get(name) != mine[name]}
    return {"3dqa": theirs, "ours": mine, "khronos": khronos, "differ": differ}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for package in options.packages:
        with zipfile.ZipFile(package) as archive, tempfile.TemporaryDirectory() as folder:
            (name,) = [name for name in archive.namelist() if name.endswith(".glb")]
            data, path = archive.read(name), Path(folder) / Path(name).name
            path.write_bytes(data)
            results[f"{package.stem}: as packed"] = judge(path)
            mesh = decode_mesh(data, "glb", name)
            for defect, plant in DEFECTS.items():
                spoilt = plant(mesh)
                normals = split_vertex_normals(spoilt.vertices, spoilt.faces)
                whole = split_by_tangent(Mesh(spoilt.vertices, spoilt.faces, uv=spoilt.uv, normals=normals))
                path.write_bytes(encode_glb("SM_Thing", whole, [Look("M_Thing", {})]))
                results[f"{package.stem}: {defect}"] = judge(path)
    for case, one in results.items():
        print(f"{case:45} differ: {one['differ'] or '-'}; khronos {one['khronos']}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
