"""List what is told about the backends, without importing them: a dry run must start fast.

Revisions are pinned: they are part of the task keys, so another revision makes an asset anew. Licences were read in the
pinned sources.
"""

from __future__ import annotations

from forge_batch.backends.contract import BackendInfo, GpuNeed

EU = frozenset({
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE",
    "IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
})  # fmt: skip

CATALOG = {
    info.name: info
    for info in (
        BackendInfo("hull", "1", "MIT", commercial=True, territory="worldwide"),
        BackendInfo("trellis2", "5565d240c4a4", "MIT", commercial=True, territory="worldwide"),
        BackendInfo(
            "hunyuan3d",
            "9bcf30281453",
            "Tencent Hunyuan 3D Community License",
            commercial=True,
            territory="not in the EU, the UK and South Korea, neither the model nor its results",
            excluded=EU | {"GB", "KR"},
        ),
    )
}
"""The generators, by the word used in manifests."""

GPU_NEEDS = {
    "trellis2": GpuNeed(
        vram={512: 24.0, 1024: 40.0, 0: 63.0},
        load=30.0,
        source="README: 24 GB at least; issue 24: peak of 63 GB; 1024 is known to fit the 48 GB of half a card. Weights: 16 GB "
        "at 0.5 GB/s",
    ),
    "hunyuan3d": GpuNeed(vram={0: 10.0}, load=20.0, source="README of 2.1: 10 GB for the shape; load: a guess"),
    "unirig": GpuNeed(vram={0: 8.0}, load=10.0, source="README: 8 GB; load: a guess"),
    "skintokens": GpuNeed(vram={0: 14.0}, load=5.0, source="README: 14 GB; 1.6 GB of weights"),
    "diffusion": GpuNeed(vram={0: 10.0}, load=14.0, source="SDXL inpainting in fp16: 7 GB of weights, 10 GB at its peak"),
}
"""What the learned backends ask of a GPU, by the word in manifests (`backend` of generate and rig, `method` of inpaint)."""
