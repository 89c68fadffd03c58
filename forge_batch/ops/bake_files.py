"""Open the G-buffer of a mesh file and a source file; the last one is kept, as the four bakes come one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from forge_batch.ops.gbuffer import MISS, NEAREST, GBuffer, gbuffer
from forge_batch.ops.mesh import load_mesh, load_meta
from forge_batch.ops.source import load_source

_Key = tuple[tuple[str, int, int], tuple[str, int, int], float]

_lock = Lock()
_last: dict[_Key, GBuffer] = {}


def open_gbuffer(mesh_path: Path, source_path: Path, cage: float, progress: Callable[[float], None] | None = None) -> GBuffer:
    """Give the G-buffer for a MESH and a SOURCE_MESH file at the texture size that `unwrap` wrote into the former.

    One buffer stays in memory (150 MB at 2048, four times that at 4096) until another is asked for; a file that was written
    anew counts as another. Any bake can be run alone: it makes what is not there.

    Raises:
        StageError: No texel is covered, or none finds the source (see gbuffer).
    """
    key = (_identity(mesh_path), _identity(source_path), cage)
    with _lock:
        if key not in _last:
            _last.clear()
            size = int(load_meta(mesh_path)["texture_size"])
            _last[key] = gbuffer(load_mesh(mesh_path), load_source(source_path), size, cage, progress)
        return _last[key]


def describe(buffer: GBuffer) -> dict[str, Any]:
    """Say how well mesh and source met: JSON values for a stage's metrics."""
    return {
        "texture_size": buffer.size,
        "covered_texels": len(buffer.texel),
        "overlap_texels": buffer.overlap,
        "miss_share": round(float((buffer.kind == MISS).mean()), 6),
        "nearest_share": round(float((buffer.kind == NEAREST).mean()), 6),
    }


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path.resolve()), status.st_mtime_ns, status.st_size
