from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_batch.artifacts import Artifact
from forge_batch.errors import BackendUnavailable, ContentError, ForgeError, GateFailed, QuotaExhausted, StageError
from forge_batch.jobs import Failure, Job, TaskRecord

TEXT = st.text(max_size=12)
NUMBER = st.floats(0, 1e6)
FAILURES = st.builds(Failure, TEXT, TEXT, TEXT)
ARTIFACTS = st.builds(Artifact, TEXT, TEXT, TEXT, st.integers(0, 2**40))
METRICS = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | NUMBER | TEXT | st.lists(NUMBER, max_size=3), max_size=3
)
RECORDS = st.builds(
    TaskRecord,
    TEXT,
    TEXT,
    st.sampled_from(["done", "failed"]),
    NUMBER,
    NUMBER,
    st.lists(ARTIFACTS, max_size=3).map(tuple),
    METRICS,
    st.none() | FAILURES,
)


def job(records: list[TaskRecord], published: str = "", failure: Failure | None = None) -> Job:
    """Make a job of records."""
    return Job("thing", {record.key: record for record in records}, published, failure)


def done(key: str) -> TaskRecord:
    """Say that a task went well."""
    return TaskRecord("clean", key, "done", 1.0)


def failed(key: str, code: str) -> TaskRecord:
    """Say that a task failed."""
    return TaskRecord("clean", key, "failed", 1.0, failure=Failure(code, "it broke"))


@given(st.lists(RECORDS, max_size=4), TEXT, st.none() | FAILURES)
def test_a_job_survives_its_file(records: list[TaskRecord], published: str, failure: Failure | None) -> None:
    """Written as JSON text and read again, a job is the same."""
    before = job(records, published, failure)
    assert Job.from_json(json.loads(json.dumps(before.to_json()))) == before


@given(st.lists(RECORDS, max_size=6), st.sets(TEXT))
def test_only_keeps_what_belongs_to_the_plan(records: list[TaskRecord], keys: set[str]) -> None:
    """Outcomes of other tasks are forgotten, the others stay as they were, and so does what is published."""
    before = job(records, published="p")
    after = before.only(frozenset(keys))
    assert after.records == {key: record for key, record in before.records.items() if key in keys}
    assert after.published == "p"


def test_the_latest_outcome_counts() -> None:
    """A task that failed and then went well is done, and the job's failure is gone."""
    one = job([]).with_record(failed("k", "worker"))
    assert not one.done("k")
    assert one.failure == Failure("worker", "it broke")
    one = one.with_record(done("k"))
    assert one.done("k")
    assert one.failure is None
    assert not one.done("other")


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (StageError("m"), True),
        (GateFailed("m"), True),
        (ContentError("m"), False),
        (QuotaExhausted("m"), False),
        (BackendUnavailable("m"), False),
        (ForgeError("m"), False),
    ],
)
def test_only_faults_of_the_asset_last(error: ForgeError, lasting: bool) -> None:
    """A stage or a gate would say the same again; a disk, a backend or an allowance may be better next time."""
    record = TaskRecord("clean", "k", "failed", 1.0, failure=Failure.of(error))
    assert (job([record]).lasting_failure("k") is not None) is lasting


def test_a_task_that_went_well_or_never_ran_has_no_failure() -> None:
    """Only failed tasks have lasting failures."""
    assert job([done("k")]).lasting_failure("k") is None
    assert job([done("k")]).lasting_failure("other") is None


def test_a_failure_is_one_sentence() -> None:
    """What was found comes first, then what to do, if anything can be advised."""
    assert str(Failure("stage", "the mesh is empty", "use other images")) == "the mesh is empty: use other images"
    assert str(Failure("stage", "the mesh is empty")) == "the mesh is empty"
