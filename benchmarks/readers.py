"""Hold the packages of a content folder against what was meant, by every reader at hand: the table of docs/readers.md.

python -m benchmarks.readers CONTENT [--out benchmarks/results/readers.json]

CONTENT is a folder in which `forge-batch run` has made packages for all engines; its work/ holds the meshes that were meant.
Readers are those of tests/readers; all of them must be there (FORGE_BLENDER_PYTHON, npm ci, the dev group).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from forge_batch.ops.mesh import Mesh, load_meshes
from forge_batch.packages.names import pascal
from tests.readers import ask_assimp, ask_blender, ask_three, ask_three_glb, ask_ufbx, validate_glb

HOUSE = np.eye(3)
Z_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From a right-handed frame with Z up and the front on -Y back into the house."""

UE5_FBX = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) * 0.01
UE5_GLB = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])


@dataclass(frozen=True)
class Case:
    """Be one reader of one engine's file.

    Attributes:
        axes: Carries what the reader gives into house space, metres.
        levels: Whether the file holds all levels.
    """

    engine: str
    suffix: str
    reader: str
    ask: Callable[[Path], dict[str, Any]]
    axes: np.ndarray
    levels: bool


def cases() -> list[Case]:
    """List who reads what."""
    addon, native = (lambda path: ask_blender(path, "addon")), (lambda path: ask_blender(path, "native"))
    gltf = lambda path: ask_blender(path, "gltf")  # noqa: E731 - one of three of a kind
    fbx, glb = ".fbx", ".glb"
    return [
        Case("ue5", fbx, "ufbx", ask_ufbx, UE5_FBX, True),
        Case("ue5", fbx, "three.js", ask_three, UE5_FBX, True),
        Case("ue5", fbx, "assimp", ask_assimp, UE5_FBX, True),
        Case("ue5", fbx, "Blender, add-on", addon, UE5_FBX * 100, True),
        Case("ue5", fbx, "Blender, native", native, UE5_FBX * 100, True),
        Case("ue5", glb, "three.js", ask_three_glb, UE5_GLB, False),
        Case("ue5", glb, "assimp", ask_assimp, UE5_GLB, False),
        Case("ue5", glb, "Blender", gltf, UE5_GLB @ Z_UP, False),
        Case("unity_hdrp", fbx, "ufbx", ask_ufbx, HOUSE, True),
        Case("unity_hdrp", fbx, "three.js", ask_three, Z_UP, True),
        Case("unity_hdrp", fbx, "assimp", ask_assimp, HOUSE, True),
        Case("unity_hdrp", fbx, "Blender, add-on", addon, Z_UP, True),
        Case("unity_hdrp", fbx, "Blender, native", native, Z_UP, True),
        *(
            Case(engine, glb, reader, ask, axes, False)
            for engine in ("godot4", "blender", "web")
            for reader, ask, axes in (
                ("three.js", ask_three_glb, HOUSE),
                ("assimp", ask_assimp, HOUSE),
                ("Blender", gltf, Z_UP),
            )
            if (engine, reader) != ("web", "assimp")  # assimp-py is built without Draco
        ),
    ]


def meant(content: Path, asset: str) -> tuple[list[Mesh], list[Mesh]]:
    """Give the levels and hulls that an asset's stages made, in house space."""
    job = json.loads((content / "state" / "jobs" / f"{asset}.json").read_text())
    keys = {record["stage"]: record["key"] for record in job["records"]}
    lods = load_meshes(content / "work" / keys["build_lods"] / "lods.npz")[0]
    hulls = load_meshes(content / "work" / keys["build_collision"] / "hulls.npz")[0]
    return list(lods.values()), list(hulls.values())


