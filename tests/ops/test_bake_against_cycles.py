from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from forge_batch.ops.bake import CpuBaker, normal_map
from forge_batch.ops.baker import RAY, Sky
from forge_batch.ops.gbuffer import gbuffer
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from tests.bake_pairs import colored, unwrapped
from tests.readers import blender_python

SCRIPT = Path(__file__).parents[1] / "blender" / "cycles_bake.py"
SIZE = 256
CAGE = 0.04


def torus(rings: int, sides: int, relief: float) -> Mesh:
    """Make a torus with a UV grid whose left half is mirrored, its surface raised and sunk by a relief."""
    u, v = np.meshgrid(np.linspace(0, 1, rings + 1), np.linspace(0, 1, sides + 1), indexing="ij")
    a, b = 2 * np.pi * (u % 1), 2 * np.pi * (v % 1)
    r = 0.4 + relief * np.sin(16 * a) * np.sin(8 * b)
    points = np.stack([(1 + r * np.cos(b)) * np.cos(a), r * np.sin(b), -(1 + r * np.cos(b)) * np.sin(a)], -1)
    index = np.arange((rings + 1) * (sides + 1)).reshape(rings + 1, sides + 1)
    quads = [index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]]
    faces = np.concatenate([np.stack([quads[k] for k in t], -1).reshape(-1, 3) for t in ((0, 1, 2), (0, 2, 3))])
    # two charts side by side: u 0 .. 0.5 mirrored into the left half, the rest into the right
    uv = np.stack([np.where(u <= 0.5, 0.48 - 0.94 * u, 0.05 + 0.94 * u), 0.02 + 0.96 * v], -1).reshape(-1, 2)
    vertices = points.reshape(-1, 3).astype(np.float32)
    return Mesh(vertices, faces.astype(np.int32), uv=uv.astype(np.float32))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mesh, Mesh, Path]:
    """Make a torus of 1,200 triangles, cut where its chart is mirrored, and its source of 57,600."""
    plain = torus(40, 15, 0.0)
    assert plain.uv is not None
    # faces right of u = 0.5 must not share vertices with those left of it
    middle = np.flatnonzero(np.isclose(plain.uv[:, 0], 0.48 - 0.47, atol=1e-4))
    moved = plain.faces.copy()
    copies = dict(zip(middle.tolist(), range(len(plain.vertices), len(plain.vertices) + len(middle)), strict=True))
    for row in np.flatnonzero(np.ptp(plain.uv[plain.faces][..., 0], axis=1) > 0.3):
        moved[row] = [copies.get(int(k), int(k)) for k in plain.faces[row]]
    vertices = np.concatenate([plain.vertices, plain.vertices[middle]])
    uv = np.concatenate([plain.uv, np.stack([np.full(len(middle), 0.52, np.float32), plain.uv[middle, 1]], 1)])
    low = unwrapped(vertices, moved, uv)
    fine = torus(240, 120, 0.02)
    high = Mesh(fine.vertices, fine.faces, normals=split_vertex_normals(fine.vertices, fine.faces))
    path = tmp_path_factory.mktemp("pair") / "pair.npz"
    arrays = {f"low_{name}": getattr(low, name) for name in ("vertices", "faces", "uv", "normals")}
    np.savez(path, **arrays, **{f"high_{name}": getattr(high, name) for name in ("vertices", "faces", "normals")})
    return low, high, path


def cycles(pair: Path, *options: str) -> np.ndarray:
    """Bake with Cycles."""
    out = pair.with_suffix(".npy")
    subprocess.run([blender_python(), str(SCRIPT), str(pair), str(out), *options], check=True, capture_output=True, timeout=250)
    return np.asarray(np.load(out))


@pytest.mark.blender
def test_normals_are_those_of_cycles(pair: tuple[Mesh, Mesh, Path]) -> None:
    """On texels both cover the mean angle is below 0.3 degree and p95 below 0.5, mirrored chart included."""
    low, high, path = pair
    theirs = cycles(path, "--size", str(SIZE), "--cage", str(CAGE * low.diagonal)).reshape(-1, 3)
    buffer = gbuffer(low, colored(high), SIZE, CAGE)
    both = buffer.texel[buffer.centre & (buffer.kind == RAY)]
    assert len(both) > 0.8 * SIZE * SIZE
    ours = normal_map(buffer).reshape(-1, 3)[both].astype(np.float64) / 65535 * 2 - 1
    other = theirs[both].astype(np.float64) * 2 - 1
    covered = np.linalg.norm(other, axis=1) > 0.5
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(np.einsum("tx,tx->t", ours, other), -1, 1)))[covered]
    assert covered.mean() > 0.99
    assert angle.mean() < 0.3
    assert np.percentile(angle, 95) < 0.5


@pytest.mark.blender
def test_occlusion_is_that_of_cycles(pair: tuple[Mesh, Mesh, Path]) -> None:
    """With 256 rays on both sides the mean absolute difference is below 0.02 and the means agree to 0.005."""
    low, high, path = pair
    options = ["--kind", "AO", "--samples", "256", "--size", str(SIZE), "--cage", str(CAGE * low.diagonal)]
    theirs = cycles(path, *options).reshape(-1, 3)[:, 0]
    buffer = gbuffer(low, colored(high), SIZE, CAGE)
    both = buffer.texel[buffer.centre & (buffer.kind == RAY)]
    ours = CpuBaker(buffer).occlusion_map(Sky(256, 100.0)).ravel()[both] / 255
    difference = ours - np.clip(theirs[both], 0, 1)
    assert np.abs(difference).mean() < 0.02
    assert abs(difference.mean()) < 0.005
