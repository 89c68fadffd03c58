"""Compare two guesses at colour where pictures see a surface at a grazing angle: the stretched picture, and what lies round it.

python -m benchmarks.stretched FOLDER [NAME...] [--out benchmarks/results/stretched.json]

FOLDER/<name>/ holds reference.glb (textured), camera.json and front.png, right.png, back.png, left.png rendered from it.
Errors are mean absolute differences of linear colour, after one gain a channel that takes the pictures' light out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image
from scipy import ndimage

from forge_batch.ops.camera_file import read_cameras
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.rays import RayScene
from forge_batch.ops.source import read_srgb
from forge_batch.ops.srgb import srgb_to_linear
from forge_batch.ops.view_weights import fill_unseen

BANDS = ((0.05, 0.12), (0.12, 0.18), (0.18, 0.25), (0.25, 0.35))
FRONTAL = 0.35
DETAIL = 0.03
"""Standard deviation of linear grey in 7 x 7 pixels from which a picture has detail."""
VERTICES = 100_000


def textured(path: Path) -> tuple[Mesh, np.ndarray]:
    """Read a mesh, finely divided, and its linear colour at every vertex."""
    scene = trimesh.load_scene(path)
    points, faces, colors, start = [], [], [], 0
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        part = scene.geometry[name].copy()
        part.apply_transform(matrix)
        rows, corners = np.column_stack([part.vertices, part.visual.uv]), part.faces
        while len(rows) < VERTICES / len(scene.graph.nodes_geometry):
            rows, corners = trimesh.remesh.subdivide(rows, corners)
        material = part.visual.material
        factor = 255.0 if material.baseColorFactor is None else np.array(material.baseColorFactor, float)[:3]
        color = np.ones((len(rows), 3)) * np.divide(factor, 255.0)
        if material.baseColorTexture is not None:
            image = np.asarray(material.baseColorTexture.convert("RGB"))
            uv = np.column_stack([rows[:, 3] % 1, (1 - rows[:, 4]) % 1]) * (image.shape[1], image.shape[0])
            color = color * read_srgb(image, uv.astype(np.float32))
        points.append(rows[:, :3])
        faces.append(corners + start)
        colors.append(color)
        start += len(rows)
    vertices, joined = np.vstack(points).astype(np.float32), np.vstack(faces).astype(np.int32)
    return Mesh(vertices, joined, normals=vertex_normals(vertices, joined)), np.vstack(colors)


def seen_colors(folder: Path, mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give at every vertex the best cosine of all views, the colour of that view, and whether that picture has detail there."""
    assert mesh.normals is not None
    scene, points = RayScene(mesh), mesh.vertices.astype(np.float64)
    best, color, detail = np.zeros(len(points)), np.zeros((len(points), 3), np.float32), np.zeros(len(points), np.bool_)
    for name, camera in read_cameras(folder / "camera.json").items():
        picture = np.asarray(Image.open(folder / f"{name}.png"))
        pixels, towards = camera.project(mesh.vertices)[0], camera.towards(points)
        cosine = (towards * mesh.normals).sum(axis=1)
        asked = np.flatnonzero(cosine > np.maximum(best, BANDS[0][0]))
        asked = asked[~scene.occluded(points[asked] + 0.004 * mesh.normals[asked], towards[asked])]
        u, v = np.clip(pixels[asked].astype(int), 0, 1023).T
        inside = ndimage.distance_transform_edt(picture[..., 3] > 250)[v, u] > 2
        asked, u, v = asked[inside], u[inside], v[inside]
        rgb = np.ascontiguousarray(picture[..., :3])
        grey = srgb_to_linear(rgb).mean(axis=2)
        spread = ndimage.uniform_filter(grey**2, 7) - ndimage.uniform_filter(grey, 7) ** 2
        best[asked], color[asked] = cosine[asked], read_srgb(rgb, pixels[asked])
        detail[asked] = spread[v, u] > DETAIL**2
    return best, color, detail


def measure(folder: Path) -> dict[str, Any]:
    """Give share of the surface and both errors, band by band, of all of it and of what has detail."""
    mesh, truth = textured(folder / "reference.glb")
    best, color, detail = seen_colors(folder, mesh)
    good = best > 0.5
    gain = (truth[good] * color[good]).sum(axis=0) / np.maximum((color[good] ** 2).sum(axis=0), 1e-9)
    filled = fill_unseen(mesh, color, (best > FRONTAL).astype(np.float32))
    rows = {}
    for low, high in BANDS:
        for word, where in (("all", best >= low), ("detailed", (best >= low) & detail)):
            part = where & (best < high)
            errors = [float(np.abs(np.clip(guess[part] * gain, 0, 1) - truth[part]).mean()) for guess in (color, filled)]
            if part.sum() > 50:
                share = round(float(part.mean()), 4)
                rows[f"{low}-{high} {word}"] = {"share": share, "picture": round(errors[0], 4), "around": round(errors[1], 4)}
    return rows


def main() -> None:
    """Measure the objects named, print and keep the table."""
    parser = argparse.ArgumentParser(description="compare guesses at grazing colour")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=["teddy_bear", "horse", "egyptian_cat", "flight_helmet"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = {name: measure(options.folder / name) for name in options.names}
    print(json.dumps(rows, indent=1))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