def expected(case: Case, title: str, lods: list[Mesh], hulls: list[Mesh]) -> dict[str, Mesh]:
    """Give what a file must hold, by the names of its engine."""
    mesh = f"SM_{title}"
    if case.engine == "unity_hdrp":
        return {f"{mesh}_LOD{level}": lod for level, lod in enumerate(lods)}
    solids = {("ue5", ".fbx"): "UCX_{}_{:02d}", ("godot4", ".glb"): "{}_{:02d}-convcolonly"}
    solid = solids.get((case.engine, case.suffix))
    found = {mesh: lods[0]}
    if case.levels:
        found |= {f"{mesh}_LOD{level}": lod for level, lod in enumerate(lods) if level}
    if solid:
        found |= {solid.format(mesh, index): hull for index, hull in enumerate(hulls)}
    return found


def corners(mesh: Mesh, rows: np.ndarray | None) -> np.ndarray:
    """List a vertex attribute corner by corner."""
    return np.zeros((0, 3)) if rows is None else np.asarray(rows[mesh.faces.ravel()], np.float64)


def compare(case: Case, read: dict[str, Any], wanted: dict[str, Mesh]) -> Iterator[tuple[str, float]]:
    """Give the errors of one file by kind: names, triangles, millimetres, uv, degrees."""
    found = {mesh["name"]: mesh for mesh in read["meshes"]}
    yield "names", float(len(found.keys() ^ wanted.keys()))
    v_up = case.suffix == ".fbx" or case.reader.startswith(("Blender", "assimp"))
    turn = case.axes / np.linalg.norm(case.axes[0])
    for name, mesh in wanted.items():
        if name not in found:
            continue
        level = found[name]
        yield "triangles", float(abs(level["triangles"] - len(mesh.faces)))
        points = np.array(level["positions"]) @ case.axes.T
        distance, match = cKDTree(corners(mesh, mesh.vertices)).query(points)
        back = cKDTree(points).query(corners(mesh, mesh.vertices))[0]
        yield "mm", 1000 * float(max(distance.max(), back.max()))
        if mesh.uv is None or mesh.normals is None or not len(level["uv"]):
            continue
        uv = np.array(level["uv"]) * ([1, -1] if v_up else [1, 1]) + ([0, 1] if v_up else [0, 0])
        normals = np.array(level["normals"]) @ turn.T
        kept = np.isfinite(normals).all(axis=1)  # Blender gives slivers no normal
        yield "no normal", float((~kept).sum())
        points, uv, normals = points[kept], uv[kept], normals[kept]
        # positions alone are not unique: match on everything, weighed so that each counts
        size = np.ptp(mesh.vertices, axis=0).max()
        truth = np.hstack([corners(mesh, mesh.vertices) / size, corners(mesh, mesh.uv), 0.1 * corners(mesh, mesh.normals)])
        match = cKDTree(truth).query(np.hstack([points / size, uv, 0.1 * normals]))[1]
        yield "uv", float(np.abs(uv - corners(mesh, mesh.uv)[match]).max())
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        chord = np.linalg.norm(normals - corners(mesh, mesh.normals)[match], axis=1)
        yield "degrees", float(np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1))).max())


def main() -> None:
    """Read everything and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("content", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    assets = sorted(path.name for path in (options.content / "exports").iterdir())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for asset in assets:
            for path in (options.content / "exports" / asset).glob("export_*.zip"):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(Path(name) / asset / path.stem.partition(f"{pascal(asset)}_")[2].lower())
        for case in cases():
            worst: dict[str, float] = {}
            for asset in assets:
                title = pascal(asset)
                lods, hulls = meant(options.content, asset)
                file = Path(name) / asset / case.engine / f"SM_{title}{case.suffix}"
                for kind, error in compare(case, case.ask(file), expected(case, title, lods, hulls)):
                    worst[kind] = max(worst.get(kind, 0.0), error)
                if case.suffix == ".glb":
                    issues = validate_glb(file)["issues"]
                    worst["validator"] = worst.get("validator", 0) + issues["numErrors"] + issues["numWarnings"]
            rows.append({"engine": case.engine, "file": case.suffix, "reader": case.reader, **worst})
            kinds = ("names", "triangles", "mm", "uv", "degrees", "no normal", "validator")
            cells = [f"{worst[kind]:.3g}" if kind in worst else "" for kind in kinds]
            print(f"| {case.engine} {case.suffix} | {case.reader} | {' | '.join(cells)} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps({"assets": assets, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
