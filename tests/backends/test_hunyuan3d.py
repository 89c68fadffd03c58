from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from forge_batch.backends import hunyuan3d
from forge_batch.backends.contract import Fineness
from forge_batch.backends.hunyuan3d import Engine, build_engine
from forge_batch.backends.vendored.hunyuan3d_files import MODELS, Model, choose_model, compare_parts
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.topology import measure_topology, signed_volume
from tests.backends.vendored.test_store import safetensors
from tests.upstream import box_cutout, held_to, recorded

torch = pytest.importorskip("torch", reason="torch is not installed")

FILE = "hy3dgen/shapegen/pipelines.py"
VAE = "hy3dgen/shapegen/models/autoencoders/model.py"
RED, BLUE, GREEN, WHITE = (200, 0, 0), (0, 0, 200), (0, 200, 0), (200, 200, 200)


def shifted_box() -> trimesh.Trimesh:
    """Give a box as marching cubes gives it: off the centre, about 1 high, half of its faces inside out."""
    box = trimesh.creation.box((0.8, 1.8, 1.2))
    for _ in range(5):
        box = box.subdivide()
    box.apply_translation((-0.12, -0.12, -0.12))
    faces = box.faces.copy()
    faces[::2] = faces[::2][:, ::-1]
    return trimesh.Trimesh(box.vertices, faces, process=False)


@dataclass
class FakePipeline:
    """Answer through the recorded signature and remember the calls."""

    answer: list[Any] = field(default_factory=lambda: [shifted_box()])
    error: Exception | None = None
    by_seed: dict[int, Any] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return held_to(recorded("hunyuan3d", FILE, "Hunyuan3DDiTFlowMatchingPipeline.__call__"), self._run)(*args, **kwargs)

    def _run(self, call: dict[str, Any]) -> Any:
        self.calls.append(call)
        if self.error:
            raise self.error
        seed = call["generator"].initial_seed()
        return [self.by_seed[seed]] if self.by_seed else self.answer


def painted(width: int, height: int, color: tuple[int, int, int]) -> np.ndarray:
    """Give a cut-out of one colour."""
    image = box_cutout(width, height)
    image[..., :3][image[..., 3] > 0] = color
    return image


VIEWS = {
    "front": painted(80, 180, RED), "right": painted(120, 180, BLUE), "back": painted(80, 180, GREEN),
    "left": painted(120, 180, WHITE),
}  # fmt: skip


def generate(
    pipeline: FakePipeline, views: dict[str, np.ndarray] | None = None, *, model: str = "mv", **options: Any
) -> SourceMesh:
    """Run the adapter on the stand-in."""
    engine = Engine(pipeline, MODELS[model])
    return hunyuan3d.generate(views or VIEWS, None, Fineness(**options), 11, lambda *_: None, engine)


def test_views_go_into_the_slots_that_show_that_side() -> None:
    """Our right view, from +X, is its `left`; front and back keep their names; a model for one view gets the front alone."""
    pipeline = FakePipeline()
    generate(pipeline, shape_steps=8, resolution=512)
    (call,) = pipeline.calls
    means = {slot: np.asarray(view.convert("RGB"))[100, 60].tolist() for slot, view in call["image"].items()}
    assert means == {"front": list(RED), "left": list(BLUE), "back": list(GREEN), "right": list(WHITE)}
    assert (call["num_inference_steps"], call["octree_resolution"], call["box_v"]) == (32, 256, 1.01)
    assert call["generator"].initial_seed() == 11
    single = FakePipeline()
    generate(single, model="2.1")
    assert np.asarray(single.calls[0]["image"])[100, 60].tolist() == [*RED, 255]


def test_a_distilled_model_takes_the_steps_it_was_trained_for() -> None:
    """Five, whatever shape_steps says; the facts name the model, and hold seconds and the memory's peak."""
    pipeline = FakePipeline()
    facts = generate(pipeline, model="mv-turbo", shape_steps=50).facts
    assert pipeline.calls[0]["num_inference_steps"] == 5
    assert facts["model"] == "mv-turbo"
    assert facts["seconds"] >= 0
    assert facts["peak_gb"] is None or facts["peak_gb"] > 0


