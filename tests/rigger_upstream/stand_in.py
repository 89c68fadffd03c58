"""Do what a rigger's program does, once its arguments were looked at: leave a result, or fail in one of the ways it can."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import huggingface_hub
import torch

FAULT = Path("fault.txt").read_text().strip() if Path("fault.txt").exists() else ""


def leave(result: str, output: str) -> None:
    """Write the result, or what the fault says."""
    if torch.SEED is None:
        raise RuntimeError("nobody set the seed")
    if FAULT == "hang":
        Path("started.txt").write_text("yes")
        time.sleep(600)
    if FAULT == "crash":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if FAULT == "memory":
        sys.stdout.write("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n")
        sys.exit(0)
    if FAULT == "import":
        raise ModuleNotFoundError("No module named 'spconv'")
    if FAULT == "another file":
        huggingface_hub.hf_hub_download("VAST-AI/UniRig", filename="skin/skeleton/model.ckpt", revision="main")
    if FAULT == "no file":
        sys.stdout.write("[Error] export failed: context is incorrect\n")
        sys.exit(0)
    shutil.copy(result, output)
