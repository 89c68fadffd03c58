"""Feed the pipeline what TRELLIS.2 gives, without TRELLIS.2: a reference's surface with all the faults of such results.

    python benchmarks/learned_results.py FOLDER... [--cells 224] [--keep WORK]

FOLDER holds reference.glb (largest side 1, centred) and the views front.png, right.png, back.png, left.png. Of the reference a
mesh is made as the model makes them: two shells round the surface, 30 in 100 faces flipped, the stairs of voxels, colours
beyond 0..1 in voxels; 448 cells give over a million faces. It goes through the adapter and every stage, and the gates judge.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from forge_batch.backends import trellis2
from forge_batch.content.local import LocalContent
from forge_batch.executors.contract import Chain, Event, Finished
from forge_batch.executors.run_task import run_task
from forge_batch.runner import run
from tests.fakes import Recorder
from tests.upstream import LAYOUT

VIEWS = ("front", "right", "back", "left")
MANIFEST = """forge: 1
preset: prop_UE5_standard
kind: prop
generate: {backend: trellis2}
place: {height_cm: 100}
unwrap: {texture_size: 1024}
"""


def model_result(path: Path, cells: int) -> SimpleNamespace:
    """Make the mesh and voxels of a reference as upstream's MeshWithVoxel holds them."""
    rng = np.random.default_rng(0)
    scene = trimesh.load(path, force="scene")
    pieces = scene.dump()
    points, colors = [], []
    for piece in pieces:
        count = max(2000, int(3_000_000 * piece.area / sum(one.area for one in pieces)))
        piece.visual.material = piece.visual.material.to_simple()
        sample, _, color = trimesh.sample.sample_surface(piece, count, sample_color=True, seed=1)
        points.append(sample)
        colors.append(np.asarray(color)[:, :3] / 255)
    house, color = np.concatenate(points), np.concatenate(colors)
    native = house @ trellis2.TO_NATIVE.T * 0.98
    cell = np.unique(np.floor((native + 0.5) * cells).astype(int), axis=0)
    empty = np.ones((cells,) * 3, bool)
    empty[tuple(cell.T)] = False
    # a wall of 1.25 cells to either side of the cells that the surface passes: an outer and an inner shell, with stairs
    distance = np.minimum(ndimage.distance_transform_edt(empty), 4).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(distance, 1.25)
    vertices = (vertices + 0.5 + rng.normal(0, 0.12, vertices.shape)) / cells - 0.5
    turned = rng.random(len(faces)) < 0.3
    faces = np.where(turned[:, None], faces[:, ::-1], faces)
    near = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    coords = np.unique((cell[:, None] + near).reshape(-1, 3), axis=0)
    found = cKDTree(native).query((coords + 0.5) / cells - 0.5, workers=2)[1]
    rest = np.tile([-0.2, 0.7, 1.0], (len(coords), 1))  # metallic below 0, roughness, alpha
    attrs = np.hstack([color[found] * 1.3 - 0.15, rest])
    return SimpleNamespace(
        vertices=torch.tensor(vertices, dtype=torch.float32), faces=torch.tensor(faces.copy(), dtype=torch.int32),
        coords=torch.tensor(coords, dtype=torch.int32), attrs=torch.tensor(attrs, dtype=torch.float32),
        voxel_size=1 / cells, layout=LAYOUT,
    )  # fmt: skip


@dataclass
class Given:
    """Be a pipeline that gives one result."""

    result: SimpleNamespace
    get_cond: Any = None

    def run(self, *_: Any, **__: Any) -> Any:
        """Give it."""
        return [self.result], (None, None, 1024)


class InProcess:
    """Run tasks here, so that the stand-in is seen."""

    def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
        """Run every chain to its end or its first failure."""
        for chain in chains:
            for task in chain.tasks:
                record = run_task(task, lambda *_: None)
                fault = record.failure.message if record.failure else ""
                print(f"  {task.stage:18} {record.state} {record.seconds:6.1f} s {fault}", flush=True)
                yield Finished(task.asset, record)
                if record.state == "failed":
                    break


def main() -> None:
    """Make every reference and say what the gates found."""
    options = argparse.ArgumentParser()
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--cells", type=int, default=224)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    work = chosen.keep or Path(tempfile.mkdtemp())
    for folder in chosen.folders:
        result = model_result(folder / "reference.glb", chosen.cells)
        print(f"{folder.name}: {len(result.faces)} faces, {len(result.coords)} voxels")
        engine = trellis2.Engine(Given(result), "cpu")
        trellis2._engine = lambda *_, engine=engine: engine  # noqa: SLF001 - a stand-in for what needs a GPU
        root = work / folder.name
        (root / "inbox" / folder.name).mkdir(parents=True, exist_ok=True)
        (root / "manifests").mkdir(exist_ok=True)
        for view in VIEWS:
            shutil.copy(folder / f"{view}.png", root / "inbox" / folder.name)
        (root / "manifests" / f"{folder.name}.yaml").write_text(MANIFEST)
        report = run(LocalContent(root), InProcess(), Recorder())
        print(f"{folder.name}: {'made' if report.ok else 'failed'}")


if __name__ == "__main__":
    main()
