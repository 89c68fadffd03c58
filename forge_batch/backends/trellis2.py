"""Make a textured high-poly mesh with TRELLIS.2, and paint meshes of others with its texture model.

What it gives is taken raw: the full mesh and the voxels that carry its material. Its own export (holes, decimation, UVs, bake)
is not used: it doubles shells or leaves faces flipped, bakes no normals, and needs a rasteriser that may not be sold with.

It is given one view, the front. More views choose among seeds, or are averaged where the manifest asks for that experiment.
"""

from __future__ import annotations

import importlib
import json
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
from forge_batch.backends.vendored.machine import Machine, this_machine
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.readiness import require
from forge_batch.backends.vendored.trellis2_files import (
    CONFIGS,
    assemble,
    choose_attention,
    compare_models,
    import_package,
    no_matte,
)
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.camera import Camera
from forge_batch.ops.cutout import cutout_picture
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.raw_surface import raw_field, raw_surface
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.srgb import srgb_to_linear
from forge_batch.ops.view_fit import fit_to_views, mean_overlap, view_silhouettes
from forge_batch.ops.voxel_field import VoxelField

info = CATALOG["trellis2"]

PIPELINES = {512: "512", 1024: "1024_cascade", 1536: "1536_cascade"}
"""Its word for each resolution. The last may come out coarser, where the surface has too many voxels."""

ROOMY_GB = 70.0
"""Memory from which all models stay on the card; below, each is moved there when it is its turn."""

CHANNELS = ("base_color", "metallic", "roughness")
TO_NATIVE = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From house axes (+Y up, front +Z) to its own (+Z up, front -Y)."""


@dataclass(frozen=True)
class Engine:
    """Hold a loaded pipeline of either class."""

    pipeline: Any
    device: str = "cuda"

    @classmethod
    def load(cls, name: str, config: str, root: Path = VENDOR, device: str = "cuda", machine: Machine | None = None) -> Engine:
        """Load weights from disk.

        Args:
            name: Class in trellis2.pipelines.
            config: File that says what it is made of.
            root: The vendor folder.
            device: Where it runs.
            machine: What there is; looked for if left out.

        Raises:
            BackendUnavailable: Something is missing, or a checkpoint does not fit its model.
        """
        one = require("trellis2", root, machine)
        assert one.code is not None
        import_package(one.folder(one.code, root))
        choose_attention()
        home = assemble(one, root)
        if not (home / config).is_file():
            raise BackendUnavailable(f"{config} or what it names was not fetched", one.fetch)
        return cls(build_pipeline(name, config, home, device, machine or this_machine()), device)


def build_pipeline(name: str, config: str, home: Path, device: str, machine: Machine) -> Any:
    """Load a pipeline through its own code, without its background remover, as roomy as the card is.

    Args:
        name: Class in trellis2.pipelines.
        config: File in `home` that says what it is made of.
        home: What assemble made.
        device: Where it runs.
        machine: Whose largest card says whether all models fit on it at once.

    Raises:
        BackendUnavailable: A checkpoint does not fit its model.
    """
    import torch  # noqa: PLC0415

    with no_matte():
        pipeline = getattr(importlib.import_module("trellis2.pipelines"), name).from_pretrained(str(home), config_file=config)
    compare_models(pipeline.models, home, config)
    pipeline.rembg_model = None
    encoder = pipeline.image_cond_model.model
    if not hasattr(encoder, "layer"):  # transformers 5 keeps the layers one level deeper
        encoder.layer = encoder.model.layer
    pipeline.low_vram = max((card.memory_gb for card in machine.gpus), default=0.0) < ROOMY_GB
    pipeline.to(torch.device(device))
    return pipeline


@cache
def _engine(name: str, config: str) -> Engine:
    """Load once for all assets of a process."""
    return Engine.load(name, config)


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
        cameras: By view name, for choosing among candidates; None for orthographic views of unknown scale.
        fineness: Resolution, steps, and how many seeds are tried.
        seed: Of the first candidate; the others count up from it.
        progress: Told a fraction and a few words.
        engine: A loaded Trellis2ImageTo3DPipeline; this process's own if left out.

    Returns:
        The full mesh, wound outwards, fitted to the views, with its material as a field. `facts` holds the resolution that
        came out, seconds, peak memory and, with more than one view, how well each candidate fills the outlines.

    Raises:
        StageError: A view is not cut out, or what came is no mesh, or the memory does not suffice.
        BackendUnavailable: Code, weights, a library or the GPU is missing.
    """
    views = {name: cutout_picture(name, cutout) for name, cutout in cutouts.items()}
    front = "front" if "front" in views else next(iter(views))
    silhouettes = view_silhouettes(cutouts, cameras)
    pipe = engine or _engine("Trellis2ImageTo3DPipeline", "pipeline.json")
    averaged = list(views.values()) if fineness.multi_view == "average" else []
    tries = fineness.candidates if len(views) > 1 else 1
    best: tuple[float, SourceMesh] | None = None
    scores = []
    for number in range(tries):
        progress(number / tries, f"candidate {number + 1} of {tries}" if tries > 1 else "generating")
        source = _run(pipe, views[front], averaged, fineness, seed + number)
        source = source.moved(fit_to_views(source.mesh, silhouettes))
        scores.append(round(mean_overlap(source.mesh, silhouettes), 4))
        if best is None or scores[-1] > best[0]:
            best = scores[-1], source
    assert best is not None
    best[1].facts.update(mean_silhouette_iou=best[0], candidates=scores, seed=seed + scores.index(best[0]))
    return best[1]


