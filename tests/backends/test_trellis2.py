from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forge_batch.backends import trellis2
from forge_batch.backends.contract import Fineness
from forge_batch.backends.trellis2 import Engine, build_pipeline
from forge_batch.backends.vendored.machine import Gpu, Machine
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.topology import measure_topology, signed_volume
from tests.upstream import LAYOUT, box_cutout, held_to, recorded, voxel_mesh

torch = pytest.importorskip("torch", reason="torch is not installed")

FILE = "trellis2/pipelines/trellis2_image_to_3d.py"
PAINT = "trellis2/pipelines/trellis2_texturing.py"
RES = 64


@dataclass
class FakePipeline:
    """Give results of upstream's shape through upstream's signatures, and remember the calls.

    Attributes:
        change: What is replaced in the result.
        by_seed: Extents of the box by seed.
        error: Raised instead.
        count: Meshes in the answer.
        nothing: Whether the one mesh is None.
    """

    change: dict[str, Any] = field(default_factory=dict)
    by_seed: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    error: Exception | None = None
    count: int = 1
    nothing: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[Any] = field(default_factory=list)
    pbr_attr_layout: dict[str, slice] = field(default_factory=lambda: LAYOUT)

    def __post_init__(self) -> None:
        self.run = held_to(recorded("trellis2", FILE, "Trellis2ImageTo3DPipeline.run"), self._run)

    def get_cond(self, image: list[Any], resolution: int, include_neg_cond: bool = True) -> dict[str, Any]:
        return {"cond": torch.full((1, 2), float(np.asarray(image[0]).mean())), "neg_cond": torch.zeros(1, 2)}

    def preprocess_image(self, picture: Any) -> Any:
        return picture.convert("RGB")

    def _run(self, call: dict[str, Any]) -> Any:
        self.calls.append(call)
        if self.error:
            raise self.error
        self.conditions.append(self.get_cond([call["image"]], 512))
        parts = {**voxel_mesh(RES, self.by_seed.get(call["seed"], (0.4, 0.6, 0.9))), **self.change}
        mesh = SimpleNamespace(
            vertices=torch.tensor(parts["vertices"], dtype=torch.float32),
            faces=torch.tensor(parts["faces"], dtype=torch.int32),
            coords=torch.tensor(parts["coords"], dtype=torch.int32),
            attrs=torch.tensor(parts["attrs"], dtype=torch.float16),
            voxel_size=1 / RES,
            layout=LAYOUT,
        )
        return [None if self.nothing else mesh] * self.count, (None, None, 1024)


VIEWS = {"front": box_cutout(120, 270), "right": box_cutout(180, 270)}
"""The box of voxel_mesh: 0.4 wide, 0.6 deep, 0.9 high, at 300 pixels a unit."""


def generate(pipeline: FakePipeline, views: dict[str, np.ndarray] | None = None, **options: Any) -> SourceMesh:
    """Run the adapter on the stand-in."""
    fine = Fineness(**{"resolution": 1024, **options})
    return trellis2.generate(views or VIEWS, None, fine, 7, lambda *_: None, Engine(pipeline, "cpu"))


def at(source: SourceMesh, point: tuple[float, float, float]) -> np.ndarray:
    """Sample at the vertex nearest to a point given in halves of the bounding box; colour in sRGB bytes and material."""
    low, high = source.mesh.vertices.min(axis=0), source.mesh.vertices.max(axis=0)
    target = (low + high) / 2 + np.array(point) * (high - low) / 2
    vertex = int(np.argmin(np.linalg.norm(source.mesh.vertices - target, axis=1)))
    face, corner = np.argwhere(source.mesh.faces == vertex)[0]
    sample = source.sample(np.array([face]), np.eye(3)[corner][None])
    return np.concatenate([sample.base_color[0], sample.metallic, sample.roughness])


def test_the_call_is_upstreams_and_says_all_that_was_asked() -> None:
    """Picture, seed, its word for the resolution and each stage's steps reach run() by the recorded names."""
    pipeline = FakePipeline()
    generate(pipeline, structure_steps=5, shape_steps=6, texture_steps=7, resolution=1536)
    (call,) = pipeline.calls
    assert (call["seed"], call["pipeline_type"], call["return_latent"], call["preprocess_image"]) == (
        7,
        "1536_cascade",
        True,
        True,
    )
    assert [call[f"{name}_sampler_params"] for name in ("sparse_structure", "shape_slat", "tex_slat")] == [
        {"steps": 5}, {"steps": 6}, {"steps": 7},
    ]  # fmt: skip
    assert call["image"].mode == "RGBA"
    assert call["image"].getchannel("A").getextrema() == (0, 255)


