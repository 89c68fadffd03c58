"""Put gates into words: the same rows in the package's report and in the run's."""

from __future__ import annotations

from collections.abc import Sequence

from forge_batch.gates import Gate

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


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}".strip()