def paint(
    mesh: Mesh,
    cutouts: Mapping[str, np.ndarray],
    fineness: Fineness,
    seed: int,
    progress: Callable[[float, str], None],
    engine: Engine | None = None,
) -> SourceMesh:
    """Give a mesh of another generator colour, metallic and roughness; its geometry stays as it is.

    Args:
        mesh: Facing +Z.
        cutouts: As for generate; the front is used.
        fineness: Resolution and texture steps.
        seed: The only randomness.
        progress: Told a fraction and a few words.
        engine: A loaded Trellis2TexturingPipeline; this process's own if left out.

    Returns:
        The same mesh with its material as a field. `facts` holds seconds and peak memory.

    Raises:
        StageError: The view is not cut out, or the memory does not suffice.
        BackendUnavailable: Code, weights, a library or the GPU is missing.
    """
    import torch  # noqa: PLC0415
    import trimesh  # noqa: PLC0415

    name = "front" if "front" in cutouts else next(iter(cutouts))
    view = cutout_picture(name, cutouts[name])
    pipe = (engine or _engine("Trellis2TexturingPipeline", "texturing_pipeline.json")).pipeline
    size = 512 if fineness.resolution == 512 else 1024
    progress(0.1, "painting")
    start = time.monotonic()
    reset_peak()
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    with words_for_memory(size, _lower(size)), torch.no_grad():
        image = pipe.preprocess_image(view)
        shape = pipe.preprocess_mesh(trimesh.Trimesh(mesh.vertices.astype(np.float64), mesh.faces, process=False))
        torch.manual_seed(seed)
        condition = pipe.get_cond([image], size)
        latent = pipe.encode_shape_slat(shape, size)
        model = pipe.models[f"tex_slat_flow_model_{size}"]
        texture = pipe.sample_tex_slat(condition, model, latent, {"steps": fineness.texture_steps})
        voxels = pipe.decode_tex_slat(texture)
    layout = pipe.pbr_attr_layout
    frame = _frame(size)
    centre = np.eye(4)
    centre[:3, :3] *= 0.99999 / float((high - low).max())
    centre[:3, 3] = -centre[0, 0] * (low + high) / 2
    field = _field(_array(voxels.coords)[:, 1:], _array(voxels.feats), layout, frame @ centre)
    source = _source(mesh, field)
    source.facts.update(paint_seconds=round(time.monotonic() - start, 1), paint_peak_gb=peak_gb())
    return source