def test_axes_colours_and_scale_are_those_of_the_house() -> None:
    """Its front is at +Z, its top at +Y, its right side at +X; the box fills the outlines; voxels follow the move."""
    source = generate(FakePipeline())
    size = np.ptp(source.mesh.vertices, axis=0)
    np.testing.assert_allclose(size / size[1], [0.4 / 0.9, 1.0, 0.6 / 0.9], atol=0.02)
    assert at(source, (0, 0, 1))[:3].round(1).tolist() == [1, 0, 0]
    assert at(source, (0, 1, 0))[:3].round(1).tolist() == [0, 1, 0]
    assert at(source, (1, 0, 0))[:3].round(1).tolist() == [0, 0, 1]
    np.testing.assert_allclose(at(source, (-1, 0, 0))[:3], 0.2159, atol=1e-3)
    assert at(source, (0.6, 0, -1))[3] == 1
    assert at(source, (-0.6, 0, -1))[3] == 0
    assert at(source, (-1, 0.8, 0))[4] > at(source, (-1, -0.8, 0))[4] + 0.5
    assert source.facts["mean_silhouette_iou"] > 0.97


def test_faces_wound_at_random_come_out_closed_and_outwards() -> None:
    """The whole surface is kept, every edge has two faces that agree, and the volume is the box's."""
    source = generate(FakePipeline())
    assert measure_topology(source.mesh.faces).closed
    assert len(source.mesh.faces) == len(voxel_mesh(RES)["faces"])
    size = np.ptp(source.mesh.vertices, axis=0)
    assert signed_volume(source.mesh) == pytest.approx(float(size.prod()), rel=1e-4)


def test_the_resolution_that_came_out_is_recorded() -> None:
    """1024 was asked for, the voxels say 64: the facts hold both, and what the latent says."""
    facts = generate(FakePipeline()).facts
    assert (facts["asked_resolution"], facts["resolution"], facts["latent_resolution"]) == (1024, 64, 1024)
    assert facts["seconds"] >= 0
    assert facts["peak_gb"] is None or facts["peak_gb"] > 0


def test_more_views_choose_among_seeds() -> None:
    """Of three seeds the one whose box is as deep as the right view shows is kept; with one view only one is tried."""
    pipeline = FakePipeline(by_seed={7: (0.4, 0.2, 0.9), 8: (0.4, 0.6, 0.9), 9: (0.4, 0.9, 0.9)})
    source = generate(pipeline, candidates=3)
    assert source.facts["seed"] == 8
    assert source.facts["candidates"][1] == max(source.facts["candidates"]) > 0.97
    single = FakePipeline()
    generate(single, {"front": VIEWS["front"]}, candidates=3)
    assert [call["seed"] for call in single.calls] == [7]


def test_averaging_gives_the_mean_condition_and_leaves_no_trace() -> None:
    """The experiment mixes what the encoder says of every view; afterwards the pipeline is as before."""
    views = {"front": VIEWS["front"], "right": np.where(VIEWS["right"] == 128, 64, VIEWS["right"]).astype(np.uint8)}
    pipeline = FakePipeline()
    generate(pipeline, views, multi_view="average")
    means = [float(np.asarray(view)[..., :3].mean()) for view in views.values()]
    assert float(pipeline.conditions[0]["cond"][0, 0]) == pytest.approx(np.mean(means), rel=1e-4)
    assert "get_cond" not in vars(pipeline)


