"""Measure what supersampling and the filter against noise are worth, against 16 x 16 samples a texel and 1,024 rays.

python -m benchmarks.bake_quality --data DIR

DIR as for bake.py. The pair: 10,000 triangles from 50,000 at 512, so that a face of the source is about two texels large, as
with 1.3 million at 2048. Errors over covered texels; CPU seconds are user + system. Writes results/bake_quality.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bake import CAGE, decimated_low, source_of, timed
from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import Search, Sky
from forge_batch.ops.gbuffer import GBuffer
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.source import SourceMesh

HERE = Path(__file__).parent
SIZE, REFERENCE, RAYS, MANY = 512, 16, 64, 1024


def angles(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Give the angles between decoded normals, degrees."""
    a, b = (image.astype(np.float64) / 65535 * 2 - 1 for image in (one, other))
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.einsum("tx,tx->t", a, b))))


def supersampling(low: Mesh, source: SourceMesh) -> dict[str, Any]:
    """Compare maps of 1, 2 and 4 samples along an edge with those of 16."""
    found: dict[str, Any] = {}
    whole: dict[str, np.ndarray] = {}
    texel = np.zeros(0, int)
    for samples in (REFERENCE, 1, 2, 4):
        baker, search = timed(lambda samples=samples: CpuBaker(GBuffer(low, source, SIZE, Search(CAGE, samples))))
        (normal, color, material), maps = timed(lambda b=baker: (b.normal_map(), b.color_maps(), b.material_maps()))
        made = {"normal": normal, "base_color": color.base_color, "roughness": material.roughness}
        row: dict[str, Any] = {"search_cpu_s": search["cpu"], "maps_cpu_s": maps["cpu"]}
        if samples < REFERENCE:
            texel = np.intersect1d(baker.texel, texel)
            flat = {name: (image.reshape(SIZE**2, -1)[texel], whole[name][texel]) for name, image in made.items()}
            angle = angles(*flat["normal"])
            row |= {"normal_mean_degrees": angle.mean(), "normal_p95_degrees": np.percentile(angle, 95)}
            for name in ("base_color", "roughness"):
                difference = np.abs(flat[name][0].astype(float) - flat[name][1])
                row |= {f"{name}_mean_255": difference.mean(), f"{name}_p95_255": np.percentile(difference, 95)}
        else:
            whole, texel = {name: image.reshape(SIZE**2, -1) for name, image in made.items()}, baker.texel
        found[str(samples)] = {name: round(float(value), 4) for name, value in row.items()}
        print(samples, json.dumps(found[str(samples)]), flush=True)
    return found


def noise(low: Mesh, source: SourceMesh) -> dict[str, Any]:
    """Compare occlusion of few rays, plain and filtered, with that of 1,024."""
    baker = CpuBaker(GBuffer(low, source, SIZE, Search(CAGE)))
    true = baker.occlusion_map(Sky(MANY)).ravel()[baker.texel].astype(float) / 255
    found: dict[str, Any] = {}
    for rays in (16, 32, RAYS, 128, 256):
        for denoise in (False, True):
            shade, spent = timed(lambda rays=rays, denoise=denoise: baker.occlusion_map(Sky(rays, denoise=denoise)))
            difference = shade.ravel()[baker.texel] / 255.0 - true
            facts = {
                "mean_absolute": np.abs(difference).mean(),
                "mean": difference.mean(),
                "p99": np.percentile(np.abs(difference), 99),
            }
            row = {name: round(float(value), 4) for name, value in facts.items()} | {"cpu_s": spent["cpu"]}
            found[f"{rays} rays{', filtered' if denoise else ''}"] = row
            print(rays, denoise, json.dumps(row), flush=True)
    return found


def main() -> None:
    """Measure and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=["supersampling", "noise"])
    options = parser.parse_args()
    path = HERE / "results" / "bake_quality.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        source, _ = source_of(options.data, "egyptian_cat", 50_000, Path(name))
        low = decimated_low(source, 10_000, SIZE, Path(name))
    results |= {"size": SIZE, "low_triangles": len(low.faces), "source_triangles": len(source.mesh.faces)}
    for title, measure in (("supersampling", supersampling), ("noise", noise)):
        if options.only in (None, title):
            results[title] = measure(low, source)
            path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
