"""Start a program of a rigger, in the rigger's own environment: nothing of ours can be imported here.

python rigger_boot.py WEIGHTS SEED (SCRIPT.py | -m MODULE) ARGUMENTS...

It makes chance repeatable, hands out the weights that were fetched at their pinned revisions, keeps the program and all that it
starts from asking the hub for others, lets torch attend where flash_attn is not installed, and ends on SIGTERM as a program
should, so that what it started is ended too.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import os
import pathlib
import random
import runpy
import signal
import sys
import types
from typing import Any


def _use_our_weights(weights: pathlib.Path) -> None:
    """Answer for the hub with the files that are here, and with nothing else."""
    hub = importlib.import_module("huggingface_hub")

    def hf_hub_download(repo_id: str, filename: str, *_: Any, **__: Any) -> str:
        path = weights / repo_id.replace("/", "--") / filename
        if not path.is_file():
            raise FileNotFoundError(f"{repo_id}/{filename} is none of the files that are pinned in vendor.toml")
        return str(path)

    hub.hf_hub_download = hf_hub_download  # type: ignore[attr-defined]


def flash_attn_func(q: Any, k: Any, v: Any, dropout_p: float = 0.0, softmax_scale: Any = None, causal: bool = False) -> Any:
    """Attend over (batch, length, heads, channels) as flash_attn does: torch has the same kernels."""
    attend = importlib.import_module("torch").nn.functional.scaled_dot_product_attention
    parts = (one.transpose(1, 2) for one in (q, k, v))
    many = {"enable_gqa": True} if q.shape[2] != k.shape[2] else {}
    return attend(*parts, dropout_p=dropout_p, is_causal=causal, scale=softmax_scale, **many).transpose(1, 2)


def _attend_with_torch() -> None:
    """Stand in for flash_attn, which takes an hour to compile, where a program wants nothing of it but attention."""
    for name in ("flash_attn", "flash_attn.flash_attn_interface"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules["flash_attn.flash_attn_interface"].flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    models = importlib.import_module("transformers").AutoModelForCausalLM
    own = models.from_config

    def from_config(*args: Any, **options: Any) -> Any:
        if options.get("attn_implementation") == "flash_attention_2":
            options["attn_implementation"] = "sdpa"
        return own(*args, **options)

    models.from_config = from_config


def main(weights: str, seed: str, *words: str) -> None:
    """Prepare and run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # also when the worker that started this is killed
    # Lightning's checkpoints hold more than tensors; these are held by their hashes
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    # read when the libraries are imported, and by what the program starts
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", WANDB_MODE="disabled")
    sys.path.insert(0, str(pathlib.Path.cwd()))
    random.seed(int(seed))
    importlib.import_module("numpy").random.seed(int(seed))
    importlib.import_module("torch").manual_seed(int(seed))
    _use_our_weights(pathlib.Path(weights))
    if importlib.util.find_spec("flash_attn") is None:
        _attend_with_torch()
    if words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