BOX = voxel_mesh(RES)
AGAIN = "try another seed, or another picture of it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"vertices": np.zeros((0, 3)), "faces": np.zeros((0, 3), int)},
            f"trellis2 gave an empty mesh: 0 vertices, 0 faces: {AGAIN}",
        ),
        (
            {"vertices": BOX["vertices"] * [1, np.nan, 1]},
            f"trellis2 gave {len(BOX['vertices'])} of {len(BOX['vertices'])} vertices that are not finite: {AGAIN}",
        ),
        ({"vertices": BOX["vertices"] * 0}, f"trellis2 gave a mesh without extent: {AGAIN}"),
        ({"faces": BOX["faces"] + 10**6}, f"trellis2 gave faces that name vertices it did not give: {AGAIN}"),
        ({"faces": np.zeros((5, 3), int)}, f"trellis2 gave only faces that name a vertex twice: {AGAIN}"),
        (
            {"coords": np.zeros((0, 3), int), "attrs": np.zeros((0, 6))},
            f"trellis2 gave a mesh without voxels to colour it: {AGAIN}",
        ),
        ({"attrs": BOX["attrs"] * np.nan}, f"trellis2 gave colours that are not finite: {AGAIN}"),
        (
            {"faces": np.broadcast_to(np.array([0, 1, 2], np.int32), (20_000_000, 3))},
            "trellis2 gave 20 million faces, at most 16 million can be worked on: write a lower generate: {resolution: ...}",
        ),
    ],
    ids=["empty", "NaN", "a point", "faces elsewhere", "no faces", "no voxels", "NaN colours", "20 million faces"],
)
def test_what_is_no_mesh_fails_the_asset_in_words(change: dict[str, Any], message: str) -> None:
    """Every malformed result is a StageError that says what came, and what to do."""
    with pytest.raises(StageError) as caught:
        generate(FakePipeline(change))
    assert str(caught.value) == message


