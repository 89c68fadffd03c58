from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forge_batch.backends import birefnet
from forge_batch.backends.birefnet import Session
from forge_batch.backends.matting import Matter
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.origins import Folder
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.store import fetch
from forge_batch.errors import BackendUnavailable
from tests.backends.vendored.test_store import safetensors

torch = pytest.importorskip("torch", reason="torch is not installed")


class Reds:
    """Be a network that finds what is red: several outputs, the last one counts, as logits."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, tensor: Any) -> list[Any]:
        self.shapes.append(tuple(tensor.shape))
        red = tensor[:, :1] * 0.229 + 0.485  # what normalisation did is undone
        return [torch.zeros_like(red), (red - 0.5) * 40]


def test_it_answers_as_the_other_sessions_do() -> None:
    """A red square on black is found at its place in a picture that is no square; the network saw 1024 pixels an edge."""
    image = np.zeros((100, 200, 4), np.uint8)
    image[30:70, 50:150] = (255, 0, 0, 255)
    network = Reds()
    alpha = Matter("birefnet", Session(network)).alpha(image)
    assert network.shapes == [(1, 3, 1024, 1024)]
    assert alpha.shape == (100, 200)
    assert (alpha[35:65, 55:145] == 255).all()
    assert (alpha[:25] == 0).all()
    assert (alpha[:, 160:] == 0).all()
    assert alpha[50, 49] <= 128 <= alpha[50, 51]


def test_without_weights_the_command_is_said(tmp_path: Path) -> None:
    """An empty vendor folder names the weights and the command; no GPU is asked for."""
    (tmp_path / "vendor.toml").write_text((VENDOR / "vendor.toml").read_text())
    with pytest.raises(BackendUnavailable, match=r"weights \(ZhengPeng7/BiRefNet\).*vendor fetch birefnet") as caught:
        Session.load(tmp_path, Machine(has_module=lambda _: True))
    assert "GPU" not in str(caught.value)
    assert birefnet.info(tmp_path).licence == "MIT"


def test_masks_keep_the_size_of_their_picture() -> None:
    """Tall and wide pictures get masks of their own size."""
    for size in ((30, 90), (90, 30)):
        (mask,) = Session(Reds()).predict(Image.new("RGB", size, (255, 0, 0)))
        assert mask.size == size
        assert np.asarray(mask).min() > 250


CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
class Config(PretrainedConfig):
    model_type = "tiny_birefnet"
class Net(PreTrainedModel):
    config_class = Config
    def __init__(self, config):
        super().__init__(config)
        self.bias, self.gain = (torch.nn.Parameter(torch.zeros(1)) for _ in "ab")
        self.post_init()
    def forward(self, x):
        return [x[:, :1] * self.gain + self.bias]
"""


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "partial"])
def test_its_own_class_is_loaded_and_a_partial_checkpoint_refused(
    lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class beside the weights is built from disk alone; a tensor that is not in the file is named, not made up."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    mirror, root = tmp_path / "mirror/ZhengPeng7/BiRefNet", tmp_path / "vendor"
    mirror.mkdir(parents=True)
    root.mkdir()
    (root / "vendor.toml").write_text((VENDOR / "vendor.toml").read_text())
    (mirror / "birefnet.py").write_text(CODE)
    (mirror / "BiRefNet_config.py").write_text("")
    auto = {"AutoConfig": "birefnet.Config", "AutoModelForImageSegmentation": "birefnet.Net"}
    (mirror / "config.json").write_text(json.dumps({"model_type": "tiny_birefnet", "auto_map": auto}))
    safetensors(mirror / "model.safetensors", {"bias": (1,)} if lost else {"bias": (1,), "gain": (1,)})
    one = package("birefnet", root)
    fetch(replace(one, disk_gb=0), Folder(tmp_path / "mirror"), lambda _: None, root)
    machine = Machine(has_module=lambda _: True)
    if not lost:
        assert Session.load(root, machine).predict(Image.new("RGB", (40, 30)))[0].size == (40, 30)
        return
    with pytest.raises(BackendUnavailable, match=r"does not fit its model: 1 tensors are missing or of another shape \(gain\)"):
        Session.load(root, machine)
