from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forge_batch.backends import trellis2
from forge_batch.backends.contract import Fineness
from forge_batch.backends.trellis2 import Engine
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
    """

    change: dict[str, Any] = field(default_factory=dict)
    by_seed: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    error: Exception | None = None
    count: int = 1
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
        return [mesh] * self.count, (None, None, 1024)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.zeros((0, 3)), "faces": np.zeros((0, 3), int)}, "empty mesh"),
        ({"vertices": voxel_mesh(RES)["vertices"] * [1, np.nan, 1]}, "not finite"),
        ({"vertices": voxel_mesh(RES)["vertices"] * 0}, "without extent"),
        ({"faces": voxel_mesh(RES)["faces"] + 10**6}, "vertices it did not give"),
        ({"faces": np.zeros((5, 3), int)}, "name a vertex twice"),
        ({"coords": np.zeros((0, 3), int), "attrs": np.zeros((0, 6))}, "without voxels"),
        ({"attrs": voxel_mesh(RES)["attrs"] * np.nan}, "colours that are not finite"),
        ({"faces": np.broadcast_to(np.array([0, 1, 2], np.int32), (20_000_000, 3))}, "20 million faces.*resolution"),
    ],
)
def test_what_is_no_mesh_fails_the_asset_in_words(change: dict[str, Any], message: str) -> None:
    """Every malformed result is a StageError that says what came."""
    with pytest.raises(StageError, match=message):
        generate(FakePipeline(change))


def test_no_mesh_and_no_memory_fail_the_asset_in_words() -> None:
    """An empty list and CUDA's error are said; the hint is the next lower resolution."""
    with pytest.raises(StageError, match="0 meshes"):
        generate(FakePipeline(count=0))
    with pytest.raises(StageError, match=r"does not suffice for resolution 1536: write generate: \{resolution: 1024\}"):
        generate(FakePipeline(error=torch.OutOfMemoryError("CUDA out of memory")), resolution=1536)


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
