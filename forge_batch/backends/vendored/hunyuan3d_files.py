"""Name the shape models of Hunyuan3D 2, choose among those that were fetched, and compare their checkpoints with them."""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge_batch.backends.vendored.checkpoints import check_shapes, read_shapes
from forge_batch.backends.vendored.machine import has_module
from forge_batch.backends.vendored.pins import Package, package
from forge_batch.backends.vendored.store import read_record
from forge_batch.errors import BackendUnavailable


@dataclass(frozen=True)
class Model:
    """Be one of its shape models.

    Attributes:
        name: In the facts of what it made.
        repo: Repository.
        subfolder: Folder of its checkpoint there.
        several: Whether it takes several views, or the front alone.
        safetensors: Whether the checkpoint is one, or a pickle of tensors.
        decoder: Repository and folder of the decoder that belongs to a distilled (turbo) model; none for the others.
        attention: How a distilled model's decoder picks what it looks at, as its authors' examples say.
    """

    name: str
    repo: str
    subfolder: str
    several: bool = False
    safetensors: bool = True
    decoder: tuple[str, str] | None = None
    attention: str = "mean"

    @property
    def checkpoint(self) -> str:
        """Path of its checkpoint in the repository."""
        return f"{self.subfolder}/model.fp16.{'safetensors' if self.safetensors else 'ckpt'}"


_V2, _MV, _MINI = "tencent/Hunyuan3D-2", "tencent/Hunyuan3D-2mv", "tencent/Hunyuan3D-2mini"
MODELS = {
    model.name: model
    for model in (
        Model("mv", _MV, "hunyuan3d-dit-v2-mv", several=True),
        Model("2.1", "tencent/Hunyuan3D-2.1", "hunyuan3d-dit-v2-1", safetensors=False),
        Model("2.0", _V2, "hunyuan3d-dit-v2-0"),
        Model("mini", _MINI, "hunyuan3d-dit-v2-mini"),
        Model("mv-turbo", _MV, "hunyuan3d-dit-v2-mv-turbo", several=True, decoder=(_V2, "hunyuan3d-vae-v2-0-turbo")),
        Model("2.0-turbo", _V2, "hunyuan3d-dit-v2-0-turbo", decoder=(_V2, "hunyuan3d-vae-v2-0-turbo")),
        Model("mini-turbo", _MINI, "hunyuan3d-dit-v2-mini-turbo", decoder=(_MINI, "hunyuan3d-vae-v2-mini-turbo"),
              attention="merge"),
    )
}  # fmt: skip
"""Best first, those for one and for several views apart."""


def choose_model(one: Package, several: bool, root: Path, *, fast: bool = False) -> Model:
    """Give the best fetched model for one or for several views; a distilled one only if it is asked for or alone.

    Raises:
        BackendUnavailable: None was fetched.
    """
    fetched = {
        (source.repo, file) for source in one.weights for file in read_record(one, root).get(source.key, {}).get("files", ())
    }

    def here(model: Model) -> bool:
        decoder = (model.decoder[0], f"{model.decoder[1]}/model.fp16.safetensors") if model.decoder else None
        return (model.repo, model.checkpoint) in fetched and (decoder is None or decoder in fetched)

    best = sorted(
        filter(here, MODELS.values()), key=lambda model: (model.several != several, (model.decoder is not None) != fast)
    )
    if not best:
        raise BackendUnavailable("no weights of hunyuan3d were fetched", one.fetch)
    return best[0]


def parts_of(pipeline: Any) -> dict[str, Any]:
    """Name the parts of a pipeline as its checkpoint does."""
    return {"model": pipeline.model, "vae": pipeline.vae, "conditioner": pipeline.conditioner}


