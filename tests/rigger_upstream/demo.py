"""Stand in for SkinTokens' demo.py."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from flash_attn.flash_attn_interface import flash_attn_func
from stand_in import leave
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser("TokenRig Demo")
for name, kind in (("input", str), ("output", str), ("top_k", int), ("top_p", float), ("temperature", float)):
    parser.add_argument(f"--{name}", type=kind)
parser.add_argument("--repetition_penalty", type=float)
parser.add_argument("--num_beams", type=int)
for name in ("use_skeleton", "use_transfer", "use_postprocess"):
    parser.add_argument(f"--{name}", action="store_true")
parser.add_argument("--model_ckpt")
parser.add_argument("--hf_path", default=None)
args = parser.parse_args()
assert Path(args.model_ckpt).read_bytes() == b"weights", "the checkpoint is not where it was looked for"
assert Path("experiments/skin_vae_2_10_32768/last.ckpt").exists()
assert os.environ["HF_HUB_OFFLINE"] == "1", "its libraries may ask the network"
assert Path("models/Qwen3-0.6B/config.json").read_text() == "{}", "its language model is not where it looks"
assert Path(args.input).read_bytes()[:4] == b"glTF"
assert args.use_transfer
assert callable(flash_attn_func)
assert AutoModelForCausalLM.from_config(config={}, attn_implementation="flash_attention_2") == "a model"
leave("result.glb", args.output)
