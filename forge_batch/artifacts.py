"""Name what stages hand to each other.

A slot is a role ("the mesh so far"); an artifact is the file that fills it for one asset. Stages never import each other:
they meet only here. The plan binds each input slot of a stage to the latest producer before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args


@dataclass(frozen=True)
class Slot:
    """Name a role that one file plays between stages.

    `required` is a property of the side that lists it: a stage that reads `SLOT.if_any` runs without it when no stage made it,
    and one that writes `SLOT.if_any` does so if its params ask for it. `beside` is a pattern of files that may lie beside the
    one that fills the slot, which names them.
    """

    name: str
    suffix: str
    required: bool = True
    beside: str = ""

    @property
    def filename(self) -> str:
        return self.name + self.suffix

    @property
    def if_any(self) -> Slot:
        """The same slot, read only if some enabled stage before this one writes it."""
        return replace(self, required=False)


@dataclass(frozen=True)
class Artifact:
    """Point at the file that fills a slot: a path relative to its task's folder, its sha256 and its bytes."""

    slot: str
    path: str
    sha256: str
    bytes: int


# Roots: no stage writes these, the content folder does.
IMAGES = Slot("images", "")  # the image set of the manifest: see StageContext.images
MANIFEST = Slot("manifest", ".yaml")  # the resolved manifest, every default filled in

# npz archives, read and written by ops.mesh (meshes) and ops.image (cutouts)
CUTOUTS = Slot("cutouts", ".npz")  # per view name (h, w, 4) uint8 sRGB straight alpha; meta: method, cameras
SOURCE_MESH = Slot("source_mesh", ".npz")  # ops.source.SourceMesh: high poly with what is needed to colour any point of it
MESH = Slot("mesh", ".npz")  # ops.mesh.Mesh: welded up to unwrap; from unwrap on split at UV seams, with normals and tangents
LODS = Slot("lods", ".npz")  # Meshes lod0, lod1, lod2; meta: screen_sizes, deviation
HULLS = Slot("hulls", ".npz")  # Meshes hull00, hull01, ...: convex, closed
RIG = Slot("rig", ".npz")  # ops.rig.Rig for the vertices of MESH

# images, one texel per pixel of the atlas, row 0 on top; read and written by ops.image
NORMAL_MAP = Slot("normal_map", ".png")  # 16-bit RGB, tangent space, OpenGL (Y+)
NORMAL_ERROR_MAP = Slot("normal_error_map", ".png")  # 8-bit grey: tenths of a degree between mapped and source normal
BASE_COLOR_MAP = Slot("base_color_map", ".png")  # 8-bit RGB, sRGB; RGBA if the source is masked
UNSEEN_MAP = Slot("unseen_map", ".png")  # 8-bit grey: 255 where no input image saw the surface, or it is stretched there
METALLIC_MAP = Slot("metallic_map", ".png")  # 8-bit grey, linear
ROUGHNESS_MAP = Slot("roughness_map", ".png")  # 8-bit grey, linear
OCCLUSION_MAP = Slot("occlusion_map", ".png")  # 8-bit grey, linear; 255 is open
ORM_MAP = Slot("orm_map", ".png")  # 8-bit RGB, linear: occlusion, roughness, metallic

# list of {"name", "value", "limit", "unit", "result", "note", "picture"}: see gates.Gate; the pictures lie beside it
GATES = Slot("gates", ".json", beside="failed_*.png")
EngineName = Literal["ue5", "unity_hdrp", "godot4", "blender", "web"]
"""Engines that packages can be made for."""

PACKAGES = {engine: Slot(f"package_{engine}", ".zip", required=False) for engine in get_args(EngineName)}
"""What an engine imports, by engine; written for those that the manifest names."""

PREVIEW = Slot("preview", ".png")  # the result beside the input
PACKAGE_REPORT = Slot("package_report", ".json")  # the report.json inside the package: nothing that differs from run to run
