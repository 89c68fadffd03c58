"""Drive the adapters through upstream's own code: real packages, random weights.

    python -m tests.upstream_run trellis2 UPSTREAM WORK                    on a CPU, stand-ins for what is compiled
    python -m tests.upstream_run trellis2 UPSTREAM WORK --device cuda      on a GPU, with the compiled extensions as installed
    python -m tests.upstream_run trellis2 UPSTREAM WORK --phase 512 paint  only these, after what they need

UPSTREAM holds the packages as OWNER/NAME/; everything else is made in WORK, and found there by the next run. Each phase prints
one line of JSON when it is done: its name, its seconds, the GPU memory at its peak, and what it found. It is a process of its
own, because it replaces modules and lets tensors stay on the CPU when they are sent to a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import trimesh
from safetensors.torch import load_file, save_file
from transformers import (  # before there are stand-ins: it looks at what is installed
    AutoModelForImageSegmentation,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTModel,
)

from forge_batch.backends import hunyuan3d, trellis2
from forge_batch.backends.contract import Fineness
from forge_batch.backends.vendored.hunyuan3d_files import MODELS, check_keys, folder_of, pipelines
from forge_batch.backends.vendored.machine import Gpu, Machine
from forge_batch.backends.vendored.origins import Folder
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.store import fetch
from forge_batch.backends.vendored.trellis2_files import choose_attention
from forge_batch.errors import BackendUnavailable
from forge_batch.ops.mesh import Mesh
from tests.upstream import box_cutout
from tests.upstream_doubles import one_configuration, stand_ins
from tests.upstream_tiny import tiny_hunyuan3d, tiny_trellis2

H200 = Machine((Gpu("NVIDIA H200", 150.0, 149.0, 90, "0"),), lambda _: True)
LOADED = (
    AutoModelForImageSegmentation, CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model, DINOv3ViTModel,
)  # fmt: skip
VIEWS = {"front": box_cutout(120, 240), "right": box_cutout(120, 240)}
COMPILED = (
    "flash_attn", "xformers", "flex_gemm.kernels.cuda", "cumesh._C", "cumesh._cubvh", "cumesh._cumesh_xatlas", "o_voxel._C",
)  # fmt: skip
Found = dict[str, Any]


def silent(*_: Any) -> None:
    """Say nothing."""


class Trellis2:
    """Run TRELLIS.2's adapter in phases: loading, every resolution, one seed twice, painting, and a broken checkpoint."""

    def __init__(self, upstream: Path, work: Path, device: str, *, tune: bool) -> None:
        mirror, self.root = work / "mirror", pinned(work)
        self.device = device
        link(mirror / "microsoft/TRELLIS.2", upstream / "microsoft/TRELLIS.2")
        tiny_trellis2(upstream, mirror)
        if device == "cuda" and not tune:
            one_configuration()
        fetch(package("trellis2", self.root), Folder(mirror), silent, self.root)
        self.engine = self._load("Trellis2ImageTo3DPipeline", "pipeline.json")
        own = self.engine.pipeline.sample_sparse_structure
        self.engine.pipeline.sample_sparse_structure = lambda *a, **k: own(*a, **k)[:6]
        self.phases: dict[str, Callable[[], Found]] = {
            "load": self.load,
            **{str(size): lambda size=size: self.generate(size) for size in (512, 1024, 1536)},  # type: ignore[misc]
            "twice": self.twice,
            "paint": self.paint,
            "keys": self.keys,
        }

    def _load(self, name: str, config: str) -> trellis2.Engine:
        return trellis2.Engine.load(name, config, self.root, self.device, H200)

    def load(self) -> Found:
        """Say which compiled extensions take part, and where their code lies."""
        found = {name: getattr(sys.modules.get(name), "__file__", None) for name in COMPILED}
        config = sys.modules["trellis2.modules.sparse.config"]
        return {
            "compiled": found,
            "attention": config.ATTN,
            "chosen": choose_attention(),
            "low_vram": self.engine.pipeline.low_vram,
        }

    def generate(self, resolution: int) -> Found:
        """Make a source at a resolution."""
        fine = Fineness(resolution=resolution, structure_steps=2, shape_steps=2, texture_steps=2)
        source = trellis2.generate(VIEWS, None, fine, 5, silent, self.engine)
        assert source.field is not None
        return {
            "faces": len(source.mesh.faces),
            "voxels": len(source.field.coordinates),
            "colors": [float(source.base_color.min()), float(source.base_color.max())],
            **source.facts,
        }

    def twice(self) -> Found:
        """Make the same seed again with the same engine, as a second asset does."""
        fine = Fineness(resolution=512, structure_steps=2, shape_steps=1, texture_steps=1)
        one, two = (trellis2.generate(VIEWS, None, fine, 5, silent, self.engine) for _ in "ab")
        return {"same": bool(np.array_equal(one.mesh.vertices, two.mesh.vertices))}

    def paint(self) -> Found:
        """Paint a thin rod: few of the 512 voxels along each edge are hit."""
        rod = trimesh.creation.box((0.01, 1.0, 0.01))
        mesh = Mesh(rod.vertices.astype(np.float32), rod.faces.astype(np.int32))
        engine = self._load("Trellis2TexturingPipeline", "texturing_pipeline.json")
        fine = Fineness(resolution=512, texture_steps=2)
        source = trellis2.paint(mesh, VIEWS, fine, 5, silent, engine)
        assert source.field is not None
        return {
            "kept": bool(np.array_equal(source.mesh.vertices, mesh.vertices)),
            "voxels": len(source.field.coordinates),
            "colors": [float(source.base_color.min()), float(source.base_color.max())],
        }

    def keys(self) -> Found:
        """Compare checkpoints with models; then again with a tensor less."""
        trellis2.check_keys(self.root / "trellis2")
        lost = next((self.root / "trellis2/weights").glob("*4B/ckpts/tex_slat_decoder.safetensors"))
        return {"broken": without_a_tensor(lost, lambda: trellis2.check_keys(self.root / "trellis2"))}


