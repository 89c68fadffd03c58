from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.artifacts import IMAGES, MANIFEST, PACKAGES, Slot
from forge_batch.jobs import Failure, TaskRecord
from forge_batch.plan import InputImage, Plan, bind, digest, plan
from forge_batch.stage import Stage
from tests.fakes import Dial, FakeWish, fake_stage, job_of, record_of

POOL = tuple(Slot(name, ".npz") for name in "abc")
PICTURES = {"front": InputImage(Path("front.png"), "f0"), "back": InputImage(Path("back.png"), "b0")}

Stages = tuple[Stage[Dial], ...]


@st.composite
def chains(draw: st.DrawFn, optional: bool = False) -> Stages:
    """Draw stages that read what lies before them and write some slots; the last makes the package.

    With `optional`, a slot that a stage makes is read only if any, so that every stage can be left out.
    """
    made: list[Slot] = []
    stages = []
    count = draw(st.integers(1, 8))
    for index in range(count):
        readable = [IMAGES, MANIFEST, *[slot.if_any if optional else slot for slot in made]]
        inputs = draw(st.lists(st.sampled_from(readable), unique=True, max_size=3))
        outputs = draw(st.lists(st.sampled_from(POOL), unique=True, min_size=1, max_size=2))
        if index == count - 1:
            outputs = [PACKAGES["ue5"]]
        stages.append(fake_stage(f"stage_{index}", inputs, outputs))
        made += [slot for slot in outputs if slot not in made]
    return tuple(stages)


def names(tasks: Sequence[Any]) -> list[str]:
    """Name the stages of tasks."""
    return [task.stage.name for task in tasks]


def touched(stages: Stages, changed: str) -> list[str]:
    """Name a stage and all that reads, however indirectly, what it made: a walk over slots, without any key."""
    dirty: set[str] = set()
    found = []
    for stage in stages:
        hit = stage.name == changed or any(slot.name in dirty for slot in stage.inputs)
        for slot in stage.outputs:
            dirty.add(slot.name) if hit else dirty.discard(slot.name)
        found += [stage.name] * hit
    return found


def planned(stages: Stages, job: Any, present: Any, wish: FakeWish | None = None, retry: bool = False) -> Plan:
    """Plan with the pictures of this file."""
    return plan(stages, wish or FakeWish(), PICTURES, job, present, retry)


@given(chains(), st.data())
def test_a_changed_param_runs_its_stage_and_what_reads_from_it(stages: Stages, data: st.DataObject) -> None:
    """After one stage's params change, that stage and those that read from it run again, and no other."""
    tasks = bind(stages, FakeWish(), PICTURES)
    job = job_of(tasks, published=tasks[-1].key)
    changed = data.draw(st.sampled_from([stage.name for stage in stages]))
    after = planned(stages, job, {task.key for task in tasks}, FakeWish({changed: Dial(level=1)}))
    assert names(after.pending) == touched(stages, changed)


@given(chains(), st.data())
def test_a_killed_run_goes_on_with_exactly_the_rest(stages: Stages, data: st.DataObject) -> None:
    """When the first k tasks are recorded, the others are pending, in order."""
    tasks = bind(stages, FakeWish(), PICTURES)
    count = data.draw(st.integers(0, len(tasks)))
    done = tasks[:count]
    rest = planned(stages, job_of(done), {task.key for task in done}).pending
    assert [task.key for task in rest] == [task.key for task in tasks[count:]]


@given(chains(), st.lists(st.integers(0, 3), max_size=12))
def test_kills_neither_lose_nor_repeat_work(stages: Stages, kills: list[int]) -> None:
    """However often a run is killed, every task runs exactly once in the end."""
    job = job_of(())
    ran: list[str] = []
    for survived in [*kills, len(stages)]:
        for task in planned(stages, job, set(ran)).pending[:survived]:
            ran.append(task.key)
            job = job.with_record(record_of(task))
    assert ran == [task.key for task in bind(stages, FakeWish(), PICTURES)]


