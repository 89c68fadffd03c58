"""Paint masked parts of a picture with Stable Diffusion XL inpainting.

It knows pictures only: where they come from and where the result goes is decided elsewhere (ops.view_paint). It is a model of
colours; metallic, roughness and normals are never given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from forge_batch.backends.contract import BackendInfo
from forge_batch.backends.vendored.checkpoints import load_whole
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.backends.vendored.readiness import require
from forge_batch.errors import StageError

NAME = "inpainter"
TILE, OVERLAP, GRAIN = 1024, 256, 8
"""Pixels: the size the model was trained on, what neighbouring tiles share, and what sizes must be a multiple of."""

STRENGTH = 0.99  # 1.0 gives noise where the mask ends, as the model's card says
GUIDANCE = 7.5
NEGATIVE = "text, watermark, seam, border, highlight, shadow, blurry"


@cache
def info(root: Path = VENDOR) -> BackendInfo:
    """Say what paints and under which licence."""
    one = package(NAME, root)
    return BackendInfo(NAME, one.weights[0].revision[:12], one.licence, commercial=True, territory="worldwide", fetch=one.fetch)


@dataclass(frozen=True)
class Inpainter:
    """Hold a loaded pipeline.

    Attributes:
        pipeline: What is called as diffusers.StableDiffusionXLInpaintPipeline is.
        device: Where it was put; seeds are drawn there.
        tile: Largest edge it is given, pixels.
    """

    pipeline: Any
    device: str = "cuda"
    tile: int = TILE

    @classmethod
    def load(cls, root: Path = VENDOR, device: str = "cuda", machine: Machine | None = None) -> Inpainter:
        """Load the weights from disk; nothing is asked of the network.

        Args:
            root: The vendor folder.
            device: Where it runs; in half precision unless it is a CPU.
            machine: What there is; looked for if left out.

        Raises:
            BackendUnavailable: Weights, a library or the GPU is missing, or a checkpoint does not fit; the hint mends it.
        """
        one = require(NAME, root, machine)
        import diffusers  # noqa: PLC0415
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415

        folder = one.folder(one.weights[0], root)
        kind = torch.float32 if device == "cpu" else torch.float16
        files = {"variant": "fp16", "use_safetensors": True}
        # one by one: the pipeline's own loader does not say what a checkpoint lacked
        parts = {
            "unet": load_whole(diffusers.UNet2DConditionModel, folder / "unet", torch_dtype=kind, **files),
            "vae": load_whole(diffusers.AutoencoderKL, folder / "vae", torch_dtype=kind, **files),
            "text_encoder": load_whole(transformers.CLIPTextModel, folder / "text_encoder", dtype=kind, **files),
            "text_encoder_2": load_whole(
                transformers.CLIPTextModelWithProjection, folder / "text_encoder_2", dtype=kind, **files
            ),
        }
        pipeline = diffusers.StableDiffusionXLInpaintPipeline.from_pretrained(
            str(folder), torch_dtype=kind, local_files_only=True, **files, **parts
        )
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline.to(device), device)

    def paint(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        mask: Bool[np.ndarray, "h w"],
        prompt: str,
        seed: int,
        steps: int,
        progress: Callable[[float], None] = lambda _: None,
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Replace the masked pixels; all others keep their bytes.

        Pictures larger than a tile are painted tile by tile, each seeing what the ones before it painted.

        Args:
            image: sRGB.
            mask: What is to be painted.
            prompt: What the picture shows.
            seed: The same seed gives the same pixels on the same device.
            steps: Sampling steps.
            progress: Hears the fraction done.

        Raises:
            StageError: The GPU's memory does not suffice, or the model gave a picture of another size.
        """
        result = image.copy()
        tiles = [box for box in _tiles(mask.shape, self.tile) if mask[box].any()]
        for number, box in enumerate(tiles):
            painted = self._paint_tile(result[box], mask[box], prompt, seed + number, steps)
            result[box] = np.where(mask[box][..., None], painted, result[box])
            progress((number + 1) / len(tiles))
        return result

    def _paint_tile(self, image: np.ndarray, mask: np.ndarray, prompt: str, seed: int, steps: int) -> np.ndarray:
        import torch  # noqa: PLC0415
        from PIL import Image  # noqa: PLC0415

        height, width = mask.shape
        rows, columns = -height % GRAIN, -width % GRAIN
        picture = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        hole = np.pad(mask, ((0, rows), (0, columns))).astype(np.uint8) * 255
        try:
            done = self.pipeline(
                prompt=prompt,
                negative_prompt=NEGATIVE,
                image=Image.fromarray(picture),
                mask_image=Image.fromarray(hole),
                height=len(picture),
                width=picture.shape[1],
                strength=STRENGTH,
                num_inference_steps=max(steps, 2),  # of a single one nothing is left at this strength
                guidance_scale=GUIDANCE,
                generator=torch.Generator(self.device).manual_seed(seed),
            ).images[0]
        except torch.OutOfMemoryError as error:
            raise StageError(
                f"the GPU's memory does not suffice to paint {picture.shape[1]} x {len(picture)} pixels",
                "free the GPU or take one with 10 GB, or write inpaint: {method: fill}",
            ) from error
        painted = np.asarray(done.convert("RGB"))
        if painted.shape != picture.shape:
            raise StageError(
                f"the inpainter gave {painted.shape[1]} x {painted.shape[0]} pixels for {picture.shape[1]} x {len(picture)}",
                "report it with the versions that forge-batch doctor prints",
            )
        return painted[:height, :width]


def _tiles(shape: tuple[int, ...], tile: int) -> Iterator[tuple[slice, slice]]:
    """Cover a picture with tiles that overlap, row by row."""
    for rows in _spans(shape[0], tile):
        for columns in _spans(shape[1], tile):
            yield rows, columns


def _spans(length: int, tile: int) -> list[slice]:
    if length <= tile:
        return [slice(0, length)]
    count = -(-(length - OVERLAP) // (tile - OVERLAP)) if tile > OVERLAP else -(-length // tile)
    starts = np.linspace(0, length - tile, count).round().astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]
