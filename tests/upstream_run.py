"""Drive the adapters through upstream's own code: real packages, random weights.

    python -m tests.upstream_run trellis2|hunyuan3d UPSTREAM WORK           on a CPU, stand-ins for what is compiled
    python -m tests.upstream_run trellis2|hunyuan3d UPSTREAM WORK cuda      on a GPU, with the compiled extensions as installed

UPSTREAM holds the packages as OWNER/NAME/; everything else is made in WORK. Prints one JSON document. It is a process of its
own, because it replaces modules and lets tensors stay on the CPU when they are sent to a GPU.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional
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
from forge_batch.backends.vendored import trellis2_files
from forge_batch.backends.vendored.machine import Gpu, Machine
from forge_batch.backends.vendored.origins import Folder
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.store import fetch
from forge_batch.errors import BackendUnavailable
from tests.upstream import box_cutout

H200 = Machine((Gpu("NVIDIA H200", 150.0, 149.0, 90, "0"),), lambda _: True)
DEVICE = sys.argv[4] if len(sys.argv) > 4 else "cpu"
LOADED = (AutoModelForImageSegmentation, CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model)
VIEWS = {"front": box_cutout(120, 240), "right": box_cutout(120, 240)}


def module(name: str, **members: Any) -> types.ModuleType:
    """Put a module in the place of one that is compiled."""
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(made).update(members)
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, made)
    return made


def on_the_cpu() -> None:
    """Let `.cuda()` do nothing."""
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]


def attention(q: Any, k: Any, v: Any) -> Any:
    """Attend over (n, length, heads, channels)."""
    return functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def ragged(q: Any, k: Any, v: Any, ends_q: Any, ends_k: Any, *_: Any) -> Any:
    """Attend within each of several sequences laid end to end."""
    parts = zip(ends_q[:-1], ends_q[1:], ends_k[:-1], ends_k[1:], strict=True)
    return torch.cat([attention(q[None, a:b], k[None, c:d], v[None, c:d])[0] for a, b, c, d in parts])


def lookup(coords: Any, asked: Any) -> Any:
    """Find rows of coordinates among others; -1 where there is none."""
    both = torch.cat([coords, asked]).long()
    _, place = torch.unique(both, dim=0, return_inverse=True)
    row = torch.full((int(place.max()) + 1,), -1)
    row[place[: len(coords)]] = torch.arange(len(coords))
    return row[place[len(coords) :]]


def convolve(feats: Any, coords: Any, _: Any, weight: Any, bias: Any, cache: Any, dilation: Any) -> Any:
    """Convolve where there are voxels."""
    out = feats.new_zeros((len(feats), len(weight)))
    for place in np.ndindex(*weight.shape[1:4]):
        step = torch.tensor([0, *(p - size // 2 for p, size in zip(place, weight.shape[1:4], strict=True))])
        found = lookup(coords, coords + step)
        out[found >= 0] += feats[found[found >= 0]] @ weight[(slice(None), *place)].T
    return (out if bias is None else out + bias), cache


TABLES: dict[int, Any] = {}


def insert(keys: Any, _: Any, coords: Any, *__: Any) -> None:
    """Fill a hash table."""
    TABLES[keys.data_ptr()] = coords


def find(keys: Any, _: Any, coords: Any, *__: Any) -> Any:
    """Look up in it; 2**32 - 1 where there is none, as an unsigned number of 32 bits."""
    return lookup(TABLES[keys.data_ptr()], coords).to(torch.int32).view(torch.uint32)


class CuMesh:
    """Be a mesh without boundaries: hole filling then has nothing to do."""

    num_boundaries = 0

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class Compose:
    """Do one thing after the other."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def __call__(self, image: Any) -> Any:
        for step in self.steps:
            image = step(image)
        return image