class Hunyuan3d:
    """Run Hunyuan3D's adapter in phases: a surface of every model, none, and broken checkpoints."""

    def __init__(self, upstream: Path, work: Path, device: str, *, tune: bool) -> None:
        mirror, self.root = work / "mirror", pinned(work)
        self.device, self.tune = device, tune  # there is nothing to tune
        link(mirror / "Tencent-Hunyuan/Hunyuan3D-2", upstream / "Tencent-Hunyuan/Hunyuan3D-2")
        tiny_hunyuan3d(upstream, mirror, MODELS.values())
        fetch(package("hunyuan3d", self.root), Folder(mirror), silent, self.root, optional=True)
        hunyuan3d.OCTREE[512] = 32  # a CPU cannot ask a network about 256 cells cubed
        self.engine = hunyuan3d.Engine.load(several=True, root=self.root, device=device, machine=H200)
        self.phases: dict[str, Callable[[], Found]] = {
            **{name: lambda name=name: self.surface(name) for name in MODELS},  # type: ignore[misc]
            "nothing": self.nothing,
            "keys": self.keys,
        }

    def surface(self, name: str) -> Found:
        """Load a model, let its own decoder do what it can with random weights, and make a source of a ball instead."""
        one = package("hunyuan3d", self.root)
        autoencoders = sys.modules["hy3dgen.shapegen.models.autoencoders"]
        engine = hunyuan3d.build_engine(
            MODELS[name], lambda repo: folder_of(one, repo, self.root), pipelines(), autoencoders, self.device
        )
        fine, vae = Fineness(resolution=512, shape_steps=1), engine.pipeline.vae
        random = said_by(lambda: hunyuan3d.generate(VIEWS, None, fine, 3, silent, engine))
        decoder, vae.volume_decoder = type(vae.volume_decoder).__name__, ball
        source = hunyuan3d.generate(VIEWS, None, fine, 3, silent, engine)
        middle = (source.mesh.vertices.min(axis=0) + source.mesh.vertices.max(axis=0)) / 2
        return {
            "faces": len(source.mesh.faces), "off_centre": float(np.abs(middle).max()), "decoder": decoder, "random": random,
            **source.facts,
        }  # fmt: skip

    def nothing(self) -> Found:
        """Make a source of a volume without a surface."""
        self.engine.pipeline.vae.volume_decoder = lambda *a, **k: ball(*a, **k) - 9
        return {
            "error": said_by(
                lambda: hunyuan3d.generate(VIEWS, None, Fineness(resolution=512, shape_steps=1), 3, silent, self.engine)
            )
        }

    def keys(self) -> Found:
        """Compare checkpoints with models; then again with a tensor less, in either format and in a decoder."""
        check_keys(self.root / "hunyuan3d")
        weights = self.root / "hunyuan3d/weights"
        lost = (
            "hunyuan3d-dit-v2-mv/model.fp16.safetensors",
            "hunyuan3d-dit-v2-1/model.fp16.ckpt",
            "hunyuan3d-vae-v2-0-turbo/model.fp16.safetensors",
        )
        paths = [next(weights.glob(f"*/{name}")) for name in lost]
        return {"broken": [without_a_tensor(path, lambda: check_keys(self.root / "hunyuan3d")) for path in paths]}


