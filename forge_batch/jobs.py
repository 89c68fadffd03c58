"""Remember what has happened to an asset.

A Job is the history the plan is made from: which task keys are done, and which failed for a reason that will not go away.
It never says what should happen next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from forge_batch.artifacts import Artifact
from forge_batch.errors import ForgeError, Problem

TaskState = Literal["done", "failed"]


@dataclass(frozen=True)
class Failure:
    """Keep an error as data: its code, what was found, and what to do about it."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: ForgeError) -> Failure:
        return cls(error.code, error.message, error.hint)

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


LASTING = ("stage", "gate")
"""Failure codes that the same task would meet again; every other fault (disk, backend, killed worker) is worth another try."""


ATTEMPTS = ("gate", "memory")
"""Failure codes after which an asset may be tried in another way; see attempts.py."""


@dataclass(frozen=True)
class TaskRecord:
    """Be the outcome of one task: what it made, what it measured, what it took.

    Attributes:
        stage: Name of the stage.
        key: The task key; see plan.py.
        seconds: Wall time of the run.
        gpu_seconds: Seconds that count against an allowance; 0 on a machine without one.
        outputs: One artifact per output slot, paths relative to the task's folder.
        metrics: What the stage measured.
        params: The stage's params; what estimates are learned by.
        gpu: Model of the GPU that it ran on, empty if it was a CPU.
        load_seconds: GPU seconds of those above that went into loading its model.
        start_seconds: And those that went into starting the worker; neither counts as the task's own.
        expected: p50 and p90 of the seconds as estimated before it ran.
    """

    stage: str
    key: str
    state: TaskState
    seconds: float
    gpu_seconds: float = 0.0
    outputs: tuple[Artifact, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    gpu: str = ""
    load_seconds: float = 0.0
    start_seconds: float = 0.0
    expected: tuple[float, float] | None = None

    @property
    def teaches(self) -> bool:
        """Whether it is a failure that decides how the asset is tried next."""
        return self.failure is not None and self.failure.code in ATTEMPTS

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TaskRecord:
        failure, expected = document.get("failure"), document.get("expected")
        return cls(
            **{
                **document,
                "outputs": tuple(Artifact(**artifact) for artifact in document["outputs"]),
                "failure": Failure(**failure) if failure else None,
                "expected": (expected[0], expected[1]) if expected else None,
            }
        )


@dataclass(frozen=True)
class Job:
    """Be an asset's history.

    Attributes:
        asset: Name of the asset.
        records: Outcomes by task key.
        published: Key of the export task whose package lies in exports/, empty if none does.
        rejected: Key of the task whose package lies there as rejected, empty if none does.
        failure: Why the last run ended without a package, or None.
        problems: What `validate` said of the manifest and its images when it was last taken in.
        since: When a runner first saw that there is something to do, ISO 8601; empty once the package is published. What
            waits longer is more urgent.
    """

    asset: str
    records: Mapping[str, TaskRecord] = field(default_factory=dict)
    published: str = ""
    failure: Failure | None = None
    problems: tuple[Problem, ...] = ()
    since: str = ""
    rejected: str = ""

    def with_record(self, record: TaskRecord) -> Job:
        """Add one outcome; a later outcome of the same key replaces the earlier."""
        failure = record.failure if record.state == "failed" else None
        return replace(self, records={**self.records, record.key: record}, failure=failure)

    def done(self, key: str) -> bool:
        """Tell whether the task with this key ended well."""
        record = self.records.get(key)
        return record is not None and record.state == "done"

    def refused(self, key: str) -> bool:
        """Tell whether the task with this key refused the asset at a quality gate, and left what it measured."""
        record = self.records.get(key)
        return record is not None and record.failure is not None and record.failure.code == "gate" and bool(record.outputs)

    def lasting_failure(self, key: str) -> Failure | None:
        """Give the failure that the task with this key would only meet again."""
        record = self.records.get(key)
        return record.failure if record and record.failure and record.failure.code in LASTING else None

    def only(self, keys: frozenset[str]) -> Job:
        """Forget outcomes of tasks that no longer belong to the asset's plan; not why earlier attempts failed."""
        kept = {key: record for key, record in self.records.items() if key in keys or record.teaches}
        return replace(self, records=kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "asset": self.asset,
            "published": self.published,
            "rejected": self.rejected,
            "failure": asdict(self.failure) if self.failure else None,
            "problems": [asdict(problem) for problem in self.problems],
            "since": self.since,
            "records": [record.to_json() for record in self.records.values()],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Job:
        records = [TaskRecord.from_json(record) for record in document["records"]]
        failure = document["failure"]
        return cls(
            document["asset"],
            {record.key: record for record in records},
            document["published"],
            Failure(**failure) if failure else None,
            tuple(Problem(**problem) for problem in document.get("problems", ())),
            document.get("since", ""),
            document.get("rejected", ""),
        )
