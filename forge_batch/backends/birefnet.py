"""Cut an object out with BiRefNet itself, on a GPU where there is one.

rembg's `birefnet-general` is the same network as an ONNX file on the CPU; this is its authors' own checkpoint, in PyTorch. It
answers as rembg's sessions do, so matting.Matter holds either. Its class comes with the weights, at a pinned revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from forge_batch.backends.contract import BackendInfo
from forge_batch.backends.vendored.checkpoints import load_whole
from forge_batch.backends.vendored.machine import Machine, this_machine
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.readiness import require

NAME = "birefnet"
EDGE = 1024
"""Pixels of the square picture that it was trained on."""

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


@cache
def info(root: Path = VENDOR) -> BackendInfo:
    """Say what cut the object out and under which licence."""
    one = package(NAME, root)
    return BackendInfo(NAME, one.weights[0].revision[:12], one.licence, commercial=True, territory="worldwide", fetch=one.fetch)


@dataclass(frozen=True)
class Session:
    """Hold a loaded network; `device` is where it was put."""

    network: Any
    device: str = "cpu"

    @classmethod
    def load(cls, root: Path = VENDOR, machine: Machine | None = None) -> Session:
        """Load the weights from disk; nothing is asked of the network.

        A card is used where its driver names one: the stage also runs where a GPU is only lent for a while, on the CPU then.

        Raises:
            BackendUnavailable: Weights or a library is missing, or the checkpoint does not fit; the hint is what mends it.
        """
        found = machine or this_machine()
        one = require(NAME, root, found)
        from transformers import AutoModelForImageSegmentation  # noqa: PLC0415

        folder = one.folder(one.weights[0], root)
        network = load_whole(AutoModelForImageSegmentation, folder, trust_remote_code=True)
        device = "cuda" if found.gpus else "cpu"
        return cls(network.eval().float().to(device), device)

    def predict(self, image: Image.Image) -> list[Image.Image]:
        """Give the mask of an RGB picture, of its size, as the one picture of a list."""
        import torch  # noqa: PLC0415

        small = np.asarray(image.convert("RGB").resize((EDGE, EDGE), Image.Resampling.BILINEAR), np.float32) / 255
        tensor = torch.from_numpy(((small - MEAN) / DEVIATION).transpose(2, 0, 1)[None].copy()).to(self.device)
        with torch.no_grad():
            mask = self.network(tensor)[-1].sigmoid().cpu().numpy()[0, 0]
        whole = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
        return [whole.resize(image.size, Image.Resampling.BILINEAR)]
