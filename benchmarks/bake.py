"""Measure the four bakes: seconds, and agreement with Blender's Cycles on the same pair, cage and tangent space, in one run.

python -m benchmarks.bake --data DIR --blender PYTHON [--only CASE]

DIR holds make_highpoly.py and the objects egyptian_cat, ammo_crate, wood_barrel and horse, each with its reference.glb. PYTHON
has bpy 5.0.1; without it only our side is measured. Writes results/bake.json and results/bake.png. On an idle machine this one
command is the whole comparison: both sides of a case run one after the other.

CPU seconds are user + system of all threads, and include no import and no compilation (a small bake goes before). Both sides
take one sample at a texel's centre. `cycles_over_ours` is Cycles' normal, base colour and occlusion over the same three of ours
with their search (`same_maps`; our base colour comes with the map of unseen texels). `cycles_over_all_six` is that over those,
metallic, roughness, and the writing of all as PNGs (`total`), which is not timed for Cycles. Who is right where
the two differ, bake_truth.py says: `truth` for normals and colours, `judge` for occlusion.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import trimesh

from benchmarks.bake_truth import judge, judge_occlusion
from forge_batch.ops.bake import CpuBaker, color_maps, material_maps, normal_map
from forge_batch.ops.baker import RAY, Sky
from forge_batch.ops.gbuffer import GBuffer, gbuffer
from forge_batch.ops.image_file import write_png
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals, weld_index
from forge_batch.ops.simplify import simplify
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.srgb import linear_to_srgb, srgb_to_linear
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.ops.unwrap import unwrap

HERE = Path(__file__).parent
CYCLES = HERE.parent / "tests" / "blender" / "cycles_bake.py"
CAGE = 0.02
OPEN = 100.0
"""Occlusion distance on both sides: no limit."""


class Pair(NamedTuple):
    """Be what is baked: `base` is where the source's vertices lay on `low` (None if they did not), see bake_truth.

    Sizes are those of the normal and colour maps and of occlusion, then occlusion's rays.
    """

    low: Mesh
    source: SourceMesh
    base: np.ndarray | None
    sizes: tuple[int, int, int]


def source_of(data: Path, name: str, faces: int, folder: Path) -> tuple[SourceMesh, np.ndarray]:
    """Build the displaced high poly of an object, and say where its vertices lay before."""
    path = folder / f"{name}_{faces}.npz"
    script = [sys.executable, str(data / "make_highpoly.py"), str(data / name)]
    subprocess.run([*script, "--faces", str(faces), "--npz", str(path), "--out", str(path.with_suffix(".ply"))], check=True)
    made = np.load(path)
    mesh = Mesh(made["position"], made["faces"], normals=made["normal"])
    seen = np.ones(len(mesh.vertices), np.float32)
    source = SourceMesh(mesh, srgb_to_linear(made["rgba"][:, :3]), made["metallic"], made["roughness"], seen)
    return source, made["base_position"]


def with_tangents(mesh: Mesh) -> Mesh:
    """Give an unwrapped mesh smooth normals and tangents."""
    return split_by_tangent(replace(mesh, normals=split_vertex_normals(mesh.vertices, mesh.faces)))


def reference_low(data: Path, name: str) -> Mesh:
    """Take the low poly of the pair as its author unwrapped it."""
    loaded = trimesh.load(data / name / "reference.glb", force="mesh", process=False)
    uv = np.asarray(loaded.visual.uv, np.float32) * np.float32([1, -1]) + np.float32([0, 1])
    return with_tangents(Mesh(loaded.vertices.astype(np.float32), loaded.faces.astype(np.int32), uv=uv))


def decimated_low(source: SourceMesh, triangles: int, size: int, folder: Path) -> Mesh:
    """Make the low poly as the pipeline does: decimate, then unwrap."""
    vertices, place = weld_index(source.mesh.vertices)
    low = simplify(Mesh(vertices, place[source.mesh.faces].astype(np.int32)), triangles, preview=True, solid=False)
    return with_tangents(unwrap(low, size, 8, None, folder=folder, timeout=300).mesh)


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run and measure."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.perf_counter() - wall, 2)}


def summed(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Add up what parts of the work took."""
    return {unit: round(sum(part[unit] for part in parts), 2) for unit in ("cpu", "wall")}


def bake_all(low: Mesh, source: SourceMesh, size: int, rays: int) -> tuple[GBuffer, dict[str, np.ndarray], dict[str, Any]]:
    """Bake the four maps from the two meshes to PNG files."""
    seconds: dict[str, Any] = {}
    buffer, seconds["gbuffer"] = timed(lambda: gbuffer(low, source, size, CAGE))
    maps: dict[str, np.ndarray] = {}
    maps["normal"], seconds["normal"] = timed(lambda: normal_map(buffer))
    color, seconds["base_color"] = timed(lambda: color_maps(buffer))
    material, seconds["material"] = timed(lambda: material_maps(buffer))
    maps["occlusion"], seconds["occlusion"] = timed(lambda: CpuBaker(buffer).occlusion_map(Sky(rays, OPEN)))
    maps.update(base_color=color.base_color, unseen=color.unseen, metallic=material.metallic, roughness=material.roughness)

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, image in maps.items():
                write_png(Path(folder) / f"{name}.png", image)

    _, seconds["png"] = timed(write)
    seconds["same_maps"] = summed([seconds[name] for name in ("gbuffer", "normal", "base_color", "occlusion")])
    seconds["total"] = summed([seconds["same_maps"], seconds["material"], seconds["png"]])
    return buffer, maps, seconds