def test_the_shape_is_centred_wound_outwards_and_coloured_by_its_views() -> None:
    """Off-centre and inside-out faces come out as a closed box on the views' outlines, each side in its view's colour."""
    source = generate(FakePipeline())
    vertices = source.mesh.vertices
    np.testing.assert_allclose(vertices.min(axis=0) + vertices.max(axis=0), 0, atol=0.02)
    assert measure_topology(source.mesh.faces).closed
    assert signed_volume(source.mesh) == pytest.approx(float(np.ptp(vertices, axis=0).prod()), rel=1e-3)
    assert source.facts["mean_silhouette_iou"] > 0.97
    normals = source.mesh.normals
    assert normals is not None
    centres = vertices[source.mesh.faces].mean(axis=1)
    for axis, color in (((0, 0, 1), RED), ((1, 0, 0), BLUE), ((0, 0, -1), GREEN), ((-1, 0, 0), WHITE)):
        half = np.ptp(vertices, axis=0) @ np.abs(axis) / 2
        side = np.flatnonzero(centres @ np.array(axis, float) > 0.999 * half)
        middle = side[np.argmin(np.linalg.norm(centres[side] - centres[side].mean(axis=0), axis=1))]
        sample = source.sample(np.array([middle]), np.full((1, 3), 1 / 3))
        assert (sample.base_color[0] > 0.3).tolist() == [value > 0 for value in color], axis
        assert sample.seen[0] == 1


def shape(vertices: Any, faces: Any) -> Any:
    """Be a mesh with nothing but these."""
    return SimpleNamespace(vertices=vertices, faces=faces)


AGAIN = "try another seed, or another picture of it"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([None], f"hunyuan3d found no surface in what it made: {AGAIN}"),
        ([], f"hunyuan3d found no surface in what it made: {AGAIN}"),
        ([shape(np.zeros((0, 3)), np.zeros((0, 3), int))], f"hunyuan3d gave an empty mesh: 0 vertices, 0 faces: {AGAIN}"),
        ([shape([[0, 0, np.nan], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])],
         f"hunyuan3d gave 1 of 3 vertices that are not finite: {AGAIN}"),
        ([shape(np.eye(3), np.broadcast_to(np.array([0, 1, 2], np.int32), (20_000_000, 3)))],
         "hunyuan3d gave 20 million faces, at most 16 million can be worked on: write a lower generate: {resolution: ...}"),
    ],
    ids=["None", "nothing", "empty", "NaN", "20 million faces"],
)  # fmt: skip
def test_what_is_no_mesh_fails_the_asset_in_words(answer: list[Any], message: str) -> None:
    """Marching cubes that found nothing comes as None; that and every malformed shape say what came, and what to do."""
    with pytest.raises(StageError) as caught:
        generate(FakePipeline(answer))
    assert str(caught.value) == message


def test_no_memory_and_no_cut_out_fail_the_asset_in_words() -> None:
    """CUDA's error says what to lower, as long as there is something; an opaque view would count as its whole frame."""
    for resolution, hint in ((1536, "write generate: {resolution: 1024}"), (512, "free the card or take a larger one")):
        with pytest.raises(StageError) as caught:
            generate(FakePipeline(error=torch.OutOfMemoryError("CUDA out of memory")), resolution=resolution)
        assert str(caught.value) == f"the GPU's memory does not suffice for resolution {resolution}: {hint}"
    with pytest.raises(StageError, match="not cut out"):
        generate(FakePipeline(), {"front": np.full((60, 60, 4), 255, np.uint8)})


def test_more_views_choose_among_seeds() -> None:
    """Of two seeds the one whose box is as deep as the side views show is kept, and both are told."""
    deep, flat = shifted_box(), shifted_box()
    flat.apply_scale((1, 1, 0.3))
    pipeline = FakePipeline()
    pipeline.by_seed = {11: flat, 12: deep}
    facts = generate(pipeline, candidates=2).facts
    assert facts["seed"] == 12
    assert facts["mean_silhouette_iou"] == max(facts["candidates"]) > min(facts["candidates"]) + 0.1


