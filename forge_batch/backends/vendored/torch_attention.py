"""Attend through torch where flash_attn is not installed: torch has the same kernels, and flash_attn takes an hour to compile.

A module of that name is put in its place, with the functions that TRELLIS.2 calls. Sequences that are laid end to end are
attended to one after the other: there is one for each asset.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any


def attend(q: Any, k: Any, v: Any) -> Any:
    """Attend over (batch, length, heads, channels)."""
    from torch.nn.functional import scaled_dot_product_attention  # noqa: PLC0415

    return scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v))).transpose(1, 2)


def attend_ragged(q: Any, k: Any, v: Any, ends_q: Any, ends_k: Any, *_: Any) -> Any:
    """Attend within each of several sequences: (total length, heads, channels), and where each begins and the last one ends."""
    import torch  # noqa: PLC0415

    q_ends, k_ends = ends_q.tolist(), ends_k.tolist()
    parts = zip(q_ends[:-1], q_ends[1:], k_ends[:-1], k_ends[1:], strict=True)
    return torch.cat([attend(q[None, a:b], k[None, c:d], v[None, c:d])[0] for a, b, c, d in parts])


def stand_in_for_flash_attn() -> None:
    """Put the module in place."""
    module: Any = types.ModuleType("flash_attn")
    module.__spec__ = importlib.machinery.ModuleSpec("flash_attn", None)  # transformers asks every module for it
    module.stands_in = True
    module.flash_attn_func = attend
    module.flash_attn_qkvpacked_func = lambda qkv: attend(*qkv.unbind(2))
    module.flash_attn_kvpacked_func = lambda q, kv: attend(q, *kv.unbind(2))
    module.flash_attn_varlen_func = attend_ragged
    module.flash_attn_varlen_qkvpacked_func = lambda qkv, ends, _: attend_ragged(*qkv.unbind(1), ends, ends)
    module.flash_attn_varlen_kvpacked_func = lambda q, kv, a, b, *_: attend_ragged(q, *kv.unbind(1), a, b)
    sys.modules["flash_attn"] = module


def stands_in() -> bool:
    """Tell whether it is in place."""
    return getattr(sys.modules.get("flash_attn"), "stands_in", False) is True
