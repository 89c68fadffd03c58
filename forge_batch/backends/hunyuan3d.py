"""Make a high-poly shape with Hunyuan3D 2 and colour it from the pictures.

One adapter for its shape models: `mv` where there are several views, 2.1, 2.0 or mini for one, and their distilled (turbo) kin
for `quality: fast`, of those that were fetched. They give shape alone; colour comes from the views, or from TRELLIS.2's texture
model where the manifest says `texture_with: trellis2`. Their own painter is not used: it throws UVs away and makes no normals.

The licence does not hold in the EU, the UK and South Korea: in a project there, or one that does not say where it is, it is
warned of and never run (advice.py).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.backends.catalog import CATALOG
from forge_batch.backends.contract import Fineness
from forge_batch.backends.vendored.gpu_memory import peak_gb, reset_peak, words_for_memory
from forge_batch.backends.vendored.hunyuan3d_files import (
    Model,
    choose_model,
    compare_decoder,
    compare_parts,
    folder_of,
    import_package,
    parts_of,
    pipelines,
)
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.pins import VENDOR
from forge_batch.backends.vendored.readiness import require
from forge_batch.errors import StageError
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

SLOTS = {"front": "front", "right": "left", "back": "back", "left": "right"}
"""Its word for each of our views: +Z, +X, -Z, -X. Its `left` shows the thing's own left side, which the camera on the right
sees: in the example pictures of its repository the faces of `left` look to the picture's left."""

OCTREE = {512: 256, 1024: 384, 1536: 512}
"""Cells along an edge of its grid by our resolution; 384 is its default."""

STEPS = 4
"""Its steps for one of `shape_steps`: it is trained for 50 where TRELLIS.2 takes 12."""
TURBO_STEPS = 5
"""Steps of the distilled models, which are trained for no other number."""

GUIDANCE, CHUNKS, BOX = 5.0, 20_000, 1.01


@dataclass(frozen=True)
class Engine:
    """Hold a loaded Hunyuan3DDiTFlowMatchingPipeline, and say which model it is."""

    pipeline: Any
    model: Model

    @classmethod
    def load(
        cls, several: bool, root: Path = VENDOR, device: str = "cuda", machine: Machine | None = None, *, fast: bool = False
    ) -> Engine:
        """Load the best model that was fetched for one or for several views.

        Args:
            several: Whether there is more than one view.
            root: The vendor folder.
            device: Where it runs; in half precision unless it is a CPU.
            machine: What there is; looked for if left out.
            fast: Whether a distilled model is better.

        Raises:
            BackendUnavailable: Something is missing, or a checkpoint does not fit its model.
        """
        one = require("hunyuan3d", root, machine)
        model = choose_model(one, several, root, fast=fast)
        import_package(one, root)
        autoencoders = importlib.import_module("hy3dgen.shapegen.models.autoencoders")
        return build_engine(model, lambda repo: folder_of(one, repo, root), pipelines(), autoencoders, device)


def build_engine(model: Model, folder: Callable[[str], Path], pipelines: Any, autoencoders: Any, device: str) -> Engine:
    """Load a model, and what decodes what it makes, through its own code.

    Args:
        model: Which.
        folder: Gives the folder of a repository.
        pipelines: The module hy3dgen.shapegen.pipelines.
        autoencoders: The module hy3dgen.shapegen.models.autoencoders.
        device: Where it runs.

    Raises:
        BackendUnavailable: A checkpoint does not fit its model.
    """
    import torch  # noqa: PLC0415

    where = {"device": device, "dtype": torch.float32 if device == "cpu" else torch.float16, "variant": "fp16"}
    pipeline = pipelines.Hunyuan3DDiTFlowMatchingPipeline.from_pretrained(
        str(folder(model.repo)), use_safetensors=model.safetensors, subfolder=model.subfolder, **where
    )
    compare_parts(folder(model.repo) / model.checkpoint, parts_of(pipeline))
    if model.decoder:
        repo, subfolder = model.decoder
        # its own switch to the fast decoder would ask the hub for this, by the name of the folder
        pipeline.vae = autoencoders.ShapeVAE.from_pretrained(
            str(folder(repo)), use_safetensors=True, subfolder=subfolder, **where
        )
        compare_decoder(folder(repo) / subfolder / "model.fp16.safetensors", pipeline.vae)
        pipeline.enable_flashvdm(
            enabled=True, adaptive_kv_selection=True, topk_mode=model.attention, mc_algo="mc", replace_vae=False
        )
    return Engine(pipeline, model)


@cache
def _engine(several: bool, fast: bool) -> Engine:
    """Load once for all assets of a process."""
    return Engine.load(several, fast=fast)


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
    pipe = engine or _engine(len(views) > 1, fineness.quality == "fast")
    tries = fineness.candidates if len(views) > 1 else 1
    best: tuple[float, Mesh] | None = None
    scores, start = [], time.monotonic()
    reset_peak()
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
    source.facts.update(model=pipe.model.name, octree=OCTREE[fineness.resolution])
    source.facts.update(seconds=round(time.monotonic() - start, 1), peak_gb=peak_gb())
    return source


def _run(engine: Engine, views: Mapping[str, Any], fineness: Fineness, seed: int) -> Mesh:
    """Run the pipeline once and take in what it gives, at any scale."""
    import torch  # noqa: PLC0415

    model = engine.model
    image = (
        {SLOTS[name]: view for name, view in views.items()} if model.several else views.get("front", next(iter(views.values())))
    )
    lower = max((size for size in OCTREE if size < fineness.resolution), default=None)
    with words_for_memory(fineness.resolution, lower):
        meshes = engine.pipeline(
            image=image,
            num_inference_steps=TURBO_STEPS if model.decoder else STEPS * fineness.shape_steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),  # it swallows `seed=` without a word
            box_v=BOX,
            octree_resolution=OCTREE[fineness.resolution],
            num_chunks=CHUNKS,
            output_type="trimesh",
            enable_pbar=False,
        )
    if not meshes or meshes[0] is None:
        raise StageError("hunyuan3d found no surface in what it made", "try another seed, or another picture of it")
    return raw_surface(np.asarray(meshes[0].vertices), np.asarray(meshes[0].faces), "hunyuan3d")
