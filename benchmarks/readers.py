"""Hold the packages of a content folder against what was meant, by every reader at hand: the table of docs/readers.md.

python -m benchmarks.readers CONTENT [--out benchmarks/results/readers.json]

CONTENT is the folder of benchmarks.readers_content, in which `forge-batch run` has made packages for all engines; its work/
holds the meshes that were meant. Readers are those of tests/readers; all must be there (FORGE_BLENDER_PYTHON, npm ci, the dev
group). Where `3dqa` is on the path (pip install 3dqa; it may be used, not passed on), it looks at the GLBs too.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from forge_batch.ops.lightmap import with_lightmap_uv
from forge_batch.ops.mesh import Mesh, load_mesh, load_meshes
from forge_batch.ops.rig import Rig, carried_over, limited, load_rig, with_root
from forge_batch.packages.mannequin import mannequin_names
from forge_batch.packages.names import pascal
from tests import poses
from tests.readers import ask_assimp, ask_blender, ask_three, ask_three_glb, ask_ufbx, validate_glb

HOUSE = np.eye(3)
Z_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From a right-handed frame with Z up and the front on -Y back into the house."""

UE5_FBX = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) * 0.01
UE5_GLB = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])


LIGHTMAP = 256
COARSE = re.compile(r"_LOD[1-9]$")
KINDS = ("names", "parents", "slots", "triangles", "mm", "uv", "uv2", "degrees", "tangents", "signs", "no normal", "validator")
"""What is counted or measured of a file: names, parents and material slots that differ, triangles, positions, both uv sets,
normals, the 99th percentile of tangents (degrees), turned tangents, corners without a normal, issues of the validator."""

POSES: list[poses.Turns] = [
    {"root": ("y", 60)},
    {"upperarm_l": ("z", -50), "lowerarm_l": ("y", 70), "thigh_r": ("x", -60), "calf_r": ("x", 80)},
    {"spine_02": ("y", 35), "head": ("x", 25), "upperarm_r": ("x", 80), "hand_r": ("z", 40), "foot_l": ("x", -30)},
]


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
        Case("blender", "_LODs.fbx", "ufbx", ask_ufbx, HOUSE, True),
        Case("blender", "_LODs.fbx", "Blender, native", native, Z_UP, True),
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
    """Give the levels and hulls that an asset's stages made, in house space, with the second uv set."""
    work = made(content, asset)
    lods, hulls = load_meshes(work["build_lods"] / "lods.npz")[0], load_meshes(work["build_collision"] / "hulls.npz")[0]
    return [with_lightmap_uv(mesh, LIGHTMAP) for mesh in lods.values()], list(hulls.values())


def made(content: Path, asset: str) -> dict[str, Path]:
    """Give the folder of each stage's outputs."""
    job = json.loads((content / "state" / "jobs" / f"{asset}.json").read_text())
    return {record["stage"]: content / "work" / record["key"] for record in job["records"]}


def expected(case: Case, title: str, lods: list[Mesh], hulls: list[Mesh]) -> dict[str, Mesh]:
    """Give what a file must hold, by the names of its engine."""
    mesh = f"SM_{title}"
    if case.engine == "unity_hdrp":
        return {f"{mesh}_LOD{level}": lod for level, lod in enumerate(lods)}
    solids = {
        ("ue5", ".fbx"): "UCX_{}_{:02d}",
        ("blender", "_LODs.fbx"): "UCX_{}_{:02d}",
        ("godot4", ".glb"): "{}_{:02d}-convcolonly",
    }
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