def cycles(python: str, low: Mesh, source: SourceMesh, folder: Path, options: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """Bake the same with Cycles."""
    pair, out = folder / "pair.npz", folder / "out.npy"
    arrays = {f"low_{name}": getattr(low, name) for name in ("vertices", "faces", "uv", "normals")}
    arrays["high_color"] = source.base_color
    np.savez(pair, **arrays, **{f"high_{name}": getattr(source.mesh, name) for name in ("vertices", "faces", "normals")})
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += ["--cage", str(CAGE * low.diagonal)]
    done = subprocess.run([python, str(CYCLES), str(pair), str(out), *words], check=True, capture_output=True, text=True)
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    spent = json.loads(line)
    return np.load(out), {"cpu": round(spent["cpu_seconds"], 2), "wall": round(spent["wall_seconds"], 2)}


def compare_normals(buffer: GBuffer, ours: np.ndarray, theirs: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """Measure angles on texels that both cover: degrees, and their picture."""
    both = buffer.texel[buffer.centre & (buffer.kind == RAY)]
    a = ours.reshape(-1, 3)[both].astype(np.float64) / 65535 * 2 - 1
    b = theirs.reshape(-1, 3)[both].astype(np.float64) * 2 - 1
    length = np.linalg.norm(b, axis=1)
    good = length > 0.5
    b /= np.where(good, length, 1)[:, None]
    angle = np.degrees(np.arccos(np.clip(np.einsum("tx,tx->t", a, b), -1, 1)))
    picture = np.zeros(buffer.size**2)
    picture[both[good]] = angle[good]
    angle = angle[good]
    found = {
        "texels": len(angle),
        "mean": angle.mean(),
        "median": np.median(angle),
        "p95": np.percentile(angle, 95),
        "above_5_share": (angle > 5).mean(),
    }
    return {key: round(float(value), 4) for key, value in found.items()}, picture.reshape(buffer.size, buffer.size)


def compare_occlusion(buffer: GBuffer, ours: np.ndarray, theirs: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """Measure differences of openness, 0..1, and their picture."""
    both = buffer.texel[buffer.centre & (buffer.kind == RAY)]
    a, b = ours.ravel()[both] / 255, np.clip(theirs[..., 0].ravel()[both], 0, 1)
    picture = np.zeros(buffer.size**2)
    picture[both] = np.abs(a - b)
    found = {
        "mean_ours": a.mean(),
        "mean_cycles": b.mean(),
        "mean_absolute_difference": np.abs(a - b).mean(),
        "correlation": np.corrcoef(a, b)[0, 1],
    }
    return {key: round(float(value), 4) for key, value in found.items()}, picture.reshape(buffer.size, buffer.size)


def compare_colors(buffer: GBuffer, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Measure differences of base colour on texels that both cover, in steps of 8 bits sRGB."""
    both = buffer.texel[buffer.centre & (buffer.kind == RAY)]
    other = linear_to_srgb(theirs.reshape(-1, 3)[both]) * 255
    away = np.abs(ours.reshape(-1, 3)[both] - other)
    return {"mean_255": round(float(away.mean()), 4), "p95_255": round(float(np.percentile(away, 95)), 4)}


def case(pair: Pair, blender: str, folder: Path) -> tuple[Any, np.ndarray]:
    """Bake one pair on both sides; gives figures and a row of pictures."""
    low, source, base, (size, shade_size, rays) = pair
    buffer, maps, seconds = bake_all(low, source, size, rays if shade_size == size else 64)
    result: dict[str, Any] = {
        "low_triangles": len(low.faces),
        "source_triangles": len(source.mesh.faces),
        "size": size,
        "covered_texels": len(buffer.texel),
        "miss_share": round(buffer.misses, 5),
        "rays": rays if shade_size == size else 64,
        "ours_seconds": seconds,
    }
    print(json.dumps(result, indent=1), flush=True)
    row = [maps["base_color"][..., ::-1], (maps["normal"] >> 8).astype(np.uint8)[..., ::-1], maps["occlusion"]]
    if blender:
        theirs, spent = cycles(blender, low, source, folder, {"kind": "NORMAL", "size": size, "samples": 1})
        result["normal_degrees"], angle = compare_normals(buffer, maps["normal"], theirs)
        result["cycles_normal_seconds"] = spent
        shine, shine_spent = cycles(blender, low, source, folder, {"kind": "EMIT", "size": size, "samples": 1})
        result["base_color"], result["cycles_base_color_seconds"] = (
            compare_colors(buffer, maps["base_color"], shine),
            shine_spent,
        )
        who = np.zeros((size, size, 3))
        if base is not None:
            result["truth"], who = judge(buffer, CAGE, base, maps, {"normal": theirs, "base_color": shine})
        if shade_size != size:
            buffer = gbuffer(low, source, shade_size, CAGE)
            maps["occlusion"] = CpuBaker(buffer).occlusion_map(Sky(rays, OPEN))
        shade, spent = cycles(blender, low, source, folder, {"kind": "AO", "size": shade_size, "samples": rays})
        result["occlusion"], difference = compare_occlusion(buffer, maps["occlusion"], shade)
        result["occlusion"].update(size=shade_size, rays=rays)
        result["cycles_occlusion_seconds"] = spent
        result["occlusion"]["judge"] = judge_occlusion(buffer, CAGE, base, maps["occlusion"], shade, Sky(4096, OPEN))
        if shade_size == size:
            sums = summed([result["cycles_normal_seconds"], shine_spent, spent])
            for name, part in (("cycles_over_ours", "same_maps"), ("cycles_over_all_six", "total")):
                result[name] = {unit: round(sums[unit] / seconds[part][unit], 2) for unit in sums}
        row += [np.rint(np.clip(theirs[..., ::-1], 0, 1) * 255), np.clip(angle * 51, 0, 255), cv2.dilate(who, np.ones((5, 5)))]
        row += [np.rint(np.clip(shade, 0, 1) * 255), np.clip(difference * 1275, 0, 255)]
        print(json.dumps(result, indent=1), flush=True)
    return result, np.hstack([thumbnail(image) for image in row])


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Fit a map into the sheet."""
    small = cv2.resize(image.astype(np.uint8), (224, 224), interpolation=cv2.INTER_AREA)
    return small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)


def budget(data: Path, folder: Path) -> Pair:
    """Bake 10,000 triangles made by our own stages from 200,000, at 2048 with 64 rays: the case that has a budget."""
    source, _ = source_of(data, "egyptian_cat", 200_000, folder)
    return Pair(decimated_low(source, 10_000, 2048, folder), source, None, (2048, 2048, 64))


def authored(name: str) -> Callable[[Path, Path], Pair]:
    """Bake a low poly with its author's UVs from 500,000 triangles: normals at 2048, occlusion at 512 with 256 rays."""
    return lambda data, folder: Pair(reference_low(data, name), *source_of(data, name, 500_000, folder), (2048, 512, 256))


def unwrapped_anew(name: str) -> Callable[[Path, Path], Pair]:
    """Bake, as `authored`, an object whose own UVs overlap or tile: its low poly welded and unwrapped by our own stage."""

    def make(data: Path, folder: Path) -> Pair:
        loaded = trimesh.load(data / name / "reference.glb", force="mesh", process=False)
        vertices, place = weld_index(loaded.vertices.astype(np.float32))
        faces = place[np.asarray(loaded.faces)].astype(np.int32)
        solid = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
        low = with_tangents(unwrap(Mesh(vertices, faces[solid]), 2048, 8, None, folder=folder, timeout=300).mesh)
        return Pair(low, *source_of(data, name, 500_000, folder), (2048, 512, 256))

    return make


CASES = {
    "budget": budget,
    "egyptian_cat": authored("egyptian_cat"),
    "ammo_crate": authored("ammo_crate"),
    "wood_barrel": unwrapped_anew("wood_barrel"),
    "horse": unwrapped_anew("horse"),
}


def main() -> None:
    """Run the cases and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--blender", default="")
    parser.add_argument(
        "--only", default="", choices=["", *CASES], help="measure one case anew, leave the others as they stand"
    )
    options = parser.parse_args()
    figures, sheet = HERE / "results" / "bake.json", HERE / "results" / "bake.png"
    results: dict[str, Any] = {"cases": {}}
    rows: dict[str, np.ndarray] = {}
    if options.only:
        results = json.loads(figures.read_text())
        rows = dict(zip(results["cases"], np.split(cv2.imread(str(sheet)), len(results["cases"])), strict=True))
    results.update(machine=f"{platform.machine()}, Python {platform.python_version()}", cage=CAGE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, _ = source_of(options.data, "ammo_crate", 20_000, folder)
        warm = bake_all(reference_low(options.data, "ammo_crate"), small, 128, 4)[0]
        warm.scene.nearest(small.mesh.vertices[:1])  # in the small bake every ray may find the source
        for title, make in CASES.items():
            if options.only in ("", title):
                results["cases"][title], rows[title] = case(make(options.data, folder), options.blender, folder)
    figures.parent.mkdir(exist_ok=True)
    figures.write_text(json.dumps(results, indent=1) + "\n")
    cv2.imwrite(str(sheet), np.vstack([rows[title] for title in results["cases"]]), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
