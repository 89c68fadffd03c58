from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forge_batch.backends import birefnet
from forge_batch.backends.birefnet import Session
from forge_batch.backends.matting import Matter
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.pins import VENDOR
from forge_batch.errors import BackendUnavailable

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