def structure(case: Case, found: dict[str, Any], wanted: dict[str, Mesh]) -> Iterator[tuple[str, float]]:
    """Count names, parents and material slots that are not as they should be."""
    yield "names", float(len(found.keys() ^ wanted.keys()))
    if case.reader != "assimp":  # which gives meshes without their nodes
        group = f"{next(iter(wanted))}_LodGroup" if case.suffix != ".glb" and case.engine != "unity_hdrp" else None
        levels = [name for name, mesh in wanted.items() if mesh.uv is not None]
        parents = [found[name]["parent"] != (group if name in levels else None) for name in wanted if name in found]
        yield "parents", float(sum(parents))
        yield "slots", float(len({tuple(found[name]["materials"]) for name in levels if name in found}) - 1)


def compare(case: Case, read: dict[str, Any], wanted: dict[str, Mesh]) -> Iterator[tuple[str, float]]:
    """Give the errors of one file by kind: names, triangles, millimetres, uv, degrees."""
    found = {mesh["name"]: mesh for mesh in read["meshes"]}
    yield from structure(case, found, wanted)
    v_up = case.suffix != ".glb" or case.reader.startswith(("Blender", "assimp"))
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
        yield "degrees", float(apart(normals, corners(mesh, mesh.normals)[match]).max())
        if len(level.get("second_uv", [])):
            second = np.array(level["second_uv"])[kept] * ([1, -1] if v_up else [1, 1]) + ([0, 1] if v_up else [0, 0])
            yield "uv2", float(np.abs(second - corners(mesh, mesh.lightmap_uv)[match]).max())
        own = case.reader.startswith(
            "Blender"
        )  # makes MikkTSpace itself, and coarser levels keep LOD0's, in which maps are baked
        if len(level.get("tangents", [])) and not (own and COARSE.search(name)):
            tangents = np.array(level["tangents"])[kept]
            meant_tangents = corners(mesh, mesh.tangents)[match]
            yield "tangents", float(np.percentile(apart(tangents[:, :3] @ turn.T, meant_tangents[:, :3]), 99))
            signs = tangents[:, 3] if tangents.shape[1] == 4 else np.array(level["signs"])[kept] if "signs" in level else None
            if signs is not None:
                yield "signs", float((signs != meant_tangents[:, 3]).sum())


