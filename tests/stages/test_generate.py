from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forge_batch.artifacts import CUTOUTS, MESH, SOURCE_MESH
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.mesh import load_mesh, save_arrays
from forge_batch.ops.source import load_source, load_source_meta
from forge_batch.stage import StageContext
from forge_batch.stages.generate import GENERATORS, Params, stage


def context(folder: Path, cutouts: dict[str, np.ndarray], **params: object) -> StageContext[Params]:
    """Write cut-outs and make the context of a task that reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.parent / "cutouts.npz"
    save_arrays(path, cutouts, {"methods": dict.fromkeys(cutouts, "alpha"), "cameras": {}})
    return StageContext("box", Params.model_validate(params), 3, {}, {CUTOUTS.name: path}, folder)


def square() -> np.ndarray:
    """Paint a rectangle of 60 x 80 pixels."""
    image = np.zeros((120, 120, 4), np.uint8)
    image[20:100, 30:90] = (200, 120, 40, 255)
    return image


def test_it_writes_both_slots_and_says_who_made_them(tmp_path: Path) -> None:
    """The mesh is the source's geometry without attributes; licence, territory and seed stand beside the source."""
    task = context(tmp_path / "a", {"front": square(), "right": square()}, quality="fast")
    metrics = stage.run(task)
    assert sorted(path.name for path in task.folder.iterdir()) == sorted(slot.filename for slot in stage.outputs)
    source, mesh = load_source(task.out(SOURCE_MESH)), load_mesh(task.out(MESH))
    np.testing.assert_array_equal(source.mesh.vertices, mesh.vertices)
    np.testing.assert_array_equal(source.mesh.faces, mesh.faces)
    assert mesh.normals is None
    meta = load_source_meta(task.out(SOURCE_MESH))
    assert (meta["backend"], meta["licence"], meta["commercial"], meta["territory"]) == ("hull", "MIT", True, "worldwide")
    assert (meta["seed"], meta["revision"]) == (3, stage.revision(task.params))
    assert metrics["views"] == ["front", "right"]
    assert metrics["mean_silhouette_iou"] > 0.97
    assert (metrics["vertices"], metrics["faces"]) == (len(mesh.vertices), len(mesh.faces))


def test_the_same_cutouts_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write equal files."""
    files = []
    for name in "ab":
        task = context(tmp_path / name, {"front": square()}, quality="fast")
        stage.run(task)
        files.append([task.out(slot).read_bytes() for slot in stage.outputs])
    assert files[0] == files[1]


@pytest.mark.parametrize("backend", [name for name in GENERATORS if name != "hull"])
def test_a_generator_that_is_not_here_says_how_to_get_it(tmp_path: Path, backend: str) -> None:
    """The hint is the very command, and a plan that names such a backend can still be keyed."""
    task = context(tmp_path / "a", {"front": square()}, backend=backend)
    with pytest.raises(BackendUnavailable, match=f"vendor fetch {backend}"):
        stage.run(task)
    assert stage.revision(task.params)


def test_no_cutouts_are_refused(tmp_path: Path) -> None:
    """An empty file of cut-outs is a failed asset, not a crash."""
    with pytest.raises(StageError, match="no cut-outs"):
        stage.run(context(tmp_path / "a", {}))


def test_finer_costs_more() -> None:
    """Estimates rise with quality."""
    costs = [stage.cost(Params(quality=quality)).cpu for quality in ("fast", "balanced", "hero")]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_another_generators_mesh_is_painted_with_pbr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """texture_with: trellis2 leaves hull's geometry to the bit, colours it by the painter's voxels, and says who painted."""
    pytest.importorskip("torch", reason="torch is not installed")
    from forge_batch.backends import trellis2
    from tests.backends.test_trellis2 import FakePainter

    loads: list[str] = []

    def load(name: str, config: str) -> trellis2.Engine:
        loads.append(f"{name} of {config}")
        return trellis2.Engine(FakePainter(), "cpu")

    monkeypatch.setattr(trellis2.Engine, "load", load)
    trellis2._engine.cache_clear()
    plain, painted = (
        context(tmp_path / name, {"front": square(), "right": square()}, quality="fast", texture_steps=4, texture_with=name)
        for name in ("own", "trellis2")
    )
    stage.run(plain)
    metrics = stage.run(painted)
    trellis2._engine.cache_clear()
    assert loads == ["Trellis2TexturingPipeline of texturing_pipeline.json"]
    one, two = load_source(plain.out(SOURCE_MESH)), load_source(painted.out(SOURCE_MESH))
    np.testing.assert_array_equal(one.mesh.vertices, two.mesh.vertices)
    np.testing.assert_array_equal(one.mesh.faces, two.mesh.faces)
    assert two.field is not None
    assert np.ptp(two.metallic) > 0.5  # the painter's voxels carry their place as metallic
    assert np.ptp(one.metallic) == 0
    meta = load_source_meta(painted.out(SOURCE_MESH))
    assert (meta["backend"], meta["painter"], meta["painter_revision"]) == ("hull", "trellis2", trellis2.info.revision)
    assert metrics["paint_seconds"] >= 0  # type: ignore[operator]
    assert stage.revision(painted.params) == f"{stage.revision(plain.params)}+{trellis2.info.revision}"