def said_by(action: Callable[[], object]) -> str:
    """Give the error that an action ends with, empty if with none."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - what it is, is the result
        return f"{type(error).__name__}: {error}"
    return ""


def ball(_: Any, __: Any, bounds: float = 1.01, octree_resolution: int = 64, **___: Any) -> Any:
    """Give the logits of a ball of radius 0.6."""
    axis = torch.linspace(-bounds, bounds, octree_resolution + 1)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return (0.6 - (x * x + y * y + z * z).sqrt())[None]


def pinned(work: Path) -> Path:
    """Make a vendor folder with this project's pins, on a disk that may be small."""
    root = work / "vendor"
    root.mkdir(parents=True, exist_ok=True)
    lines = (VENDOR / "vendor.toml").read_text().splitlines()
    (root / "vendor.toml").write_text("\n".join("disk_gb = 0.01" if line.startswith("disk_gb") else line for line in lines))
    return root


def link(place: Path, target: Path) -> None:
    """Link to a folder, unless that was done before."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(target)


def without_a_tensor(path: Path, action: Callable[[], None]) -> str:
    """Give what an action says of a checkpoint that lacks a tensor; the file is whole again afterwards."""
    whole = path.read_bytes()
    if path.suffix == ".ckpt":
        parts = torch.load(path, weights_only=True)
        del parts["vae"][max(parts["vae"])]
        torch.save(parts, path)
    else:
        tensors = load_file(path)
        del tensors[min(tensors, key=lambda name: name.startswith("encoder."))]
        save_file(tensors, path)
    try:
        action()
    except BackendUnavailable as error:
        return str(error)
    finally:
        path.write_bytes(whole)
    return ""


def report(name: str, start: float, found: Found, stdout: TextIO) -> None:
    """Print what a phase found."""
    peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    line = {"phase": name, "seconds": round(time.monotonic() - start, 1), "peak_gb": round(peak, 2), **found}
    print(json.dumps(line), file=stdout, flush=True)


def main() -> None:
    """Run the phases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=["trellis2", "hunyuan3d"])
    parser.add_argument("upstream", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--phase", nargs="+", default=[], metavar="NAME", help="only these; a wrong name lists them all")
    parser.add_argument("--tune", action="store_true", help="let FlexGEMM try all configurations of its kernels: minutes")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    stdout, sys.stdout = sys.stdout, sys.stderr  # the packages print
    start = time.monotonic()
    upstream, work = options.upstream.absolute(), options.work.absolute()
    # what it finds in this process is not to be kept, and what another run kept is not to be found
    os.environ.setdefault("FLEX_GEMM_AUTOTUNE_CACHE_PATH", str(work / "flex_gemm.json"))
    if not options.tune:
        os.environ["FLEX_GEMM_USE_AUTOTUNE_CACHE"] = os.environ["FLEX_GEMM_AUTOSAVE_AUTOTUNE_CACHE"] = "0"
    stand_ins(upstream, options.device)
    run = {"trellis2": Trellis2, "hunyuan3d": Hunyuan3d}[options.name](upstream, work, options.device, tune=options.tune)
    report("start", start, {}, stdout)
    if unknown := set(options.phase) - set(run.phases):
        parser.error(f"there is no phase {', '.join(sorted(unknown))}: write {', '.join(run.phases)}")
    for name in options.phase or run.phases:
        start = time.monotonic()
        report(name, start, run.phases[name](), stdout)


if __name__ == "__main__":
    main()
