from __future__ import annotations

import copy
import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from forge_batch.backends import inpainter
from forge_batch.backends.inpainter import Inpainter
from forge_batch.backends.vendored.machine import Gpu, Machine
from forge_batch.backends.vendored.origins import Folder
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.store import fetch
from forge_batch.errors import BackendUnavailable, StageError

torch = pytest.importorskip("torch", reason="torch is not installed")

H200 = Machine((Gpu("NVIDIA H200", 150.0, 149.0, 90, "580.1"),), lambda _: True)


@dataclass
class FakePipeline:
    """Answer as the pipeline does: white everywhere, or an error; remember what it was asked."""

    error: Exception | None = None
    shrink: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, **call: Any) -> SimpleNamespace:
        self.calls.append(call)
        if self.error:
            raise self.error
        size = (call["width"] - self.shrink, call["height"] - self.shrink)
        return SimpleNamespace(images=[Image.new("RGB", size, (255, 255, 255))])


def picture(height: int, width: int) -> np.ndarray:
    """Give noise."""
    return np.random.default_rng(0).integers(0, 200, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def tiny() -> Inpainter:
    """Build the real pipeline with random weights, small enough for a CPU."""
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Inpainter(_pipeline(diffusers, transformers), "cpu", 64)


def _pipeline(diffusers: Any, transformers: Any) -> Any:
    text = {
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "hidden_size": 32, "intermediate_size": 37,
        "layer_norm_eps": 1e-05, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 1000, "projection_dim": 32,
        "max_position_embeddings": 77,
    }  # fmt: skip
    config = transformers.CLIPTextConfig(**text, hidden_act="gelu")
    pipeline = diffusers.StableDiffusionXLInpaintPipeline(
        unet=diffusers.UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=9, out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=80,
            cross_attention_dim=64,
        ),
        vae=diffusers.AutoencoderKL(
            block_out_channels=[32, 64], in_channels=3, out_channels=3, latent_channels=4, sample_size=128,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        text_encoder=transformers.CLIPTextModel(config),
        text_encoder_2=transformers.CLIPTextModelWithProjection(config),
        tokenizer=Words(),
        tokenizer_2=Words(),
        force_zeros_for_empty_prompt=True,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Words:
    """Be a tokenizer that needs no vocabulary file: a number below 1000 for each word."""

    model_max_length = 77
    added_tokens_encoder: ClassVar[dict[str, int]] = {}

    def __call__(self, text: str | list[str], **_: Any) -> SimpleNamespace:
        rows = []
        for one in [text] if isinstance(text, str) else text:
            numbers = [0, *(3 + sum(map(ord, word)) % 990 for word in self.tokenize(one))][:76]
            rows.append(numbers + [2] * (77 - len(numbers)))
        return SimpleNamespace(input_ids=torch.tensor(rows))

    def tokenize(self, text: str) -> list[str]:
        return text.split()

    def batch_decode(self, *_: Any) -> list[str]:
        return [""]


def test_only_masked_pixels_change() -> None:
    """White is painted exactly where the mask is, at sizes that are no multiple of eight."""
    image = picture(45, 61)
    mask = np.zeros((45, 61), bool)
    mask[10:20, 30:] = True
    pipeline = FakePipeline()
    done = Inpainter(pipeline, "cpu").paint(image, mask, "a crate", 7, 20)
    assert (done[mask] == 255).all()
    np.testing.assert_array_equal(done[~mask], image[~mask])
    (call,) = pipeline.calls
    assert (call["height"], call["width"]) == (48, 64)
    assert (call["prompt"], call["num_inference_steps"], call["strength"]) == ("a crate", 20, 0.99)
    assert call["generator"].initial_seed() == 7
    assert np.asarray(call["mask_image"]).max() == 255


def test_large_pictures_are_painted_in_tiles_and_empty_tiles_are_not() -> None:
    """Of a picture of 2000 pixels only tiles that hold masked pixels are painted, none larger than the model likes."""
    image = picture(1000, 2000)
    mask = np.zeros((1000, 2000), bool)
    mask[500, :1700] = True
    pipeline, heard = FakePipeline(), []
    done = Inpainter(pipeline, "cpu").paint(image, mask, "", 0, 1, heard.append)
    assert (done[mask] == 255).all()
    np.testing.assert_array_equal(done[~mask], image[~mask])
    assert {(call["height"], call["width"]) for call in pipeline.calls} == {(1000, 1024)}
    assert len(pipeline.calls) == 3
    assert heard[-1] == 1
    assert len({call["generator"].initial_seed() for call in pipeline.calls}) == 3


def test_out_of_memory_fails_the_asset_in_words() -> None:
    """CUDA's error becomes a StageError that says what else can be done; a picture of another size does, too."""
    mask = np.ones((64, 64), bool)
    starved = Inpainter(FakePipeline(torch.OutOfMemoryError("CUDA out of memory")), "cpu")
    with pytest.raises(StageError, match=r"memory does not suffice.*method: fill"):
        starved.paint(picture(64, 64), mask, "", 0, 1)
    with pytest.raises(StageError, match="gave 56 x 56 pixels for 64 x 64"):
        Inpainter(FakePipeline(shrink=8), "cpu").paint(picture(64, 64), mask, "", 0, 1)


def test_without_weights_the_command_is_said(tmp_path: Path) -> None:
    """An empty vendor folder names what is missing and `vendor fetch inpainter`."""
    (tmp_path / "vendor.toml").write_text((VENDOR / "vendor.toml").read_text())
    with pytest.raises(BackendUnavailable, match=r"inpainter cannot run here: weights .*forge-batch vendor fetch inpainter"):
        Inpainter.load(tmp_path)
    assert "RAIL" in inpainter.info(tmp_path).licence


@pytest.mark.filterwarnings("ignore")
def test_the_real_pipeline_is_composited_through_the_mask_and_repeats(tiny: Inpainter) -> None:
    """The library's own class with random weights: unmasked bytes stay, a seed gives its pixels again, another seed others."""
    image = picture(64, 100)
    mask = np.zeros((64, 100), bool)
    mask[16:48, 20:90] = True
    first, again, other = (tiny.paint(image, mask, "a wooden crate", seed, 2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[~mask], image[~mask])
    np.testing.assert_array_equal(first, again)
    assert (first[mask] != other[mask]).any()
    assert (first[mask] != image[mask]).mean() > 0.5
    assert (
        tiny.paint(image, mask, "a wooden crate", 1, 1)[mask] != image[mask]
    ).any()  # the fewest steps that a manifest may ask


@pytest.fixture(scope="module")
def fetched(tiny: Inpainter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the tiny pipeline as the hub has the real one, and fetch it into a vendor folder."""
    root, mirror = tmp_path_factory.mktemp("vendor"), tmp_path_factory.mktemp("mirror")
    (root / "vendor.toml").write_text((VENDOR / "vendor.toml").read_text())
    one = package("inpainter", root)
    folder = mirror / one.weights[0].repo
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        part = copy.deepcopy(getattr(tiny.pipeline, name)).half()
        part.save_pretrained(folder / name, variant="fp16")
    tiny.pipeline.scheduler.save_pretrained(folder / "scheduler")
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, **{f"{letter}</w>": 2 + number for number, letter in enumerate("abc")}}
    for name in ("tokenizer", "tokenizer_2"):
        (folder / name).mkdir()
        (folder / name / "vocab.json").write_text(json.dumps(words))
        (folder / name / "merges.txt").write_text("#version: 0.2\n")
        (folder / name / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 77}))
    kinds = {
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"], "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    }  # fmt: skip
    index = {"_class_name": "StableDiffusionXLInpaintPipeline", "force_zeros_for_empty_prompt": True, **kinds}
    (folder / "model_index.json").write_text(json.dumps(index))
    fetch(replace(one, disk_gb=0), Folder(mirror), lambda _: None, root)
    return root


@pytest.mark.filterwarnings("ignore")
def test_it_is_loaded_from_what_was_fetched_and_a_partial_checkpoint_refused(fetched: Path, tmp_path: Path) -> None:
    """The real loaders build it from disk alone and it paints; in each of its four parts a lost tensor is named."""
    image = picture(64, 64)
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    loaded = Inpainter.load(fetched, "cpu", H200)
    done = loaded.paint(image, mask, "a b", 1, 2)
    np.testing.assert_array_equal(done[~mask], image[~mask])
    assert (done[mask] != image[mask]).any()
    place = next((fetched / "inpainter/weights").iterdir())
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        path = next((place / name).glob("*.fp16.safetensors"))
        whole = path.read_bytes()
        tensors = load_file(path)
        lost = max(key for key in tensors if key.endswith("weight"))
        save_file({key: tensor for key, tensor in tensors.items() if key != lost}, path, {"format": "pt"})
        record = json.loads((fetched / "inpainter/record.json").read_text())
        spoilt = json.loads((fetched / "inpainter/record.json").read_text())
        for entry in spoilt.values():
            entry["files"][f"{name}/{path.name}"]["size"] = path.stat().st_size
        (fetched / "inpainter/record.json").write_text(json.dumps(spoilt))
        with pytest.raises(BackendUnavailable, match=rf"{name}.*{lost}"):
            Inpainter.load(fetched, "cpu", H200)
        path.write_bytes(whole)
        (fetched / "inpainter/record.json").write_text(json.dumps(record))