def compare_parts(path: Path, parts: Mapping[str, Any]) -> None:
    """Compare a checkpoint that holds several models with these: the loader takes a partial VAE without a word.

    Raises:
        BackendUnavailable: One does not fit; names tensors.
    """
    found = read_shapes(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for name, part in parts.items():
        mine = {key.partition(".")[2]: shape for key, shape in found.items() if key.startswith(f"{name}.")}
        if not mine and name == "conditioner":
            continue  # some checkpoints leave the image encoder to its own repository
        check_shapes(f"{name} in {path}", mine, *_expected(part))


def compare_decoder(path: Path, decoder: Any) -> None:
    """Compare a checkpoint that holds a decoder alone with it.

    Raises:
        BackendUnavailable: It does not fit; names tensors.
    """
    check_shapes(str(path), read_shapes(path), *_expected(decoder))


def _expected(part: Any) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """Give the tensors of a model, and those that a checkpoint may lack: generation needs of the VAE its decoder alone."""
    tensors = {key: tuple(tensor.shape) for key, tensor in part.state_dict().items()}
    buffers = {key for key, _ in part.named_buffers()}
    return tensors, frozenset(buffers | {key for key in tensors if key.startswith(("encoder.", "pre_kl."))})


def _read_pickle(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of tensors in a pickle by part; their bytes stay on the disk."""
    import torch  # noqa: PLC0415

    try:
        parts = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return {f"{part}.{key}": tuple(tensor.shape) for part, tensors in parts.items() for key, tensor in tensors.items()}
    except FileNotFoundError:
        raise BackendUnavailable(f"{path} is missing", "fetch the weights again") from None
    except (OSError, RuntimeError, ValueError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        first = str(error).partition("\n")[0][:200]
        raise BackendUnavailable(f"{path} is no whole checkpoint: {first}", "remove it and fetch it again") from error


def check_keys(folder: Path) -> None:
    """Build every model without memory for its tensors and compare them with its checkpoint's.

    Args:
        folder: Of the package, in the vendor folder.

    Raises:
        BackendUnavailable: One does not fit.
    """
    import torch  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    one = package("hunyuan3d", folder.parent)
    import_package(one, folder.parent)
    build = pipelines().instantiate_from_config
    for model in MODELS.values():
        place = folder_of(one, model.repo, folder.parent)
        if (place / model.checkpoint).is_file():
            config = yaml.safe_load((place / model.subfolder / "config.yaml").read_text(encoding="utf-8"))
            with torch.device("meta"):
                parts = {name: build(config[name]) for name in ("model", "vae", "conditioner")}
            compare_parts(place / model.checkpoint, parts)
        if model.decoder and (path := folder_of(one, model.decoder[0], folder.parent) / model.decoder[1]).is_dir():
            config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
            with torch.device("meta"):
                decoder = importlib.import_module("hy3dgen.shapegen.models.autoencoders").ShapeVAE(**config["params"])
            compare_decoder(path / "model.fp16.safetensors", decoder)


def folder_of(one: Package, repo: str, root: Path) -> Path:
    """Say where the files of a repository lie."""
    return one.folder(next(source for source in one.weights if source.repo == repo), root).absolute()


def pipelines() -> Any:
    """Import its module of pipelines."""
    return importlib.import_module("hy3dgen.shapegen.pipelines")


def import_package(one: Package, root: Path) -> None:
    """Make `hy3dgen` importable; what it wants of pymeshlab is not used.

    Raises:
        BackendUnavailable: An import fails; says which.
    """
    assert one.code is not None
    code = str(one.folder(one.code, root))
    if code not in sys.path:
        sys.path.insert(0, code)
    if not has_module("pymeshlab") and "pymeshlab" not in sys.modules:
        stand_in = types.ModuleType("pymeshlab")
        stand_in.MeshSet = stand_in.Mesh = object  # type: ignore[attr-defined]
        sys.modules["pymeshlab"] = stand_in
    try:
        pipelines()
    except ImportError as error:
        raise BackendUnavailable(f"hunyuan3d cannot be imported: {error}", "forge-batch doctor") from error
