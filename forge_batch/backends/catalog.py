"""List what is told about the backends, without importing them: a dry run must start fast.

Revisions are pinned: they are part of the task keys, so another revision makes an asset anew. Licences were read in the
pinned sources.
"""

from __future__ import annotations

from forge_batch.backends.contract import BackendInfo

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
