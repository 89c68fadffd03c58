"""Measure seams across chart borders in what unseen surface is filled with, on assets that were made.

    python benchmarks/inpaint.py CONTENT ASSET... [--sheet sheet.png]

CONTENT is a content folder in which `forge-batch run` made the assets with `inpaint: {enabled: true}` from too few views.
A real diffusion model is not needed to compare view space with texture space: any painter that does not know the charts will
do, so a stand-in paints stripes over the blend.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from forge_batch.artifacts import BASE_COLOR_MAP, MESH, UNSEEN_MAP
from forge_batch.ops.image_file import read_png
from forge_batch.ops.mesh import Mesh, load_mesh
from forge_batch.ops.render import Maps, render
from forge_batch.ops.seams import seam_jumps
from forge_batch.ops.unseen import fill_unseen
from forge_batch.ops.view_paint import paint_unseen


def stripes(image: np.ndarray, mask: np.ndarray, _: int) -> np.ndarray:
    """Paint slanted stripes of 24 pixels over the masked part."""
    row, column = np.indices(mask.shape)
    wave = 40 * np.sin((row + 0.5 * column) * 2 * np.pi / 24)
    painted = np.clip(image.astype(float) + wave[..., None], 0, 255).astype(np.uint8)
    return np.where(mask[..., None], painted, image)


def bake_of(content: Path, asset: str) -> tuple[Mesh, np.ndarray, np.ndarray]:
    """Read mesh, base colour before inpainting and the map of unseen texels."""
    job = json.loads((content / "state" / "jobs" / f"{asset}.json").read_text())
    folders = {record["stage"]: content / "work" / record["key"] for record in job["records"]}
    color, unseen = (read_png(folders["bake_base_color"] / slot.filename) for slot in (BASE_COLOR_MAP, UNSEEN_MAP))
    return load_mesh(folders["unwrap"] / MESH.filename), color, unseen > 127


def main() -> None:
    """Print a table, and draw the back of every asset with every filling."""
    options = argparse.ArgumentParser()
    options.add_argument("content", type=Path)
    options.add_argument("assets", nargs="+")
    options.add_argument("--sheet", type=Path)
    chosen = options.parse_args()
    rows = []
    for asset in chosen.assets:
        mesh, color, unseen = bake_of(chosen.content, asset)
        blend = fill_unseen(mesh, color, unseen)
        views, count = paint_unseen(mesh, color, unseen, stripes)
        fillings = {
            "generator": color,
            "blend": blend,
            "stripes in the atlas": stripes(blend, unseen, 0),
            f"stripes in {count} views": views,
        }
        panels = []
        for name, image in fillings.items():
            jumps = seam_jumps(mesh, image, unseen)
            print(f"{asset:16} {name:22} seam {jumps.seam:5.2f}  inside {jumps.inside:5.2f}  ({jumps.points} points)")
            panels.append(render(mesh, Maps(image, None, None), 150.0, 15.0, 420, 120.0)[..., :3])
        rows.append(np.hstack(panels))
    if chosen.sheet:
        cv2.imwrite(str(chosen.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
