"""Write the report inside a package, in words a game developer uses. Nothing in it differs from run to run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from forge_batch.gate_text import HEAD, gate_rows, verdict
from forge_batch.gates import Gate
from forge_batch.ops.document import Document
from forge_batch.packages.names import pascal
from forge_batch.packages.ue5 import Asset

LIBRARIES = ("numpy", "opencv-python-headless", "pymeshlab", "xatlas", "coacd", "embreex", "pygltflib")


@dataclass(frozen=True)
class Summary:
    """Be what a package says of itself.

    Attributes:
        triangles: Per level of detail.
        size: Extents along Unreal's X, Y, Z, centimetres.
        source: Meta of the SOURCE_MESH slot.
        cutouts: Meta of the CUTOUTS slot.
    """

    asset: str
    manifest: str
    triangles: list[int]
    screen_sizes: list[float]
    hulls: list[int]
    size: list[float]
    texture_size: int
    source: Mapping[str, Any]
    cutouts: Mapping[str, Any]
    gates: Sequence[Gate]

    @classmethod
    def of(
        cls, asset: Asset, source: Mapping[str, Any], cutouts: Mapping[str, Any], gates: Sequence[Gate], manifest: str
    ) -> Summary:
        width, height, depth = (round(float(side) * 100, 2) for side in np.ptp(asset.lods[0].vertices, axis=0))
        maps = [image for image in (asset.base_color, asset.normal, asset.orm) if image is not None]
        return cls(
            asset.name,
            manifest,
            [len(mesh.faces) for mesh in asset.lods],
            [round(size, 4) for size in asset.screen_sizes],
            [len(hull.vertices) for hull in asset.hulls],
            [depth, width, height],
            maps[0].shape[0] if maps else 0,
            source,
            cutouts,
            gates,
        )

    def lines(self) -> list[str]:
        """Say the most important numbers in a few lines."""
        size = " x ".join(f"{side:.1f}" for side in self.size)
        return [
            f"triangles {' / '.join(map(str, self.triangles))}",
            f"{size} cm (X Y Z in Unreal)",
            f"{len(self.hulls)} hulls, textures {self.texture_size} px",
            verdict(self.gates)[0],
        ]


def report_json(summary: Summary, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Give report.json as data; `files` are the others of the package."""
    return {
        "asset": summary.asset,
        "manifest_sha256": summary.manifest,
        "versions": {"forge_batch": version("forge-batch"), **{name: version(name) for name in LIBRARIES}},
        "generator": {
            key: summary.source[key] for key in ("backend", "revision", "licence", "commercial", "territory", "seed")
        },
        "background": {"methods": summary.cutouts["methods"], "model": summary.cutouts.get("model")},
        "triangles": summary.triangles,
        "screen_sizes": summary.screen_sizes,
        "hull_vertices": summary.hulls,
        "size_cm": summary.size,
        "texture_size": summary.texture_size,
        "gates": [gate.to_json() for gate in summary.gates],
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())
        },
    }


def report_html(summary: Summary, preview: bytes, licence: str) -> str:
    """Give report.html: picture, verdict, gates, levels of detail, how to import."""
    title = pascal(summary.asset)
    page = Document(f"{title} for Unreal Engine 5")
    page.picture(preview, f"{title}: the input front view beside renders of the result")
    page.paragraph(*verdict(summary.gates))
    page.paragraph(licence)
    page.heading("Import")
    page.paragraph(
        f"Unzip and drag SM_{title}.fbx and the three textures into the content browser. Set T_{title}_ORM to sRGB off and "
        "Masks (no sRGB); it holds occlusion, roughness and metallic in red, green and blue. "
        f"Or drag SM_{title}.glb, which wires all three by itself but has no LODs and no hulls."
    )
    page.heading("What is in it")
    page.facts(
        [
            ("size in Unreal, X Y Z", " x ".join(f"{side:g}" for side in summary.size) + " cm"),
            ("textures", f"{summary.texture_size} px: base colour, normal (DirectX in the zip, OpenGL in the GLB), ORM"),
            ("collision", _collision(summary.hulls)),
            ("cut out by", ", ".join(f"{view}: {how}" for view, how in sorted(summary.cutouts["methods"].items()))),
            ("made by", f"{summary.source['backend']} {summary.source['revision']}, seed {summary.source['seed']}"),
        ]
    )
    page.heading("Levels of detail")
    rows = [
        [f"LOD{index}", str(count), f"{size:g}"]
        for index, (count, size) in enumerate(zip(summary.triangles, summary.screen_sizes, strict=False))
    ]
    page.table(["level", "triangles", "screen size from which it is used"], rows)
    page.heading("Quality gates")
    page.table(HEAD, gate_rows(summary.gates))
    return page.to_html()


def _collision(hulls: Sequence[int]) -> str:
    """Say how many hulls of how many vertices there are."""
    if not hulls:
        return "none in the files: Unreal wraps a simple shape round the mesh"
    count = "1 convex hull" if len(hulls) == 1 else f"{len(hulls)} convex hulls"
    return f"{count}, at most {max(hulls)} vertices each"
