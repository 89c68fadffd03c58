"""Compare what was measured of an asset with what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forge_batch.gates import Gate
from forge_batch.ops.gate_limits import LIMITS

if TYPE_CHECKING:
    from forge_batch.ops.measure_asset import Measured


def judge(name: str, measured: Measured | None, limits: Mapping[str, float]) -> Gate:
    """Compare one measurement with its limit: `limits` of the manifest first, then the measurement's own, then the table's."""
    limit = LIMITS[name]
    if measured is None or measured.value is None:
        note = measured.note if measured else "the asset has nothing to measure it on"
        return Gate(name, None, limit.bound, limit.unit, "not_tested", note)
    bound = limits.get(name, limit.bound if measured.bound is None else measured.bound)
    value = round(float(measured.value), 6)
    note = f"{limit.meaning}; {measured.note}" if measured.note else limit.meaning
    if measured.breach == "pass" or bound is None:
        return Gate(name, value, None, limit.unit, "pass", note)
    beyond = measured.breach or limit.breach
    return Gate(name, value, float(bound), limit.unit, "pass" if limit.holds(value, bound) else beyond, note)