def normalise(mean: list[float], std: list[float]) -> Any:
    """Shift and scale channels."""
    return lambda image: (image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def resize(size: int, *_: Any, **__: Any) -> Any:
    """Scale to a square."""
    return lambda image: functional.interpolate(image, size=(size, size), mode="bilinear", antialias=True)


def stand_ins(upstream: Path) -> None:
    """Replace what is compiled; on a GPU only attention and CuMesh, and only where they are not installed."""
    if DEVICE == "cpu":
        on_the_cpu()
    if DEVICE == "cpu" or importlib.util.find_spec("flash_attn") is None:
        stand_in_for_attention()
    if DEVICE == "cpu" or importlib.util.find_spec("cumesh") is None:
        module("cumesh", CuMesh=CuMesh)
    if DEVICE == "cpu":
        stand_ins_for_voxels(upstream)


def stand_in_for_attention() -> None:
    """Replace flash_attn by torch's own attention."""
    module(
        "flash_attn",
        flash_attn_func=attention,
        flash_attn_qkvpacked_func=lambda qkv: attention(*qkv.unbind(2)),
        flash_attn_kvpacked_func=lambda q, kv: attention(q, *kv.unbind(2)),
        flash_attn_varlen_func=ragged,
        flash_attn_varlen_qkvpacked_func=lambda qkv, ends, _: ragged(*qkv.unbind(1), ends, ends),
        flash_attn_varlen_kvpacked_func=lambda q, kv, a, b, *_: ragged(q, *kv.unbind(1), a, b),
    )


def stand_ins_for_voxels(upstream: Path) -> None:
    """Replace flex_gemm and o_voxel."""
    for name in ("flex_gemm", "flex_gemm.ops"):
        module(name)
    module(
        "flex_gemm.ops.spconv",
        set_algorithm=lambda _: None, set_hashmap_ratio=lambda _: None, sparse_submanifold_conv3d=convolve,
    )  # fmt: skip
    module("flex_gemm.ops.grid_sample", grid_sample_3d=None)
    module("o_voxel").__path__ = [str(upstream / "microsoft/TRELLIS.2/o-voxel/o_voxel")]
    module("o_voxel._C", hashmap_insert_3d_idx_as_val_cuda=insert, hashmap_lookup_3d_cuda=find)
    if importlib.util.find_spec("torchvision") is None:
        sizes = types.SimpleNamespace(BILINEAR=None)
        module("torchvision")
        module(
            "torchvision.transforms",
            Compose=Compose, Normalize=normalise, Resize=resize, CenterCrop=lambda _: lambda x: x, InterpolationMode=sizes,
        )  # fmt: skip


def pinned(name: str, work: Path) -> Path:
    """Make a vendor folder with this project's pins, on a disk that may be small."""
    root = work / "vendor"
    root.mkdir(parents=True)
    lines = (VENDOR / "vendor.toml").read_text().splitlines()
    (root / "vendor.toml").write_text("\n".join("disk_gb = 0.01" if line.startswith("disk_gb") else line for line in lines))
    return root


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run_trellis2(upstream: Path, work: Path) -> dict[str, Any]:
    """Fetch, load, generate at every resolution, and break a checkpoint."""
    mirror, root = work / "mirror", pinned("trellis2", work)
    (mirror / "microsoft").mkdir(parents=True)
    (mirror / "microsoft/TRELLIS.2").symlink_to(upstream / "microsoft/TRELLIS.2")
    _tiny_trellis2(upstream, mirror)
    one = package("trellis2", root)
    fetch(one, Folder(mirror), lambda _: None, root)
    engine = trellis2.Engine.load("Trellis2ImageTo3DPipeline", "pipeline.json", root, DEVICE, H200)
    own = engine.pipeline.sample_sparse_structure
    engine.pipeline.sample_sparse_structure = lambda *a, **k: own(*a, **k)[:6]
    results: dict[int, dict[str, Any]] = {}
    for resolution in (512, 1024, 1536):
        fine = Fineness(resolution=resolution, structure_steps=2, shape_steps=2, texture_steps=2)
        source = trellis2.generate(VIEWS, None, fine, 5, lambda *_: None, engine)
        assert source.field is not None
        results[resolution] = {
            "faces": len(source.mesh.faces),
            "voxels": len(source.field.coordinates),
            "resolution": source.facts["resolution"],
            "colors": [float(source.base_color.min()), float(source.base_color.max())],
        }
    twice = [trellis2.generate(VIEWS, None, Fineness(resolution=512, shape_steps=1), 5, lambda *_: None, engine) for _ in "ab"]
    trellis2.check_keys(root / "trellis2")
    broken = next((root / "trellis2/weights").glob("*4B/ckpts/tex_slat_decoder.safetensors"))
    _drop_a_tensor(broken)
    return {
        **_compiled(),
        "results": results,
        "low_vram": engine.pipeline.low_vram,
        "same": bool(np.array_equal(twice[0].mesh.vertices, twice[1].mesh.vertices)),
        "broken": _fault(lambda: trellis2.check_keys(root / "trellis2")),
    }


def _compiled() -> dict[str, Any]:
    """Say which compiled extensions took part, and where their code lies."""
    names = (
        "flash_attn",
        "xformers",
        "flex_gemm.kernels.cuda",
        "cumesh._C",
        "cumesh._cubvh",
        "cumesh._cumesh_xatlas",
        "o_voxel._C",
    )
    found = {name: getattr(sys.modules.get(name), "__file__", None) for name in names}
    config = sys.modules["trellis2.modules.sparse.config"]
    return {"compiled": found, "attention": config.ATTN, "memory_gb": _peak()}


def _peak() -> float:
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if DEVICE == "cuda" else 0.0


def _fault(action: Any) -> str:
    try:
        action()
    except BackendUnavailable as error:
        return str(error)
    return ""


def _drop_a_tensor(path: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(path)
    del tensors[min(tensors)]
    save_file(tensors, path)


def _tiny_trellis2(upstream: Path, mirror: Path) -> None:
    """Make models of its classes, as small as they go, and write them as its checkpoints are."""
    sys.path.insert(0, str(upstream / "microsoft/TRELLIS.2"))
    for name in ("nvdiffrast", "nvdiffrast.torch"):
        module(name)
    if DEVICE == "cuda":
        trellis2_files.choose_attention()
    from transformers import DINOv3ViTConfig
    from trellis2 import models  # type: ignore[import-not-found]

    flow = {
        "model_channels": 64, "cond_channels": 32, "num_blocks": 1, "num_heads": 2, "mlp_ratio": 2, "pe_mode": "rope",
        "share_mod": True, "initialization": "scaled", "qk_rms_norm": True, "qk_rms_norm_cross": True, "dtype": "float32",
    }  # fmt: skip
    vae = {
        "model_channels": [64, 64, 32, 32, 16], "latent_channels": 8, "num_blocks": [1, 1, 1, 1, 0],
        "block_type": ["SparseConvNeXtBlock3d"] * 5, "up_block_type": ["SparseResBlockC2S3d"] * 4, "block_args": [{}] * 5,
        "use_fp16": False,
    }  # fmt: skip
    slat = {"in_channels": 8, "out_channels": 8, **flow}
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "sparse_structure_flow_model": ("SparseStructureFlowModel", {
            "resolution": 8, "in_channels": 4, "out_channels": 4, **flow,
        }),
        "sparse_structure_decoder": ("SparseStructureDecoder", {
            "out_channels": 1, "latent_channels": 4, "num_res_blocks": 1, "channels": [32, 16, 8], "num_res_blocks_middle": 1,
            "norm_type": "layer",
        }),
        "shape_slat_flow_model_512": ("SLatFlowModel", {"resolution": 32, **slat}),
        "shape_slat_flow_model_1024": ("SLatFlowModel", {"resolution": 64, **slat}),
        "tex_slat_flow_model_512": ("SLatFlowModel", {"resolution": 32, **slat, "in_channels": 16}),
        "tex_slat_flow_model_1024": ("SLatFlowModel", {"resolution": 64, **slat, "in_channels": 16}),
        "shape_slat_decoder": ("FlexiDualGridVaeDecoder", {"resolution": 256, **vae}),
        "tex_slat_decoder": ("SparseUnetVaeDecoder", {"out_channels": 6, "pred_subdiv": False, **vae}),
    }  # fmt: skip
    torch.manual_seed(0)
    names = {}
    for key, (kind, arguments) in made.items():
        names[key] = f"ckpts/{key}"
        folder = mirror / "microsoft/TRELLIS.2-4B"
        if key == "sparse_structure_decoder":
            names[key] = "microsoft/TRELLIS-image-large/ckpts/ss_dec_conv3d_16l8_fp16"
            folder = mirror
        model = getattr(models, kind)(**arguments)
        for tensor in model.parameters():
            if tensor.detach().abs().max() == 0:  # layers that start as nothing would leave nothing to see
                torch.nn.init.normal_(tensor, std=0.3)
        write(folder / f"{names[key]}.json", json.dumps({"name": kind, "args": arguments}))
        save_file(
            {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / f"{names[key]}.safetensors"
        )
    sampler = {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-5}, "params": {
        "steps": 12, "guidance_strength": 7.5, "guidance_rescale": 0.5, "guidance_interval": [0.6, 1.0], "rescale_t": 3.0,
    }}  # fmt: skip
    stages = {f"{one}_sampler": sampler for one in ("sparse_structure", "shape_slat", "tex_slat")}
    norms = {f"{one}_slat_normalization": {"mean": [0.0] * 8, "std": [1.0] * 8} for one in ("shape", "tex")}
    gated = {"image_cond_model": {"name": "DinoV3FeatureExtractor", "args": {"model_name": "facebook/gated"}},
             "rembg_model": {"name": "BiRefNet", "args": {"model_name": "briaai/RMBG-2.0"}}}  # fmt: skip
    document = {"name": "Trellis2ImageTo3DPipeline", "args": {"models": names, **stages, **norms, **gated}}
    for name in ("pipeline.json", "texturing_pipeline.json"):
        models_of = names if name == "pipeline.json" else {**names, "shape_slat_encoder": "ckpts/not_here"}
        document["args"]["models"] = models_of  # type: ignore[index]
        write(mirror / "microsoft/TRELLIS.2-4B" / name, json.dumps(document))
    encoder = mirror / "facebook/dinov3-vitl16-pretrain-lvd1689m"
    config = DINOv3ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, patch_size=16, image_size=64
    )
    DINOv3ViTModel(config).save_pretrained(encoder)
    for name in ("preprocessor_config.json", "LICENSE.md"):
        write(encoder / name, "{}")