@given(chains())
def test_a_published_asset_has_nothing_pending(stages: Stages) -> None:
    """Once everything is recorded and published, an empty work folder is no reason to work."""
    tasks = bind(stages, FakeWish(), PICTURES)
    assert planned(stages, job_of(tasks, tasks[-1].key), ()).pending == ()


@given(chains(), st.data())
def test_lost_outputs_are_made_again_where_they_are_needed(stages: Stages, data: st.DataObject) -> None:
    """Every pending task finds all its inputs, and a finished task runs again only if what it made is needed and gone."""
    tasks = bind(stages, FakeWish(), PICTURES)
    present = data.draw(st.sets(st.sampled_from([task.key for task in tasks])))
    changed = data.draw(st.sampled_from([stage.name for stage in stages]))
    job = job_of(tasks, published=data.draw(st.sampled_from(["", tasks[-1].key])))
    after = planned(stages, job, present, FakeWish({changed: Dial(level=data.draw(st.integers(0, 1)))}))
    made = {task.key for task in after.tasks}
    ready = set(present)
    for task in after.pending:
        assert {key for key in task.inputs.values() if key in made} <= ready
        ready.add(task.key)
    wanted = {key for task in after.pending for key in task.inputs.values()}
    wanted |= set() if job.published == after.last.key else {after.last.key}
    for task in after.pending:
        assert not job.done(task.key) or (task.key in wanted and task.key not in present)
    assert job.published == after.last.key or after.last.key in ready


@given(chains(optional=True), st.data())
def test_a_stage_that_is_off_breaks_nothing(stages: Stages, data: st.DataObject) -> None:
    """Whatever is switched off, the others are planned, and each reads from enabled stages before it only."""
    off = data.draw(st.sets(st.sampled_from([stage.name for stage in stages])))
    wish = FakeWish({name: Dial(enabled=False) for name in off})
    tasks = bind(stages, wish, PICTURES)
    assert names(tasks) == [stage.name for stage in stages if stage.name not in off]
    known = {digest({view: image.sha256 for view, image in PICTURES.items()}), digest(wish.made_from())}
    for task in tasks:
        assert set(task.inputs.values()) <= known
        known.add(task.key)


def test_a_slot_is_read_from_the_latest_stage_that_wrote_it() -> None:
    """With the middle of three stages off, the last reads what the first wrote."""
    mesh = POOL[0]
    stages = (
        fake_stage("generate", [IMAGES], [mesh]),
        fake_stage("clean", [mesh], [mesh]),
        fake_stage("export", [mesh], [PACKAGES["ue5"]]),
    )
    generate, clean, export = bind(stages, FakeWish(), PICTURES)
    assert export.inputs == {"a": clean.key}
    assert clean.inputs == {"a": generate.key}
    _, export = bind(stages, FakeWish({"clean": Dial(enabled=False)}), PICTURES)
    assert export.inputs == {"a": generate.key}


def test_a_slot_that_nothing_writes_is_an_error_of_the_order() -> None:
    """A stage that needs what no stage before it makes is refused by name; one that can do without it is not."""
    mesh = POOL[0]
    with pytest.raises(LookupError, match="stage export reads a, which no stage before it writes"):
        bind((fake_stage("export", [mesh], [PACKAGES["ue5"]]),), FakeWish(), PICTURES)
    assert bind((fake_stage("export", [mesh.if_any], [PACKAGES["ue5"]]),), FakeWish(), PICTURES)[0].inputs == {}


def test_a_stage_whose_material_is_switched_off_is_left_out_with_it() -> None:
    """Without the bake, what must have its map is not run either, and what can do without it is."""
    colour = POOL[1]
    stages = (
        fake_stage("bake", [IMAGES], [colour]),
        fake_stage("inpaint", [colour], [colour]),
        fake_stage("sharpen", [colour], [colour]),
        fake_stage("export", [colour.if_any], [PACKAGES["ue5"]]),
    )
    assert names(bind(stages, FakeWish(), PICTURES)) == ["bake", "inpaint", "sharpen", "export"]
    assert names(bind(stages, FakeWish({"bake": Dial(enabled=False)}), PICTURES)) == ["export"]
    with pytest.raises(LookupError, match="stage inpaint reads b"):
        bind(stages[1:], FakeWish(), PICTURES)