def apart(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the angles between unit vectors, degrees."""
    return np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(some - others, axis=1) / 2, 1)))


def skinned_meant(content: Path, asset: str) -> tuple[list[Mesh], list[Rig]]:
    """Give a character's levels and the rig of each, as packages name it."""
    work = made(content, asset)
    lods = list(load_meshes(work["build_lods"] / "lods.npz")[0].values())
    rig = with_root(load_rig(work["rig"] / "rig.npz"))
    rig = limited(Rig(mannequin_names(rig.names).names, rig.joints, rig.parents, rig.influences, rig.weights), 4)
    rigged = load_mesh(work["unwrap"] / "mesh.npz")
    return lods, [carried_over(rig, rigged, mesh) for mesh in lods]


def skinned_rows(content: Path, folder: Path, asset: str) -> Iterator[dict[str, Any]]:
    """Bend a character in every file by every reader; the largest error of all corners and poses, mm."""
    lods, rigs = skinned_meant(content, asset)
    name = f"SK_{pascal(asset)}"
    glb, fbx = f"{name}.glb", f"{name}.fbx"
    zup, house, ue5 = poses.BLENDER, poses.HOUSE, poses.UE5_FBX
    blender = lambda axes, importer: lambda path: poses.by_blender(path, rigs[0], POSES, axes, importer)  # noqa: E731
    three = lambda axes: lambda path: poses.by_three(path, rigs[0], POSES, axes)  # noqa: E731
    ufbx = lambda axes: lambda path: poses.by_ufbx(path, rigs[0], POSES, axes)  # noqa: E731
    cases = [
        ("ue5", fbx, "ufbx", ufbx(ue5), ue5 * 100),
        ("ue5", fbx, "three.js", three(ue5), ue5 * 100),
        ("ue5", fbx, "Blender, add-on", blender(ue5, "addon"), ue5),
        ("ue5", fbx, "Blender, native", blender(ue5, "native"), ue5),
        ("unity_hdrp", fbx, "ufbx", ufbx(house), house),
        ("unity_hdrp", fbx, "three.js", three(house), zup),
        ("unity_hdrp", fbx, "Blender, native", blender(zup, "native"), zup),
        ("blender", f"{name}_LODs.fbx", "ufbx", ufbx(house), house),
        ("blender", glb, "Blender", blender(zup, "gltf"), zup),
        ("godot4", glb, "three.js", three(house), house),
        ("godot4", glb, "Blender", blender(zup, "gltf"), zup),
        ("web", glb, "three.js", three(house), house),
        ("web", glb, "Blender", blender(zup, "gltf"), zup),
    ]
    for engine, file, reader, bend, axes in cases:
        worst = 0.0
        found = bend(folder / asset / engine / pascal(asset) / file)
        levels = sorted(found[0])
        for level in levels:
            number = int(level.rpartition("_LOD")[2]) if "_LOD" in level else 0
            for pose, corner in zip(found, poses.expected(rigs[number], lods[number], POSES), strict=True):
                gap = cKDTree(corner @ axes.T).query(pose[level])[0].max()
                worst = max(worst, 1000 * float(gap / np.linalg.norm(axes[0])))
        yield {"engine": engine, "file": file.removeprefix(name), "reader": reader, "levels": len(levels), "mm": worst}


def lint(path: Path) -> str:
    """Give the verdict of 3dqa on a GLB."""
    done = subprocess.run(["3dqa", "lint", str(path)], check=False, capture_output=True, text=True, timeout=300)
    return "PASS" if '"verdict": "PASS"' in done.stdout else "FAIL"


def static_row(case: Case, content: Path, folder: Path, assets: list[str]) -> dict[str, Any]:
    """Read one kind of file of every object by one reader; the worst of each kind of error."""
    worst: dict[str, float] = {}
    for asset in assets:
        title = pascal(asset)
        lods, hulls = meant(content, asset)
        inner = f"{title}_glTF" if (case.engine, case.suffix) == ("ue5", ".glb") else title
        file = folder / asset / case.engine / inner / f"SM_{title}{case.suffix}"
        for kind, error in compare(case, case.ask(file), expected(case, title, lods, hulls)):
            worst[kind] = max(worst.get(kind, 0.0), error)
        if case.suffix == ".glb":
            issues = validate_glb(file)["issues"]
            worst["validator"] = worst.get("validator", 0) + issues["numErrors"] + issues["numWarnings"]
    return {"engine": case.engine, "file": case.suffix, "reader": case.reader, **worst}


def main() -> None:
    """Read everything and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("content", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    every = sorted(path.name for path in (options.content / "exports").iterdir())
    characters = [asset for asset in every if "rig" in made(options.content, asset)]
    assets = [asset for asset in every if asset not in characters]
    found: dict[str, Any] = {"assets": assets, "characters": characters, "rows": [], "poses": [], "3dqa": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for asset in every:
            for path in (options.content / "exports" / asset).glob("export_*.zip"):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(folder / asset / path.stem.partition(f"{pascal(asset)}_")[2].lower())
        if shutil.which("3dqa"):
            found["3dqa"] = {str(path.relative_to(folder)): lint(path) for path in sorted(folder.rglob("*.glb"))}
            print(f"3dqa: {sum(one == 'PASS' for one in found['3dqa'].values())} of {len(found['3dqa'])} pass", flush=True)
        for asset in characters:
            for row in skinned_rows(options.content, folder, asset):
                found["poses"].append(row)
                print(f"| {row['engine']} {row['file']} | {row['reader']} | {row['levels']} | {row['mm']:.3g} |", flush=True)
        for case in cases():
            row = static_row(case, options.content, folder, assets)
            found["rows"].append(row)
            cells = [f"{row[kind]:.3g}" if kind in row else "" for kind in KINDS]
            print(f"| {case.engine} {case.suffix} | {case.reader} | {' | '.join(cells)} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