def check_keys(folder: Path) -> None:
    """Build every model without memory for its tensors and compare them with its checkpoint's.

    Args:
        folder: Of the package, in the vendor folder.

    Raises:
        BackendUnavailable: One does not fit.
    """
    import torch  # noqa: PLC0415

    one = package("trellis2", folder.parent)
    assert one.code is not None
    import_package(one.folder(one.code, folder.parent))
    home = assemble(one, folder.parent)
    models = importlib.import_module("trellis2.models")
    for config in (name for name in CONFIGS if (home / name).is_file()):
        for key, value in json.loads((home / config).read_text(encoding="utf-8"))["args"]["models"].items():
            made = json.loads((home / f"{value}.json").read_text(encoding="utf-8"))
            with torch.device("meta"):
                compare_models({key: getattr(models, made["name"])(**made["args"])}, home, config)


def _run(engine: Engine, view: Any, averaged: list[Any], fineness: Fineness, seed: int) -> SourceMesh:
    """Run the pipeline once and take in what it gives."""
    pipe, start = engine.pipeline, time.monotonic()
    own = pipe.get_cond
    if averaged:
        pictures = [pipe.preprocess_image(one) for one in averaged]
        pipe.get_cond = lambda _, resolution, *more: _mean([own([one], resolution, *more) for one in pictures])
    reset_peak()
    try:
        with words_for_memory(fineness.resolution, _lower(fineness.resolution)):
            meshes, (_, _, resolution) = pipe.run(
                view,
                seed=seed,
                pipeline_type=PIPELINES[fineness.resolution],
                sparse_structure_sampler_params={"steps": fineness.structure_steps},
                shape_slat_sampler_params={"steps": fineness.shape_steps},
                tex_slat_sampler_params={"steps": fineness.texture_steps},
                return_latent=True,
            )
    finally:
        if averaged:
            del pipe.get_cond
    if len(meshes) != 1 or meshes[0] is None:
        raise StageError(
            f"trellis2 gave {len([m for m in meshes if m is not None])} meshes for one picture", "try another seed"
        )
    raw = meshes[0]
    mesh = raw_surface(_array(raw.vertices).astype(np.float64) @ TO_NATIVE, _array(raw.faces), "trellis2")
    actual = round(1 / float(raw.voxel_size))
    source = _source(mesh, _field(_array(raw.coords), _array(raw.attrs), raw.layout, _frame(actual)))
    source.facts.update(resolution=actual, asked_resolution=fineness.resolution, latent_resolution=int(resolution))
    source.facts.update(seconds=round(time.monotonic() - start, 1), peak_gb=peak_gb())
    return source


def _lower(resolution: int) -> int | None:
    return max((size for size in PIPELINES if size < resolution), default=None)


def _source(mesh: Mesh, field: VoxelField) -> SourceMesh:
    values = field.read(mesh.vertices)
    return SourceMesh(
        mesh=Mesh(mesh.vertices, mesh.faces, normals=vertex_normals(mesh.vertices, mesh.faces)),
        base_color=srgb_to_linear(values[:, :3]),
        metallic=values[:, 3],
        roughness=values[:, 4],
        seen=np.ones(len(mesh.vertices), np.float32),  # the model colours all sides: nothing is left to invent
        field=field,
    )


def _field(coordinates: np.ndarray, attributes: np.ndarray, layout: Mapping[str, slice], frame: np.ndarray) -> VoxelField:
    """Take in voxels, of all channels those that we carry on."""
    return raw_field(coordinates, np.concatenate([attributes[:, layout[name]] for name in CHANNELS], axis=1), frame, "trellis2")


def _frame(resolution: int) -> np.ndarray:
    """Bring a point of house space, the model's cube centred at the origin, to voxel space."""
    frame = np.eye(4)
    frame[:3, :3] = TO_NATIVE * resolution
    frame[:3, 3] = 0.5 * resolution
    return frame


def _array(tensor: Any) -> np.ndarray:
    """Bring a tensor to numpy, half precision as float32."""
    return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy())


def _mean(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(one[name] for one in conditions) / len(conditions) for name in conditions[0]}