def test_no_mesh_and_no_memory_fail_the_asset_in_words() -> None:
    """An empty list, None in it, and CUDA's error are said; the hint is the next lower resolution, if there is one."""
    for pipeline in (FakePipeline(count=0), FakePipeline(nothing=True)):
        with pytest.raises(StageError) as caught:
            generate(pipeline)
        assert str(caught.value) == "trellis2 gave 0 meshes for one picture: try another seed"
    for resolution, hint in (
        (1536, "write generate: {resolution: 1024}"),
        (1024, "write generate: {resolution: 512}"),
        (512, "free the card or take a larger one"),
    ):
        with pytest.raises(StageError) as caught:
            generate(FakePipeline(error=torch.OutOfMemoryError("CUDA out of memory")), resolution=resolution)
        assert str(caught.value) == f"the GPU's memory does not suffice for resolution {resolution}: {hint}"
    painter = FakePainter(error=torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(StageError, match=r"does not suffice for resolution 1024: write generate: \{resolution: 512\}"):
        trellis2.paint(generate(FakePipeline()).mesh, VIEWS, Fineness(), 5, lambda *_: None, Engine(painter, "cpu"))


def test_one_load_serves_every_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two assets of a process ask for the pipeline once."""
    loads: list[str] = []

    def load(name: str, config: str) -> Engine:
        loads.append(f"{name} of {config}")
        return Engine(FakePipeline(), "cpu")

    monkeypatch.setattr(Engine, "load", load)
    trellis2._engine.cache_clear()
    for seed in (1, 2):
        trellis2.generate(VIEWS, None, Fineness(), seed, lambda *_: None)
    trellis2._engine.cache_clear()
    assert loads == ["Trellis2ImageTo3DPipeline of pipeline.json"]


@pytest.mark.parametrize(("memory", "turns"), [(24, True), (48, True), (80, False), (143, False)])
def test_models_take_turns_on_a_card_that_does_not_hold_them_all(
    memory: float, turns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below 70 GB each is moved to the card when it is used; its background remover is never built, whatever the card."""
    built: list[Any] = []

    def from_pretrained(call: dict[str, Any]) -> Any:
        built.append(modules["trellis2.pipelines.rembg"].BiRefNet(model_name=""))
        encoder = SimpleNamespace(model=SimpleNamespace(model=SimpleNamespace(layer="layers")))
        moved = held_to(recorded("trellis2", FILE, "Trellis2ImageTo3DPipeline.to"), lambda call: built.append(call["device"]))
        return SimpleNamespace(models={}, image_cond_model=encoder, low_vram=None, rembg_model="remover", to=moved, call=call)

    load = held_to(recorded("trellis2", FILE, "Trellis2ImageTo3DPipeline.from_pretrained"), from_pretrained)
    modules = {
        "trellis2.pipelines": SimpleNamespace(Trellis2ImageTo3DPipeline=SimpleNamespace(from_pretrained=load)),
        "trellis2.pipelines.rembg": SimpleNamespace(BiRefNet=lambda **_: pytest.fail("a gated model was asked for")),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    (tmp_path / "pipeline.json").write_text('{"args": {"models": {}}}')
    machine = Machine((Gpu("a card", memory, memory, 120, "580.1"),))
    pipeline = build_pipeline("Trellis2ImageTo3DPipeline", "pipeline.json", tmp_path, "cpu", machine)
    assert pipeline.low_vram is turns
    assert pipeline.rembg_model is None
    assert pipeline.image_cond_model.model.layer == "layers"
    assert (pipeline.call["path"], pipeline.call["config_file"]) == (str(tmp_path), "pipeline.json")
    assert built == [None, torch.device("cpu")]


@pytest.mark.parametrize(
    ("alpha", "message"), [(255, "not cut out"), (0, "shows nothing"), (150, "shows nothing")], ids=["opaque", "empty", "faint"]
)
def test_a_view_that_is_not_cut_out_is_refused_before_anything_is_loaded(alpha: int, message: str) -> None:
    """Opaque pictures would be given to a remover that is not there, empty ones end in an error of numpy."""
    view = np.full((50, 50, 4), alpha, np.uint8)
    pipeline = FakePipeline()
    with pytest.raises(StageError, match=message):
        generate(pipeline, {"front": view})
    assert pipeline.calls == []


def test_without_anything_fetched_the_command_is_said() -> None:
    """The engine of this process names what is missing."""
    with pytest.raises(BackendUnavailable, match="vendor fetch trellis2"):
        trellis2.generate(VIEWS, None, Fineness(), 0, lambda *_: None)


@dataclass
class FakePainter:
    """Answer as the texturing pipeline does, with voxels that carry their own coordinates as colour."""

    steps: list[str] = field(default_factory=list)
    error: Exception | None = None
    pbr_attr_layout: dict[str, slice] = field(default_factory=lambda: LAYOUT)
    models: dict[str, str] = field(
        default_factory=lambda: {"tex_slat_flow_model_512": "512", "tex_slat_flow_model_1024": "1024"}
    )

    def __post_init__(self) -> None:
        for name in (
            "preprocess_mesh",
            "preprocess_image",
            "get_cond",
            "encode_shape_slat",
            "sample_tex_slat",
            "decode_tex_slat",
        ):
            signature = recorded("trellis2", PAINT, f"Trellis2TexturingPipeline.{name}")
            setattr(self, name, held_to(signature, lambda call, name=name: self._answer(name, call)))

    def _answer(self, name: str, call: dict[str, Any]) -> Any:
        self.steps.append(name)
        if self.error:
            raise self.error
        if name == "preprocess_mesh":
            self.vertices = np.asarray(call["mesh"].vertices)
            return "mesh"
        if name == "encode_shape_slat":
            return call["resolution"]
        if name == "sample_tex_slat":
            assert (call["flow_model"], call["shape_slat"], call["sampler_params"]) == ("512", 512, {"steps": 4})
        if name == "decode_tex_slat":
            # as preprocess_mesh does: centred, 0.99999 along the longest side, (x, y, z) -> (x, -z, y)
            low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
            native = ((self.vertices - (low + high) / 2) * 0.99999 / (high - low).max())[:, [0, 2, 1]] * [1, -1, 1]
            cells = np.unique(np.floor((native + 0.5) * 512).astype(int), axis=0)
            color = (cells + 0.5) / 512
            return SimpleNamespace(
                coords=torch.tensor(np.hstack([np.zeros((len(cells), 1), int), cells])),
                feats=torch.tensor(np.hstack([color, color[:, :1], color[:, 1:2], color[:, :1]])),
            )
        return name


def test_painting_keeps_the_mesh_and_reads_voxels_where_they_belong() -> None:
    """Every vertex gets the colour of the voxel that its own position falls into; vertices and faces are untouched."""
    mesh = generate(FakePipeline()).mesh
    painter = FakePainter()
    source = trellis2.paint(mesh, VIEWS, Fineness(resolution=512, texture_steps=4), 5, lambda *_: None, Engine(painter, "cpu"))
    np.testing.assert_array_equal(source.mesh.vertices, mesh.vertices)
    np.testing.assert_array_equal(source.mesh.faces, mesh.faces)
    assert source.field is not None
    read = source.field.read(mesh.vertices)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    expected = ((mesh.vertices - (low + high) / 2) / (high - low).max())[:, [0, 2, 1]] * [1, -1, 1] + 0.5
    np.testing.assert_allclose(read[:, :3], expected, atol=0.005)
    assert painter.steps[-1] == "decode_tex_slat"
    assert source.facts["paint_seconds"] >= 0
    assert "paint_peak_gb" in source.facts
