"""Say what a quality gate measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from forge_batch.ops.gate_limits import KIND_BOUNDS, LIMITS

if TYPE_CHECKING:
    from forge_batch.ops.finished import Measured

NO_LIMITS: Mapping[str, float] = MappingProxyType({})

Result = Literal["pass", "warn", "fail", "not_tested"]


@dataclass(frozen=True)
class Gate:
    """Be one measured property of an asset beside the limit it was held to.

    Attributes:
        name: `lower_snake`, the same in every report.
        value: What was measured; None if nothing could be.
        limit: The bound it was compared with; None if the gate only reports.
        unit: Of value and limit, empty for plain numbers and counts.
        result: `warn` lets the package out and says so; `not_tested` is never counted as passed.
        note: One sentence for a person: what it means here, or why it was not tested.
        picture: Name of a PNG beside the list of gates that shows where; empty if there is none.
    """

    name: str
    value: float | None
    limit: float | None
    unit: str
    result: Result
    note: str = ""
    picture: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Gate:
        return cls(
            name=document["name"],
            value=document["value"],
            limit=document["limit"],
            unit=document["unit"],
            result=document["result"],
            note=document.get("note", ""),
            picture=document.get("picture", ""),
        )


def headline(gate: Gate) -> str:
    """Say in a few words what a gate measured and what it allows."""
    allowed = f"{'at least' if LIMITS[gate.name].least else 'at most'} {gate.limit:g} {gate.unit}".rstrip()
    return f"{gate.name} is {gate.value:g}, allowed {allowed}"


def judge(name: str, measured: Measured | None, limits: Mapping[str, float] = NO_LIMITS, kind: str = "prop") -> Gate:
    """Compare one measurement with its limit.

    Args:
        name: Of the gate.
        measured: None if nothing could be.
        limits: The manifest's own word, by gate; it goes before what other fields of the manifest say, the table for the kind
            of asset, and the table for all.
        kind: Of asset.
    """
    limit = LIMITS[name]
    if measured is None or measured.value is None:
        note = measured.note if measured else "there is nothing to measure it on"
        return Gate(name, None, limit.bound, limit.unit, "not_tested", note)
    usual = KIND_BOUNDS.get(kind, {}).get(name, limit.bound) if measured.bound is None else measured.bound
    bound = limits.get(name, usual)
    value = round(float(measured.value), 6)
    note = f"{limit.meaning}; {measured.note}" if measured.note else limit.meaning
    if measured.breach == "pass" or bound is None:
        return Gate(name, value, None, limit.unit, "pass", note)
    beyond = measured.breach or limit.breach
    if limit.tolerated is not None and limit.holds(value, limit.tolerated):
        beyond = "warn"
    if name in limits:  # who names a limit means it
        beyond = limit.breach
    return Gate(name, value, float(bound), limit.unit, "pass" if limit.holds(value, bound) else beyond, note)
