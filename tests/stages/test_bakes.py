from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_batch.artifacts import (
    BASE_COLOR_MAP,
    MESH,
    METALLIC_MAP,
    NORMAL_MAP,
    OCCLUSION_MAP,
    ORM_MAP,
    ROUGHNESS_MAP,
    SOURCE_MESH,
    UNSEEN_MAP,
    Slot,
)
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops import bake_files
from forge_batch.ops.bake import CpuBaker
from forge_batch.ops.baker import Search
from forge_batch.ops.gbuffer import GBuffer
from forge_batch.ops.image_file import read_png, write_png
from forge_batch.ops.mesh import save_mesh
from forge_batch.ops.source import load_source, save_source
from forge_batch.stage import Stage, StageContext
from forge_batch.stages import bake_base_color, bake_material, bake_normal, bake_occlusion, inpaint, pack_channels
from tests.bake_pairs import colored, flat_sheet, low_square, sheet

BAKES = (bake_normal.stage, bake_base_color.stage, bake_material.stage, bake_occlusion.stage)


def context_of(stage: Stage[Any], folder: Path, inputs: dict[Slot, Path], **params: Any) -> StageContext[Any]:
    """Make the folder of a task and the context its stage runs in."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {slot.name: path for slot, path in inputs.items()}
    return StageContext("thing", stage.params(**params), 0, {}, files, folder)


@pytest.fixture
def pair(tmp_path: Path) -> dict[Slot, Path]:
    """Write a mesh and a source whose left half was seen and right half was not."""
    mesh, source = tmp_path / MESH.filename, tmp_path / SOURCE_MESH.filename
    save_mesh(mesh, low_square(), {"texture_size": 512, "padding": 8})
    bump = sheet(lambda x, y: 0.02 * np.sin(9 * x) * np.sin(9 * y))
    save_source(source, colored(bump, seen=np.where(bump.vertices[:, 0] < 0, 1.0, 0.0)))
    return {MESH: mesh, SOURCE_MESH: source}


@pytest.mark.parametrize("stage", BAKES, ids=lambda stage: stage.name)
def test_a_bake_writes_its_maps_alone_and_the_same_bytes_each_time(
    stage: Stage[Any], pair: dict[Slot, Path], tmp_path: Path
) -> None:
    """Each of the four, run alone and again, writes what it declares and nothing else, at the size unwrap chose."""
    written = []
    for run in ("a", "b"):
        context = context_of(stage, tmp_path / run, pair)
        metrics = stage.run(context)
        assert sorted(path.name for path in context.folder.iterdir()) == sorted(slot.filename for slot in stage.outputs)
        written.append([context.out(slot).read_bytes() for slot in stage.outputs])
        assert metrics["covered_texels"] == 512 * 512
        assert metrics["miss_share"] == 0
        assert metrics["overlap_texels"] == 0
        assert read_png(context.out(stage.outputs[0])).shape[:2] == (512, 512)
    assert written[0] == written[1]


@pytest.mark.parametrize("stage", BAKES, ids=lambda stage: stage.name)
def test_a_bake_says_how_far_it_is(stage: Stage[Any], pair: dict[Slot, Path], tmp_path: Path) -> None:
    """In bands of a few rows, of which none is kept, each bake goes forward from 0 to 1, in the search and in its maps."""
    save_mesh(pair[MESH], low_square(), {"texture_size": 64, "padding": 8})
    buffer = TinyBuffer(low_square(), load_source(pair[SOURCE_MESH]), 64, Search(0.02, 2))
    said: list[tuple[float, str]] = []
    context = replace(context_of(stage, tmp_path / "a", pair), progress=lambda done, note: said.append((done, note)))
    key = (*(bake_files._identity(pair[slot]) for slot in (MESH, SOURCE_MESH)), Search(0.02, 2))
    bake_files._last.clear()
    bake_files._last[key] = CpuBaker(buffer)
    stage.run(context)
    fractions = [done for done, _ in said]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, pytest.approx(1))
    assert len(fractions) >= 1 + 64 // 5
    assert all(note for _, note in said)


class TinyBuffer(GBuffer):
    """Work in bands of five rows."""

    band, kept = 5 * 64 * 4, 1000


def test_the_maps_have_their_depth_and_meaning(pair: dict[Slot, Path], tmp_path: Path) -> None:
    """Normals are 16-bit RGB, colours 8-bit RGB, the others 8-bit grey; the unseen half is marked."""
    for stage in BAKES:
        stage.run(context_of(stage, tmp_path / "maps", pair))
    maps = {slot: read_png(tmp_path / "maps" / slot.filename) for stage in BAKES for slot in stage.outputs}
    assert maps[NORMAL_MAP].dtype == np.uint16
    assert all(image.dtype == np.uint8 for slot, image in maps.items() if slot != NORMAL_MAP)
    assert maps[NORMAL_MAP].shape == maps[BASE_COLOR_MAP].shape == (512, 512, 3)
    assert all(maps[slot].shape == (512, 512) for slot in (UNSEEN_MAP, METALLIC_MAP, ROUGHNESS_MAP, OCCLUSION_MAP))
    assert (maps[UNSEEN_MAP][:, :250] == 0).all()
    assert (maps[UNSEEN_MAP][:, 262:] == 255).all()


def test_four_bakes_in_one_process_share_a_buffer_and_a_new_file_makes_a_new_one(pair: dict[Slot, Path]) -> None:
    """The same files and cage give the very same object; another cage or a rewritten mesh another."""
    near, far = (bake_normal.stage.params(cage=cage) for cage in (0.02, 0.03))
    first = bake_files.open_baker(pair[MESH], pair[SOURCE_MESH], near)
    assert bake_files.open_baker(pair[MESH], pair[SOURCE_MESH], near) is first
    assert bake_files.open_baker(pair[MESH], pair[SOURCE_MESH], far) is not first
    save_mesh(pair[MESH], low_square(), {"texture_size": 1024, "padding": 8})
    assert bake_files.open_baker(pair[MESH], pair[SOURCE_MESH], far).size == 1024


def test_a_source_that_lies_elsewhere_fails_the_asset(pair: dict[Slot, Path], tmp_path: Path) -> None:
    """The bake says so and writes nothing."""
    moved = flat_sheet()
    save_source(pair[SOURCE_MESH], colored(replace(moved, vertices=moved.vertices + np.float32(20))))
    context = context_of(bake_normal.stage, tmp_path / "a", pair)
    with pytest.raises(StageError, match="met at none"):
        bake_normal.stage.run(context)
    assert not list(context.folder.iterdir())


def test_inpaint_fills_what_was_not_seen_and_keeps_the_rest(pair: dict[Slot, Path], tmp_path: Path) -> None:
    """The unseen half takes the colour of the seen half."""
    bake_base_color.stage.run(context_of(bake_base_color.stage, tmp_path / "bake", pair))
    color, unseen = (tmp_path / "bake" / slot.filename for slot in (BASE_COLOR_MAP, UNSEEN_MAP))
    image = read_png(color)
    image[:, 256:] = 0
    write_png(color, image)
    context = context_of(inpaint.stage, tmp_path / "a", {**pair, BASE_COLOR_MAP: color, UNSEEN_MAP: unseen})
    metrics = inpaint.stage.run(context)
    filled = read_png(context.out(BASE_COLOR_MAP))
    np.testing.assert_array_equal(filled[:, :250], image[:, :250])
    assert np.abs(filled[:, 262:].astype(int) - [188, 137, 255]).max() <= 1
    assert metrics["filled"]


def test_inpaint_hands_on_a_map_without_unseen_texels(pair: dict[Slot, Path], tmp_path: Path) -> None:
    """The file is the same, byte for byte; with everything unseen the asset fails."""
    color, unseen = tmp_path / "color.png", tmp_path / "unseen.png"
    write_png(color, np.full((512, 512, 3), 7, np.uint8))
    write_png(unseen, np.zeros((512, 512), np.uint8))
    inputs = {**pair, BASE_COLOR_MAP: color, UNSEEN_MAP: unseen}
    context = context_of(inpaint.stage, tmp_path / "a", inputs)
    inpaint.stage.run(context)
    assert context.out(BASE_COLOR_MAP).read_bytes() == color.read_bytes()
    write_png(unseen, np.full((512, 512), 255, np.uint8))
    with pytest.raises(StageError, match="no texel was seen"):
        inpaint.stage.run(context)


def test_diffusion_says_how_to_get_it(pair: dict[Slot, Path], tmp_path: Path) -> None:
    """Without its weights the learned method names the command that fetches them."""
    context = context_of(inpaint.stage, tmp_path / "a", pair, method="diffusion")
    with pytest.raises(BackendUnavailable, match="forge-batch vendor fetch inpainter"):
        inpaint.stage.run(context)


def test_channels_are_packed_in_their_order(tmp_path: Path) -> None:
    """Red is occlusion, green roughness, blue metallic."""
    paths = {}
    for value, slot in ((10, OCCLUSION_MAP), (20, ROUGHNESS_MAP), (30, METALLIC_MAP)):
        paths[slot] = tmp_path / slot.filename
        write_png(paths[slot], np.full((8, 8), value, np.uint8))
    context = context_of(pack_channels.stage, tmp_path / "a", paths)
    pack_channels.stage.run(context)
    assert (read_png(context.out(ORM_MAP)) == [10, 20, 30]).all()


def test_a_channel_nobody_baked_is_neutral_and_sizes_must_agree(tmp_path: Path) -> None:
    """Missing occlusion is open, roughness 0.7, metallic 0; two sizes are an error."""
    only = {METALLIC_MAP: tmp_path / "m.png"}
    write_png(only[METALLIC_MAP], np.full((8, 8), 30, np.uint8))
    context = context_of(pack_channels.stage, tmp_path / "a", only)
    pack_channels.stage.run(context)
    assert (read_png(context.out(ORM_MAP)) == [255, 179, 30]).all()
    context = context_of(pack_channels.stage, tmp_path / "b", {})
    pack_channels.stage.run(context)
    assert (read_png(context.out(ORM_MAP)) == [255, 179, 0]).all()
    write_png(tmp_path / "r.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(StageError, match="one size"):
        pack_channels.stage.run(context_of(pack_channels.stage, tmp_path / "c", {**only, ROUGHNESS_MAP: tmp_path / "r.png"}))