def run_hunyuan3d(upstream: Path, work: Path) -> dict[str, Any]:
    """Fetch, load, generate from two views, and break a checkpoint."""
    mirror, root = work / "mirror", pinned("hunyuan3d", work)
    (mirror / "Tencent-Hunyuan").mkdir(parents=True)
    (mirror / "Tencent-Hunyuan/Hunyuan3D-2").symlink_to(upstream / "Tencent-Hunyuan/Hunyuan3D-2")
    _tiny_hunyuan3d(upstream, mirror)
    one = package("hunyuan3d", root)
    fetch(one, Folder(mirror), lambda _: None, root)
    hunyuan3d.OCTREE[512] = 32  # a CPU cannot ask a network about 256 cells cubed
    engine = hunyuan3d.Engine.load(several=True, root=root, device=DEVICE, machine=H200)
    engine.pipeline.vae.volume_decoder = lambda *a, **k: _sphere(*a, **k) - 9
    nothing = ""
    try:
        hunyuan3d.generate(VIEWS, None, Fineness(resolution=512, shape_steps=1), 3, lambda *_: None, engine)
    except Exception as error:  # noqa: BLE001 - what it is, is the result
        nothing = f"{type(error).__name__}: {error}"
    engine.pipeline.vae.volume_decoder = _sphere
    source = hunyuan3d.generate(VIEWS, None, Fineness(resolution=512, shape_steps=1), 3, lambda *_: None, engine)
    hunyuan3d.check_keys(root / "hunyuan3d")
    broken = next((root / "hunyuan3d/weights").glob("*/hunyuan3d-dit-v2-mv/model.fp16.safetensors"))
    _drop_a_tensor(broken)
    middle = (source.mesh.vertices.min(axis=0) + source.mesh.vertices.max(axis=0)) / 2
    return {
        "nothing": nothing,
        "faces": len(source.mesh.faces),
        "off_centre": float(np.abs(middle).max()),
        "broken": _fault(lambda: hunyuan3d.check_keys(root / "hunyuan3d")),
    }


