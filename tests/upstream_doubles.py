"""Stand in for what is compiled in the learned packages, so that their own Python code can run without it.

Modules are replaced for the whole process: only tests.upstream_run, a process of its own, does so.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional


def module(name: str, **members: Any) -> types.ModuleType:
    """Put a module in the place of one that is compiled."""
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(made).update(members)
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, made)
    return made


def on_the_cpu() -> None:
    """Let `.cuda()` do nothing."""
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]


def lookup(coords: Any, asked: Any) -> Any:
    """Find rows of coordinates among others; -1 where there is none."""
    both = torch.cat([coords, asked]).long()
    _, place = torch.unique(both, dim=0, return_inverse=True)
    row = torch.full((int(place.max()) + 1,), -1)
    row[place[: len(coords)]] = torch.arange(len(coords))
    return row[place[len(coords) :]]


def convolve(feats: Any, coords: Any, _: Any, weight: Any, bias: Any, cache: Any, dilation: Any) -> Any:
    """Convolve where there are voxels."""
    out = feats.new_zeros((len(feats), len(weight)))
    for place in np.ndindex(*weight.shape[1:4]):
        step = torch.tensor([0, *(p - size // 2 for p, size in zip(place, weight.shape[1:4], strict=True))])
        found = lookup(coords, coords + step)
        out[found >= 0] += feats[found[found >= 0]] @ weight[(slice(None), *place)].T
    return (out if bias is None else out + bias), cache


TABLES: dict[int, Any] = {}


def insert(keys: Any, _: Any, coords: Any, *__: Any) -> None:
    """Fill a hash table."""
    TABLES[keys.data_ptr()] = coords


def find(keys: Any, _: Any, coords: Any, *__: Any) -> Any:
    """Look up in it; 2**32 - 1 where there is none, as an unsigned number of 32 bits."""
    return lookup(TABLES[keys.data_ptr()], coords).to(torch.int32).view(torch.uint32)


def voxelise(vertices: Any, faces: Any, size: Any, cells: Any, *_: Any) -> Any:
    """Find the voxels that a surface passes through; each gets its centre as dual vertex, and no crossed edge."""
    corners = vertices[faces.long()]
    steps = int(((corners - corners.roll(1, 1)).norm(dim=2).max() / size.min()).ceil()) * 2 + 1
    a, b = torch.meshgrid(torch.linspace(0, 1, steps), torch.linspace(0, 1, steps), indexing="ij")
    inside = a + b <= 1
    weights = torch.stack([a[inside], b[inside], 1 - a[inside] - b[inside]], dim=1)
    points = torch.einsum("wc,fcx->fwx", weights, corners).reshape(-1, 3)
    found = torch.unique((points / size).floor().int().clamp(min=0), dim=0).clamp(max=int(cells.max()) - 1)
    return found, (found + 0.5) * size, torch.zeros((len(found), 3), dtype=torch.bool)


class CuMesh:
    """Be a mesh without boundaries: hole filling then has nothing to do."""

    num_boundaries = 0

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class Compose:
    """Do one thing after the other."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def __call__(self, image: Any) -> Any:
        for step in self.steps:
            image = step(image)
        return image


def normalise(mean: list[float], std: list[float]) -> Any:
    """Shift and scale channels."""
    return lambda image: (image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def resize(size: int, *_: Any, **__: Any) -> Any:
    """Scale to a square."""
    return lambda image: functional.interpolate(image, size=(size, size), mode="bilinear", antialias=True)


def stand_ins(upstream: Path, device: str) -> None:
    """Replace what is compiled; on a GPU CuMesh alone, and only where it is not installed."""
    if device == "cpu":
        on_the_cpu()
    if device == "cpu" or importlib.util.find_spec("cumesh") is None:
        module("cumesh", CuMesh=CuMesh)
    if device == "cpu":
        stand_ins_for_voxels(upstream)


def one_configuration() -> None:
    """Let every kernel of FlexGEMM run with its smallest tile, instead of trying dozens for each size of its arguments."""
    from flex_gemm.utils import autotuner  # type: ignore[import-not-found]

    def settle(name: str) -> None:
        for kernel in vars(importlib.import_module(name)).values():
            if isinstance(kernel, autotuner.PersistentCacheAutoTuner):
                kernel.configs, kernel.config_fn = [{"SPLITK": 2}], None
            elif isinstance(kernel, autotuner.TritonPersistentCacheAutotuner):
                kernel.configs = [min(kernel.configs, key=lambda one: int(np.prod(list(one.kwargs.values()))))]

    autotuner.walk_package("flex_gemm", settle)


def stand_ins_for_voxels(upstream: Path) -> None:
    """Replace flex_gemm and o_voxel."""
    for name in ("flex_gemm", "flex_gemm.ops"):
        module(name)
    module(
        "flex_gemm.ops.spconv",
        set_algorithm=lambda _: None, set_hashmap_ratio=lambda _: None, sparse_submanifold_conv3d=convolve,
    )  # fmt: skip
    module("flex_gemm.ops.grid_sample", grid_sample_3d=None)
    module("o_voxel").__path__ = [str(upstream / "microsoft/TRELLIS.2/o-voxel/o_voxel")]
    module(
        "o_voxel._C",
        hashmap_insert_3d_idx_as_val_cuda=insert, hashmap_lookup_3d_cuda=find, mesh_to_flexible_dual_grid_cpu=voxelise,
    )  # fmt: skip
    if importlib.util.find_spec("torchvision") is None:
        sizes = types.SimpleNamespace(BILINEAR=None)
        module("torchvision")
        module(
            "torchvision.transforms",
            Compose=Compose, Normalize=normalise, Resize=resize, CenterCrop=lambda _: lambda x: x, InterpolationMode=sizes,
        )  # fmt: skip
