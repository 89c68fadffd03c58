"""Score the generator `hull` against reference meshes: chamfer, silhouette IoU, seconds, and a picture to judge it by.

    python benchmarks/hull.py --data DIR --out benchmarks/results

DIR holds one folder per object: front, right, back and left.png (RGBA), camera.json and reference.glb in the cameras' space.
Beside the generator a plain 160^3 visual hull of the same silhouettes is scored, in the same run and with the same samples;
`ratio` is the generator's chamfer over that one's.

Chamfer is half the sum of both mean nearest distances between 30,000 points a side, in the space of the cameras (the largest
side of a reference is 1). Only what can be seen from outside counts: a sample is kept if one of 26 directions leaves it freely.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import cv2
import numpy as np
import trimesh
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from forge_batch.backends import hull
from forge_batch.backends.contract import Fineness
from forge_batch.ops.camera import Camera
from forge_batch.ops.camera_file import read_cameras
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.outline_overlap import outline_overlap
from forge_batch.ops.rays import RayScene
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.srgb import linear_to_srgb, srgb_to_linear
from forge_batch.ops.topology import measure_topology
from forge_batch.ops.zbuffer import frame_view, project, see

VIEWS = ("front", "right", "back", "left")
SAMPLES = 30_000
PLAIN_CELLS = 160
LIMITS = {"mean_ratio": 0.80, "max_ratio": 1.05, "mean_iou": 0.97, "seconds": 10.0}
PANEL = 256
DIRECTIONS = np.array([d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)], float)
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def sample_outside(mesh: Mesh, seed: int) -> np.ndarray:
    """Draw points (n, 3) of the surface, by area, that some direction leaves freely."""
    rng = np.random.default_rng(seed)
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    scene = RayScene(mesh)
    kept: list[np.ndarray] = []
    while sum(map(len, kept)) < SAMPLES:
        face = rng.choice(len(area), 2 * SAMPLES, p=area / area.sum())
        a, b = rng.random((2, len(face), 1))
        root = np.sqrt(a)
        points = corners[face, 0] * (1 - root) + corners[face, 1] * root * (1 - b) + corners[face, 2] * root * b
        free = np.zeros(len(points), bool)
        for direction in DIRECTIONS:
            asked = np.flatnonzero(~free)
            along = np.broadcast_to(direction, (len(asked), 3))
            free[asked] = ~scene.occluded(points[asked] + 1e-4 * direction, along)
        kept.append(points[free])
    return np.concatenate(kept)[:SAMPLES]


def chamfer(mesh: Mesh, reference: np.ndarray) -> float:
    """Give half the sum of both mean nearest distances."""
    points = sample_outside(mesh, 1)
    there, back = cKDTree(reference).query(points)[0], cKDTree(points).query(reference)[0]
    return float(there.mean() + back.mean()) / 2


def plain_hull(alphas: dict[str, np.ndarray], cameras: dict[str, Camera]) -> Mesh:
    """Carve a 160^3 grid by the bare masks, as a baseline: every cell in or out."""
    axis = ((np.arange(PLAIN_CELLS) + 0.5) / PLAIN_CELLS - 0.5) * 1.04
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    inside = np.ones(len(points), bool)
    for name, alpha in alphas.items():
        pixels = cameras[name].project(points)[0].astype(int)
        height, width = alpha.shape
        inside &= alpha[np.clip(pixels[:, 1], 0, height - 1), np.clip(pixels[:, 0], 0, width - 1)] > 127
    volume = np.pad(inside.reshape((PLAIN_CELLS,) * 3), 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(volume, 0.5, gradient_direction="ascent")
    vertices = (vertices - 1) * (axis[1] - axis[0]) + axis[0]
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32))


def read_reference(path: Path) -> tuple[Mesh, np.ndarray]:
    """Read a GLB as one mesh and the mean linear colour (f, 3) of each face."""
    parts = trimesh.load(path, force="scene", process=False).dump()
    colors = []
    for part in parts:
        material = getattr(part.visual, "material", None)
        factor = getattr(material, "baseColorFactor", None)
        color = np.ones((len(part.faces), 3), np.float32)
        if factor is not None:
            color *= np.asarray(factor, np.float32)[:3] / (255.0 if np.max(factor) > 1 else 1.0)
        texture = getattr(material, "baseColorTexture", None)
        if texture is not None and part.visual.uv is not None:
            image = np.asarray(texture.convert("RGB"))
            uv = part.visual.uv[part.faces].mean(axis=1) % 1.0
            row = np.minimum(((1 - uv[:, 1]) * image.shape[0]).astype(int), image.shape[0] - 1)
            color *= srgb_to_linear(image[row, np.minimum((uv[:, 0] * image.shape[1]).astype(int), image.shape[1] - 1)])
        colors.append(color)
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=False)])
    vertices = np.concatenate([part.vertices for part in parts])
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32)), np.concatenate(colors)


def draw(mesh: Mesh, source: SourceMesh | None, face_color: np.ndarray | None, azimuth: float, elevation: float) -> np.ndarray:
    """Draw a mesh (PANEL, PANEL, 3) BGR, lit from the camera's upper left; unlit colours come from the source or per face."""
    size = 2 * PANEL
    view = frame_view(np.array([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]]), azimuth, elevation)
    hits = see(project(mesh.vertices, view, size), mesh.faces, size, cull=False)
    seen = hits.face >= 0
    face, weights = hits.face[seen].astype(np.int64), hits.weights[seen]
    color = source.sample(face, weights).base_color if source is not None else np.full((len(face), 3), 0.45, np.float32)
    if face_color is not None:
        color = face_color[face]
    corners = mesh.vertices[mesh.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if mesh.normals is not None:
        normal = np.einsum("nk,nkc->nc", weights, mesh.normals[mesh.faces[face]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    normal *= np.where(normal @ view.axes[2] > 0, -1.0, 1.0)[:, None]
    light = -view.axes[2] - 0.5 * view.axes[0] - 0.5 * view.axes[1]
    shade = 0.45 + 0.6 * np.clip(normal @ (light / np.linalg.norm(light)), 0, 1)
    image = np.full((size, size, 3), 90, np.uint8)
    image[seen] = linear_to_srgb(color * shade[:, None]) * 255
    return cv2.resize(image[..., ::-1], (PANEL, PANEL), interpolation=cv2.INTER_AREA)


def label(image: np.ndarray, text: str) -> np.ndarray:
    """Write a line into a copy of a panel."""
    return cv2.putText(image.copy(), text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)


def score(folder: Path, quality: str) -> tuple[dict[str, object], np.ndarray]:
    """Generate one object and measure it; returns the numbers and a row of the contact sheet."""
    pictures = {view: cv2.imread(str(folder / f"{view}.png"), cv2.IMREAD_UNCHANGED) for view in VIEWS}
    cutouts = {view: cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA) for view, picture in pictures.items()}
    alphas = {view: cutout[..., 3] for view, cutout in cutouts.items()}
    cameras = read_cameras(folder / "camera.json")
    wall, cpu = time.perf_counter(), time.process_time()
    source = hull.generate(cutouts, cameras, Fineness(quality), 0, lambda *_: None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    reference, face_color = read_reference(folder / "reference.glb")
    points = sample_outside(reference, 0)
    plain, own = chamfer(plain_hull(alphas, cameras), points), chamfer(source.mesh, points)
    overlap = {view: outline_overlap(source.mesh, alphas[view], cameras[view]) for view in VIEWS}
    numbers: dict[str, object] = {
        "object": folder.name,
        "chamfer": round(own, 5),
        "chamfer_plain_hull": round(plain, 5),
        "ratio": round(own / plain, 4),
        "iou": {view: round(value, 4) for view, value in overlap.items()},
        "mean_iou": round(float(np.mean(list(overlap.values()))), 4),
        "closed": measure_topology(source.mesh.faces).closed,
        "vertices": len(source.mesh.vertices),
        "faces": len(source.mesh.faces),
        "seen": round(float(source.seen.mean()), 3),
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
    }
    front = cv2.resize(pictures["front"], (PANEL, PANEL), interpolation=cv2.INTER_AREA).astype(np.float32)
    panel = (front[..., :3] * front[..., 3:] / 255 + 90 * (1 - front[..., 3:] / 255)).astype(np.uint8)
    row = [label(panel, folder.name), label(draw(source.mesh, source, None, 35, 20), f"hull {own / plain:.2f} of plain")]
    row += [
        label(draw(source.mesh, None, None, 35, 20), "its surface"),
        label(draw(reference, None, face_color, 35, 20), "reference"),
    ]
    row += [label(draw(source.mesh, source, None, 215, 20), "from behind")]
    return numbers, np.hstack(row)


def main() -> int:
    """Score every object of a folder; exit status 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quality", choices=sorted(hull.CELLS), default="balanced")
    parser.add_argument("--objects", nargs="*")
    options = parser.parse_args()
    found = sorted(path.parent for path in options.data.glob("*/reference.glb") if (path.parent / "left.png").exists())
    results, rows = [], []
    for folder in found:
        if options.objects and folder.name not in options.objects:
            continue
        numbers, row = score(folder, options.quality)
        results.append(numbers)
        rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in numbers.items() if key != "iou"), flush=True)
    ratios = [float(str(r["ratio"])) for r in results]
    summary = {
        "mean_ratio": round(float(np.mean(ratios)), 4),
        "max_ratio": max(ratios),
        "min_mean_iou": min(float(str(r["mean_iou"])) for r in results),
        "all_closed": all(r["closed"] for r in results),
        "max_cpu_seconds": max(float(str(r["cpu_seconds"])) for r in results),
    }
    print(summary)
    options.out.mkdir(parents=True, exist_ok=True)
    document = {
        "quality": options.quality,
        "revision": hull.info.revision,
        "limits": LIMITS,
        "summary": summary,
        "objects": results,
    }
    (options.out / "hull.json").write_text(json.dumps(document, indent=1) + "\n")
    half = -(-len(rows) // 2)
    columns = [np.vstack(part) for part in (rows[:half], rows[half:]) if part]
    tall = max(column.shape[0] for column in columns)
    sheet = np.hstack([np.pad(c, ((0, tall - c.shape[0]), (0, 0), (0, 0))) for c in columns])
    cv2.imwrite(str(options.out / "hull.png"), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    kept = (
        summary["mean_ratio"] <= LIMITS["mean_ratio"]
        and summary["max_ratio"] <= LIMITS["max_ratio"]
        and summary["min_mean_iou"] >= LIMITS["mean_iou"]
        and summary["all_closed"]
        and summary["max_cpu_seconds"] <= LIMITS["seconds"]
    )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
