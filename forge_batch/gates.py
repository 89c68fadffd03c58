"""Say what a quality gate measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

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
    """

    name: str
    value: float | None
    limit: float | None
    unit: str
    result: Result
    note: str = ""

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
        )