def key(stage: Stage[Dial], wish: FakeWish | None = None, images: Mapping[str, InputImage] = PICTURES) -> str:
    """Give the task key of a stage that stands alone."""
    return bind((stage,), wish or FakeWish(), images)[0].key


STAGE = fake_stage("generate", [IMAGES], [PACKAGES["ue5"]])


@pytest.mark.parametrize(
    "other",
    [
        key(STAGE, FakeWish(seed=1)),
        key(replace(STAGE, version=2)),
        key(replace(STAGE, name="make")),
        key(replace(STAGE, revision=lambda _: "abc")),
        key(STAGE, FakeWish({"generate": Dial(level=1)})),
        key(STAGE, images={**PICTURES, "front": InputImage(Path("front.png"), "f1")}),
        key(STAGE, images={"front": PICTURES["front"]}),
        key(STAGE, images={"back": PICTURES["front"], "front": PICTURES["back"]}),
        key(replace(STAGE, inputs=())),
    ],
    ids=["seed", "version", "name", "revision", "params", "image", "fewer images", "images swapped", "inputs"],
)
def test_the_key_follows_everything_the_outcome_depends_on(other: str) -> None:
    """Another seed, version, revision, setting or image is another task."""
    assert other != key(STAGE)


@pytest.mark.parametrize(
    "other",
    [
        key(STAGE, images=dict(reversed(PICTURES.items()))),
        key(STAGE, images={view: replace(image, path=Path("elsewhere") / view) for view, image in PICTURES.items()}),
        key(STAGE, FakeWish(asset="other")),
        key(STAGE, FakeWish({"generate": Dial(level=0), "export": Dial(level=7)})),
        key(replace(STAGE, cost=lambda _: fake_stage("x", [], []).cost(Dial()), device="gpu")),
    ],
    ids=["order of images", "place of images", "asset", "params of another stage", "cost and device"],
)
def test_the_key_follows_nothing_else(other: str) -> None:
    """Orders, places, names, costs and other stages' settings leave a task what it is."""
    assert other == key(STAGE)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_equal_documents_have_equal_hashes(document: dict[str, Any]) -> None:
    """The order of keys does not matter to a hash."""
    assert digest(dict(reversed(document.items()))) == digest(document)


@given(chains(), st.data())
def test_a_lasting_failure_blocks_until_something_changes(stages: Stages, data: st.DataObject) -> None:
    """What failed for a lasting reason waits for a change or for --retry; any other fault is tried again."""
    tasks = bind(stages, FakeWish(), PICTURES)
    failed = data.draw(st.sampled_from(tasks))
    code = data.draw(st.sampled_from(["stage", "gate", "worker", "content", "bug"]))
    before = tasks[: tasks.index(failed)]
    job = job_of(before).with_record(TaskRecord(failed.stage.name, failed.key, "failed", 1.0, failure=Failure(code, "no")))
    present = {task.key for task in before}
    rest = list(tasks[tasks.index(failed) :])
    now = planned(stages, job, present)
    if code in {"stage", "gate"}:
        assert now.blocked == Failure(code, "no")
        assert now.pending == ()
    else:
        assert now.blocked is None
        assert list(now.pending) == rest
    assert list(planned(stages, job, present, retry=True).pending) == rest
    changed = planned(stages, job, present, FakeWish({failed.stage.name: Dial(level=1)}))
    assert changed.blocked is None
    assert failed.stage.name in names(changed.pending)


def test_the_cost_of_a_plan_is_that_of_what_remains() -> None:
    """Finished stages cost nothing more."""
    mesh = POOL[0]
    stages = (fake_stage("generate", [IMAGES], [mesh], cost=30), fake_stage("export", [mesh], [PACKAGES["ue5"]], cost=4))
    tasks = bind(stages, FakeWish(), PICTURES)
    assert planned(stages, job_of(()), ()).cost.cpu == 34
    assert planned(stages, job_of(tasks[:1]), {tasks[0].key}).cost.cpu == 4
