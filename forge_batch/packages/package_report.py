"""Write the report inside a package, in words a game developer uses. Nothing in it differs from run to run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import numpy as np

from forge_batch.gate_text import HEAD, add_pictures, gate_rows, verdict
from forge_batch.gates import Gate
from forge_batch.ops.document import Document
from forge_batch.ops.sheet import sheet_side
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import Engine
from forge_batch.packages.names import pascal
from forge_batch.packages.skinned import skeleton_facts

LIBRARIES = ("numpy", "opencv-python-headless", "pymeshlab", "xatlas", "coacd", "embreex", "pygltflib", "dracopy")


@dataclass(frozen=True)
class Summary:
    """Be what a package says of itself.

    Attributes:
        engine: What the package is for.
        triangles: Per level of detail.
        size: Extents along the engine's X, Y, Z, centimetres.
        source: Meta of the SOURCE_MESH slot.
        cutouts: Meta of the CUTOUTS slot.
        atlases: Sets of textures.
        skeleton: What became of the rig, see packages.skinned; None where there is none in the package.
    """

    asset: str
    engine: Engine
    manifest: str
    triangles: list[int]
    screen_sizes: list[float]
    hulls: list[int]
    size: list[float]
    texture_size: int
    source: Mapping[str, Any]
    cutouts: Mapping[str, Any]
    gates: Sequence[Gate]
    atlases: int = 1
    skeleton: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        asset: Asset,
        engine: Engine,
        source: Mapping[str, Any],
        cutouts: Mapping[str, Any],
        gates: Sequence[Gate],
        manifest: str,
    ) -> Summary:
        """Sum up an asset as it stands in an engine; `manifest` is the hash of the resolved one."""
        sides = [round(float(side) * 100, 2) for side in np.ptp(asset.lods[0].vertices, axis=0)]
        maps = [image for image in (asset.base_color, asset.normal, asset.orm) if image is not None]
        return cls(
            asset.name,
            engine,
            manifest,
            [len(mesh.faces) for mesh in asset.lods],
            [round(size, 4) for size in asset.screen_sizes],
            [len(hull.vertices) for hull in asset.hulls],
            [sides[axis] for axis in engine.axes],
            maps[0].shape[0] // sheet_side(asset.atlases) if maps else 0,
            source,
            cutouts,
            gates,
            asset.atlases,
            skeleton_facts(asset, engine.influences),
        )

    @property
    def textures(self) -> str:
        """How large textures are, and how many there are of each."""
        return f"{self.texture_size} px" if self.atlases == 1 else f"{self.atlases} x {self.texture_size} px"

    def lines(self) -> list[str]:
        """Say the most important numbers in a few lines."""
        size = " x ".join(f"{side:.1f}" for side in self.size)
        return [
            f"triangles {' / '.join(map(str, self.triangles))}",
            f"{size} cm (X Y Z in {self.engine.title})",
            f"{len(self.hulls)} hulls, textures {self.textures}",
            verdict(self.gates)[0],
        ]


def report_json(summary: Summary, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Give report.json as data; `files` are the others of the package."""
    return {
        "asset": summary.asset,
        "engine": summary.engine.name,
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
        **({"atlases": summary.atlases} if summary.atlases > 1 else {}),
        **({"skeleton": summary.skeleton} if summary.skeleton else {}),
        "gates": [replace(gate, picture="").to_json() for gate in summary.gates],  # the pictures stand in report.html
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())
        },
    }


def report_html(
    summary: Summary,
    steps: str,
    preview: bytes,
    licence: str,
    walk: bytes | None = None,
    pictures: Mapping[str, bytes] = MappingProxyType({}),
) -> str:
    """Give report.html: picture, verdict, gates, levels of detail, how to import (`steps`), a character also as it walks.

    `pictures` show what gates found, by the gate's name.
    """
    title = pascal(summary.asset)
    page = Document(f"{title} for {summary.engine.title}")
    page.picture(preview, f"{title}: the input front view beside renders of the result")
    page.paragraph(*verdict(summary.gates))
    page.paragraph(licence)
    page.heading("Import")
    page.paragraph(steps)
    page.heading("What is in it")
    page.facts(
        [
            (f"size in {summary.engine.title}, X Y Z", " x ".join(f"{side:g}" for side in summary.size) + " cm"),
            ("textures", f"{summary.textures}: {summary.engine.maps}"),
            ("collision", _collision(summary.hulls)),
            ("cut out by", ", ".join(f"{view}: {how}" for view, how in sorted(summary.cutouts["methods"].items()))),
            *([("skeleton", _skeleton(summary.skeleton))] if summary.skeleton else []),
            ("made by", f"{summary.source['backend']} {summary.source['revision']}, seed {summary.source['seed']}"),
        ]
    )
    if summary.skeleton and walk:
        page.heading("In a walk")
        page.picture(walk, f"{title} in the middle of a stride, from the front, three quarters, the side and the back")
    page.heading("Levels of detail")
    rows = [
        [f"LOD{index}", str(count), f"{size:g}"]
        for index, (count, size) in enumerate(zip(summary.triangles, summary.screen_sizes, strict=False))
    ]
    page.table(["level", "triangles", "screen size from which it is used"], rows)
    page.heading("Quality gates")
    page.table(HEAD, gate_rows(summary.gates))
    add_pictures(page, summary.gates, pictures)
    return page.to_html()


def _skeleton(facts: Mapping[str, Any]) -> str:
    """Say how many bones there are and which have no name of the Mannequin's."""
    left = ", ".join(facts["unmatched"]) or "none"
    maker = f" by {facts['made_by']}" if facts["made_by"] else ""
    unsure = sorted(facts["confidence"].items(), key=lambda item: item[1])[:3]
    least = f". Least sure: {', '.join(f'{name} {sure:g}' for name, sure in unsure)}" if unsure else ""
    return f"{facts['bones']} bones{maker}, at most {facts['influences']} a vertex. {facts['note']} Not matched: {left}{least}"


def _collision(hulls: Sequence[int]) -> str:
    """Say how many hulls of how many vertices there are."""
    if not hulls:
        return "none in the files"
    count = "1 convex hull" if len(hulls) == 1 else f"{len(hulls)} convex hulls"
    return f"{count}, at most {max(hulls)} vertices each"
