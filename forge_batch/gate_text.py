"""Put gates into words: the same rows in the package's report and in the run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from forge_batch.gates import Gate
from forge_batch.ops.document import Document
from forge_batch.ops.gate_limits import LIMITS

HEAD = ("gate", "result", "measured", "limit", "what it means")


def gate_rows(gates: Sequence[Gate]) -> list[list[str]]:
    """Give one row per gate, failures first."""
    order = {"fail": 0, "warn": 1, "pass": 2, "not_tested": 3}
    return [
        [gate.name.replace("_", " "), gate.result, _number(gate.value, gate.unit), _number(gate.limit, gate.unit), gate.note]
        for gate in sorted(gates, key=lambda gate: order[gate.result])
    ]


def verdict(gates: Sequence[Gate]) -> tuple[str, str]:
    """Say how the gates ended: a sentence, and the worst result."""
    count = {result: sum(gate.result == result for gate in gates) for result in ("pass", "warn", "fail", "not_tested")}
    worst = "fail" if count["fail"] else "warn" if count["warn"] else "pass"
    parts = [f"{number} {result.replace('_', ' ')}" for result, number in count.items() if number]
    return (
        f"{len(gates)} quality gates: {', '.join(parts)}" if gates else "no quality gate was measured",
        worst if gates else "warn",
    )


def read_pictures(gates: Sequence[Gate], folder: Path) -> dict[str, bytes]:
    """Read the pictures that gates name, failures first; one that is not there any more is left out."""
    named = sorted((gate for gate in gates if gate.picture), key=lambda gate: gate.result != "fail")
    paths = {gate.name: folder / gate.picture for gate in named}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def add_pictures(page: Document, gates: Sequence[Gate], pictures: Mapping[str, bytes]) -> None:
    """Show what gates found, each with what to change, below a heading of its own."""
    by_name = {gate.name: gate for gate in gates}
    if pictures:
        page.heading("Where it is")
    for name, png in pictures.items():
        gate = by_name[name]
        advice = f"; what may help: {LIMITS[name].advice}" if name in LIMITS else ""
        page.paragraph(f"{name.replace('_', ' ')}: {_number(gate.value, gate.unit)}{advice}", gate.result)
        page.picture(png, f"where {name.replace('_', ' ')} goes beyond its limit")


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}".strip()
