"""Give a file to look at what a generator made, before anything is paid for the rest: what the page and `plan` show of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forge_batch.artifacts import MESH
from forge_batch.content.contract import ContentRepo
from forge_batch.content.local import replace_file
from forge_batch.plan import Plan

FOLDER = "work/preview"
SOURCE_FACES = 60_000
"""Triangles that are shown."""


@dataclass(frozen=True)
class SourcePreview:
    """Be what is known of a generated mesh.

    Attributes:
        faces: Of the mesh itself.
        path: A GLB of at most `SOURCE_FACES` triangles.
    """

    faces: int
    path: Path


def source_preview(content: ContentRepo, plan: Plan) -> SourcePreview | None:
    """Find the preview of an asset's generated mesh, and make it if there is none; None before the mesh is made.

    It lies in work/preview/, named after the asset and the task that made the mesh; those of earlier meshes go.

    Raises:
        OSError: It cannot be written.
    """
    task = next(task for task in plan.tasks if task.stage.name == "generate")
    record, mesh = content.recall(task.key), content.task_folder(task.key) / MESH.filename
    faces = record.metrics.get("faces") if record else None
    if not faces:
        return None
    path = content.home / FOLDER / f"{plan.asset}-{task.key[:8]}.glb"
    if not path.is_file():
        replace_file(path, source_glb(mesh))
        for old in path.parent.glob(f"{plan.asset}-????????.glb"):
            if old != path:
                old.unlink(missing_ok=True)
    return SourcePreview(int(faces), path)


def source_glb(mesh: Path) -> bytes:
    """Give a GLB of a generated mesh as it came, coarse enough to look at. Raises OSError if it is not there."""
    import trimesh  # noqa: PLC0415 - heavy

    from forge_batch.ops.cluster import preview_mesh  # noqa: PLC0415 - heavy
    from forge_batch.ops.mesh import load_mesh  # noqa: PLC0415 - heavy

    coarse = preview_mesh(load_mesh(mesh), SOURCE_FACES)
    solid = trimesh.Trimesh(coarse.vertices, coarse.faces, process=False)
    return bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene([solid]), include_normals=True))
