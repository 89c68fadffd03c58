"""Say what a stage is. Read this second, after runner.py.

To add a stage: write `stages/<verb>.py` with a params class and a `run(context)` function, close it with
`stage = Stage(...)`, and put that value where it belongs in `stages.STAGES`. Everything else (manifest field, schema, plan,
cache, report, progress) follows from the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from forge_batch.artifacts import Slot

Device = Literal["cpu", "gpu"]
Group = Literal["generation", "post_processing", "rigging", "export"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""How presets, `explain` and the documentation sort the stages for people."""


def group_title(group: str) -> str:
    """Write a group's name as a heading."""
    return group.replace("post_", "post-").capitalize()


Metrics = dict[str, Any]
"""What a stage measured: JSON values by name; units stand in the name when they are not the house unit."""


class StageParams(BaseModel):
    """Hold what a manifest may say to one stage. Unknown keys are refused; every field has a unit, a range and a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    implied: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """What one word stands for: by field and by its value, the other fields that it sets unless they are written."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came when assets had been made without them: at their default they are not spoken of, and keys stay."""

    def made_from(self) -> dict[str, Any]:
        """Give what decides the outcome of a task, as JSON values."""
        defaults = {name: field.default for name, field in type(self).model_fields.items() if name in self.later}
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}

    @model_validator(mode="before")
    @classmethod
    def _write_out(cls, data: Any) -> Any:
        """Fill in the fields that a word implies."""
        if not isinstance(data, dict):
            return data
        for field_name, words in cls.implied.items():
            word = data.get(field_name, cls.model_fields[field_name].default)
            data = {**(words.get(word, {}) if isinstance(word, str) else {}), **data}
        return data

    @property
    def on(self) -> bool:
        """Whether the stage runs at all; a stage that cannot be left out is always on."""
        return True


class Switchable(StageParams):
    """Hold the params of a stage that an asset may do without."""

    enabled: bool = Field(default=True, description="Whether this stage runs.")

    @property
    def on(self) -> bool:
        return self.enabled


P = TypeVar("P", bound=StageParams)


@dataclass(frozen=True)
class Cost:
    """Estimate a task before it runs, in seconds on two laptop cores (`cpu`) and on a data-centre GPU (`gpu`)."""

    cpu: float = 0.0
    gpu: float = 0.0


def _no_progress(fraction: float, note: str = "") -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class StageContext(Generic[P]):
    """Give a running stage everything it may touch; what is not here, a stage does not read.

    Attributes:
        asset: Name of the asset, `lower_snake`.
        params: The stage's own params.
        seed: The only source of randomness.
        images: Input images by view name (front, right, back, left), plus `camera` (camera.json) and `license`
            (LICENSE.txt) where the image set has them. Filled only for stages that read the IMAGES slot.
        inputs: Files by slot name, as bound by the plan.
        folder: Where outputs go; private to this task until it is done.
        progress: Call with a fraction in 0..1 and a few words.
    """

    asset: str
    params: P
    seed: int
    images: Mapping[str, Path]
    inputs: Mapping[str, Path]
    folder: Path
    progress: Callable[[float, str], None] = field(default=_no_progress)

    def path(self, slot: Slot) -> Path:
        """Give the file that fills an input slot; KeyError (a bug) if the stage did not declare it."""
        return self.inputs[slot.name]

    def has(self, slot: Slot) -> bool:
        """Tell whether an `if_any` slot was filled."""
        return slot.name in self.inputs

    def out(self, slot: Slot) -> Path:
        """Give the path to write an output slot to."""
        return self.folder / slot.filename


@dataclass(frozen=True)
class Stage(Generic[P]):
    """Be one kind of work, as a value.

    Attributes:
        name: An imperative verb; equal to the module's name, the manifest's field and the word on the command line.
        version: Raised whenever the same inputs give another output; part of every task key.
        device: `gpu` means that its seconds count against the allowance where there is one; on a machine without GPU
            the same stage runs on the CPU.
        inputs: Slots it reads; `SLOT.if_any` for those it can do without.
        outputs: Slots it writes, all of them, on every run; `SLOT.if_any` for those that its params decide on.
        params: Type of its manifest field.
        cost: Estimate from the params alone.
        run: Do the work and return what was measured. Same inputs, params and seed give the same bytes on a CPU.
            Raises StageError, GateFailed or BackendUnavailable; anything else is a bug.
        revision: What else the result depends on, as text: the backend's pinned revision for learned models.
        group: Where people look for it.
    """

    name: str
    version: int
    device: Device
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    params: type[P]
    cost: Callable[[P], Cost]
    run: Callable[[StageContext[P]], Metrics]
    revision: Callable[[P], str] = lambda _: ""
    group: Group = "post_processing"
