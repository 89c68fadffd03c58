"""Open the baker of a mesh file and a source file; the last one is kept, as the four bakes come one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

from forge_batch.ops.baker import MISS, NEAREST, Baker, Raster, Search, make_baker
from forge_batch.ops.mesh import load_mesh, load_meta
from forge_batch.ops.source import load_source

_Key = tuple[tuple[str, int, int], tuple[str, int, int], Search]

_lock = Lock()
_last: dict[_Key, Baker] = {}


@runtime_checkable
class Wish(Protocol):
    """Be what a manifest says to a bake: see bake_params."""

    @property
    def cage(self) -> float: ...
    @property
    def raster(self) -> Raster: ...
    @property
    def supersampling(self) -> int: ...
    @property
    def crease(self) -> float: ...


def open_baker(mesh_path: Path, source_path: Path, wish: Wish, progress: Callable[[float], None] | None = None) -> Baker:
    """Give the baker of a MESH and a SOURCE_MESH file at the texture size that `unwrap` wrote into the former.

    One stays in memory (150 MB at 2048, four times that at 4096, not much more beyond) until another is asked for; a file that
    was written anew counts as another. Any bake can be run alone: it makes what is not there.

    Raises:
        StageError: The UVs have no area, no texel is covered, or none finds the source (see baker.make_baker).
        BackendUnavailable: nvdiffrast is asked for and not there.
    """
    search = Search(wish.cage, wish.supersampling, wish.crease, wish.raster)
    key = (_identity(mesh_path), _identity(source_path), search)
    with _lock:
        if key not in _last:
            _last.clear()
            size = int(load_meta(mesh_path)["texture_size"])
            _last[key] = make_baker(load_mesh(mesh_path), load_source(source_path), size, search, progress)
        return _last[key]


def describe(baker: Baker) -> dict[str, Any]:
    """Say how well mesh and source met, and where it was baked: JSON values for a stage's metrics."""
    return {
        "baked_on": baker.device,
        "texture_size": baker.size,
        "covered_texels": len(baker.texel),
        "overlap_texels": baker.overlap,
        "miss_share": round(float((baker.kind == MISS).mean()), 6),
        "nearest_share": round(float((baker.kind == NEAREST).mean()), 6),
    }


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path.resolve()), status.st_mtime_ns, status.st_size
