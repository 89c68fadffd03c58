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
from forge_batch.backends.hunyuan3d import Engine, choose_model, compare_parts
from forge_batch.backends.vendored.pins import VENDOR, package
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.source import SourceMesh
from forge_batch.ops.topology import measure_topology, signed_volume
from tests.backends.vendored.test_store import safetensors
from tests.upstream import box_cutout, held_to, recorded

torch = pytest.importorskip("torch", reason="torch is not installed")

FILE = "hy3dgen/shapegen/pipelines.py"
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
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return held_to(recorded("hunyuan3d", FILE, "Hunyuan3DDiTFlowMatchingPipeline.__call__"), self._run)(*args, **kwargs)

    def _run(self, call: dict[str, Any]) -> Any:
        self.calls.append(call)
        if self.error:
            raise self.error
        return self.answer


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
    pipeline: FakePipeline, views: dict[str, np.ndarray] | None = None, *, several: bool = True, **options: Any
) -> SourceMesh:
    """Run the adapter on the stand-in."""
    return hunyuan3d.generate(views or VIEWS, None, Fineness(**options), 11, lambda *_: None, Engine(pipeline, several))


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
    generate(single, several=False)
    assert single.calls[0]["image"].mode == "RGBA"


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


@pytest.mark.parametrize("answer", [[None], []], ids=["None", "nothing"])
def test_no_surface_fails_the_asset_in_words(answer: list[Any]) -> None:
    """Marching cubes that found nothing comes as None."""
    with pytest.raises(StageError, match="found no surface"):
        generate(FakePipeline(answer))


def test_no_memory_and_no_cut_out_fail_the_asset_in_words() -> None:
    """CUDA's error says what to lower; an opaque view would count as its whole frame."""
    with pytest.raises(StageError, match="does not suffice"):
        generate(FakePipeline(error=torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(StageError, match="not cut out"):
        generate(FakePipeline(), {"front": np.full((60, 60, 4), 255, np.uint8)})


def test_the_best_fetched_model_is_taken(tmp_path: Path) -> None:
    """Several views take mv, one takes 2.1; what is not there is replaced by what is; nothing fetched is said."""
    one = package("hunyuan3d", VENDOR)
    (tmp_path / "hunyuan3d").mkdir()

    def fetched(*repos: str) -> Path:
        (tmp_path / "hunyuan3d/record.json").write_text(json.dumps({repo: {} for repo in repos}))
        return tmp_path

    both = fetched("tencent/Hunyuan3D-2mv", "tencent/Hunyuan3D-2.1")
    assert choose_model(one, True, both).repo == "tencent/Hunyuan3D-2mv"
    assert choose_model(one, False, both).repo == "tencent/Hunyuan3D-2.1"
    assert choose_model(one, True, fetched("tencent/Hunyuan3D-2")).repo == "tencent/Hunyuan3D-2"
    with pytest.raises(BackendUnavailable, match="vendor fetch hunyuan3d"):
        choose_model(one, True, fetched())


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