def _sphere(_: Any, __: Any, bounds: float = 1.01, octree_resolution: int = 64, **___: Any) -> Any:
    """Give the logits of a ball of radius 0.6 where random weights give no surface."""
    axis = torch.linspace(-bounds, bounds, octree_resolution + 1)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return (0.6 - (x * x + y * y + z * z).sqrt())[None]


def _tiny_hunyuan3d(upstream: Path, mirror: Path) -> None:
    """Make its models as small as they go and write one checkpoint that holds them all."""
    import yaml

    sys.path.insert(0, str(upstream / "Tencent-Hunyuan/Hunyuan3D-2"))
    module("pymeshlab", MeshSet=object, Mesh=object)
    from hy3dgen.shapegen.pipelines import instantiate_from_config  # type: ignore[import-not-found]

    root = "hy3dgen.shapegen."
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": 56,
        "patch_size": 14,
    }
    config = {
        "model": {"target": root + "models.denoisers.hunyuan3ddit.Hunyuan3DDiT", "params": {
            "in_channels": 8, "context_in_dim": 32, "hidden_size": 32, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
            "axes_dim": [16], "mlp_ratio": 2.0, "theta": 10000, "qkv_bias": True,
        }},
        "vae": {"target": root + "models.autoencoders.ShapeVAE", "params": {
            "num_latents": 16, "embed_dim": 8, "width": 32, "heads": 2, "num_decoder_layers": 2, "num_encoder_layers": 1,
            "pc_size": 64, "pc_sharpedge_size": 0, "point_feats": 4, "num_freqs": 4, "include_pi": False, "qkv_bias": False,
            "qk_norm": True, "scale_factor": 1.0,
        }},
        "conditioner": {"target": root + "models.conditioner.SingleImageEncoder", "params": {"main_image_encoder": {
            "type": "DinoImageEncoderMV", "kwargs": {"config": vision, "use_cls_token": True, "image_size": 56},
        }}},
        "image_processor": {"target": root + "preprocessors.MVImageProcessorV2", "params": {"size": 56}},
        "scheduler": {"target": root + "schedulers.FlowMatchEulerDiscreteScheduler", "params": {"num_train_timesteps": 1000}},
    }  # fmt: skip
    torch.manual_seed(0)
    tensors = {
        f"{part}.{name}": tensor.contiguous().clone()
        for part in ("model", "vae", "conditioner")
        for name, tensor in instantiate_from_config(config[part]).state_dict().items()
    }
    folder = mirror / "tencent/Hunyuan3D-2mv/hunyuan3d-dit-v2-mv"
    write(folder / "config.yaml", yaml.safe_dump(config))
    save_file(tensors, folder / "model.fp16.safetensors")
    other = mirror / "tencent/Hunyuan3D-2.1/hunyuan3d-dit-v2-1"
    write(other / "config.yaml", "{}")
    write(other / "model.fp16.ckpt", "not used here")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    name, upstream, work = sys.argv[1], Path(sys.argv[2]).absolute(), Path(sys.argv[3]).absolute()
    stand_ins(upstream)
    stdout, sys.stdout = sys.stdout, sys.stderr  # the packages print
    document = {"trellis2": run_trellis2, "hunyuan3d": run_hunyuan3d}[name](upstream, work)
    print(json.dumps(document), file=stdout)
