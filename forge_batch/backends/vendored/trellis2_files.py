"""Lay the fetched files of TRELLIS.2 out so that its own loader finds all of them on disk and asks the network for nothing.

Its pipeline.json names two gated repositories and one of another model by their hub names, and builds a background remover
that we never use. A copy that names folders is written beside links to the weights.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forge_batch.backends.vendored.checkpoints import compare
from forge_batch.backends.vendored.pins import Package
from forge_batch.backends.vendored.torch_attention import stand_in_for_flash_attn, stands_in
from forge_batch.errors import BackendUnavailable

CONFIGS = ("pipeline.json", "texturing_pipeline.json")
_MAIN, _STRUCTURE, _ENCODER = 0, 1, 2
"""Places of the main, the structure decoder's and the image encoder's weights in vendor.toml."""


def assemble(package: Package, root: Path) -> Path:
    """Make the folder that the pipelines are loaded from.

    Args:
        package: Pins of trellis2.
        root: The vendor folder.

    Raises:
        BackendUnavailable: A configuration is not what this was written for.
    """
    main, structure, encoder = (package.folder(package.weights[i], root).absolute() for i in (_MAIN, _STRUCTURE, _ENCODER))
    home = root / package.name / "assembled"
    part = home.with_name(".assembled.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / package.weights[_STRUCTURE].repo).parent.mkdir(parents=True)
    (part / "ckpts").symlink_to(main / "ckpts", target_is_directory=True)
    (part / package.weights[_STRUCTURE].repo).symlink_to(structure, target_is_directory=True)
    for name in CONFIGS:
        if (main / name).is_file():
            document = _localised(main / name, encoder)
            missing = [value for value in document["args"]["models"].values() if not (part / f"{value}.json").is_file()]
            if missing and name == CONFIGS[0]:
                raise BackendUnavailable(f"{main / name} names {missing[0]}, which was not fetched", package.fetch)
            if not missing:
                (part / name).write_text(json.dumps(document, indent=1), encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    part.rename(home)
    return home


def _localised(path: Path, encoder: Path) -> dict[str, Any]:
    """Read a pipeline's configuration and let it name folders."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document["args"]["image_cond_model"]["args"]["model_name"] = str(encoder)
        document["args"]["rembg_model"] = {"name": "BiRefNet", "args": {"model_name": ""}}
        assert isinstance(document["args"]["models"], dict)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise BackendUnavailable(f"{path} is not as expected: {error!r}", "forge-batch vendor verify trellis2") from error
    assert isinstance(document, dict)
    return document


def import_package(code: Path) -> None:
    """Make `trellis2` importable, and let what is only needed for its own GLB export be absent.

    nvdiffrast is for research only and its rasteriser is not used here; an empty module takes its place unless it is installed.

    Raises:
        BackendUnavailable: An import fails; says which.
    """
    if str(code) not in sys.path:
        sys.path.insert(0, str(code))
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
    # its convolutions try dozens of configurations for each size they meet, minutes in all: the best are kept for the next run
    os.environ.setdefault("FLEX_GEMM_AUTOTUNE_CACHE_PATH", str(code.parent / "autotune_cache.json"))
    with contextlib.suppress(ImportError):
        importlib.import_module("nvdiffrast.torch")
    if "nvdiffrast.torch" not in sys.modules:
        for name in ("nvdiffrast", "nvdiffrast.torch"):
            stand_in = types.ModuleType(name)
            stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None)  # transformers asks every module for it
            sys.modules[name] = stand_in
        sys.modules["nvdiffrast"].torch = sys.modules["nvdiffrast.torch"]  # type: ignore[attr-defined]
    # its loader takes any fault of an import for a missing file and asks the hub: so the imports are tried here
    for name in ("trellis2.pipelines", "trellis2.models", "trellis2.pipelines.rembg", "o_voxel", "cumesh", "flex_gemm"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise BackendUnavailable(f"trellis2 cannot be imported: {error}", "forge-batch doctor") from error


def choose_attention() -> str:
    """Set the attention that is installed, or torch's own, and give its name.

    Environment variables would do, but a name they do not know is ignored, and `sdpa` does not reach the sparse layers.

    Raises:
        BackendUnavailable: It would run with something else all the same.
    """
    installed = [one for one in ("flash_attn", "xformers") if importlib.util.find_spec(one)]
    if not installed:
        stand_in_for_flash_attn()
    name = installed[0] if installed else "flash_attn"
    dense = importlib.import_module("trellis2.modules.attention.config")
    sparse = importlib.import_module("trellis2.modules.sparse.config")
    dense.set_backend(name)
    sparse.set_attn_backend(name)
    if {dense.BACKEND, sparse.ATTN} != {name} or sparse.CONV != "flex_gemm":
        found = f"attention {dense.BACKEND} and {sparse.ATTN}, convolution {sparse.CONV}"
        raise BackendUnavailable(
            f"trellis2 would run with {found}", "unset SPARSE_CONV_BACKEND, SPARSE_ATTN_BACKEND, ATTN_BACKEND"
        )
    return "torch" if stands_in() else name


@contextlib.contextmanager
def no_matte() -> Iterator[None]:
    """Keep its background remover from being built: it is gated or large, and cut-outs have alpha."""
    module: Any = importlib.import_module("trellis2.pipelines.rembg")
    own = module.BiRefNet
    module.BiRefNet = lambda **_: None
    try:
        yield
    finally:
        module.BiRefNet = own


def compare_models(models: dict[str, Any], home: Path, config: str) -> None:
    """Compare every loaded model's tensors with its checkpoint's, which the loader does not.

    Constants that a model computes itself (its buffers) may be absent.

    Raises:
        BackendUnavailable: One does not fit; names tensors.
    """
    names = json.loads((home / config).read_text(encoding="utf-8"))["args"]["models"]
    for key, model in models.items():
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        buffers = frozenset(name for name, _ in model.named_buffers())
        compare(home / f"{names[key]}.safetensors", expected, buffers)
