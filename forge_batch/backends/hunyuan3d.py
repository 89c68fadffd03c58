"""Make a high-poly shape with Hunyuan3D 2 and colour it from the pictures.

One adapter for its shape models: `mv` where there are several views, 2.1 or 2.0 for one. They give shape alone; colour comes
from the views, or from TRELLIS.2's texture model where the manifest says `texture_with: trellis2`. Their own painter is not
used: it throws UVs away and gives no normal map.

The licence does not hold in the EU, the UK and South Korea: in a project there, or one that does not say where it is, it is
warned of and never run (advice.py).
"""

from __future__ import annotations

import importlib
import sys
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.backends.catalog import CATALOG
from forge_batch.backends.contract import Fineness
from forge_batch.backends.vendored.checkpoints import check_shapes, read_shapes
from forge_batch.backends.vendored.machine import Machine, has_module
from forge_batch.backends.vendored.pins import VENDOR, Package, package
from forge_batch.backends.vendored.readiness import require
from forge_batch.backends.vendored.store import read_record
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.bleed import bleed_colors
from forge_batch.ops.camera import Camera
from forge_batch.ops.cutout import cutout_picture
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.raw_surface import raw_surface
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.view_colors import color_from_views
from forge_batch.ops.view_fit import fit_to_views, mean_overlap, view_silhouettes

info = CATALOG["hunyuan3d"]


@dataclass(frozen=True)
class Model:
    """Be one of its shape models: repository, folder in it, file format, and whether it takes several views."""

    repo: str
    subfolder: str
    safetensors: bool
    several: bool


MODELS = (
    Model("tencent/Hunyuan3D-2mv", "hunyuan3d-dit-v2-mv", safetensors=True, several=True),
    Model("tencent/Hunyuan3D-2.1", "hunyuan3d-dit-v2-1", safetensors=False, several=False),
    Model("tencent/Hunyuan3D-2", "hunyuan3d-dit-v2-0", safetensors=True, several=False),
)
"""Best first."""

SLOTS = {"front": "front", "right": "left", "back": "back", "left": "right"}
"""Its word for each of our views. Its `left` shows the thing's own left side, which the camera on the right sees: in the
example pictures of its repository the faces of `left` look to the picture's left."""

OCTREE = {512: 256, 1024: 384, 1536: 512}
"""Cells along an edge of its grid by our resolution; 384 is its default."""

STEPS = 4
"""Its steps for one of `shape_steps`: it is trained for 50 where TRELLIS.2 takes 12."""

GUIDANCE, CHUNKS, BOX = 5.0, 20_000, 1.01


@dataclass(frozen=True)
class Engine:
    """Hold a loaded Hunyuan3DDiTFlowMatchingPipeline."""

    pipeline: Any
    several: bool

    @classmethod
    def load(cls, several: bool, root: Path = VENDOR, device: str = "cuda", machine: Machine | None = None) -> Engine:
        """Load the best model that was fetched for one or for several views.

        Args:
            several: Whether there is more than one view.
            root: The vendor folder.
            device: Where it runs; in half precision unless it is a CPU.
            machine: What there is; looked for if left out.

        Raises:
            BackendUnavailable: Something is missing, or a checkpoint does not fit its model.
        """
        import torch  # noqa: PLC0415

        one = require("hunyuan3d", root, machine)
        chosen = choose_model(one, several, root)
        _import(one, root)
        pipelines = importlib.import_module("hy3dgen.shapegen.pipelines")
        folder = one.folder(next(s for s in one.weights if s.repo == chosen.repo), root).absolute()
        pipeline = pipelines.Hunyuan3DDiTFlowMatchingPipeline.from_pretrained(
            str(folder),
            device=device,
            dtype=torch.float32 if device == "cpu" else torch.float16,
            use_safetensors=chosen.safetensors,
            variant="fp16",
            subfolder=chosen.subfolder,
        )
        if chosen.safetensors:
            compare_parts(folder / chosen.subfolder / "model.fp16.safetensors", parts_of(pipeline))
        return cls(pipeline, chosen.several)


@cache
def _engine(several: bool) -> Engine:
    """Load once for all assets of a process."""
    return Engine.load(several)


def choose_model(one: Package, several: bool, root: Path) -> Model:
    """Give the best fetched model for one or for several views.

    Raises:
        BackendUnavailable: None was fetched.
    """
    fetched = read_record(one, root)
    here = [model for model in MODELS if model.repo in fetched]
    best = sorted(here, key=lambda model: model.several != several)
    if not best:
        raise BackendUnavailable("no weights of hunyuan3d were fetched", one.fetch)
    return best[0]


