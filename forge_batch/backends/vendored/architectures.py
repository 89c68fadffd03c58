"""Read for which GPU architectures a compiled extension was built, without a GPU and without CUDA's tools.

nvcc puts its code into a fat binary inside the shared library: a header that starts with a magic number, then entries, each
with its kind (PTX to be compiled at run time, or machine code) and architecture. The layout is undocumented; this reading of
it gave what `cuobjdump --list-elf --list-ptx` gives for libcurand 10.4 (nine architectures and PTX of one).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")  # magic, version, size of this header, size of all entries
_ENTRY = struct.Struct("<HHIQQII")  # kind, version, size of this header, size of what follows, (sizes), (unused), architecture
_PTX, _CODE = 1, 2


@dataclass(frozen=True)
class Architectures:
    """Hold compute capabilities times ten (90, 120): those with machine code, and those with PTX, which newer GPUs compile."""

    code: frozenset[int] = frozenset()
    ptx: frozenset[int] = frozenset()

    def runs_on(self, capability: int) -> bool:
        """Tell whether a GPU can use it: code of the same generation that is not newer, or PTX that is not newer."""
        return any(one // 10 == capability // 10 and one <= capability for one in self.code) or any(
            one <= capability for one in self.ptx
        )

    def __str__(self) -> str:
        words = [*(f"sm_{one}" for one in sorted(self.code)), *(f"compute_{one}" for one in sorted(self.ptx))]
        return ", ".join(words) or "no GPU code"


def read_architectures(library: Path) -> Architectures:
    """Look through a shared library; one without GPU code gives none.

    Raises:
        OSError: It cannot be read.
    """
    code: set[int] = set()
    ptx: set[int] = set()
    if not library.stat().st_size:
        return Architectures()
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(MAGIC)
        while place >= 0:
            end = _read_entries(data, place, code, ptx)
            place = data.find(MAGIC, end)
    return Architectures(frozenset(code), frozenset(ptx))


def _read_entries(data: mmap.mmap, place: int, code: set[int], ptx: set[int]) -> int:
    """Add the architectures of one fat binary; give where to look on."""
    if place + _HEADER.size > len(data):
        return len(data)
    _, _, header, size = _HEADER.unpack_from(data, place)
    end = int(place + header + size)
    if header < _HEADER.size or end > len(data):
        return place + len(MAGIC)  # the number stands there by chance
    entry = place + header
    while entry + _ENTRY.size <= end:
        kind, _, length, follows, _, _, architecture = _ENTRY.unpack_from(data, entry)
        if kind not in {_PTX, _CODE} or length < _ENTRY.size:
            break
        (code if kind == _CODE else ptx).add(architecture)
        entry += length + follows
    return end