def test_one_load_serves_every_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two assets of a process ask for a pipeline once; another number of views or another haste asks for another."""
    loads: list[tuple[bool, bool]] = []

    def load(several: bool, *, fast: bool) -> Engine:
        loads.append((several, fast))
        return Engine(FakePipeline(), MODELS["mv" if several else "2.1"])

    monkeypatch.setattr(Engine, "load", load)
    hunyuan3d._engine.cache_clear()
    for quality in ("balanced", "hero", "fast"):
        hunyuan3d.generate(VIEWS, None, Fineness(quality=quality), 1, lambda *_: None)
    hunyuan3d.generate({"front": VIEWS["front"]}, None, Fineness(), 1, lambda *_: None)
    hunyuan3d._engine.cache_clear()
    assert loads == [(True, False), (True, True), (False, False)]


def fetched(root: Path, *names: str) -> Path:
    """Record these models as fetched, in the sources that vendor.toml has for them."""
    (root / "hunyuan3d").mkdir(exist_ok=True)
    files = {file: MODELS[name].repo for name in names for file in (MODELS[name].checkpoint,)}
    files |= {f"{decoder[1]}/model.fp16.safetensors": decoder[0] for name in names if (decoder := MODELS[name].decoder)}
    record = {
        source.key: {"files": {file: {} for file, repo in files.items() if repo == source.repo and source.wants(file)}}
        for source in package("hunyuan3d", VENDOR).weights
    }
    assert sum(len(entry["files"]) for entry in record.values()) == len(files), "a file is in no source"
    (root / "hunyuan3d/record.json").write_text(json.dumps(record))
    return root


@pytest.mark.parametrize(
    ("names", "several", "fast", "best"),
    [
        (("mv", "2.1"), True, False, "mv"),
        (("mv", "2.1", "2.0"), False, False, "2.1"),
        (("mini", "2.0"), False, False, "2.0"),
        (("2.0",), True, False, "2.0"),
        (("mv", "mv-turbo"), True, True, "mv-turbo"),
        (("mv", "mv-turbo"), True, False, "mv"),
        (("mv", "2.1", "2.0-turbo", "mini-turbo"), False, True, "2.0-turbo"),
        (("mv", "2.1", "mini-turbo"), False, True, "mini-turbo"),
        (("mv", "2.0-turbo"), True, True, "mv"),
        (("mini-turbo",), True, False, "mini-turbo"),
    ],
)
def test_the_best_fetched_model_is_taken(names: tuple[str, ...], several: bool, fast: bool, best: str, tmp_path: Path) -> None:
    """Several views take mv, one 2.1, then 2.0, then mini; distilled ones when speed is asked for or nothing else is there."""
    assert choose_model(package("hunyuan3d", VENDOR), several, fetched(tmp_path, *names), fast=fast).name == best


def test_nothing_fetched_is_said_and_half_of_a_distilled_model_is_nothing(tmp_path: Path) -> None:
    """Without its decoder a distilled model is not there."""
    one = package("hunyuan3d", VENDOR)
    with pytest.raises(BackendUnavailable, match="vendor fetch hunyuan3d"):
        choose_model(one, True, fetched(tmp_path))
    record = json.loads((fetched(tmp_path, "mini-turbo") / "hunyuan3d/record.json").read_text())
    del record["tencent/Hunyuan3D-2mini (mini-turbo)"]["files"]["hunyuan3d-vae-v2-mini-turbo/model.fp16.safetensors"]
    (tmp_path / "hunyuan3d/record.json").write_text(json.dumps(record))
    with pytest.raises(BackendUnavailable, match="no weights of hunyuan3d were fetched"):
        choose_model(one, False, tmp_path)


@dataclass
class FakeCode:
    """Be both of its modules, behind the recorded signatures: loaders that remember what they were asked for."""

    model: Model
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        load = held_to(recorded("hunyuan3d", FILE, "Hunyuan3DDiTPipeline.from_pretrained"), self._pipeline)
        decode = held_to(recorded("hunyuan3d", VAE, "VectsetVAE.from_pretrained"), self._decoder)
        self.Hunyuan3DDiTFlowMatchingPipeline = SimpleNamespace(from_pretrained=load)
        self.ShapeVAE = SimpleNamespace(from_pretrained=decode)

    def _pipeline(self, call: dict[str, Any]) -> Any:
        self.calls.append(("pipeline", call))
        speed = held_to(recorded("hunyuan3d", FILE, "Hunyuan3DDiTPipeline.enable_flashvdm"), self._speed)
        return SimpleNamespace(model=part(a=(2,)), vae=part(decoder_w=(3, 3)), conditioner=part(c=(1,)), enable_flashvdm=speed)

    def _decoder(self, call: dict[str, Any]) -> Any:
        self.calls.append(("decoder", call))
        return part(quick_w=(5,))

    def _speed(self, call: dict[str, Any]) -> None:
        self.calls.append(("speed", call))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_loaded_by_the_recorded_signatures(name: str, tmp_path: Path) -> None:
    """Folder, format and precision reach its loader; a distilled one gets its own decoder from disk, never from the hub."""
    model, code = MODELS[name], FakeCode(MODELS[name])
    path = tmp_path / model.repo / model.checkpoint
    path.parent.mkdir(parents=True)
    if model.safetensors:
        safetensors(path, {"model.a": (2,), "vae.decoder.w": (3, 3), "conditioner.c": (1,)})
    else:
        parts = {"model": {"a": (2,)}, "vae": {"decoder.w": (3, 3)}, "conditioner": {"c": (1,)}}
        torch.save({part: {key: torch.zeros(shape) for key, shape in one.items()} for part, one in parts.items()}, path)
    if model.decoder:
        quick = tmp_path / model.decoder[0] / model.decoder[1] / "model.fp16.safetensors"
        quick.parent.mkdir(parents=True)
        safetensors(quick, {"quick.w": (5,)})
    engine = build_engine(model, lambda repo: tmp_path / repo, code, code, "cuda")
    assert engine.model is model
    kind, call = code.calls[0]
    assert (kind, call["model_path"], call["subfolder"]) == ("pipeline", str(tmp_path / model.repo), model.subfolder)
    assert (call["use_safetensors"], call["variant"], call["device"], call["dtype"]) == (
        path.suffix == ".safetensors", "fp16", "cuda", torch.float16,
    )  # fmt: skip
    if not model.decoder:
        assert len(code.calls) == 1
        return
    (_, decoder), (_, speed) = code.calls[1:]
    assert (decoder["model_path"], decoder["subfolder"]) == (str(tmp_path / model.decoder[0]), model.decoder[1])
    assert (speed["replace_vae"], speed["mc_algo"], speed["topk_mode"]) == (False, "mc", model.attention)
    safetensors(quick, {"quick.v": (5,)})
    with pytest.raises(BackendUnavailable, match=r"turbo.*1 tensors are missing \(quick.w\)"):
        build_engine(model, lambda repo: tmp_path / repo, code, code, "cuda")


def part(**shapes: tuple[int, ...]) -> SimpleNamespace:
    """Be a module with these tensors, of which `freqs` is a buffer."""
    tensors = {name.replace("_", "."): torch.zeros(shape) for name, shape in shapes.items()}
    return SimpleNamespace(
        state_dict=lambda: tensors, named_buffers=lambda: [(name, t) for name, t in tensors.items() if name == "freqs"]
    )


def test_a_partial_checkpoint_is_refused(tmp_path: Path) -> None:
    """A missing VAE decoder tensor is named, though the loader would take the file; an absent encoder and buffers are fine."""
    parts = {"model": part(a=(2,)), "vae": part(decoder_w=(3, 3), encoder_w=(9,), freqs=(4,)), "conditioner": part(c=(1,))}
    good = safetensors(tmp_path / "good.safetensors", {"model.a": (2,), "vae.decoder.w": (3, 3)})
    compare_parts(good, parts)
    bad = safetensors(tmp_path / "bad.safetensors", {"model.a": (2,), "vae.other": (1,)})
    with pytest.raises(
        BackendUnavailable, match=r"vae in .*bad.safetensors does not fit its model: 1 tensors are missing \(decoder.w\)"
    ):
        compare_parts(bad, parts)


def test_a_pickled_checkpoint_is_looked_at_as_well(tmp_path: Path) -> None:
    """2.1 comes as a pickle of tensors: a lost one is named, and a page of text in its place is said to be none."""
    path = tmp_path / "model.fp16.ckpt"
    torch.save({"model": {}, "vae": {"decoder.w": torch.zeros(3, 3)}}, path)
    with pytest.raises(BackendUnavailable, match=r"model in .*ckpt does not fit its model: 1 tensors are missing \(a\)"):
        compare_parts(path, {"model": part(a=(2,))})
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BackendUnavailable, match="is no whole checkpoint"):
        compare_parts(path, {"model": part(a=(2,))})
    with pytest.raises(BackendUnavailable, match="is missing"):
        compare_parts(tmp_path / "none.ckpt", {})