def generate(
    cutouts: Mapping[str, np.ndarray],
    cameras: Mapping[str, Camera] | None,
    fineness: Fineness,
    seed: int,
    progress: Callable[[float, str], None],
    engine: Engine | None = None,
) -> SourceMesh:
    """Make a source from cut-outs.

    Args:
        cutouts: (h, w, 4) uint8 sRGB with straight alpha by view name.
        cameras: By view name; None for orthographic views of unknown scale.
        fineness: Resolution, shape steps, and how many seeds are tried.
        seed: Of the first candidate; the others count up from it.
        progress: Told a fraction and a few words.
        engine: A loaded pipeline; this process's own if left out.

    Returns:
        The shape, centred and scaled to the views, wound outwards, coloured from them; `seen` says where.

    Raises:
        StageError: A view is not cut out, no surface came of it, or the memory does not suffice.
        BackendUnavailable: Code, weights, a library or the GPU is missing.
    """
    views = {name: cutout_picture(name, cutout) for name, cutout in cutouts.items()}
    silhouettes = view_silhouettes(cutouts, cameras)
    pipe = engine or _engine(len(views) > 1)
    tries = fineness.candidates if len(views) > 1 else 1
    best: tuple[float, Mesh] | None = None
    scores, start = [], time.monotonic()
    for number in range(tries):
        progress(0.8 * number / tries, f"candidate {number + 1} of {tries}" if tries > 1 else "generating")
        mesh = _run(pipe, views, fineness, seed + number)
        matrix = fit_to_views(mesh, silhouettes)
        mesh = Mesh((mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32), mesh.faces)
        scores.append(round(mean_overlap(mesh, silhouettes), 4))
        if best is None or scores[-1] > best[0]:
            best = scores[-1], mesh
    assert best is not None
    mesh = Mesh(best[1].vertices, best[1].faces, normals=vertex_normals(best[1].vertices, best[1].faces))
    progress(0.9, "colours projected")
    pictures = {name: bleed_colors(cutout) for name, cutout in cutouts.items()}
    edge = mesh.diagonal / OCTREE[fineness.resolution]
    source = color_from_views(mesh, pictures, silhouettes, edge)
    source.facts.update(mean_silhouette_iou=best[0], candidates=scores, seed=seed + scores.index(best[0]))
    source.facts.update(octree=OCTREE[fineness.resolution], seconds=round(time.monotonic() - start, 1))
    return source


def _run(engine: Engine, views: Mapping[str, Any], fineness: Fineness, seed: int) -> Mesh:
    """Run the pipeline once and take in what it gives, at any scale."""
    import torch  # noqa: PLC0415

    image = (
        {SLOTS[name]: view for name, view in views.items()}
        if engine.several
        else views.get("front", next(iter(views.values())))
    )
    try:
        meshes = engine.pipeline(
            image=image,
            num_inference_steps=STEPS * fineness.shape_steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),  # it swallows `seed=` without a word
            box_v=BOX,
            octree_resolution=OCTREE[fineness.resolution],
            num_chunks=CHUNKS,
            output_type="trimesh",
            enable_pbar=False,
        )
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise StageError(
            f"the GPU's memory does not suffice for resolution {fineness.resolution}", "write generate: {resolution: 512}"
        ) from error
    if not meshes or meshes[0] is None:
        raise StageError("hunyuan3d found no surface in what it made", "try another seed, or another picture of it")
    return raw_surface(np.asarray(meshes[0].vertices), np.asarray(meshes[0].faces), "hunyuan3d")


def parts_of(pipeline: Any) -> dict[str, Any]:
    """Name the parts of a pipeline as its checkpoint does."""
    return {"model": pipeline.model, "vae": pipeline.vae, "conditioner": pipeline.conditioner}


def compare_parts(path: Path, parts: Mapping[str, Any]) -> None:
    """Compare a checkpoint that holds several models with these: the loader takes a partial VAE without a word.

    Raises:
        BackendUnavailable: One does not fit; names tensors.
    """
    found = read_shapes(path)
    for name, part in parts.items():
        mine = {key.partition(".")[2]: shape for key, shape in found.items() if key.startswith(f"{name}.")}
        if not mine and name == "conditioner":
            continue  # some checkpoints leave the image encoder to its own repository
        buffers = frozenset(key for key, _ in part.named_buffers())
        # generation needs the VAE's decoder alone, and checkpoints may lack its encoder
        optional = buffers | {key for key in part.state_dict() if key.startswith(("encoder.", "pre_kl."))}
        expected = {key: tuple(tensor.shape) for key, tensor in part.state_dict().items()}
        check_shapes(f"{name} in {path}", mine, expected, frozenset(optional))


def check_keys(folder: Path) -> None:
    """Build every model without memory for its tensors and compare them with its checkpoint's.

    Args:
        folder: Of the package, in the vendor folder.

    Raises:
        BackendUnavailable: One does not fit.
    """
    import torch  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    one = package("hunyuan3d", folder.parent)
    _import(one, folder.parent)
    build = importlib.import_module("hy3dgen.shapegen.pipelines").instantiate_from_config
    for source in one.weights:
        for path in sorted(one.folder(source, folder.parent).glob("*/model.fp16.safetensors")):
            config = yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8"))
            with torch.device("meta"):
                parts = {name: build(config[name]) for name in ("model", "vae", "conditioner")}
            compare_parts(path, parts)


def _import(one: Package, root: Path) -> None:
    """Make `hy3dgen` importable; what it wants of pymeshlab is not used."""
    assert one.code is not None
    code = str(one.folder(one.code, root))
    if code not in sys.path:
        sys.path.insert(0, code)
    if not has_module("pymeshlab") and "pymeshlab" not in sys.modules:
        stand_in = types.ModuleType("pymeshlab")
        stand_in.MeshSet = stand_in.Mesh = object  # type: ignore[attr-defined]
        sys.modules["pymeshlab"] = stand_in
    try:
        importlib.import_module("hy3dgen.shapegen.pipelines")
    except ImportError as error:
        raise BackendUnavailable(f"hunyuan3d cannot be imported: {error}", "forge-batch doctor") from error
