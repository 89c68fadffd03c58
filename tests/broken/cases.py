"""List the cases: every kind of damage on every shape."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from zlib import crc32

from tests.broken.damage import KINDS
from tests.broken.shapes import SHAPES


@dataclass(frozen=True)
class Case:
    """Be one shape broken in one way."""

    kind: str
    shape: str
    severity: float

    @property
    def seed(self) -> int:
        return crc32(str(self).encode())

    def __str__(self) -> str:
        return f"{self.kind}/{self.shape}/{self.severity:g}"


CASES = tuple(
    Case(kind, shape, severity)
    for (row, kind), (column, shape), severity in product(enumerate(KINDS), enumerate(SHAPES), (0.4, 1.0))
    if severity == 1.0 or (row + column) % 5 == 0
)
"""All of them: each kind on each shape at full severity, and on a fifth of the shapes at a moderate one."""
