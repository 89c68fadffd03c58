from __future__ import annotations

import importlib
import sys
from functools import partial
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pytest

from forge_batch.backends.vendored.torch_attention import stand_in_for_flash_attn
from forge_batch.backends.vendored.trellis2_files import choose_attention
from forge_batch.errors import BackendUnavailable

torch = pytest.importorskip("torch", reason="torch is not installed")


def formula(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Give softmax(q k / sqrt(channels)) v of one head."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True) @ v)


def test_every_function_of_flash_attn_that_is_called_is_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches and sequences laid end to end, packed or not: each head of each sequence attends to its own alone."""
    monkeypatch.setitem(sys.modules, "flash_attn", None)  # type: ignore[arg-type]
    stand_in_for_flash_attn()
    flash = importlib.import_module("flash_attn")
    draw = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn((7, 2, 4), generator=draw, dtype=torch.float64) for _ in "qkv")
    ends = torch.tensor([0, 3, 7], dtype=torch.int32)
    expected = np.empty(q.shape)
    for start, stop in ((0, 3), (3, 7)):
        for head in range(2):
            expected[start:stop, head] = formula(*(one[start:stop, head].numpy() for one in (q, k, v)))
    packed, pair = torch.stack([q, k, v], dim=1), torch.stack([k, v], dim=1)
    for found in (
        flash.flash_attn_varlen_func(q, k, v, ends, ends, 4, 4),
        flash.flash_attn_varlen_qkvpacked_func(packed, ends, 4),
        flash.flash_attn_varlen_kvpacked_func(q, pair, ends, ends, 4, 4),
    ):
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    whole = np.stack([formula(*(one[:, head].numpy() for one in (q, k, v))) for head in range(2)], axis=1)
    for found in (
        flash.flash_attn_func(q[None], k[None], v[None]),
        flash.flash_attn_qkvpacked_func(packed[None]),
        flash.flash_attn_kvpacked_func(q[None], pair[None]),
    ):
        np.testing.assert_allclose(found[0].numpy(), whole, atol=1e-12)
    assert importlib.util.find_spec("flash_attn") is not None


@pytest.mark.parametrize(
    ("installed", "chosen"), [((), "torch"), (("flash_attn",), "flash_attn"), (("xformers",), "xformers")], ids=str
)
def test_what_is_installed_attends_and_torch_if_nothing_is(
    installed: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dense and sparse layers are set alike, a second engine finds the same, and another convolution is refused."""
    for name in ("flash_attn", "xformers"):
        module = SimpleNamespace(__spec__=ModuleSpec(name, None)) if name in installed else None
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    dense, sparse = SimpleNamespace(BACKEND="?"), SimpleNamespace(ATTN="?", CONV="flex_gemm")
    dense.set_backend = partial(setattr, dense, "BACKEND")
    sparse.set_attn_backend = partial(setattr, sparse, "ATTN")
    monkeypatch.setitem(sys.modules, "trellis2.modules.attention.config", dense)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "trellis2.modules.sparse.config", sparse)  # type: ignore[arg-type]
    assert [choose_attention() for _ in "ab"] == [chosen, chosen]
    name = installed[0] if installed else "flash_attn"
    set_to = [vars(dense)["BACKEND"], vars(sparse)["ATTN"]]
    assert set_to == [name, name]
    sparse.CONV = "spconv"
    with pytest.raises(BackendUnavailable, match="convolution spconv: unset SPARSE_CONV_BACKEND"):
        choose_attention()
