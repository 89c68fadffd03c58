from __future__ import annotations

import importlib
import inspect as python_inspect
import os
import subprocess
import sys
from typing import Any

import pytest

from forge_batch.artifacts import IMAGES, MANIFEST
from forge_batch.manifest import manifest_model, parse_manifest
from forge_batch.plan import bind
from forge_batch.stage import Cost, Stage, StageParams, Switchable
from forge_batch.stages import STAGES

HEAVY = ("numpy", "torch", "cv2", "gradio", "scipy", "numba", "trimesh", "pymeshlab", "warp", "huggingface_hub", "dask")
each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@each_stage
def test_one_word_names_a_stage_everywhere(stage: Stage[Any]) -> None:
    """Stage, module, manifest field and the module of the params class and of run carry one name."""
    module = importlib.import_module(f"forge_batch.stages.{stage.name}")
    assert module.stage is stage
    assert manifest_model(STAGES).model_fields[stage.name].annotation is stage.params
    assert stage.params.__module__ == module.__name__
    assert stage.run.__module__ == module.__name__


def test_no_two_stages_share_a_name() -> None:
    """Names of stages are unique."""
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)


def test_the_last_stage_makes_the_package() -> None:
    """The plan publishes what the last stage makes."""
    packages = {f"package_{engine}" for engine in ("ue5", "unity_hdrp", "godot4", "blender", "web")}
    assert packages | {"preview", "package_report"} == {slot.name for slot in STAGES[-1].outputs}


@each_stage
def test_every_input_has_a_producer_before_it(stage: Stage[Any]) -> None:
    """A stage reads what one before it writes; one that cannot be left out needs only what cannot be left out either."""
    before = STAGES[: STAGES.index(stage)]
    made = {slot.name for other in before for slot in other.outputs} | {IMAGES.name, MANIFEST.name}
    certain = {slot.name for other in before if not issubclass(other.params, Switchable) for slot in other.outputs}
    for slot in stage.inputs:
        assert slot.name in made, slot.name
        if slot.required and not issubclass(stage.params, Switchable):
            assert slot.name in certain | {IMAGES.name, MANIFEST.name}, f"{slot.name} may be left out, read it if any"


@each_stage
def test_a_stage_has_outputs_and_no_slot_twice(stage: Stage[Any]) -> None:
    """Every stage makes something, and lists no slot twice."""
    assert stage.outputs
    for slots in (stage.inputs, stage.outputs):
        assert len({slot.name for slot in slots}) == len(slots)


@each_stage
def test_everything_is_documented(stage: Stage[Any]) -> None:
    """Module, params class and run say what they are, the module in more than one line."""
    module = sys.modules[stage.run.__module__]
    assert len((module.__doc__ or "").strip().splitlines()) > 1
    assert (stage.run.__doc__ or "").strip()
    assert (stage.params.__doc__ or "").strip()
    assert python_inspect.getdoc(stage.params) != python_inspect.getdoc(StageParams)


@each_stage
def test_every_param_is_described_and_has_a_default(stage: Stage[Any]) -> None:
    """Every field of every params class has a description and a default; only place.height_cm must be written."""
    for name, field in stage.params.model_fields.items():
        assert (field.description or "").strip(), name
        assert field.is_required() == ((stage.name, name) == ("place", "height_cm")), name


@each_stage
def test_numbers_have_ranges(stage: Stage[Any]) -> None:
    """A param that is a number is bounded at both ends, or is one of a few values."""
    properties = stage.params.model_json_schema()["properties"]
    for name, schema in properties.items():
        for one in schema.get("anyOf", [schema]):
            if one.get("type") in {"integer", "number"} and "enum" not in one:
                assert {"minimum", "exclusiveMinimum"} & one.keys(), name
                assert {"maximum", "exclusiveMaximum"} & one.keys(), name


@each_stage
def test_costs_are_known_before_anything_runs(stage: Stage[Any]) -> None:
    """Cost and revision follow from the params alone; only stages for the GPU cost GPU seconds."""
    params = stage.params(height_cm=60) if stage.name == "place" else stage.params()
    cost = stage.cost(params)
    assert isinstance(cost, Cost)
    assert cost.cpu >= 0
    assert cost.gpu >= 0
    assert stage.device == "gpu" or cost.gpu == 0
    assert isinstance(stage.revision(params), str)
    assert stage.version >= 1


def test_knowing_the_stages_loads_nothing_heavy() -> None:
    """Importing all stages imports no array, mesh, image or learning library."""
    code = "import sys, forge_batch.stages; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not set(HEAVY) & set(child.stdout.split())


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the CPU seconds of a child process")
def test_help_comes_at_once() -> None:
    """`forge-batch --help` takes less than 0.3 CPU seconds, the best of three."""
    seconds = []
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-m", "forge_batch.cli", "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        seconds.append(usage.ru_utime + usage.ru_stime)
        if seconds[-1] < 0.3:
            break
    assert min(seconds) < 0.3


@pytest.mark.parametrize("name", [stage.name for stage in STAGES if issubclass(stage.params, Switchable)])
def test_any_one_stage_can_be_switched_off(name: str) -> None:
    """Without any one optional stage, an asset can be planned up to its package."""
    manifest = parse_manifest(f"forge: 1\nplace: {{height_cm: 60}}\nimages: crate\n{name}: off\n")
    tasks = bind(STAGES, manifest, {})
    assert name not in {task.stage.name for task in tasks}
    assert tasks[-1].stage is STAGES[-1]
