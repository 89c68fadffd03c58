"""Make checkpoints of upstream's own classes, as small as they go, with random weights and the names of the real ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from forge_batch.backends.vendored import trellis2_files
from forge_batch.backends.vendored.hunyuan3d_files import Model
from tests.upstream_doubles import module


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tiny_trellis2(upstream: Path, mirror: Path) -> None:
    """Make models of its classes, as small as they go, and write them as its checkpoints are."""
    sys.path.insert(0, str(upstream / "microsoft/TRELLIS.2"))
    for name in ("nvdiffrast", "nvdiffrast.torch"):
        module(name)
    trellis2_files.choose_attention()
    from transformers import DINOv3ViTConfig, DINOv3ViTModel
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
    unvae = {
        "model_channels": [16, 32, 32, 64, 64], "latent_channels": 8, "num_blocks": [0, 1, 1, 1, 1],
        "block_type": ["SparseConvNeXtBlock3d"] * 5, "down_block_type": ["SparseResBlockS2C3d"] * 4, "block_args": [{}] * 5,
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
        "shape_slat_encoder": ("FlexiDualGridVaeEncoder", unvae),
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
    parts = {
        "pipeline.json": [key for key in names if key != "shape_slat_encoder"],
        "texturing_pipeline.json": [key for key in names if key.startswith("tex_") or key == "shape_slat_encoder"],
    }
    for name, keys in parts.items():
        document["args"]["models"] = {key: names[key] for key in keys}  # type: ignore[index]
        write(mirror / "microsoft/TRELLIS.2-4B" / name, json.dumps(document))
    encoder = mirror / "facebook/dinov3-vitl16-pretrain-lvd1689m"
    config = DINOv3ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, patch_size=16, image_size=64
    )
    DINOv3ViTModel(config).save_pretrained(encoder)
    for name in ("preprocessor_config.json", "LICENSE.md"):
        write(encoder / name, "{}")


def tiny_hunyuan3d(upstream: Path, mirror: Path, models: Iterable[Model]) -> None:
    """Make each of its models as small as it goes, and write it as its checkpoint is: all parts in one file."""
    import yaml

    sys.path.insert(0, str(upstream / "Tencent-Hunyuan/Hunyuan3D-2"))
    module("pymeshlab", MeshSet=object, Mesh=object)
    from hy3dgen.shapegen.pipelines import instantiate_from_config  # type: ignore[import-not-found]

    torch.manual_seed(0)
    for model in models:
        config = _hunyuan3d_config(model)
        made = {name: instantiate_from_config(config[name]).state_dict() for name in ("model", "vae", "conditioner")}
        path = mirror / model.repo / model.checkpoint
        write(path.with_name("config.yaml"), yaml.safe_dump(config))
        if model.safetensors:
            save_file(
                {f"{part}.{name}": own(tensor) for part, tensors in made.items() for name, tensor in tensors.items()}, path
            )
        else:
            torch.save(made, path)
        if model.decoder:
            folder = mirror / model.decoder[0] / model.decoder[1]
            write(folder / "config.yaml", yaml.safe_dump(config["vae"]))
            save_file({name: own(tensor) for name, tensor in made["vae"].items()}, folder / "model.fp16.safetensors")


def own(tensor: Any) -> Any:
    """Give a tensor memory of its own."""
    return tensor.contiguous().clone()


def _hunyuan3d_config(model: Model) -> dict[str, Any]:
    root = "hy3dshape." if model.name == "2.1" else "hy3dgen.shapegen."
    views = "MV" if model.several else ""
    vision = {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 56, "patch_size": 14,
    }  # fmt: skip
    flux = {"target": root + "models.denoisers.hunyuan3ddit.Hunyuan3DDiT", "params": {
        "in_channels": 8, "context_in_dim": 32, "hidden_size": 32, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [16], "mlp_ratio": 2.0, "theta": 10000, "qkv_bias": True, "guidance_embed": model.decoder is not None,
    }}  # fmt: skip
    experts = {"target": root + "models.denoisers.hunyuandit.HunYuanDiTPlain", "params": {
        "input_size": 16, "in_channels": 8, "hidden_size": 32, "context_dim": 32, "depth": 3, "num_heads": 2, "qk_norm": True,
        "text_len": 17, "use_attention_pooling": False, "qkv_bias": False, "num_moe_layers": 1, "num_experts": 2,
        "moe_top_k": 1,
    }}  # fmt: skip
    return {
        "model": experts if model.name == "2.1" else flux,
        "vae": {"target": root + "models.autoencoders.ShapeVAE", "params": {
            "num_latents": 16, "embed_dim": 8, "width": 32, "heads": 2, "num_decoder_layers": 2, "num_encoder_layers": 1,
            "pc_size": 64, "pc_sharpedge_size": 0, "point_feats": 4, "num_freqs": 4, "include_pi": False, "qkv_bias": False,
            "qk_norm": True, "scale_factor": 1.0,
        }},
        "conditioner": {"target": root + "models.conditioner.SingleImageEncoder", "params": {"main_image_encoder": {
            "type": f"DinoImageEncoder{views}", "kwargs": {"config": vision, "use_cls_token": True, "image_size": 56},
        }}},
        "image_processor": {"target": f"{root}preprocessors.{views}ImageProcessorV2", "params": {"size": 56}},
        "scheduler": {"target": root + "schedulers.FlowMatchEulerDiscreteScheduler", "params": {"num_train_timesteps": 1000}},
    }  # fmt: skip
